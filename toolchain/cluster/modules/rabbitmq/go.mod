// Its types alone are wanted: nothing of it is built.
module ai-platform/toolchain/cluster/rabbitmq

go 1.25.0

require github.com/rabbitmq/cluster-operator/v2 v2.16.0
