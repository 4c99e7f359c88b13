# SPDX-License-Identifier: GPL-3.0-or-later
"""A root folder for the launcher that contains the fake engine in the place of the real one.

This file imports only the standard library, so that a test inside Blender, where our package has
another name, can load it by its path.
"""

from __future__ import annotations

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[1]

_MAIN = """\
import runpy
import sys

sys.path.insert(0, {checkout!r})
sys.argv[1:] += {options!r}
runpy.run_path({program!r}, run_name="__main__")
"""


def make_fake_root(folder: Path, *options: str) -> Path:
    """Write ``folder/engine/__main__.py``, which runs the fake engine.

    Args:
        folder: The root folder; it is made if it is missing.
        options: Options of ``fake_engine``, for example ``--fault``, ``crash_at_step=3``.

    Returns:
        ``folder``.
    """
    main = folder / "engine" / "__main__.py"
    main.parent.mkdir(parents=True, exist_ok=True)
    program = Path(__file__).resolve().with_name("fake_engine.py")
    text = _MAIN.format(checkout=str(_CHECKOUT), options=list(options), program=str(program))
    main.write_text(text, encoding="utf-8")
    return folder
