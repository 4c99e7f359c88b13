# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators of the list of edits: the order, and removing an edit.

The image follows as after a change of a slider (``jobs.edit_changes``), with an undo step of its
own. Without a window there are no timers, so there the image is rendered at once.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty

from ...jobs import edit_changes
from ...jobs import edits as edits_job
from ...properties.owners import Plane
from ...scene import edits, planes
from .common import Result, poll_idle, require, run


def _poll_edit(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether an idle GAN image with an edit is active."""
    return poll_idle(cls, context) and require(
        cls,
        len(planes.require_active(context).draggan.edits) > 0,
        "There is no edit yet; drag with a mask first",
    )


def _follow(plane: Plane) -> int | None:
    """Let the image follow a change that an operator has made."""
    if bpy.app.background:
        return edits_job.start(plane)
    edit_changes.changed(plane)
    return None


class DRAGGAN_OT_remove_edit(bpy.types.Operator):
    """Remove the selected edit from the image; what was dragged with other masks stays"""

    bl_idname = "draggan.remove_edit"
    bl_label = "Remove Edit"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_edit(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        edits.remove(plane, plane.draggan.active_edit)
        return run(self, lambda: _follow(plane))


class DRAGGAN_OT_move_edit(bpy.types.Operator):
    """Change when the selected edit is applied, which matters where masks overlap"""

    bl_idname = "draggan.move_edit"
    bl_label = "Move Edit"
    bl_options = {"REGISTER", "UNDO"}

    direction: EnumProperty(
        name="Direction",
        description="Where the edit goes in the list",
        items=(
            ("UP", "Up", "Apply it earlier, below others"),
            ("DOWN", "Down", "Apply it later, over others"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_edit(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        index = plane.draggan.active_edit
        to = index + (1 if self.direction == "DOWN" else -1)
        if not 0 <= to < len(plane.draggan.edits):
            return {"CANCELLED"}
        edits.move(plane, index, to)
        return run(self, lambda: _follow(plane))


CLASSES = (DRAGGAN_OT_remove_edit, DRAGGAN_OT_move_edit)
