# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator of the *Pull* tool: press on an image, pull, release.

It is modal from the press to the release of the button, because Blender makes no automatic saves
while a modal operator is running. The drag goes on after that. No object of Blender is kept between
two events: an undo or another file may have replaced it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import bpy
from bpy.props import BoolProperty

from ...errors import EditError
from ...jobs import drag as drag_job
from ...jobs import gestures, live, recovery
from ...properties.image import DRAGGAN_PG_pair
from ...properties.owners import Plane
from ...scene import placing, planes, pointing, points, view
from ..pulling import Aim, Mode, Pull, Px
from .common import Result

_HINTS = (
    "Release: finish    Esc, right button: take back    Shift: precise    Ctrl: snap    "
    "X, Y: lock an axis    R: rotate    S: scale    F, wheel: radius    G: move    0-9: type"
)
_WAITING = "The engine is still busy with the last drag; the pull begins when it has finished"

_MODES = {"G": Mode.MOVE, "R": Mode.TURN, "S": Mode.SIZE, "F": Mode.RADIUS}
# Blender's names of the keys of digits, in order.
_KEYS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
_DIGITS = {name: str(digit) for digit, name in enumerate(_KEYS)}
_DIGITS |= {f"NUMPAD_{digit}": str(digit) for digit in range(10)}
_TYPED = _DIGITS | {
    "MINUS": "-",
    "NUMPAD_MINUS": "-",
    "PERIOD": ".",
    "NUMPAD_PERIOD": ".",
    "BACK_SPACE": "<",
}

# The radius that a point gets when it is turned or scaled, as a part of the image's width.
_FIRST_RADIUS = 0.12
# Between two looks whether the last drag has finished.
_WAIT_S = 0.05


class _Phase(Enum):
    PRESSED = 1
    WAITING = 2
    PULLING = 3


