"""Entry point of the policy pack: the engine runs this folder in a process of its own.

The folder of the pack stands first in `sys.path` then; the repository's root takes its place, so that modules are found
by the same names as everywhere else.
"""

from __future__ import annotations

import sys
from pathlib import Path

PACK = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path[:] = [str(PACK.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != PACK)]

    from policies.engine import serve

    serve()
