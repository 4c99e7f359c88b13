# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tools.bench [step|drag] …`: `step` is meant where none is named."""

from __future__ import annotations

import sys

from engine.openmp import wait_without_spinning

if __name__ == "__main__":
    # Before torch is imported, here and in the processes that inherit the environment.
    wait_without_spinning()
    arguments = sys.argv[1:]
    if arguments[:1] == ["drag"]:
        from .drag import main
    else:
        from .step import main
    sys.exit(main(arguments[1:] if arguments[:1] in (["drag"], ["step"]) else arguments))
