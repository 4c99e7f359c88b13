# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulling at an image: a gesture of the mouse that makes or moves a point and drags meanwhile.

A ``Pull`` changes the scene for one gesture, from the press to the release; ``ui.gesture`` knows
what the mouse means. The drag of a pull is open until the release and settles afterwards. As long
as it has no result, ``take_back`` removes all that its gestures have changed.

A pull that begins while another drag of the image is running ends that drag at once, and waits for
its result: each has a sequence and an undo step of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from ..scene import planes, points, view
from . import drag, live, recovery, requests


class Part(Enum):
    """What a gesture holds."""

    # A place of the image without a point.
    IMAGE = "image"
    HANDLE = "handle"
    TARGET = "target"
    PIN = "pin"


@dataclass(frozen=True)
class _Before:
    """What a pair was before a gesture.

    Attributes:
        key: Its key.
        is_new: Whether the gesture has made it; the other attributes then say nothing.
        handle: The ``(x, y)`` of its handle, in the plane's space.
        target: The same of its target.
        turn: The rotation about z of its target, radians, and its scale.
        radius: Its radius.
        is_enabled: Whether it was enabled.
        image_key: The image that it belonged to.
        is_left: Whether it was off because that is another image.
    """

    key: int
    is_new: bool
    handle: tuple[float, ...] = ()
    target: tuple[float, ...] = ()
    turn: tuple[float, float] = (0.0, 1.0)
    radius: float = 0.0
    is_enabled: bool = True
    image_key: str = ""
    is_left: bool = False


# A target is in the scene at most this much later than the mouse is at its place.
_LATEST_S = 0.5

# Request id -> the key of a pair, and the place of its target that is not in the scene yet.
_waiting: dict[int, tuple[int, tuple[float, float]]] = {}
# When a target was put into the scene last, by the clock of ``time.perf_counter``.
_placed_s = 0.0
# Request id -> what the released gestures of a running drag have changed, the last one at the end.
_released: dict[int, list[_Before]] = {}
# The gestures that have changed something and are not released yet.
_held: list[Pull] = []


