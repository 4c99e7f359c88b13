# SPDX-License-Identifier: GPL-3.0-or-later
"""Gestures with the mouse that start a drag, and taking them back as a whole.

A gesture adds a pair or moves a target, and starts a drag, which may go on after the mouse was
released. Until the result has arrived, the gesture can be taken back: the image, the handles and
the points are then as they were before it. The result and the points are one undo step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy

from ..properties.image import DRAGGAN_PG_pair
from ..properties.owners import Plane
from ..scene import points
from . import recovery


@dataclass(frozen=True)
class Before:
    """What a pair was like before a gesture.

    Attributes:
        key: The key of the pair.
        is_new: Whether the gesture added it.
        place: The target's ``(x, y)`` in the plane's space.
        angle: The target's rotation about the plane's normal, radians.
        scale: Its scale, three numbers.
        radius: The radius of the pair, in the plane's space.
    """

    key: int
    is_new: bool
    place: Sequence[float]
    angle: float
    scale: Sequence[float]
    radius: float


# Request id -> what the gesture that has started this drag has changed.
_gestures: dict[int, Before] = {}


def state_of(pair: DRAGGAN_PG_pair, *, is_new: bool) -> Before:
    """Return what a pair is like now, before a gesture changes it."""
    point: Any = pair.target
    return Before(
        pair.key,
        is_new,
        tuple(point.location[:2]),
        point.rotation_euler.z,
        tuple(point.scale),
        pair.radius,
    )


def began(plane: Plane, before: Before) -> None:
    """Store that the running drag of a plane was started by a gesture."""
    _gestures[plane.draggan.request_id] = before


def ended(request_id: int) -> None:
    """Forget the gesture of a request; does nothing if there was none."""
    _gestures.pop(request_id, None)


def take_back(plane: Plane) -> bool:
    """Cancel the running drag of a plane, and undo the gesture that has started it.

    Returns:
        Whether a gesture had started it; if not, nothing was done.
    """
    before = _gestures.pop(plane.draggan.request_id, None)
    if before is None:
        return False
    recovery.cancel(plane)
    restore(plane, before)
    return True


def restore(plane: Plane, before: Before) -> None:
    """Make a pair again what it was before a gesture: remove it if it is new."""
    for index, pair in enumerate(plane.draggan.pairs):
        if pair.key != before.key:
            continue
        if before.is_new:
            points.remove_pair(plane, index)
            # One of the removed points was the active object.
            objects = bpy.context.view_layer.objects
            if objects.active is None and plane.name in objects:
                objects.active = plane
        elif pair.target is not None:
            target: Any = pair.target
            target.location[:2], target.scale = before.place, before.scale
            target.rotation_euler.z = before.angle
            pair.radius = before.radius
        return


def register() -> None:
    """Begin without gestures."""
    _gestures.clear()


def unregister() -> None:
    """Forget all gestures."""
    _gestures.clear()
