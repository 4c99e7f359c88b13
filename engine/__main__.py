# SPDX-License-Identifier: GPL-3.0-or-later
"""Start of the engine: `python -m engine`, or as a file, `python -I engine/__main__.py`.

Blender starts it as a file in isolated mode, in which neither its own Python settings nor the
current folder reach the engine's Python; the packages beside this one are then found from here.
"""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from engine.cli.arguments import main  # noqa: E402  (the path comes first)
from engine.machine.openmp import wait_briefly  # noqa: E402

if __name__ == "__main__":
    wait_briefly()
    sys.exit(main())
