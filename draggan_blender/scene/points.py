# SPDX-License-Identifier: GPL-3.0-or-later
"""The pairs of points of a GAN image: adding, removing, restoring and naming them, and their state.

A pair is a handle and a target. A *pin* is a place that stays: one empty, which is both. The
empties are in ``empties``, ``placing`` reads where they are, ``handle_paths`` moves the handles.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import bpy
import numpy as np

from .. import compat
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from . import empties, planes, view
from .empties import Kind, is_gone

# The colours of the pairs in turn, sRGB: those of Okabe and Ito, which people with any kind of
# colour vision can tell apart (https://jfly.uni-koeln.de/color/). Black is left out.
PALETTE = (
    (0.000, 0.447, 0.698),
    (0.902, 0.624, 0.000),
    (0.000, 0.620, 0.451),
    (0.800, 0.475, 0.655),
    (0.337, 0.706, 0.914),
    (0.835, 0.369, 0.000),
    (0.941, 0.894, 0.259),
)
PIN_COLOR = (0.95, 0.95, 0.95)

# A point that differs by more than this from a stored place was moved, in the plane's units. It is
# larger than the error of a float32 transform, and smaller than what a person can place.
MOVED = 1e-4

# The target of a new pair is this far to the right of its handle, as a part of the image's width.
_REACH = 0.15

# A new point keeps this distance from all others if it can, as a part of the image's side.
_ROOM = 0.1


def add_pair(
    plane: Plane, handle_uv: Sequence[float], target_uv: Sequence[float]
) -> DRAGGAN_PG_pair:
    """Put a new pair on the plane and return its entry in ``plane.draggan.pairs``.

    Args:
        plane: The GAN image.
        handle_uv: The handle's ``(u, v)`` in [0, 1], origin bottom-left.
        target_uv: The target's, likewise.
    """
    uv_map = planes.uv_map(plane)
    handle_local, target_local = view.uv_to_local(uv_map, [tuple(handle_uv), tuple(target_uv)])
    number = _free_number(plane, "Pair")
    pair = _add(plane, f"Pair {number}", number, PALETTE[(number - 1) % len(PALETTE)])
    pair.handle = empties.make(plane, Kind.HANDLE, number, handle_local, pair.color)
    pair.target = empties.make(plane, Kind.TARGET, number, target_local, pair.color)
    return pair


def add_pin(plane: Plane, place_uv: Sequence[float]) -> DRAGGAN_PG_pair:
    """Put a pin on the plane and return its entry in ``plane.draggan.pairs``.

    Args:
        plane: The GAN image.
        place_uv: ``(u, v)`` in [0, 1], origin bottom-left.
    """
    (place,) = view.uv_to_local(planes.uv_map(plane), [tuple(place_uv)])
    number = _free_number(plane, "Pin")
    pair = _add(plane, f"Pin {number}", number, PIN_COLOR)
    pair.is_pin = True
    pair.handle = pair.target = empties.make(plane, Kind.PIN, number, place, pair.color)
    return pair


def _add(plane: Plane, name: str, number: int, color: Sequence[float]) -> DRAGGAN_PG_pair:
    pair: DRAGGAN_PG_pair = plane.draggan.pairs.add()
    pair.key, pair.edit = _new_key(plane), plane.draggan.worked_edit
    # The list and the Graph Editor show this name.
    pair.name, pair.number, pair.color = name, number, color
    plane.draggan.active_pair = len(plane.draggan.pairs) - 1
    # Without this, Blender's evaluated copy of the plane does not get the pair.
    plane.update_tag()
    return pair


def _free_number(plane: Plane, word: str) -> int:
    used = {pair.name for pair in plane.draggan.pairs}
    used |= {f"{word} {pair.number}" for pair in plane.draggan.pairs if _word(pair) == word}
    return next(n for n in itertools.count(1) if f"{word} {n}" not in used)


def _word(pair: DRAGGAN_PG_pair) -> str:
    return "Pin" if pair.is_pin else "Pair"


def _new_key(plane: Plane) -> int:
    """Return a key that no pair of the image has had, also after pairs were removed."""
    key: int = plane.draggan.last_key + 1
    plane.draggan.last_key = key
    return key


def key_of(plane: Plane, pair: DRAGGAN_PG_pair) -> int:
    """Return the key of a pair; pairs in files of earlier versions get one."""
    pair.key = pair.key or _new_key(plane)
    return int(pair.key)


def modernise(plane: Plane) -> None:
    """Give pairs of version 0.1 keys, numbers and colours, and empties without images."""
    for index, pair in enumerate(plane.draggan.pairs):
        pair.key = pair.key or _new_key(plane)
        if not pair.number:
            word, _, number = pair.name.partition(" ")
            is_ours = word == "Pair" and number.isdecimal() and 0 < int(number) < 1000
            pair.number = int(number) if is_ours else index + 1
            pair.color = PALETTE[(pair.number - 1) % len(PALETTE)]
    empties.modernise(plane)


def remove_pair(plane: Plane, index: int) -> None:
    """Remove a pair of the list together with its empties and its animation."""
    settings = plane.draggan
    for point in points_of(settings.pairs[index]):
        bpy.data.objects.remove(point)
    settings.pairs.remove(index)
    compat.remove_item_curves(plane, "draggan.pairs", index)
    plane.update_tag()
    settings.active_pair = max(0, min(settings.active_pair, len(settings.pairs) - 1))


def swap(pair: DRAGGAN_PG_pair) -> None:
    """Exchange the places of a pair's handle and target."""
    handle, target = pair.handle.location[:2], pair.target.location[:2]
    pair.handle.location[:2], pair.target.location[:2] = target, handle