class Pull:
    """One gesture. It keeps ids only, because Blender's objects do not outlive an undo.

    Attributes:
        image_id: The uuid of the GAN image.
        part: What the gesture holds.
        key: The key of its pair; 0 before the gesture has made one.
        is_waiting: Whether the result of an earlier drag has not arrived yet, so that the last
            ``move`` has changed nothing.
    """

    def __init__(self, plane: Plane, place_uv: Sequence[float], index: int, part: Part) -> None:
        """Begin at a press.

        Args:
            plane: The GAN image.
            place_uv: Where the mouse was pressed, for ``Part.IMAGE``.
            index: The index of the pair that is held, for other parts.
            part: What is held.

        Raises:
            EditError: The plane has no image, or another request is running for it.
        """
        recovery.own(plane)
        points.modernise(plane)
        requests.require_image(plane)
        if not plane.draggan.dragging:
            requests.refuse_if_busy(plane)
        self.image_id: str = plane.draggan.uuid
        self.part = part
        self.key = 0
        self.is_waiting = False
        self._stopped_id = 0
        self._place_uv = (float(place_uv[0]), float(place_uv[1]))
        self._request_id = 0
        self._before: _Before | None = None
        # The radius and the turn that the pair has.
        self._shape = (0.0, (0.0, 1.0))
        if part is not Part.IMAGE:
            pair = plane.draggan.pairs[index]
            self.key = pair.key
            if part is Part.HANDLE and plane.draggan.dragging and pair.slot >= 0:
                # The engine moves the handle, so the person means to pull it further.
                self.part = Part.TARGET

    @property
    def solves(self) -> bool:
        """Whether the image follows this gesture."""
        return self.part in (Part.IMAGE, Part.TARGET)

    def plane(self) -> Plane:
        """Return the GAN image.

        Raises:
            EditError: It was deleted.
        """
        plane = planes.find(self.image_id)
        if plane is None:
            raise EditError("The GAN image was deleted")
        return plane

    def pair(self) -> DRAGGAN_PG_pair | None:
        """Return the pair, or None before the gesture has made one.

        Raises:
            EditError: The image or the pair was deleted.
        """
        if not self.key:
            return None
        found = _find(self.plane(), self.key)
        if found is None or found.handle is None or found.target is None:
            raise EditError("The point was deleted")
        return found

    def point(self) -> bpy.types.Object | None:
        """Return the empty that is held, or None before the gesture has made one.

        Raises:
            EditError: The image or the pair was deleted.
        """
        pair = self.pair()
        if pair is None:
            return None
        point: bpy.types.Object = pair.handle if self.part is Part.HANDLE else pair.target
        return point

    def move(
        self,
        context: bpy.types.Context,
        place_uv: Sequence[float],
        *,
        radius: float = 0.0,
        turn: tuple[float, float] = (0.0, 1.0),
        may_wait: bool = False,
    ) -> bool:
        """Put the point at a place, and let the image follow.

        It changes nothing while it waits for an earlier drag; see ``is_waiting``.

        Args:
            context: The Blender context.
            place_uv: ``(u, v)`` on the image.
            radius: The radius of the pair, in the plane's units.
            turn: The rotation about z of its target, radians, and its scale.
            may_wait: Whether the point need not be redrawn at once. The engine gets the place at
                once; the point moves with the next image, so that one redraw shows both.

        Returns:
            Whether the point is at the place now.

        Raises:
            EditError: The image or the point was deleted, or the drag has failed or cannot be
                started; call ``take_back``.
        """
        plane = self.plane()
        self.is_waiting = self.solves and self._end_earlier(plane)
        if self.is_waiting:
            return False
        pair = self.pair()
        if pair is None:
            pair = points.add_pair(plane, self._place_uv, place_uv)
            self.key = pair.key
            self._before = _Before(pair.key, is_new=True)
            _held.append(self)
        elif self._before is None:
            self._before = _state_of(pair)
            _held.append(self)
        (place,) = view.uv_to_local(planes.uv_map(plane), [tuple(place_uv)])
        shape = (radius, turn)
        if may_wait and self._is_followed(plane) and shape == self._shape:
            _wait(plane, self.key, (float(place[0]), float(place[1])))
            return False
        _forget_place(plane)
        _note_placed()
        self._shape = shape
        point = self.point()
        if point is not None and tuple(point.location[:2]) != tuple(place):
            point.location[:2] = place
        if self.solves:
            _set_region(pair, radius, turn)
            pair.enabled = True
            self._keep_open(context, plane)
        return True

    def _is_followed(self, plane: Plane) -> bool:
        """Return whether the image follows this gesture now."""
        is_ours = self._request_id != 0 and self._request_id == plane.draggan.request_id
        return self.solves and is_ours and live.is_open(plane)

    def _end_earlier(self, plane: Plane) -> bool:
        """End an earlier drag of the image, and return whether its result has not arrived yet."""
        earlier_id = plane.draggan.request_id
        if earlier_id in (0, self._request_id):
            return False
        active = pump.state().active
        is_begun = active is not None and active.request.request_id == earlier_id
        if is_begun and self._stopped_id != earlier_id:
            # What it has not reached yet is a part of this pull.
            self._stopped_id = earlier_id
            pump.stop_job(plane.draggan.uuid)
        return True

    def _keep_open(self, context: bpy.types.Context, plane: Plane) -> None:
        """See to it that an open drag of the image is running.

        Raises:
            EditError: The drag has failed, or cannot be started.
        """
        settings = plane.draggan
        problem = requests.endings.get(self._request_id, "")
        if problem:
            raise EditError(problem)
        if not settings.request_id:
            drag.start_drag(context, plane, is_open=True)
        self._request_id = settings.request_id

    def release(self, context: bpy.types.Context) -> str:
        """End the gesture: the drag settles.

        Call ``move`` again instead while the gesture is waiting.

        Returns:
            What was done without a drag, for the undo history; empty if nothing was, or if the
            result of the drag makes the undo step.

        Raises:
            EditError: The image or the point was deleted, or the drag has failed or cannot be
                started; call ``take_back``.
        """
        plane = self.plane()
        place_target(plane)
        if self._before is None:
            if self.part is not Part.IMAGE:
                return ""
            self.key = points.add_pin(plane, self._place_uv).key
            return "Add Pin"
        if self.solves:
            self._keep_open(context, plane)
            live.close(plane)
        self._let_go()
        if plane.draggan.request_id:
            _released.setdefault(plane.draggan.request_id, []).append(self._before)
            return ""
        return "Move Pin" if self.part is Part.PIN else "Move Handle"

    def take_back(self) -> None:
        """Undo all that the gesture has changed."""
        self._let_go()
        plane = planes.find(self.image_id)
        if plane is None or self._before is None:
            return
        _forget_place(plane)
        if self._request_id and self._request_id == plane.draggan.request_id:
            recovery.cancel(plane)
        _restore(plane, self._before)
        self._before = None

    def _let_go(self) -> None:
        if self in _held:
            _held.remove(self)


def is_held() -> bool:
    """Return whether the mouse pulls at something now."""
    return bool(_held)


