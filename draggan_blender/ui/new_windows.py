# SPDX-License-Identifier: GPL-3.0-or-later
"""A window that opens while its scene has a GAN image shows that image in Solid shading as well.

Blender opens a window with untextured views, and reports it to no script, so a timer looks. What a
person chooses in the window afterwards stays, as does what a file was saved with.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..scene import planes
from . import showing

# Time between two looks.
_PERIOD_S = 0.3

# The windows that were seen before; None when a file has been opened, whose windows are not new.
_known: set[int] | None = None


def look() -> None:
    """Texture the views of the windows that have opened since the last look."""
    global _known
    windows = {window.as_pointer(): window for window in bpy.context.window_manager.windows}
    new = windows.keys() - (windows.keys() if _known is None else _known)
    _known = set(windows)
    for pointer in new:
        window = windows[pointer]
        if not any(planes.is_plane(item) for item in window.scene.objects):
            continue
        for area in window.screen.areas:
            space: Any = area.spaces.active
            # A copied view may have another kind of colour that was chosen.
            if area.type == "VIEW_3D" and space.shading.color_type == "MATERIAL":
                showing.texture(space)


def _on_timer() -> float:
    look()
    return _PERIOD_S


def _forget(*_arguments: Any) -> None:
    global _known
    _known = None


_HANDLER = persistent(_forget)


def register() -> None:
    """Start the timer; it stays when a file is opened."""
    bpy.app.handlers.load_post.append(_HANDLER)
    bpy.app.timers.register(_on_timer, first_interval=_PERIOD_S, persistent=True)


def unregister() -> None:
    """Stop the timer, and forget the windows."""
    bpy.app.handlers.load_post.remove(_HANDLER)
    _forget()
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
