# SPDX-License-Identifier: GPL-3.0-or-later
"""In a local view of an image, its points are shown with it.

Blender reports to scripts neither that a view becomes local nor what is shown in it, but it draws
the view. Nothing may be changed while a view is being drawn, so a timer does it a moment later.
"""

from __future__ import annotations

from typing import Any

import bpy

from ..scene import local_view

_handle: Any = None


def _on_draw() -> None:
    space: Any = bpy.context.space_data
    if space.local_view is None or bpy.app.timers.is_registered(local_view.show_points):
        return
    if local_view.are_left_out():
        bpy.app.timers.register(local_view.show_points, first_interval=0.0)


def register() -> None:
    """Start to look at each view that is drawn."""
    global _handle
    _handle = bpy.types.SpaceView3D.draw_handler_add(_on_draw, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    """Stop to look, and stop the timer."""
    global _handle
    if _handle is not None:
        bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    if bpy.app.timers.is_registered(local_view.show_points):
        bpy.app.timers.unregister(local_view.show_points)
