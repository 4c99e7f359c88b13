# SPDX-License-Identifier: GPL-3.0-or-later
"""Views without anti-aliasing while a person pulls, where the CPU draws them.

Without a GPU, Blender's *Viewport Anti-Aliasing* takes more time than all else between an event of
the mouse and the image. It is a preference that counts for all views, and is given back at the end
of the gesture. Neither change marks the preferences as changed, so Blender does not save them.
"""

from __future__ import annotations

from typing import Any

import bpy
import gpu
from bpy.app.handlers import persistent

from .. import preferences

_OFF = "OFF"

# What programs that draw on the CPU call themselves, in lower case.
_NAMES = (
    "llvmpipe",
    "softpipe",
    "swrast",
    "swiftshader",
    "software",
    "basic render",
    "gdi generic",
)

# The preference before a gesture; None while no gesture has changed it.
_before: str | None = None


def draws_on_cpu() -> bool:
    """Return whether the CPU draws Blender's views; False without a window, as in ``blender -b``.

    Blender knows some of these programs only.
    """
    try:
        kind, name = gpu.platform.device_type_get(), gpu.platform.renderer_get().lower()
    except SystemError:
        return False
    return kind == "SOFTWARE" or any(part in name for part in _NAMES)


def begin() -> None:
    """Switch anti-aliasing off for a gesture, if the CPU draws and the person agrees.

    Call it with the first movement: a click needs no quick views, and at the press it would cause a
    redraw for which the first image has to wait.
    """
    global _before
    stored = preferences.get()
    if _before is not None or (stored is not None and not stored.plain_pulls):
        return
    present = _preferences().system.viewport_aa
    if present != _OFF and draws_on_cpu():
        _before = present
        _set(_OFF)


def end() -> None:
    """Give anti-aliasing back; does nothing if no gesture has switched it off."""
    global _before
    before, _before = _before, None
    # Whoever has changed it in the meantime means it, such as other preferences that were loaded.
    if before is not None and _preferences().system.viewport_aa == _OFF:
        _set(before)


def _set(antialiasing: str) -> None:
    present = _preferences()
    is_dirty = present.is_dirty
    try:
        present.system.viewport_aa = antialiasing
    finally:
        present.is_dirty = is_dirty


def _preferences() -> Any:
    return bpy.context.preferences


def _before_load(*_arguments: Any) -> None:
    end()


_HANDLER = persistent(_before_load)


def register() -> None:
    """Give anti-aliasing back when another file is opened."""
    bpy.app.handlers.load_pre.append(_HANDLER)


def unregister() -> None:
    """Give anti-aliasing back."""
    bpy.app.handlers.load_pre.remove(_HANDLER)
    end()
