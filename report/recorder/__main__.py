"""Entry point of a pack that judges nothing: it writes down the Kubernetes objects that the engine shows to packs.

The output of a preview masks each secret as a whole, and of a Secret not even its keys are left. A pack is told where
exactly the secrets stand: they are left out here, in the process that was told.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent)]

    from policies.engine import serve
    from report.manifests import RECORDER

    serve((RECORDER,), name="ai-platform-recorder")
