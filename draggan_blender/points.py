# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles and targets: empties that are children of the plane and held on it.

A handle is a red disc, a target a blue ring with a cross. What a drag starts from is read from the
*evaluated* scene, so that parents, constraints, drivers and keyframes of the points count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import bpy
import numpy as np
from mathutils import Matrix

from . import compat, markers, planes, view
from .errors import EditError
from .markers import Marker

#: Side in the plane's units; the plane's longer side has two.
_SIZES = {Marker.HANDLE: 0.14, Marker.TARGET: 0.2}
_COLORS = {Marker.HANDLE: (1.0, 0.2, 0.1, 1.0), Marker.TARGET: (0.15, 0.55, 1.0, 1.0)}


class PlacedPair(NamedTuple):
    """A pair with where it is: ``px`` points of the generator's resolution, ``(x, y)``."""

    pair: Any
    handle_px: tuple[float, float]
    target_px: tuple[float, float]


def add_pair(plane: Any, handle_uv: Sequence[float], target_uv: Sequence[float]) -> Any:
    """Put a new pair on the plane and return its entry in ``plane.draggan.pairs``.

    Args:
        plane: a GAN image.
        handle_uv, target_uv: ``(u, v)`` in [0, 1], origin bottom-left.
    """
    uv_map = planes.uv_map(plane)
    handle_local, target_local = view.uv_to_local(uv_map, [tuple(handle_uv), tuple(target_uv)])
    number = len(plane.draggan.pairs) + 1
    pair = plane.draggan.pairs.add()
    pair.handle = _empty(plane, f"Handle {number:03d}", Marker.HANDLE)
    pair.target = _empty(plane, f"Target {number:03d}", Marker.TARGET)
    pair.handle.location[:2] = handle_local
    pair.target.location[:2] = target_local
    plane.draggan.active_pair = number - 1
    return pair


def remove_pair(plane: Any, index: int) -> None:
    """Remove a pair of the list together with its empties."""
    settings = plane.draggan
    for point in (settings.pairs[index].handle, settings.pairs[index].target):
        if point is not None:
            bpy.data.objects.remove(point)
    settings.pairs.remove(index)
    settings.active_pair = max(0, min(settings.active_pair, len(settings.pairs) - 1))


