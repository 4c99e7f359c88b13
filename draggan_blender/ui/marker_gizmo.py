# SPDX-License-Identifier: GPL-3.0-or-later
"""Points follow Blender's own gizmo for image empties.

Blender draws that gizmo for the active object only, and reports neither its start nor its end to
scripts. So a timer looks at the active object of each window.
"""

from __future__ import annotations

import bpy

from ..scene import marker_offsets

# Time between two looks.
_PERIOD_S = 0.1

# The modal operator that runs while a gizmo is dragged.
_TWEAK = "GIZMOGROUP_OT_gizmo_tweak"


def follow() -> None:
    """Take over what the gizmo has done to the active points, unless it is being dragged."""
    windows = bpy.context.window_manager.windows
    if any(
        operator.bl_idname == _TWEAK for window in windows for operator in window.modal_operators
    ):
        return
    for window in windows:
        marker_offsets.take_over(window.view_layer.objects.active)


def _on_timer() -> float:
    follow()
    return _PERIOD_S


def register() -> None:
    """Start the timer."""
    bpy.app.timers.register(_on_timer, persistent=True)


def unregister() -> None:
    """Stop the timer."""
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
