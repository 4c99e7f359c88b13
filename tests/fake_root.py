# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the fake engine where the launcher looks for the real one.

Standard library only and no import of the project, so that a test inside Blender, where the
package has another name, can load this file by its path.
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
    """Make ``folder/engine/__main__.py`` run the fake engine; to be used as the ``root``.

    Args:
        folder: made if it is missing.
        options: of :mod:`tests.fake_engine`, for example ``--fault``, ``crash_at_step=3``.

    Returns:
        ``folder``.
    """
    main = folder / "engine" / "__main__.py"
    main.parent.mkdir(parents=True, exist_ok=True)
    program = Path(__file__).resolve().with_name("fake_engine.py")
    text = _MAIN.format(checkout=str(_CHECKOUT), options=list(options), program=str(program))
    main.write_text(text, encoding="utf-8")
    return folder
