# SPDX-License-Identifier: GPL-3.0-or-later
"""Running drags follow their points: whatever moves a target, the engine gets its new place.

``follow`` is called after every change that Blender has evaluated, be it by a tool, a script, a
constraint or a driver. It sends the pairs to the engine if they differ from those that the engine
has. The engine uses the newest ones at its next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from ..protocol.drag_messages import Drag
from ..protocol.live import Pause, ReplacePairs
from ..protocol.pairs import Pair, Point
from ..scene import handle_paths, mask_following, planes, points
from ..scene.placed_pairs import PlacedPair, read_usable


@dataclass(frozen=True)
class _Running:
    """What the engine knows about a running drag.

    Attributes:
        image_id: The uuid of its plane.
        pairs: The pairs that it has, or will have.
        is_open: Whether the drag waits for other targets when it cannot come closer to these.
        starts: Where the handle of each pair that it had was at first, image pixels, by key.
        mask: The exact mask that it has begun with; empty if that does not grow.
        wider: What the mask has grown to; empty if it has not.
        is_paused: Whether it is paused.
        is_stopping: Whether it was asked to end, because all its pairs are gone.
    """

    image_id: str
    pairs: tuple[Pair, ...]
    is_open: bool
    starts: dict[int, Point]
    mask: bytes = b""
    wider: bytes = b""
    is_paused: bool = False
    is_stopping: bool = False


# Request id -> what the engine knows; one entry for each drag that has no ending yet.
_running: dict[int, _Running] = {}
# Request id -> the places of targets that are not in the scene yet; see ``read_usable``.
_held: dict[int, dict[int, tuple[float, float]]] = {}


def pairs_of(placed: Sequence[PlacedPair]) -> tuple[Pair, ...]:
    """Return pairs as the engine receives them."""
    return tuple(
        Pair(
            key=entry.pair.key,
            handle_px=entry.handle_px,
            target_px=entry.target_px,
            radius_px=entry.radius_px,
            angle=entry.angle,
            scale=entry.scale,
        )
        for entry in placed
    )


def ways_of(pairs: Sequence[Pair]) -> list[tuple[Point, Point]]:
    """Return where the handles of pairs are, and where they should go, image pixels."""
    return [(pair.handle_px, pair.target_px) for pair in pairs]


def began(plane: Plane, request: Drag) -> None:
    """Follow the points of a plane's drag from now on."""
    _running[request.request_id] = _Running(
        plane.draggan.uuid,
        request.pairs,
        request.live,
        {pair.key: pair.handle_px for pair in request.pairs},
        mask=request.mask if mask_following.follows(plane) else b"",
        wider=request.wider_mask,
    )


def ended(request_id: int) -> None:
    """Stop following a drag; does nothing if it was not followed."""
    _running.pop(request_id, None)
    _held.pop(request_id, None)


def is_open(plane: Plane) -> bool:
    """Return whether a drag of the plane waits for other targets when it has nothing to do."""
    now = _running.get(plane.draggan.request_id)
    return now is not None and now.is_open


def is_paused(plane: Plane) -> bool:
    """Return whether a drag of the plane is paused."""
    return is_paused_request(plane.draggan.request_id)


def is_paused_request(request_id: int) -> bool:
    """Return whether a request is a drag that is paused."""
    now = _running.get(request_id)
    return now is not None and now.is_paused


def set_paused(plane: Plane, paused: bool) -> None:
    """Pause the drag of a plane, or let it go on.

    Raises:
        EditError: No drag is running for the plane.
    """
    settings = plane.draggan
    now = _running.get(settings.request_id)
    if now is None:
        raise EditError(f"No drag is running for {plane.name}; press Drag to start one")
    _running[settings.request_id] = replace(now, is_paused=paused)
    pump.change_job(settings.uuid, Pause(request_id=settings.request_id, paused=paused))


def hold(plane: Plane, key: int, place: tuple[float, float]) -> None:
    """Send the place of a target to the running drag before it is in the scene.

    Args:
        plane: The GAN image.
        key: The key of the pair.
        place: ``(x, y)`` in the plane's space; it counts until ``let_go``.
    """
    _held[plane.draggan.request_id] = {key: place}
    follow(plane)


