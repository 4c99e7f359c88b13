# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing a rectangle or a lasso over the image makes a mask at once."""

from __future__ import annotations

import contextlib
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty

from ...errors import EditError
from ...jobs import parts
from ...properties.owners import Plane
from ...scene import mask_shapes, planes, pointing
from .. import lines
from ..point_watch import select_only
from . import pull
from .common import Result, poll_image
from .mask import COMBINATIONS, apply_shape

# An outline that is smaller is a click, which masks nothing; in px of the screen.
_SMALLEST = 4.0

_HINT = "Draw over what may change; Shift: add, Ctrl: take away; Esc or right mouse button: cancel"


class DRAGGAN_OT_mask_draw(bpy.types.Operator):
    """Draw around what may change, and the rest stays; Shift adds to the mask, Ctrl takes away"""

    bl_idname = "draggan.mask_draw"
    bl_label = "Draw Mask"
    bl_options = {"REGISTER"}

    kind: EnumProperty(
        name="Outline",
        description="The form of the outline",
        items=(
            ("BOX", "Rectangle", "A rectangle between two corners"),
            ("LASSO", "Lasso", "A line that is drawn freely; its ends are joined"),
        ),
    )
    how: EnumProperty(
        name="Combine",
        description="What happens to the mask inside the outline if neither Shift nor Ctrl is held",
        items=COMBINATIONS,
    )
    starts_at_once: BoolProperty(
        name="Start at Once",
        description="Begin at the mouse instead of waiting for the left mouse button; a click then "
        "selects the part under it",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    _uuid: str
    _path: list[tuple[float, float]]
    _is_drawing: bool
    _view: int | None
    _shown: lines.Shown

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_image(cls, context)

    @classmethod
    def description(
        cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties
    ) -> str:
        form = "rectangle" if getattr(properties, "kind", "BOX") == "BOX" else "lasso"
        return (
            f"Draw a {form} around what may change in the 3D view, and the rest stays; Shift adds "
            "to the mask, Ctrl takes away"
        )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        area = context.area
        if area is None or area.type != "VIEW_3D":
            self.report({"ERROR"}, "An outline is drawn in a 3D view; start it from one")
            return {"CANCELLED"}
        self._uuid = planes.require_active(context).draggan.uuid
        self._path, self._is_drawing, self._view = [], False, None
        path, kind = self._path, str(self.kind)
        self._shown = lines.Shown(context, "LINE_STRIP", lambda: _closed(path, kind), _HINT)
        context.window_manager.modal_handler_add(self)
        if self.starts_at_once and not self._start(context, event):
            return self._finish(context, {"CANCELLED"})
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        if event.type in {"ESC", "RIGHTMOUSE"} and event.value == "PRESS":
            return self._finish(context, {"CANCELLED"})
        if context.area is None:
            return self._finish(context, {"CANCELLED"})
        if not self._is_drawing:
            # Other keys and buttons, which turn and move the view, work until the outline begins.
            if event.type != "LEFTMOUSE" or event.value not in {"PRESS", "CLICK_DRAG"}:
                return {"PASS_THROUGH"}
            if not self._start(context, event):
                return self._finish(context, {"CANCELLED", "PASS_THROUGH"})
        elif event.type in {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE"}:
            self._follow(context, event)
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            self._follow(context, event)
            how = "SUBTRACT" if event.ctrl else "ADD" if event.shift else str(self.how)
            return self._finish(context, self._apply(context, how))
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        self._finish(context, {"CANCELLED"})

    def _start(self, context: bpy.types.Context, event: bpy.types.Event) -> bool:
        """Begin at the mouse, and return whether it is over the 3D view."""
        self._view = pointing.view_index(context.area, event.mouse_x, event.mouse_y)
        self._is_drawing = self._view is not None
        if self._is_drawing:
            self._follow(context, event)
        if self.starts_at_once:
            self._choose(context)
        plane = planes.find(self._uuid)
        if self.starts_at_once and plane is not None:
            # It may become a click, and the engine looks for the parts meanwhile.
            with contextlib.suppress(EditError):
                parts.ask(plane)
        return self._is_drawing

    def _choose(self, context: bpy.types.Context) -> None:
        """Work on the image under the mouse, as a pull does, and not on another one."""
        shown = pointing.view_of(context.area, self._view)
        plane = pointing.plane_at(context, *shown, self._path[0]) if shown is not None else None
        if plane is None:
            return
        if planes.active(context) != plane:
            select_only(context, plane)
        self._uuid = plane.draggan.uuid

    def _follow(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        found = pointing.view_of(context.area, self._view)
        if found is None:  # the view was changed to another editor or layout
            return
        region = found[0]
        place = (float(event.mouse_x - region.x), float(event.mouse_y - region.y))
        if self.kind == "BOX":
            del self._path[1:]
        self._path.append(place)
        context.area.tag_redraw()

    def _apply(self, context: bpy.types.Context, how: str) -> Result:
        outline = _outline(self._path, str(self.kind))
        across = [max(values) - min(values) for values in zip(*outline, strict=True)]
        plane = planes.find(self._uuid)
        shown = pointing.view_of(context.area, self._view)
        if plane is None or shown is None:
            return {"CANCELLED"}
        region, region_3d = shown
        if max(across) < _SMALLEST:
            if self.starts_at_once and region == context.region:
                _click(context, plane, self._path[-1], how)
            return {"CANCELLED"}
        try:
            found = [pointing.uv_at(plane, region, region_3d, place) for place in outline]
            corners = [uv for uv in found if uv is not None]
            size = plane.draggan.size
            if len(corners) < 3 or not mask_shapes.polygon(corners, *size).any():
                raise EditError(
                    "The outline does not lie over the image; draw it over the image, or turn the "
                    "view until the image faces you"
                )
            plane.draggan.show_mask = True
            apply_shape(
                plane,
                lambda width, height: mask_shapes.polygon(corners, width, height),
                how,
            )
        except EditError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        bpy.ops.ed.undo_push(message=self.bl_label)
        return {"FINISHED"}

    def _finish(self, context: bpy.types.Context, result: Result) -> Result:
        self._shown.end(context)
        return result


def _click(context: bpy.types.Context, plane: Plane, place: tuple[float, float], how: str) -> None:
    """Select the part of the image under a click of the tool; points and others are selected."""
    region: Any = context.region
    region_3d: Any = context.region_data
    is_part = (
        pull.point_under(context, place, passes_left=True) is None
        and pointing.plane_at(context, region, region_3d, place) == plane
    )
    uv = pointing.uv_at(plane, region, region_3d, place) if is_part else None
    if uv is None:
        x, y = place
        bpy.ops.view3d.select(toggle=True, location=(int(x), int(y)))
        return
    operators: Any = bpy.ops
    operators.draggan.select_part("INVOKE_DEFAULT", place_uv=uv, how=how, follows=True)


def _outline(path: list[tuple[float, float]], kind: str) -> list[tuple[float, float]]:
    """Return the corners of what was drawn, px of the region."""
    if kind == "LASSO":
        return path
    (left, bottom), (right, top) = path[0], path[-1]
    return [(left, bottom), (right, bottom), (right, top), (left, top)]


def _closed(path: list[tuple[float, float]], kind: str) -> list[tuple[float, float]]:
    """Return the places of a line around what was drawn; none before it is one."""
    outline = _outline(path, kind) if len(path) > 1 else []
    return [*outline, *outline[:1]]


CLASSES = (DRAGGAN_OT_mask_draw,)
