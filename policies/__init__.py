"""The policy pack: rules that a stack must satisfy before it is deployed.

`rules/` holds one rule family per module, in plain Python; `engine.py` is the one module that knows the policy library;
`__main__.py` is what the Pulumi engine starts. `names.py` is for whoever needs the names only.
"""
