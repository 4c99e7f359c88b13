# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators of the Pull tool: pulling at an image, setting pins, and removing points.

The modal part lasts from the press to the release only, because Blender makes no automatic saves
while a modal operator is running. The drag then settles without it.
"""

from __future__ import annotations

import math
import time
from typing import Any

import bpy
import numpy as np
from bpy.props import FloatProperty

from ...errors import EditError
from ...jobs.pull import Part, Pull, last_placed_s
from ...properties.owners import Plane
from ...scene import planes, pointing, points, view
from .. import plain_views
from ..gesture import Gesture, Reply, Shape
from ..pacing import Pacing
from ..point_watch import select_only
from .common import Result

# How near to a point the mouse has to be to hold it, px at an interface scale of 1, and the part of
# the image's side that this is at most, because the points of a small image are close together.
_REACH_PX, _REACH_PART = 12.0, 0.06
# Targets keep this distance from the border of the image, image pixels.
_MARGIN_PX = 0.5
# How often a pull that waits for an earlier drag tries again.
_WAIT_S = 0.05
_WAITING = "Finishing the last drag  |  Esc, RMB: take back"


class DRAGGAN_OT_pull(bpy.types.Operator):
    """Pull at the image, and it follows the mouse; a click sets a pin, which stays in place"""

    bl_idname = "draggan.pull"
    bl_label = "Pull"
    bl_options = {"REGISTER", "BLOCKING"}

    radius: FloatProperty(
        name="Radius",
        description="Pull at the disc of this radius around the mouse as one, in the image's "
        "units; 0 pulls at the point alone",
        min=0.0,
        soft_max=1.0,
        subtype="DISTANCE",
    )

    _pull: Pull
    _gesture: Gesture
    _pacing: Pacing
    # The name of the point that is held, to select it once.
    _chosen = ""
    # Runs while the pull waits for an earlier drag; the mouse may have been released meanwhile.
    _timer: bpy.types.Timer | None = None
    _is_released = False

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.mode == "OBJECT"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        region, region_3d = context.region, context.region_data
        if region is None or region.type != "WINDOW" or region_3d is None:
            return {"PASS_THROUGH"}
        mouse = (event.mouse_region_x, event.mouse_region_y)
        try:
            begun = _begin(context, mouse, self.radius, is_tablet=event.is_tablet)
        except EditError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if begun is None:
            return {"PASS_THROUGH"}
        self._pull, self._gesture = begun
        self._chosen = ""
        self._pacing = Pacing()
        self._timer, self._is_released = None, False
        context.window.cursor_modal_set("HAND")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        if event.type == "INBETWEEN_MOUSEMOVE":
            # One of the places on the way to the newest one, which follows at once.
            return {"RUNNING_MODAL"}
        try:
            if event.type.startswith("TIMER"):
                return self._wait(context) if self._pull.is_waiting else {"PASS_THROUGH"}
            return self._handle(context, event)
        except EditError as error:
            self._give_up(context)
            self.report({"ERROR"}, str(error))
        except Exception:  # a defect: the scene must not stay in the middle of a gesture
            self._give_up(context)
            raise
        return {"CANCELLED"}

    def _handle(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        reply = self._gesture.handle(event, snaps=context.scene.tool_settings.use_snap)
        if reply is Reply.TAKEN_BACK:
            self._end(context)
            self._pull.take_back()
            return {"CANCELLED"}
        if self._is_released:
            return {"RUNNING_MODAL"}
        if reply is Reply.CHANGED:
            self._move(context)
        if reply is not Reply.RELEASED:
            return {"RUNNING_MODAL"}
        self._is_released = True
        return {"RUNNING_MODAL"} if self._pull.is_waiting else self._release(context)

    def _wait(self, context: bpy.types.Context) -> Result:
        """Try again, because the earlier drag may have ended."""
        self._move(context)
        if self._is_released and not self._pull.is_waiting:
            return self._release(context)
        return {"PASS_THROUGH"}

    def _release(self, context: bpy.types.Context) -> Result:
        done = self._pull.release(context)
        self._end(context)
        self._choose(context)
        if done:
            bpy.ops.ed.undo_push(message=done)
        return {"FINISHED"}

    def _move(self, context: bpy.types.Context) -> None:
        """Put the point where the gesture wants it.

        Raises:
            EditError: See ``Pull.move``.
        """
        region, region_3d = context.region, context.region_data
        plane = self._pull.plane()
        if region is None or region_3d is None:
            return
        pulled = pointing.uv_at(plane, region, region_3d, self._gesture.position)
        if pulled is None:
            return
        plain_views.begin()
        size = np.array(plane.draggan.size)
        place_px = self._gesture.place_px(_upwards_px(plane, pulled))
        margin = _MARGIN_PX / size
        u, v = np.clip(np.array(place_px) / size, margin, 1.0 - margin)
        shape = self._gesture.shape()
        turn = (shape.angle, shape.scale)
        may_redraw = self._pacing.may_redraw(time.perf_counter(), last_placed_s())
        is_there = self._pull.move(
            context, (float(u), float(v)), radius=shape.radius, turn=turn, may_wait=not may_redraw
        )
        if self._pull.is_waiting:
            context.workspace.status_text_set(_WAITING)
            if self._timer is None:
                manager = context.window_manager
                self._timer = manager.event_timer_add(_WAIT_S, window=context.window)
        if not is_there:
            return
        self._choose(context)
        context.workspace.status_text_set(self._gesture.text(place_px))

    def _choose(self, context: bpy.types.Context) -> None:
        """Make the point that is held the only selected one."""
        point = self._pull.point()
        if point is None or point.name == self._chosen:
            return
        self._chosen = point.name
        context.view_layer.update()  # a new object is visible after it only
        select_only(context, point)

    def _give_up(self, context: bpy.types.Context) -> None:
        """End the gesture after an error."""
        self._end(context)
        self._pull.take_back()

    def _end(self, context: bpy.types.Context) -> None:
        """Give anti-aliasing, timer, cursor and status bar back."""
        plain_views.end()
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if context.window is not None:
            context.window.cursor_modal_restore()
        if context.workspace is not None:
            context.workspace.status_text_set(None)

    def cancel(self, context: bpy.types.Context) -> None:
        """End the gesture when Blender ends the operator, as it does when a file is opened."""
        self._give_up(context)


class DRAGGAN_OT_remove_at_mouse(bpy.types.Operator):
    """Remove the pair or the pin under the mouse"""

    bl_idname = "draggan.remove_at_mouse"
    bl_label = "Remove Points"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.mode == "OBJECT"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        region, region_3d = context.region, context.region_data
        if region is None or region.type != "WINDOW" or region_3d is None:
            return {"PASS_THROUGH"}
        mouse = (event.mouse_region_x, event.mouse_region_y)
        found = point_under(context, mouse)
        if found is None:
            return {"PASS_THROUGH"}
        settings = found.plane.draggan
        if settings.request_id and not settings.dragging:
            self.report({"ERROR"}, "The engine is working on this image; wait, or press Stop")
            return {"CANCELLED"}
        points.remove_pair(found.plane, found.number)
        if context.view_layer.objects.active is None:
            context.view_layer.objects.active = found.plane
        return {"FINISHED"}


def _begin(
    context: bpy.types.Context, mouse: tuple[float, float], radius: float, *, is_tablet: bool
) -> tuple[Pull, Gesture] | None:
    """Return the pull and the gesture of a press, or None if no GAN image is under the mouse.

    Raises:
        EditError: The image cannot be pulled at.
    """
    region: Any = context.region
    region_3d: Any = context.region_data
    found = point_under(context, mouse, passes_left=True)
    plane = pointing.plane_at(context, region, region_3d, mouse) if found is None else found.plane
    if plane is None:
        return None
    start = mouse if found is None else found.position
    start_uv = pointing.uv_at(plane, region, region_3d, start)
    if start_uv is None:
        return None
    index, part, shape = -1, Part.IMAGE, Shape(radius, 0.0, 1.0)
    if found is not None:
        index, pair = found.number, plane.draggan.pairs[found.number]
        part = Part.PIN if pair.is_pin else Part(found.name)
        shape = Shape(pair.radius, pair.target.rotation_euler.z, pair.target.scale.x)
    begun = Pull(plane, start_uv, index, part)
    if planes.active(context) != plane:
        # So that the panels show it.
        select_only(context, plane)
    inputs = context.preferences.inputs
    threshold = inputs.drag_threshold_tablet if is_tablet else inputs.drag_threshold_mouse
    gesture = Gesture(
        mouse,
        start=start,
        start_px=_upwards_px(plane, start_uv),
        threshold=threshold * context.preferences.system.ui_scale,
        shape=shape,
        units_per_px=_units_per_px(plane, region, region_3d, start),
        can_be_region=begun.solves,
    )
    return begun, gesture


def point_under(
    context: bpy.types.Context, mouse: tuple[float, float], *, passes_left: bool = False
) -> pointing.FoundPoint | None:
    """Return the point under the mouse, or None; see ``pointing.point_at``."""
    region: Any = context.region
    region_3d: Any = context.region_data
    reach_px = _REACH_PX * context.preferences.system.ui_scale
    found = pointing.point_at(context, region, region_3d, mouse, reach_px, passes_left=passes_left)
    if found is None:
        return None
    # The longer side of an image is 2 units.
    side_px = 2.0 / _units_per_px(found.plane, region, region_3d, found.position)
    is_near = math.dist(found.position, mouse) <= max(3.0, _REACH_PART * side_px)
    return found if is_near else None


def _upwards_px(plane: Plane, uv: tuple[float, float]) -> tuple[float, float]:
    """Return a place in image pixels with the y axis upwards, as people mean Y in a view."""
    width, height = plane.draggan.size
    return uv[0] * width, uv[1] * height


def _units_per_px(
    plane: Plane, region: Any, region_3d: Any, position: tuple[float, float]
) -> float:
    """Return how many of the plane's units a px of a view is at a position."""
    ends = [(position[0] - 5.0, position[1]), (position[0] + 5.0, position[1])]
    first, last = (pointing.uv_at(plane, region, region_3d, end) for end in ends)
    if first is None or last is None:
        return 1.0 / 200.0
    places = view.uv_to_local(planes.uv_map(plane), [first, last])
    return math.dist(*places) / 10.0


CLASSES = (DRAGGAN_OT_pull, DRAGGAN_OT_remove_at_mouse)