def place_target(plane: Plane) -> None:
    """Put the target that the mouse holds where the mouse is, if it is not there yet."""
    key, place = _waiting.get(plane.draggan.request_id, (0, (0.0, 0.0)))
    _forget_place(plane)
    pair = _find(plane, key)
    if pair is not None and pair.target is not None:
        pair.target.location[:2] = place
        _note_placed()


def last_placed_s() -> float:
    """Return when a target was put into the scene last, by ``time.perf_counter``."""
    return _placed_s


def _note_placed() -> None:
    global _placed_s
    _placed_s = time.perf_counter()


def _wait(plane: Plane, key: int, place: tuple[float, float]) -> None:
    """Send the place of a target to the engine, and put it into the scene a little later."""
    _waiting[plane.draggan.request_id] = key, place
    live.hold(plane, key, place)
    if not bpy.app.timers.is_registered(_place_targets):
        bpy.app.timers.register(_place_targets, first_interval=_LATEST_S)


def _forget_place(plane: Plane) -> None:
    _waiting.pop(plane.draggan.request_id, None)
    live.let_go(plane)


def _place_targets() -> None:
    """Put all targets where the mouse has moved them; a timer."""
    for plane in planes.everywhere() if _waiting else ():
        place_target(plane)


def take_back(plane: Plane) -> None:
    """Cancel the running request of an image, with all that its gestures have changed."""
    _forget_place(plane)
    changes = _released.pop(plane.draggan.request_id, [])
    recovery.cancel(plane)
    for before in reversed(changes):
        _restore(plane, before)


def ended(request_id: int) -> None:
    """Forget what the gestures of a request have changed, because it has ended."""
    _released.pop(request_id, None)
    _waiting.pop(request_id, None)


def _find(plane: Plane, key: int) -> DRAGGAN_PG_pair | None:
    return next((pair for pair in plane.draggan.pairs if pair.key == key), None)


def _state_of(pair: DRAGGAN_PG_pair) -> _Before:
    target = pair.target
    return _Before(
        pair.key,
        is_new=False,
        handle=tuple(pair.handle.location[:2]),
        target=tuple(target.location[:2]),
        turn=(target.rotation_euler.z, target.scale.x),
        radius=pair.radius,
        is_enabled=pair.enabled,
        image_key=pair.image_key,
        is_left=pair.is_left,
    )


def _set_region(pair: DRAGGAN_PG_pair, radius: float, turn: tuple[float, float]) -> None:
    if pair.is_pin:
        return
    target = pair.target
    if pair.radius != radius:
        pair.radius = radius
        target.update_tag()
    if (target.rotation_euler.z, target.scale.x) != turn:
        target.rotation_euler.z = turn[0]
        target.scale = (turn[1],) * 3


def _restore(plane: Plane, before: _Before) -> None:
    """Undo what a gesture has changed."""
    pair = _find(plane, before.key)
    if pair is None:
        return
    if before.is_new:
        chosen = bpy.context.view_layer.objects.active
        is_chosen = chosen is not None and chosen in (pair.handle, pair.target)
        points.remove_pair(plane, list(plane.draggan.pairs).index(pair))
        if is_chosen and plane.name in bpy.context.view_layer.objects:
            plane.select_set(True)
            bpy.context.view_layer.objects.active = plane
        return
    if pair.handle is not None and not pair.is_pin:
        pair.handle.location[:2] = before.handle
    if pair.target is not None:
        pair.target.location[:2] = before.target
        _set_region(pair, before.radius, before.turn)
    pair.enabled = before.is_enabled
    pair.image_key, pair.is_left = before.image_key, before.is_left


def _before_undo(*_arguments: Any) -> None:
    """Take back the gestures that have no result yet, instead of the step before them."""
    is_done = False
    for plane in planes.everywhere():
        if plane.draggan.request_id in _released:
            take_back(plane)
            is_done = True
    if is_done:
        # Blender goes back by one step from here.
        bpy.ops.ed.undo_push(message="Take Back")


_HANDLER = persistent(_before_undo)


def register() -> None:
    """Add the handler."""
    bpy.app.handlers.undo_pre.append(_HANDLER)


def unregister() -> None:
    """Remove the handler, take the running gesture back, and forget all gestures.

    Blender ends an operator whose class is unregistered without telling it.
    """
    for gesture in list(_held):
        gesture.take_back()
    bpy.app.handlers.undo_pre.remove(_HANDLER)
    if bpy.app.timers.is_registered(_place_targets):
        bpy.app.timers.unregister(_place_targets)
    _released.clear()
    _waiting.clear()