def let_go(plane: Plane) -> None:
    """Let the places in the scene count again, for all targets of a plane."""
    _held.pop(plane.draggan.request_id, None)


def close(plane: Plane) -> None:
    """Let an open drag end when it has come to its targets; it does nothing for other drags."""
    if is_open(plane):
        follow(plane, closes=True)


def follow(plane: Plane, *, closes: bool = False) -> None:
    """Send the pairs of a plane to its running drag, if they differ from those that it has.

    A pair that cannot be used as it is now (a point is outside the image) stays as it was last; one
    whose point was deleted is left out. If all were deleted, the drag ends as with *Stop*; if none
    is enabled, the engine keeps the last ones.

    Args:
        plane: The GAN image.
        closes: Whether the drag ends when it has come to its targets, if it was open.
    """
    settings = plane.draggan
    now = _running.get(settings.request_id)
    if now is None or now.is_stopping or not settings.dragging:
        return
    open_now = now.is_open and not closes
    found = _current(plane, now.pairs)
    if not found and _are_deleted(plane, now.pairs):
        _running[settings.request_id] = replace(now, is_stopping=True)
        pump.stop_job(settings.uuid)
        return
    pairs = tuple(pair for _, pair in found) or now.pairs
    if _wanted(pairs) == _wanted(now.pairs) and open_now == now.is_open:
        return
    if [pair.key for pair in pairs] != [pair.key for pair in now.pairs]:
        handle_paths.change([entry for entry, _ in found], plane)
    starts = {pair.key: pair.handle_px for pair in pairs} | now.starts
    ways = [(starts[pair.key], pair.target_px) for pair in pairs]
    wider = mask_following.grown(plane, now.mask, ways, now.wider, in_advance=True)
    _running[settings.request_id] = replace(
        now, pairs=pairs, is_open=open_now, starts=starts, wider=wider or now.wider
    )
    change = ReplacePairs(request_id=settings.request_id, pairs=pairs, live=open_now, mask=wider)
    pump.change_job(settings.uuid, change)


def _current(plane: Plane, last: Sequence[Pair]) -> list[tuple[DRAGGAN_PG_pair, Pair]]:
    """Return the pairs of a running drag that can be used, each as it is now or as it was last."""
    try:
        usable = read_usable(bpy.context, plane, _held.get(plane.draggan.request_id, {}))
    except EditError:
        return []
    known = {pair.key: pair for pair in last}
    found = []
    for pair, placed in usable:
        if placed is not None:
            found.append((pair, pairs_of([placed])[0]))
        elif pair.key in known:
            found.append((pair, known[pair.key]))
    return found


def _are_deleted(plane: Plane, last: Sequence[Pair]) -> bool:
    """Return whether all pairs of a drag, or a point of each, were deleted."""
    if not plane.users_scene:
        # The plane itself was deleted.
        return False
    scene, keys = planes.scene_of(plane), {pair.key for pair in last}
    present = (pair for pair in plane.draggan.pairs if pair.key in keys)
    return all(points.missing(pair, scene) for pair in present)


def _wanted(pairs: Sequence[Pair]) -> list[Any]:
    """Return what the engine uses of pairs that it knows: all but the places of the handles."""
    return [(pair.key, pair.target_px, pair.radius_px, pair.angle, pair.scale) for pair in pairs]


def _after_update(*_arguments: Any) -> None:
    for request_id, now in tuple(_running.items()):
        plane = planes.find(now.image_id)
        if plane is not None and plane.draggan.request_id == request_id:
            follow(plane)


_HANDLER: Any = persistent(_after_update)


def register() -> None:
    """Follow the changes that Blender evaluates."""
    bpy.app.handlers.depsgraph_update_post.append(_HANDLER)


def unregister() -> None:
    """Stop following, and forget all drags."""
    bpy.app.handlers.depsgraph_update_post.remove(_HANDLER)
    _running.clear()
    _held.clear()
