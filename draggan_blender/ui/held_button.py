# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the left mouse button is held, also on a slider, which takes all events.

Blender shows events to operators only. An operator that is invoked from a timer receives the last
press or release of a button or key, whoever has received that event itself.
"""

from __future__ import annotations

from typing import Any

import bpy

from ..jobs import held_value
from .operators.common import Result

_MODIFIERS = {
    "LEFT_SHIFT",
    "RIGHT_SHIFT",
    "LEFT_CTRL",
    "RIGHT_CTRL",
    "LEFT_ALT",
    "RIGHT_ALT",
    "OSKEY",
}

_is_held = False


class DRAGGAN_OT_read_button(bpy.types.Operator):
    """Notes whether the left mouse button is held in a window."""

    bl_idname = "draggan.read_button"
    bl_label = "Read Mouse Button"
    bl_description = "Note whether the left mouse button is held"
    bl_options = {"INTERNAL"}

    def invoke(self, _context: bpy.types.Context, event: bpy.types.Event) -> Result:
        global _is_held
        if event.type == "LEFTMOUSE":
            _is_held = event.value != "RELEASE"
        elif event.type not in _MODIFIERS:  # these make a slider precise, or snap it
            _is_held = False
        return {"CANCELLED"}


def is_held() -> bool:
    """Return whether the left mouse button is held in any window of Blender."""
    if bpy.app.background:
        return False
    operators: Any = bpy.ops
    for window in bpy.context.window_manager.windows:
        with bpy.context.temp_override(window=window):
            operators.draggan.read_button("INVOKE_DEFAULT")
        if _is_held:
            return True
    return False


def register() -> None:
    """Register the operator, and let images wait for the button."""
    bpy.utils.register_class(DRAGGAN_OT_read_button)
    held_value.ask(is_held)


def unregister() -> None:
    """Unregister the operator."""
    global _is_held
    _is_held = False
    held_value.ask(None)
    bpy.utils.unregister_class(DRAGGAN_OT_read_button)
