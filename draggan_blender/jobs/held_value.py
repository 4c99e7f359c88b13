# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a person still holds the mouse button over a value that an image follows.

A slider may rest while it is held. Only the interface can tell, so it says how.
"""

from __future__ import annotations

from collections.abc import Callable


def _never() -> bool:
    return False


_tell: Callable[[], bool] = _never


def is_held() -> bool:
    """Return whether the mouse button is held; False without an interface."""
    return _tell()


def ask(tell: Callable[[], bool] | None) -> None:
    """Set what ``is_held`` calls; None for no interface."""
    global _tell
    _tell = _never if tell is None else tell
