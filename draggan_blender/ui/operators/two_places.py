# SPDX-License-Identifier: GPL-3.0-or-later
"""Clicking two places on the picture and on the image puts the frame where both agree."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import FloatVectorProperty
from mathutils import Vector

from ...errors import EditError
from ...jobs import recovery
from ...properties.owners import Plane
from ...protocol.errors import ProtocolError
from ...protocol.own_picture import Alignment, TwoPlaces
from ...scene import picture_frame, planes, pointing, view
from .. import lines
from .common import Result
from .own_picture import OwnPictureOperator

_HINTS = (
    "Click a place on the picture, such as an eye",
    "Click the same place on the image",
    "Click a second place on the picture, such as the other eye",
    "Click the same place on the image",
)
_CANCEL = "; Esc or right mouse button: cancel"
# Nearer places say little about the angle; a part of the image's larger side.
_NEAREST = 0.05
# Half the size of a cross, px of the screen.
_CROSS = 9.0

Place = tuple[float, float]
World = tuple[float, float, float]


class DRAGGAN_OT_two_places(OwnPictureOperator, bpy.types.Operator):
    """Place the frame by clicking two places on the picture and the same two on the image"""

    bl_idname = "draggan.two_places"
    bl_label = "Two Places"
    bl_options = {"REGISTER", "UNDO"}

    picture_px: FloatVectorProperty(
        name="On the Picture",
        description="X and Y of the first and of the second place, pixels from the top left",
        size=4,
        options={"SKIP_SAVE"},
    )
    image_px: FloatVectorProperty(
        name="On the Image",
        description="X and Y of the same two places on the GAN image, pixels from the top left",
        size=4,
        options={"SKIP_SAVE"},
    )

    _uuid: str
    _found: list[Place]
    _worlds: list[World]
    _shown: lines.Shown

    def execute(self, context: bpy.types.Context) -> Result:
        given = (tuple(self.picture_px), tuple(self.image_px))
        on_picture, on_image = (((x, y), (right, down)) for x, y, right, down in given)
        return self._place(planes.require_active(context), on_picture, on_image)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        area, plane = context.area, planes.require_active(context)
        if area is None or area.type != "VIEW_3D":
            self.report({"ERROR"}, "Places are clicked in a 3D view; start this from one")
            return {"CANCELLED"}
        if lines.is_shown():
            self.report({"ERROR"}, "Places or an outline are being clicked already; Esc ends that")
            return {"CANCELLED"}
        try:
            recovery.own(plane)
            picture_frame.show(plane)
        except EditError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._uuid, self._found, self._worlds = plane.draggan.uuid, [], []
        worlds = self._worlds
        self._shown = lines.Shown(context, "LINES", lambda: _crosses(worlds), _HINTS[0] + _CANCEL)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        plane = planes.find(self._uuid)
        if context.area is None or plane is None or not picture_frame.is_shown(plane):
            return self._finish(context, {"CANCELLED"})
        if event.type in {"ESC", "RIGHTMOUSE"} and event.value == "PRESS":
            return self._finish(context, {"CANCELLED"})
        index = pointing.view_index(context.area, event.mouse_x, event.mouse_y)
        shown = pointing.view_of(context.area, index)
        # Other keys and buttons turn and move the view; clicks beside it press buttons.
        if event.type != "LEFTMOUSE" or event.value != "PRESS" or shown is None:
            return {"PASS_THROUGH"}
        region, region_3d = shown
        place = event.mouse_x - region.x, event.mouse_y - region.y
        try:
            self._click(plane, region, region_3d, place)
        except EditError as error:
            self.report({"ERROR"}, str(error))
            return self._finish(context, {"CANCELLED"})
        if len(self._found) < len(_HINTS):
            self._shown.say(_HINTS[len(self._found)] + _CANCEL)
            return {"RUNNING_MODAL"}
        first, own_first, second, own_second = self._found
        # Adjust Last Operation and a script have the places as well.
        self.picture_px, self.image_px = (*first, *second), (*own_first, *own_second)
        result = self._place(plane, (first, second), (own_first, own_second))
        return self._finish(context, result)

    def cancel(self, context: bpy.types.Context) -> None:
        self._finish(context, {"CANCELLED"})

    def _click(self, plane: Plane, region: Any, region_3d: Any, position: Place) -> None:
        """Take a click, if it is on what the hint names."""
        is_picture = len(self._found) % 2 == 0
        flat = plane.draggan.own.board if is_picture else plane
        local = pointing.local_at(flat, region, region_3d, position)
        place = None if local is None else _px_of(plane, local, is_picture=is_picture)
        if local is None or place is None:
            name = "picture, which is beside the image" if is_picture else f"image {plane.name}"
            self.report({"WARNING"}, f"That is not on the {name}")
            return
        self._found.append(place)
        world: Any = flat.matrix_world @ Vector((*local, 0.0))
        self._worlds.append(tuple(world))

    def _place(self, plane: Plane, on_picture: TwoPlaces, on_image: TwoPlaces) -> Result:
        width, height = plane.draggan.size
        try:
            (x, y), (right, down) = on_image
            if max(abs(right - x), abs(down - y)) < _NEAREST * max(width, height):
                raise EditError("Both places are nearly the same; choose two that are far apart")
            picture = picture_frame.require_picture(plane)
            frame = Alignment.of_two_places(on_picture, on_image, (width, height))
            (x, y), (wide, high) = frame.centre_px, picture.size
            if not (0 <= x <= wide and 0 <= y <= high):
                raise EditError(
                    "The frame would be next to the picture; click both places in the same order "
                    "on the picture and on the image"
                )
            picture_frame.show(plane)
            picture_frame.place(plane, frame)
        except (EditError, ProtocolError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}

    def _finish(self, context: bpy.types.Context, result: Result) -> Result:
        self._shown.end(context)
        return result


def _px_of(plane: Plane, local: Place, *, is_picture: bool) -> Place | None:
    """Return the pixel at a place of the board or of the plane, or None beside it."""
    if is_picture:
        return picture_frame.board_px(plane, local)
    uv = view.local_to_uv(planes.uv_map(plane), [local])
    if not view.inside(uv)[0]:
        return None
    x, y = view.uv_to_px(uv, *plane.draggan.size)[0]
    return float(x), float(y)


def _crosses(worlds: list[World]) -> list[Place]:
    """Return the lines of a cross at each clicked place, in the region that is being drawn."""
    region, region_3d = bpy.context.region, bpy.context.region_data
    crosses: list[Place] = []
    if region is None or region_3d is None:
        return crosses
    for world in worlds:
        found = pointing.to_region(region, region_3d, world)
        if found is not None:
            x, y = found
            crosses += [(x - _CROSS, y), (x + _CROSS, y), (x, y - _CROSS), (x, y + _CROSS)]
    return crosses


CLASSES = (DRAGGAN_OT_two_places,)
