# SPDX-License-Identifier: GPL-3.0-or-later
"""In a local view of an image, its points are shown with it.

Blender reports to scripts neither that a view becomes local nor what is shown in it, so a timer
looks.
"""

from __future__ import annotations

import bpy

from ..scene import local_view

# Time between two looks.
_PERIOD_S = 0.3


def _on_timer() -> float:
    local_view.show_points()
    return _PERIOD_S


def register() -> None:
    """Start the timer; it stays when a file is opened."""
    bpy.app.timers.register(_on_timer, first_interval=_PERIOD_S, persistent=True)


def unregister() -> None:
    """Stop the timer."""
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