class DRAGGAN_OT_pull(bpy.types.Operator):
    """Pull at the image: it follows the mouse; a click sets a pin, Ctrl-click removes a pair"""

    bl_idname = "draggan.pull"
    bl_label = "Pull"

    removes: BoolProperty(
        name="Remove",
        description="Remove the pair under the mouse",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        self._timer: Any = None
        self._view_index = pointing.view_index(context.area, event.mouse_x, event.mouse_y)
        if self._view_index is None:
            return {"PASS_THROUGH"}
        region, region_3d = self._view(context)
        at = event.mouse_x - region.x, event.mouse_y - region.y
        hit = pointing.point_at(context, region, region_3d, at)
        if self.removes:
            return self._remove(hit) if hit is not None else {"PASS_THROUGH"}
        plane = hit.plane if hit else pointing.plane_at(context, region, region_3d, at)
        if plane is None:
            return {"PASS_THROUGH"}
        if not plane.draggan.latent or plane.draggan.baking:
            self.report({"WARNING"}, f"{plane.name} is not ready yet; wait, or press Stop")
            return {"CANCELLED"}
        self._image_id = plane.draggan.uuid
        self._key = hit.pair.key if hit else 0
        self._part = hit.part if hit else "new"
        self._phase = _Phase.PRESSED
        self._pressed = self._last = (event.mouse_x, event.mouse_y)
        self._before: gestures.Before | None = None
        self._pull: Pull | None = None
        self._released = False
        if hit:
            _select(context, plane, hit.pair.target if hit.part == "target" else hit.pair.handle)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        plane = planes.find(self._image_id)
        if plane is None or context.area is None or self._view(context) is None:
            self._end(context)
            return {"CANCELLED"}
        try:
            return self._handle(context, event, plane)
        except EditError as error:
            self.report({"ERROR"}, str(error))
            return self._take_back(context, plane)

    def cancel(self, context: bpy.types.Context) -> None:
        """Clean up when Blender ends the operator: a file is loaded, or the window is closed."""
        self._end(context)

    # ------------------------------------------------------------ events

    def _handle(self, context: bpy.types.Context, event: bpy.types.Event, plane: Plane) -> Result:
        if event.type in {"ESC", "RIGHTMOUSE"} and event.value == "PRESS":
            return self._take_back(context, plane)
        if event.type == "LEFTMOUSE" and event.value == "RELEASE":
            return self._release(context, plane)
        if event.type == "TIMER" and self._phase is _Phase.WAITING:
            if self._begin_if_free(context, plane) and self._released:
                return self._finish(context, plane)
        elif event.type in {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE"}:
            self._last = event.mouse_x, event.mouse_y
            self._move(context, event, plane)
        elif self._phase is _Phase.PULLING and event.value == "PRESS":
            self._key_pressed(context, event, plane)
        return {"RUNNING_MODAL"}

    def _move(self, context: bpy.types.Context, event: bpy.types.Event, plane: Plane) -> None:
        if self._phase is _Phase.PRESSED:
            inputs = context.preferences.inputs
            limit = inputs.drag_threshold_tablet if event.is_tablet else inputs.drag_threshold_mouse
            far = max(abs(a - b) for a, b in zip(self._last, self._pressed, strict=True))
            if far < limit * context.preferences.system.ui_scale:
                return
            self._phase = _Phase.WAITING
            self._begin_if_free(context, plane)
        if self._phase is _Phase.PULLING and self._pull is not None:
            place = self._px(context, plane, self._last)
            if place is not None:
                aim = self._pull.moved(place, precise=event.shift, snap=event.ctrl)
                self._apply(context, plane, aim)

    def _key_pressed(
        self, context: bpy.types.Context, event: bpy.types.Event, plane: Plane
    ) -> None:
        pull = self._pull
        assert pull is not None, "a pull is in progress"
        if event.type in _MODES:
            aim = pull.change_mode(_MODES[event.type])
            if pull.mode is not Mode.MOVE and not aim.radius_px and self._part != "pin":
                aim = pull.set_radius(_FIRST_RADIUS * plane.draggan.size[0])
        elif event.type in {"X", "Y"}:
            aim = pull.lock(event.type)
        elif event.type in {"WHEELUPMOUSE", "WHEELDOWNMOUSE"}:
            aim = pull.grow(1 if event.type == "WHEELUPMOUSE" else -1)
        elif event.type in _TYPED:
            aim = pull.type(_TYPED[event.type])
        else:
            return
        self._apply(context, plane, aim)

    def _release(self, context: bpy.types.Context, plane: Plane) -> Result:
        if self._phase is _Phase.WAITING:
            # The pull begins and ends at once when the engine is free.
            self._released = True
            return {"RUNNING_MODAL"}
        if self._phase is _Phase.PULLING:
            return self._finish(context, plane)
        if self._part == "new":
            self._set_pin(context, plane)
        self._end(context)
        return {"FINISHED"}

    # ------------------------------------------------------------ the gesture

    def _begin_if_free(self, context: bpy.types.Context, plane: Plane) -> bool:
        """Begin to pull, unless the engine is still busy with this image; return whether it did."""
        settings = plane.draggan
        is_moving_only = self._part in {"handle", "pin"}
        if settings.request_id and not is_moving_only:
            if self._timer is None:
                manager = context.window_manager
                self._timer = manager.event_timer_add(_WAIT_S, window=context.window)
            _say(context, _WAITING)
            return False
        self._remove_timer(context)
        start_px = self._px(context, plane, self._pressed)
        if start_px is None:
            raise EditError("The image is seen from its edge; turn the view towards it")
        pair = self._pair(plane) if self._key else self._new_pair(context, plane)
        if pair is None:
            raise EditError("The point was removed meanwhile; pull again")
        self._before = self._before or gestures.state_of(pair, is_new=not self._key)
        self._key = pair.key
        self._pull = Pull(
            _aim_of(plane, pair, self._part), _px_of(plane, pair.handle), start_px, settings.size
        )
        self._phase = _Phase.PULLING
        _say(context, _HINTS)
        place = self._px(context, plane, self._last)
        if place is not None:
            self._apply(context, plane, self._pull.moved(place))
        if not is_moving_only:
            drag_job.start_drag(context, plane, is_open=True)
            gestures.began(plane, self._before)
        return True

    def _new_pair(self, context: bpy.types.Context, plane: Plane) -> DRAGGAN_PG_pair:
        region, region_3d = self._view(context)
        at = self._pressed[0] - region.x, self._pressed[1] - region.y
        uv = pointing.uv_at(plane, region, region_3d, at)
        if uv is None:
            raise EditError("The image is seen from its edge; turn the view towards it")
        pair = points.add_pair(plane, uv, uv)
        _show(context, pair)
        _select(context, plane, pair.target)
        return pair

    def _set_pin(self, context: bpy.types.Context, plane: Plane) -> None:
        region, region_3d = self._view(context)
        at = self._pressed[0] - region.x, self._pressed[1] - region.y
        uv = pointing.uv_at(plane, region, region_3d, at)
        if uv is None:
            return
        pin = points.add_pin(plane, uv)
        _show(context, pin)
        _select(context, plane, pin.target)
        bpy.ops.ed.undo_push(message=f"Add {pin.name}")

    def _apply(self, context: bpy.types.Context, plane: Plane, aim: Aim) -> None:
        pair = self._pair(plane)
        if pair is None or self._pull is None or self._before is None:
            return
        point: Any = pair.handle if self._part == "handle" else pair.target
        (place,) = placing.to_local(plane, [aim.target_px])
        point.location[:2] = place
        if self._part not in {"pin", "handle"}:
            pair.radius = aim.radius_px / placing.px_per_unit(plane)
            sign = placing.turning_sign(plane)
            point.rotation_euler.z = self._before.angle + sign * aim.angle
            point.scale = [side * aim.scale for side in self._before.scale]
        context.area.header_text_set(self._pull.describe())

    def _finish(self, context: bpy.types.Context, plane: Plane) -> Result:
        pair = self._pair(plane)
        if pair is not None and self._part in {"handle", "pin"}:
            name = f"Move {pair.handle.name}"
            bpy.ops.ed.undo_push(message=name)
        elif pair is not None:
            if context.scene.tool_settings.use_keyframe_insert_auto:
                pair.target.keyframe_insert("location")
            # The last place of the target may not have been evaluated yet.
            context.view_layer.update()
            live.close(plane)
        self._end(context)
        return {"FINISHED"}

    def _take_back(self, context: bpy.types.Context, plane: Plane) -> Result:
        """Undo all that the gesture has done."""
        if not gestures.take_back(plane) and self._before is not None:
            if self._part in {"handle", "pin"}:
                pair = self._pair(plane)
                if pair is not None and self._pull is not None:
                    self._apply(context, plane, self._pull.start)
            else:
                gestures.restore(plane, self._before)
        self._end(context)
        return {"CANCELLED"}

    def _remove(self, hit: pointing.Hit) -> Result:
        plane = hit.plane
        if plane.draggan.request_id and not plane.draggan.dragging:
            self.report({"WARNING"}, f"{plane.name} is being worked on; wait, or press Stop")
            return {"CANCELLED"}
        name = hit.pair.name
        recovery.own(plane)
        points.remove_pair(plane, points.pair_index(plane, hit.pair.handle) or 0)
        bpy.context.view_layer.objects.active = plane
        bpy.ops.ed.undo_push(message=f"Remove {name}")
        return {"FINISHED"}

    # ------------------------------------------------------------ helpers

    def _view(self, context: bpy.types.Context) -> Any:
        """Return the region and its view in which the gesture began, or None if it is gone."""
        return pointing.view_of(context.area, self._view_index)

    def _px(self, context: bpy.types.Context, plane: Plane, mouse: tuple[int, int]) -> Px | None:
        """Return the place under a position of the window in image pixels; it may be outside."""
        region, region_3d = self._view(context)
        at = mouse[0] - region.x, mouse[1] - region.y
        uv = pointing.uv_at(plane, region, region_3d, at)
        if uv is None:
            return None
        ((x, y),) = view.uv_to_px([uv], *plane.draggan.size).tolist()
        return x, y

    def _pair(self, plane: Plane) -> DRAGGAN_PG_pair | None:
        return next((pair for pair in plane.draggan.pairs if pair.key == self._key), None)

    def _end(self, context: bpy.types.Context) -> None:
        self._remove_timer(context)
        _say(context, None)
        if context.area is not None:
            context.area.header_text_set(None)

    def _remove_timer(self, context: bpy.types.Context) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None


def _say(context: bpy.types.Context, text: str | None) -> None:
    """Show a text in the status bar; None for what Blender shows there."""
    if context.workspace is not None:
        context.workspace.status_text_set(text)


def _aim_of(plane: Plane, pair: DRAGGAN_PG_pair, part: str) -> Aim:
    """Return what the point of a pair is like before it is pulled."""
    point = pair.handle if part == "handle" else pair.target
    radius_px = 0.0 if pair.is_pin else pair.radius * placing.px_per_unit(plane)
    return Aim(_px_of(plane, point), radius_px=radius_px)


def _px_of(plane: Plane, point: bpy.types.Object) -> Px:
    """Return where an empty is, image pixels."""
    uv = view.local_to_uv(planes.uv_map(plane), [point.location[:2]])
    ((x, y),) = view.uv_to_px(uv, *plane.draggan.size).tolist()
    return x, y


def _show(context: bpy.types.Context, pair: DRAGGAN_PG_pair) -> None:
    """Show the empties of a new pair in a local view, which shows only what was there before."""
    space: Any = context.space_data
    if getattr(space, "local_view", None) is not None:
        for point in points.points_of(pair):
            point.local_view_set(space, True)


def _select(context: bpy.types.Context, plane: Plane, point: bpy.types.Object) -> None:
    """Make a point the only selected object, and its pair the active one of the list."""
    for selected in context.selected_objects:
        selected.select_set(False)
    if point.name in context.view_layer.objects:
        point.select_set(True)
        context.view_layer.objects.active = point
    index = points.pair_index(plane, point)
    if index is not None:
        plane.draggan.active_pair = index


CLASSES = (DRAGGAN_OT_pull,)
