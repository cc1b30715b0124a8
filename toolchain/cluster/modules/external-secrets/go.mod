// Its types alone are wanted: nothing of it is built.
module ai-platform/toolchain/cluster/external-secrets

go 1.25.0

require github.com/external-secrets/external-secrets v0.20.4