def default_uv(plane: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the next pair starts: handle and target in the middle, below those before."""
    v = 0.5 - 0.12 * (len(plane.draggan.pairs) % 4)
    return (0.45, v), (0.6, v)


def is_gone(point: Any | None, scene: Any) -> bool:
    """Whether a handle or target was deleted.

    Blender keeps a deleted object as long as a pair names it; it is then in no scene.
    """
    return point is None or scene.objects.get(point.name) != point


def read_pairs(context: Any, plane: Any) -> list[PlacedPair]:
    """Where the enabled pairs are at the current frame.

    Raises:
        EditError: there is no pair, a point was deleted, or a point lies beside the image.
    """
    width, height = plane.draggan.size
    enabled = [pair for pair in plane.draggan.pairs if pair.enabled]
    if not enabled:
        raise EditError("A drag needs at least one enabled pair of points; add one")
    uv_map, scene = planes.uv_map(plane), planes.scene_of(plane)
    depsgraph = context.evaluated_depsgraph_get()
    to_local = plane.evaluated_get(depsgraph).matrix_world.inverted_safe()
    placed = []
    for pair in enabled:
        if is_gone(pair.handle, scene) or is_gone(pair.target, scene):
            raise EditError("A handle or target of an enabled pair was deleted; remove the pair")
        local = [
            (to_local @ point.evaluated_get(depsgraph).matrix_world.translation)[:2]
            for point in (pair.handle, pair.target)
        ]
        uv = view.local_to_uv(uv_map, local)
        for point, is_inside in zip((pair.handle, pair.target), view.inside(uv), strict=True):
            if not is_inside:
                raise EditError(f"{point.name} lies beside the image; move it onto the plane")
        (handle_x, handle_y), (target_x, target_y) = view.uv_to_px(
            np.clip(uv, 0.0, 1.0), width, height
        ).tolist()
        placed.append(PlacedPair(pair, (handle_x, handle_y), (target_x, target_y)))
    return placed


def begin(placed: Sequence[PlacedPair], plane: Any) -> None:
    """Remember which pairs a drag takes, in which order, and where their handles are."""
    for pair in plane.draggan.pairs:
        pair.slot = -1
    for slot, entry in enumerate(placed):
        entry.pair.slot = slot
        entry.pair.start = entry.pair.handle.location[:2]


def move_handles(plane: Any, handles_px: Sequence[tuple[float, float]]) -> None:
    """Put the handles of the running drag where the engine found their points."""
    locations = _locations(plane, handles_px)
    for pair in _dragged(plane, len(handles_px)):
        pair.handle.location[:2] = locations[pair.slot]


def restore_handles(plane: Any) -> None:
    """Put the handles back to where they were when the last drag began."""
    for pair in _dragged(plane):
        pair.handle.location[:2] = pair.start


def send_home(plane: Any) -> None:
    """Put the handles back to where they were before their first drag since the image was new."""
    for pair in plane.draggan.pairs:
        if pair.dragged and pair.handle is not None:
            pair.handle.location[:2] = pair.home
        pair.dragged, pair.slot = False, -1


def write_paths(plane: Any, first_frame: int, paths_px: view.Points) -> None:
    """Take a drag's result: key the handles' paths, and remember where a Reset puts them.

    Args:
        plane: a GAN image whose drag has ended.
        first_frame: the scene frame of the first row.
        paths_px: `T x P x 2`, a row of points for each frame, in the order of the pairs that were
            dragged.
    """
    rows = np.asarray(paths_px, dtype=np.float64)
    frames = np.arange(first_frame, first_frame + len(rows))
    for pair in _dragged(plane, rows.shape[1]):
        path = _locations(plane, rows[:, pair.slot])
        for axis in (0, 1):
            compat.write_fcurve(pair.handle, "location", axis, frames, path[:, axis])
        pair.handle.location[:2] = path[-1]
        if not pair.dragged:
            pair.dragged, pair.home = True, pair.start


def clear_paths(plane: Any) -> None:
    """Remove the keys of the handles' paths."""
    for pair in plane.draggan.pairs:
        if pair.handle is not None:
            compat.remove_fcurves(pair.handle, "location")


def _locations(plane: Any, points_px: Any) -> view.Points:
    uv = view.px_to_uv(points_px, *plane.draggan.size)
    return view.uv_to_local(planes.uv_map(plane), uv)


def _dragged(plane: Any, count: float = math.inf) -> list[Any]:
    """The pairs of the drag whose handles still exist."""
    return [
        pair for pair in plane.draggan.pairs if 0 <= pair.slot < count and pair.handle is not None
    ]


def _marker_image(marker: Marker) -> Any:
    """The image of a marker; one for all points of the file, packed so that it is saved."""
    image = bpy.data.images.get(marker.value)
    if image is None:
        image = bpy.data.images.new(marker.value, markers.SIZE_PX, markers.SIZE_PX, alpha=True)
        image.pixels.foreach_set(markers.pixels(marker).ravel())
        image.update()
        image.pack()
    return image


def _empty(plane: Any, name: str, marker: Marker) -> Any:
    empty = bpy.data.objects.new(name, None)
    for collection in plane.users_collection:
        collection.objects.link(empty)
    empty.empty_display_type = "IMAGE"
    empty.data = _marker_image(marker)
    empty.empty_display_size = _SIZES[marker]
    empty.empty_image_depth = "FRONT"
    empty.use_empty_image_alpha = True
    empty.color = _COLORS[marker]
    empty.show_in_front = True
    empty.parent = plane
    empty.matrix_parent_inverse = Matrix.Identity(4)
    empty.lock_location[2] = True
    empty.lock_rotation = empty.lock_scale = (True, True, True)
    hold = empty.constraints.new("LIMIT_LOCATION")
    hold.name = "Hold on the Image"
    hold.owner_space = "LOCAL"
    hold.use_min_z = hold.use_max_z = True
    hold.min_z = hold.max_z = 0.0
    hold.use_transform_limit = True
    return empty
