// Its types alone are wanted: nothing of it is built.
module ai-platform/toolchain/cluster/mongodb

go 1.25.0

require github.com/mongodb/mongodb-kubernetes-operator v0.9.0
