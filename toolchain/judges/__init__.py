"""Outside judges: what the field's own tools say about the manifests of a plan.

| judge | looks at | by |
|---|---|---|
| kubeconform | every field of every object | Kubernetes' schemas and those of the add-ons' types |
| kube-score | pods, budgets, policies, services | its own rules |
| checkov | pods, roles | its own rules |

`judges.yaml` lists what is accepted, each with a reason; everything else is a failure, and so is an entry that nothing
needs any more.
"""
