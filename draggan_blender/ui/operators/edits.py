# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators of the list of edits: choosing which one to work on, the order, and removing.

The image follows as after a change of a slider (``jobs.edit_changes``), with an undo step of its
own. Without a window there are no timers, so there the image is rendered at once.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty

from ...jobs import bake as bake_job
from ...jobs import edit_changes
from ...jobs import edits as edits_job
from ...properties.owners import Plane
from ...scene import edit_points, edits, planes
from ...timeline import edit_frames
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


class DRAGGAN_OT_new_edit(bpy.types.Operator):
    """Begin an edit of another part, with an empty mask and no points: what was dragged stays"""

    bl_idname = "draggan.new_edit"
    bl_label = "New Edit"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        edit_points.begin_new(planes.require_active(context))
        self.report({"INFO"}, "Mask what may change, for example with Rectangle, and add points")
        return {"FINISHED"}


class DRAGGAN_OT_edit_this(bpy.types.Operator):
    """Take the mask and the points of the selected edit up again: the next drag goes on with it"""

    bl_idname = "draggan.edit_this"
    bl_label = "Edit This"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_edit(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def begin() -> int | None:
            edit_points.begin(plane, plane.draggan.edits[plane.draggan.active_edit])
            return _follow(plane)

        return run(self, begin)


class DRAGGAN_OT_remove_edit(bpy.types.Operator):
    """Remove the selected edit and its points; what was dragged with other masks stays"""

    bl_idname = "draggan.remove_edit"
    bl_label = "Remove Edit"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_edit(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        edits.remove(plane, plane.draggan.active_edit)
        # One of the removed points was the active object.
        if context.view_layer.objects.active is None:
            context.view_layer.objects.active = plane
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


class DRAGGAN_OT_render_edits(bpy.types.Operator):
    """Render the edits with their strengths at each frame of the range of a bake"""

    bl_idname = "draggan.render_edits"
    bl_label = "Render Edits"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _poll_edit(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        # The one undo step is pushed when the result arrives.
        plane = planes.require_active(context)
        return run(self, lambda: edit_frames.render(plane, bake_job.frames_of(plane)))


CLASSES = (
    DRAGGAN_OT_new_edit,
    DRAGGAN_OT_edit_this,
    DRAGGAN_OT_remove_edit,
    DRAGGAN_OT_move_edit,
    DRAGGAN_OT_render_edits,
)
