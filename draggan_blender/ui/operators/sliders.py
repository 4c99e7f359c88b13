# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators of the list of sliders: adding, removing, order, sign, strips, and the sequence.

The image follows as after a move of a slider (``jobs.edit_changes``), with an undo step of its own.
Without a window there are no timers, so there the image is rendered at once.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty

from ...errors import EditError
from ...jobs import bake as bake_job
from ...jobs import direction_library, directions, edit_changes, slider_strip
from ...jobs import edits as edits_job
from ...properties.owners import Plane
from ...scene import planes, sliders
from ...timeline import edit_frames
from .common import Result, poll_idle, poll_image, require, run

# How many directions a first search adds as sliders.
_FIRST = 5


def poll_slider(cls: Any, context: bpy.types.Context) -> bool:
    """Return whether an idle GAN image with a slider is active."""
    return poll_idle(cls, context) and require(
        cls,
        len(planes.require_active(context).draggan.sliders) > 0,
        "There is no slider yet; press Find Directions, or add one",
    )


def follow(plane: Plane) -> int | None:
    """Let the image follow a change that an operator has made."""
    if bpy.app.background:
        return edits_job.start(plane)
    edit_changes.changed(plane)
    return None


def add_first(plane: Plane) -> None:
    """Add sliders of the first directions, if the image has none."""
    if not plane.draggan.sliders:
        for direction in direction_library.load(plane)[:_FIRST]:
            sliders.add(plane, direction)
        plane.draggan.active_slider = 0


class DRAGGAN_OT_find_directions(bpy.types.Operator):
    """Find the directions in which the images of this model differ, and add the first as sliders"""

    bl_idname = "draggan.find_directions"
    bl_label = "Find Directions"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_image(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        return run(self, lambda: directions.find(plane, add_first))


# Blender does not keep the texts of a dynamic list of choices.
_choices: list[tuple[str, str, str]] = []


def _choices_of(_operator: Any, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    plane = None if context is None else planes.active(context)
    found = []
    if plane is not None and plane.draggan.latent:
        try:
            for number, one in enumerate(direction_library.load(plane)):
                found.append((str(number), one.name, f"Layers {one.first} to {one.last}"))
        except EditError:
            pass  # adding one says why
    _choices[:] = found
    return _choices


class DRAGGAN_OT_add_slider(bpy.types.Operator):
    """Add a slider for a direction of this model"""

    bl_idname = "draggan.add_slider"
    bl_label = "Add Slider"
    bl_options = {"REGISTER", "UNDO"}
    bl_property = "direction"

    direction: EnumProperty(
        name="Direction", description="The direction of the model", items=_choices_of
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_image(cls, context) and require(
            cls,
            direction_library.is_known(planes.require_active(context)),
            "The directions of this model are not known yet; press Find Directions",
        )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        context.window_manager.invoke_search_popup(self)
        return {"INTERFACE"}

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def add() -> None:
            known = direction_library.load(plane)
            if not known:
                raise EditError("This model has no directions any more; press Find Directions")
            sliders.add(plane, known[int(self.direction)])

        return run(self, add)


class DRAGGAN_OT_remove_slider(bpy.types.Operator):
    """Remove the selected slider; the image is then as without it"""

    bl_idname = "draggan.remove_slider"
    bl_label = "Remove Slider"
    bl_options = {"REGISTER", "UNDO"}

    forget: BoolProperty(
        name="Forget Direction",
        description="Remove its direction from those of the model as well",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_slider(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        index = plane.draggan.active_slider

        def remove() -> int | None:
            if self.forget:
                row = plane.draggan.sliders[index]
                direction_library.forget(plane, sliders.direction_of(plane, row))
            sliders.remove(plane, index)
            return follow(plane)

        return run(self, remove)


class DRAGGAN_OT_move_slider(bpy.types.Operator):
    """Move the selected slider in the list; the order is kept for all images of the model"""

    bl_idname = "draggan.move_slider"
    bl_label = "Move Slider"
    bl_options = {"REGISTER", "UNDO"}

    direction: EnumProperty(
        name="Direction",
        description="Where the slider goes in the list",
        items=(("UP", "Up", "Towards the top"), ("DOWN", "Down", "Towards the bottom")),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_slider(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        index = plane.draggan.active_slider
        to = index + (1 if self.direction == "DOWN" else -1)
        if not 0 <= to < len(plane.draggan.sliders):
            return {"CANCELLED"}
        sliders.move(plane, index, to)
        return run(self, lambda: direction_library.remember(plane))


class DRAGGAN_OT_flip_slider(bpy.types.Operator):
    """Turn the selected slider around; the image stays, and the model's other images get it too"""

    bl_idname = "draggan.flip_slider"
    bl_label = "Flip Direction"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_slider(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def flip() -> None:
            sliders.flip(plane, plane.draggan.active_slider)
            direction_library.remember(plane)

        return run(self, flip)


class DRAGGAN_OT_zero_sliders(bpy.types.Operator):
    """Set all sliders of the image to 0; drags and edits stay"""

    bl_idname = "draggan.zero_sliders"
    bl_label = "Set All to 0"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_slider(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        for row in plane.draggan.sliders:
            row.strength = 0.0
        return run(self, lambda: follow(plane))


class DRAGGAN_OT_slider_strip(bpy.types.Operator):
    """Show small images of the selected slider at several strengths, to find out what it does"""

    bl_idname = "draggan.slider_strip"
    bl_label = "Strip"
    bl_options = {"REGISTER"}

    what: EnumProperty(
        name="What",
        description="What differs between the images",
        items=(
            ("STRENGTHS", "Strengths", "From -3 to 3"),
            ("CROSSINGS", "First Layers", "From which layer on the style is taken"),
            ("CLOSE", "Close", "Close the strip"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_slider(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        if self.what == "CLOSE":
            slider_strip.close()
            return {"FINISHED"}
        show = {
            "STRENGTHS": slider_strip.show_strengths,
            "CROSSINGS": slider_strip.show_crossings,
        }[self.what]
        return run(self, lambda: show(plane, plane.draggan.active_slider))


class DRAGGAN_OT_pick_strip(bpy.types.Operator):
    """Set the slider as in this image of the strip"""

    bl_idname = "draggan.pick_strip"
    bl_label = "Pick from Strip"
    bl_options = {"REGISTER", "UNDO"}

    number: IntProperty(name="Number", description="Which image of the strip", min=0)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_slider(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def take() -> int | None:
            slider_strip.take(plane, plane.draggan.active_slider, self.number)
            return follow(plane)

        return run(self, take)


class DRAGGAN_OT_render_sliders(bpy.types.Operator):
    """Render sliders and edits with their strengths at each frame of the range of a bake"""

    bl_idname = "draggan.render_sliders"
    bl_label = "Render Sliders"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_slider(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        # The one undo step is pushed when the result arrives.
        plane = planes.require_active(context)
        return run(self, lambda: edit_frames.render(plane, bake_job.frames_of(plane)))


CLASSES = (
    DRAGGAN_OT_find_directions,
    DRAGGAN_OT_add_slider,
    DRAGGAN_OT_remove_slider,
    DRAGGAN_OT_move_slider,
    DRAGGAN_OT_flip_slider,
    DRAGGAN_OT_zero_sliders,
    DRAGGAN_OT_slider_strip,
    DRAGGAN_OT_pick_strip,
    DRAGGAN_OT_render_sliders,
)
