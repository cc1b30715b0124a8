"""Where things lie. `.venv/`, `.toolchain/` and `.state/` are the only folders that are written, all ignored by git."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""Root of the repository."""
VENV = ROOT / ".venv"
TOOLS = ROOT / ".toolchain"
LOGS = TOOLS / "logs"
CACHE = TOOLS / "cache"
CLUSTER = TOOLS / "cluster"
"""The local cluster: its programs, keys and state."""
STATE = ROOT / ".state"
PULUMI_HOME = TOOLS / "pulumi-home"
PASSPHRASE = STATE / "passphrase"
CLI_LINK = TOOLS / "bin" / "pulumi"
"""The Pulumi CLI of this project; the language host lies beside it where the machine has no official one."""
INVENTORY = TOOLS / "images.json"
ENGINE_FILE = TOOLS / "docker-host"
"""The engine that answered, where it is not the default one."""
VENV_PYTHON = VENV / "bin" / "python"
CLUSTER = TOOLS / "cluster"
"""Everything of the local Kubernetes cluster."""
KUBECONFIG = CLUSTER / "kubeconfig"
LOCAL_CONTEXT = "ai-platform-local"
"""The only context in it."""
