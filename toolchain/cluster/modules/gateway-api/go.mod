// Its types alone are wanted: nothing of it is built.
module ai-platform/toolchain/cluster/gateway-api

go 1.25.0

require sigs.k8s.io/gateway-api v1.4.0
