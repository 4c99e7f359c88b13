# SPDX-License-Identifier: GPL-3.0-or-later
"""Selecting the part under a place of the image as mask, and growing and shrinking it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, FloatVectorProperty, IntProperty

from ...errors import EditError
from ...jobs import parts
from ...properties.owners import Plane
from ...scene import planes, pointing
from ...scene.mask_preview import MaskPreview
from ...scene.part_tree import PartTree
from .common import Result, poll_image
from .mask import COMBINATIONS, redraw

_PICK = "Click on a part of the image  |  Esc, RMB: cancel"
_LOOKING = "Finding the parts of the image  |  Esc, RMB: take back"
_FOLLOW = (
    "Size {number} of {count}  |  Wheel, + and -: grow, shrink  |  {end}  |  Esc, RMB: take back"
)
# How often a click looks whether the parts are there.
_LOOK_S = 0.05

_GROW = {"WHEELUPMOUSE", "PLUS", "EQUAL", "NUMPAD_PLUS"}
_SHRINK = {"WHEELDOWNMOUSE", "MINUS", "NUMPAD_MINUS"}
_SHIFT = {"LEFT_SHIFT", "RIGHT_SHIFT"}
_MODIFIERS = _SHIFT | {"LEFT_CTRL", "RIGHT_CTRL", "LEFT_ALT", "RIGHT_ALT", "OSKEY"}
_DONE = {"RET", "NUMPAD_ENTER", "SPACE"}


class _Choice:
    """The part of one click: its sizes, which one is chosen, and the mask that shows it."""

    def __init__(self, plane: Plane, tree: PartTree, uv: Sequence[float], size: int) -> None:
        """Choose the part at a place, ``size`` sizes larger or smaller.

        Raises:
            EditError: The mask is not an image whose pixels can be changed.
        """
        self._tree = tree
        self._nodes, usual = tree.sizes_at(uv)
        self.index = self._within(usual + size)
        self._preview = MaskPreview(plane)

    @property
    def count(self) -> int:
        """How many sizes there are."""
        return len(self._nodes)

    def _within(self, index: int) -> int:
        return min(max(index, 0), len(self._nodes) - 1)

    def change(self, by: int) -> None:
        """Choose a larger or a smaller size."""
        self.index = self._within(self.index + by)

    def show(self, plane: Plane, how: str, margin: float) -> None:
        """Show the chosen part in the mask."""
        size = self._preview.size(plane)
        shape = self._tree.mask(self._nodes[self.index], *size, margin)
        self._preview.show(plane, shape, how)
        redraw()

    def keep(self, plane: Plane, name: str) -> None:
        """Keep the mask, as one undo step; it grows when the part is pulled."""
        plane.draggan.mask_follows = True
        self._preview.keep(plane, name)
        redraw()

    def take_back(self, plane: Plane) -> None:
        """Restore the mask from before the click."""
        self._preview.take_back(plane)
        redraw()


class DRAGGAN_OT_select_part(bpy.types.Operator):
    """Let the part under a click change, such as an ear or an eye, and the rest stay"""

    bl_idname = "draggan.select_part"
    bl_label = "Select Part"
    bl_options = {"REGISTER"}

    place_uv: FloatVectorProperty(
        name="Place",
        description="A place of the part on the image: bottom left is (0, 0), top right (1, 1)",
        size=2,
        default=(0.5, 0.5),
        options={"SKIP_SAVE"},
    )
    size: IntProperty(
        name="Size",
        description="0 for the part that a click means, 1 for the next larger one, -1 for the next "
        "smaller one",
        soft_min=-8,
        soft_max=8,
        options={"SKIP_SAVE"},
    )
    margin: FloatProperty(
        name="Margin",
        description="How much room there is around the part for it to move to, as a share of the "
        "image's longer side",
        default=0.05,
        min=0.0,
        max=0.5,
        subtype="FACTOR",
    )
    how: EnumProperty(
        name="Combine", description="What happens to the mask at the part", items=COMBINATIONS
    )
    follows: BoolProperty(
        name="Follow",
        description="Let the wheel grow and shrink the part at the place until Shift is released",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    _uuid: str
    _choice: _Choice | None
    _is_picked: bool
    _is_shift_held: bool
    _timer: bpy.types.Timer | None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_image(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        uv, how = (self.place_uv[0], self.place_uv[1]), str(self.how)
        then = partial(_select, uv=uv, size=self.size, margin=self.margin, how=how)
        try:
            if bpy.app.background:
                then(plane, parts.wait(plane))
            else:
                parts.ask(plane, then)
        except EditError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        area = context.area
        if area is None or area.type != "VIEW_3D":
            self.report({"ERROR"}, "A part is clicked in a 3D view; start it from one")
            return {"CANCELLED"}
        plane = planes.require_active(context)
        self._uuid, self._choice = plane.draggan.uuid, None
        self._is_picked = bool(self.follows)
        # Shift may have been released before the mouse; then the next action ends the choice.
        self._is_shift_held = self._is_picked and event.shift
        try:
            # The parts may be there before the click.
            parts.ask(plane)
        except EditError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(_LOOK_S, window=context.window)
        if not self._is_picked:
            context.window.cursor_modal_set("EYEDROPPER")
        manager.modal_handler_add(self)
        self._say(context)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        plane = planes.find(self._uuid)
        if plane is None or context.area is None:
            self._end(context)
            return {"CANCELLED"}
        try:
            return self._handle(context, plane, event)
        except EditError as error:
            self.report({"ERROR"}, str(error))
            return self._take_back(context, plane)

    def _handle(self, context: bpy.types.Context, plane: Plane, event: bpy.types.Event) -> Result:
        is_press = event.value in {"PRESS", "CLICK_DRAG"}
        if event.type in {"ESC", "RIGHTMOUSE"} and is_press:
            return self._take_back(context, plane)
        if event.type.startswith("TIMER"):
            self._look(context, plane)
            return {"PASS_THROUGH"}
        if not self._is_picked:
            return self._pick(context, plane, event)
        by = (event.type in _GROW) - (event.type in _SHRINK)
        if by and is_press:
            if self._choice is not None:
                self._choice.change(by)
                self._choice.show(plane, str(self.how), self.margin)
                self._say(context)
            else:
                self.size += by
            return {"RUNNING_MODAL"}
        if event.type in _DONE and is_press:
            return self._keep(context, plane)
        if event.type in _SHIFT and event.value == "RELEASE" and self.follows:
            return self._keep(context, plane)
        # Whatever is done next ends the choice, and is done.
        if is_press and event.type not in _MODIFIERS and "MOUSEMOVE" not in event.type:
            return self._keep(context, plane) | {"PASS_THROUGH"}
        return {"PASS_THROUGH"}

    def _pick(self, context: bpy.types.Context, plane: Plane, event: bpy.types.Event) -> Result:
        """Wait for a click; other keys and buttons, which turn and move the view, work."""
        if event.type != "LEFTMOUSE" or event.value not in {"PRESS", "CLICK_DRAG"}:
            return {"PASS_THROUGH"}
        index = pointing.view_index(context.area, event.mouse_x, event.mouse_y)
        found = pointing.view_of(context.area, index)
        if found is None:
            self._end(context)
            return {"CANCELLED", "PASS_THROUGH"}
        region, region_3d = found
        place = (float(event.mouse_x - region.x), float(event.mouse_y - region.y))
        uv = pointing.uv_at(plane, region, region_3d, place)
        if uv is None or not (0.0 <= uv[0] <= 1.0 and 0.0 <= uv[1] <= 1.0):
            raise EditError("There is no image at this place; click on the active GAN image")
        self.place_uv, self._is_picked = uv, True
        if event.shift or event.ctrl:
            self.how = "SUBTRACT" if event.ctrl else "ADD"
        context.window.cursor_modal_restore()
        self._look(context, plane)
        self._say(context)
        return {"RUNNING_MODAL"}

    def _look(self, context: bpy.types.Context, plane: Plane) -> None:
        """Show the part if it was clicked and the parts are there.

        Raises:
            EditError: They were not found, or the mask cannot be changed.
        """
        if not self._is_picked or self._choice is not None:
            return
        problem = parts.problem(plane)
        if problem:
            raise EditError(problem)
        tree = parts.of(plane)
        if tree is None:
            # The picture may have changed since; this does nothing if they are on the way.
            parts.ask(plane)
            return
        self._choice = _Choice(plane, tree, self.place_uv, self.size)
        self._choice.show(plane, str(self.how), self.margin)
        self._say(context)

    def _say(self, context: bpy.types.Context) -> None:
        if not self._is_picked:
            text = _PICK
        elif self._choice is None:
            text = _LOOKING
        else:
            end = "Release Shift: keep" if self._is_shift_held else "Enter or the next click: keep"
            number, count = self._choice.index + 1, self._choice.count
            text = _FOLLOW.format(number=number, count=count, end=end)
        context.workspace.status_text_set(text)

    def _keep(self, context: bpy.types.Context, plane: Plane) -> Result:
        """Keep the part; if the parts are not there yet, the click is answered when they are."""
        self._end(context)
        if self._choice is None:
            return self.execute(context)
        self._choice.keep(plane, self.bl_label)
        return {"FINISHED"}

    def _take_back(self, context: bpy.types.Context, plane: Plane) -> Result:
        self._end(context)
        if self._choice is not None:
            self._choice.take_back(plane)
        return {"CANCELLED"}

    def _end(self, context: bpy.types.Context) -> None:
        """Give cursor, status bar and timer back."""
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if context.window is not None:
            context.window.cursor_modal_restore()
        if context.workspace is not None:
            context.workspace.status_text_set(None)

    def cancel(self, context: bpy.types.Context) -> None:
        """End the choice when Blender ends the operator, as it does when a file is opened."""
        plane = planes.find(self._uuid)
        if plane is not None:
            self._take_back(context, plane)
        else:
            self._end(context)


def _select(
    plane: Plane,
    tree: PartTree,
    *,
    uv: Sequence[float],
    size: int,
    margin: float,
    how: str,
) -> None:
    """Select a part as one undo step; also called by the engine's timer, which has no window."""
    windows = bpy.context.window_manager.windows
    override: Any = {"window": windows[0]} if windows and bpy.context.window is None else {}
    with bpy.context.temp_override(**override):
        choice = _Choice(plane, tree, uv, size)
        choice.show(plane, how, margin)
        choice.keep(plane, DRAGGAN_OT_select_part.bl_label)


CLASSES = (DRAGGAN_OT_select_part,)
