# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tools.bench [step|bake|drag] …`: `step` is meant where none is named."""

from __future__ import annotations

import sys

from engine.openmp import wait_without_spinning

if __name__ == "__main__":
    # Before torch is imported, here and in the processes that inherit the environment.
    wait_without_spinning()
    arguments = sys.argv[1:]
    named = arguments[0] if arguments and arguments[0] in ("step", "bake", "drag") else ""
    if named == "drag":
        from .drag import main
    elif named == "bake":
        from .bake import main
    else:
        from .step import main
    sys.exit(main(arguments[1:] if named else arguments))
