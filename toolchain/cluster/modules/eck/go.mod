// Its types alone are wanted: nothing of it is built.
module ai-platform/toolchain/cluster/eck

go 1.25.0

require github.com/elastic/cloud-on-k8s/v3 v3.5.0
