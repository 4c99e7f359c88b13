# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry point of the engine: ``python -m engine``, or ``python -I engine/__main__.py``.

Blender runs this file by its path and in isolated mode (``-I``), so that neither the environment
variables for Blender's own Python nor the current folder affect the engine's Python. The folder
that contains the packages is then not on ``sys.path`` and is added here.
"""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from engine.cli.arguments import main  # noqa: E402  (needs the path)
from engine.machine.openmp import wait_briefly  # noqa: E402

if __name__ == "__main__":
    if sys.__stderr__ is not None:
        faulthandler.enable()  # the log has the traceback of a crash in compiled code, too
    wait_briefly()
    sys.exit(main())
