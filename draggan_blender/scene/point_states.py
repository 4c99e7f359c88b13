# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a state: storing where an image's handles and targets are, and putting them back.

Pairs are recognised by their keys. A pair that was removed is made again. A pair that the state
does not know is kept, because it may be animated, but it is disabled.
"""

from __future__ import annotations

from typing import Any

import bpy

from .. import compat
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from . import edit_points, handle_paths, pair_images, planes, points, timing, view

# What a pair and its entry in a state share, under the same names.
_SHARED = (
    "edit",
    "rests",
    "was_enabled",
    # After "enabled", whose change would change them.
    "enabled",
    "image_key",
    "is_left",
    "number",
    "color",
    "is_pin",
    "radius",
    "influence",
    "dragged",
    "home",
    "home_turn",
    "has_base",
    "base",
    "base_turn",
    "path_slot",
    "under_slot",
    "under_path",
)


def store(plane: Plane, stored: Any) -> None:
    """Store the pairs of an image in the collection of a state, instead of what it holds.

    Args:
        plane: A GAN image that shows the sequence of the state.
        stored: The collection of ``DRAGGAN_PG_state_pair``.
    """
    stored.clear()
    for pair in plane.draggan.pairs:
        if pair.handle is None or pair.target is None:
            continue
        entry = stored.add()
        entry.key, entry.title = points.key_of(plane, pair), pair.name
        entry.handle, entry.target = _place(pair.handle), _place(pair.target)
        for name in _SHARED:
            setattr(entry, name, getattr(pair, name))
        path = timing.read_path(plane, pair.handle) if pair.path_slot >= 0 else None
        entry.path = handle_paths.to_stored(path)


def restore(plane: Plane, stored: Any) -> None:
    """Put the pairs back to where they are in a state, with their paths.

    Args:
        plane: A GAN image that shows the sequence of the state.
        stored: The collection of ``DRAGGAN_PG_state_pair``.

    Raises:
        EditError: The plane has no UVs, or the UVs are not flat.
    """
    known = {entry.key: entry for entry in stored}
    present = {points.key_of(plane, pair) for pair in plane.draggan.pairs}
    for key, entry in known.items():
        if key not in present:
            _make_again(plane, entry)
    for pair in plane.draggan.pairs:
        entry = known.get(pair.key)
        pair.slot = -1
        if entry is None:
            pair_images.leave(pair)
            pair.dragged = pair.has_base = False
            pair.path_slot = -1
        if pair.handle is None or pair.target is None:
            continue
        if not pair.is_pin:
            timing.clear_path(pair.handle)
        if entry is not None:
            _put_back(plane, pair, entry)
        edit_points.hide(pair)
    points.clear_states(plane)
    plane.update_tag()


def _put_back(plane: Plane, pair: DRAGGAN_PG_pair, entry: Any) -> None:
    for name in _SHARED:
        setattr(pair, name, getattr(entry, name))
    for point, place in ((pair.handle, entry.handle), (pair.target, entry.target)):
        # The keys of a target stay, and set its place.
        if compat.find_fcurve(point, "location", 0) is None:
            _put(point, place)
    count = plane.draggan.sequence.frame_count
    if entry.path and count:
        path = handle_paths.from_stored(entry.path, count)
        timing.write_path(plane, pair.handle, plane.draggan.sequence.first_frame, path)
        x, y, *turn = path[timing.shown_row(plane)].tolist()
        _put(pair.handle, (x, y, *(turn or entry.handle[2:])))


def _make_again(plane: Plane, entry: Any) -> None:
    """Make a pair again that was removed; its animation is lost."""
    uv = view.local_to_uv(planes.uv_map(plane), [entry.handle[:2], entry.target[:2]])
    handle_uv, target_uv = uv.tolist()
    if entry.is_pin:
        pair = points.add_pin(plane, handle_uv)
    else:
        pair = points.add_pair(plane, handle_uv, target_uv)
    pair.key, pair.name = entry.key, entry.title


def _place(point: bpy.types.Object) -> tuple[float, float, float, float]:
    x, y = point.location.x, point.location.y
    return x, y, point.rotation_euler.z, point.scale.x


def _put(point: bpy.types.Object, place: Any) -> None:
    x, y, angle, scale = place
    point.location.x, point.location.y = x, y
    point.rotation_euler.z = angle
    point.scale = (scale, scale, scale)