def points_of(pair: DRAGGAN_PG_pair) -> list[bpy.types.Object]:
    """Return the empties of a pair that exist in the file: two, or the one of a pin."""
    points = [pair.handle] if pair.is_pin else [pair.handle, pair.target]
    return [point for point in points if point is not None]


def missing(pair: DRAGGAN_PG_pair, scene: bpy.types.Scene | None) -> list[str]:
    """Return which empties of a pair were deleted: ``handle``, ``target`` or ``point``."""
    named = [("handle", pair.handle), ("target", pair.target)]
    if pair.is_pin:
        named = [("point", pair.handle)]
    return [name for name, point in named if is_gone(point, scene)]


def restore(plane: Plane, pair: DRAGGAN_PG_pair) -> None:
    """Put the deleted empties of a pair back, where they were if Blender still knows it.

    Raises:
        EditError: The plane has no UVs, or the UVs are not flat.
    """
    scene = planes.scene_of(plane)
    (spare_uv,) = free_uv(plane, 1)
    (spare,) = view.uv_to_local(planes.uv_map(plane), [spare_uv])
    for name, kind in (("handle", Kind.HANDLE), ("target", Kind.TARGET)):
        point = getattr(pair, name)
        if not is_gone(point, scene):
            continue
        if point is None:
            kind = Kind.PIN if pair.is_pin else kind
            point = empties.make(plane, kind, pair.number, spare, pair.color)
            setattr(pair, name, point)
            if pair.is_pin:
                pair.target = point
        else:
            empties.bring_back(plane, point)
    plane.update_tag()


def default_uv(plane: Plane) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where the next pair starts, as ``(u, v)`` of its handle and of its target.

    It is the place nearest to the middle of the image where no other point is in the way.
    """
    handle, target = free_uv(plane, 2)
    return handle, target


def free_uv(plane: Plane, count: int) -> list[tuple[float, float]]:
    """Return ``count`` places in a row, ``(u, v)``, near the middle and away from other points."""
    taken = [point.location[:2] for pair in plane.draggan.pairs for point in points_of(pair)]
    steps = np.linspace(0.1, 0.9, 17)
    width = _REACH * (count - 1)
    columns, rows = np.meshgrid(steps[steps + width <= 0.95], steps)
    first = np.column_stack((columns.ravel(), rows.ravel()))
    from_middle = np.abs(first - (0.5 - width / 2, 0.5)).max(axis=1)
    first = first[np.lexsort((-first[:, 1], first[:, 0], from_middle.round(6)))]
    places = first[:, None] + np.arange(count)[None, :, None] * [_REACH, 0.0]
    index = 0
    if taken:
        others = view.local_to_uv(planes.uv_map(plane), taken)
        apart = np.linalg.norm(places[:, :, None] - others, axis=-1).min(axis=(1, 2))
        index = int(np.argmax(apart >= _ROOM) if (apart >= _ROOM).any() else np.argmax(apart))
    return [(float(u), float(v)) for u, v in places[index]]


def is_point(plane: Plane, candidate: bpy.types.Object) -> bool:
    """Return whether an object is a handle or a target of the plane."""
    return pair_index(plane, candidate) is not None


def pair_index(plane: Plane, point: bpy.types.Object) -> int | None:
    """Return the index of the pair whose handle or target an object is, or None."""
    for index, pair in enumerate(plane.draggan.pairs):
        if point in (pair.handle, pair.target):
            return index
    return None


def active_pair(plane: Plane) -> DRAGGAN_PG_pair | None:
    """Return the pair that is selected in the list; None if it rests, see ``edit_points``."""
    settings = plane.draggan
    if 0 <= settings.active_pair < len(settings.pairs):
        pair: DRAGGAN_PG_pair = settings.pairs[settings.active_pair]
        return None if pair.rests else pair
    return None


def enabled_pairs(plane: Plane) -> list[DRAGGAN_PG_pair]:
    """Return the pairs that the next drag or bake uses, in the order of the list.

    Raises:
        EditError: No pair is enabled, or a point of an enabled pair was deleted.
    """
    scene = planes.scene_of(plane)
    enabled = [pair for pair in plane.draggan.pairs if pair.enabled]
    for pair in enabled:
        key_of(plane, pair)
    if not enabled:
        if any(pair.is_left for pair in plane.draggan.pairs):
            raise EditError(
                "No pair of points is enabled; press Use Here in the Points panel to use those of "
                "another image, or add one"
            )
        raise EditError("At least one enabled pair of points is needed; add one")
    for pair in enabled:
        gone = missing(pair, scene)
        if gone:
            raise EditError(
                f"{pair.name}: its {' and '.join(gone)} {'were' if len(gone) > 1 else 'was'} "
                "deleted; press Restore in the Points panel, or remove the pair"
            )
    return enabled


def set_state(pair: DRAGGAN_PG_pair, state: str) -> None:
    """Store what was found out about a pair's handle; it counts while the points stay in place."""
    if pair.handle is not None and pair.target is not None:
        pair.state = state
        pair.state_at = (*pair.handle.location[:2], *pair.target.location[:2])


def clear_states(plane: Plane) -> None:
    """Forget what was found out about the handles."""
    for pair in plane.draggan.pairs:
        pair.state = "FINE"


def shown_state(pair: DRAGGAN_PG_pair) -> str:
    """Return the state of a pair; ``FINE`` if a point was moved since the state was found out."""
    if pair.state == "FINE" or pair.handle is None or pair.target is None:
        return "FINE"
    now = (*pair.handle.location[:2], *pair.target.location[:2])
    # Whether a handle can be followed does not depend on its target.
    count = 4 if pair.state == "SHORT" else 2
    apart = (abs(a - b) for a, b in zip(now[:count], pair.state_at[:count], strict=True))
    return pair.state if max(apart) <= MOVED else "FINE"
