# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles and targets: empties that are children of the plane and are held on it.

A handle is a red disc, a target a blue ring with a cross. Positions are read from the *evaluated*
scene, so that the points' parents, constraints, drivers and keyframes count.

The *base* of a handle is its position in the image of the plane's latent; it defines what the
handle marks. Until a sequence moves the handle, the base is where the handle is; from then on the
pair stores it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import ArrayLike

from .. import compat
from ..errors import EditError
from ..properties.image import DRAGGAN_PG_pair
from ..properties.owners import Plane
from . import markers, planes, timing, view
from .markers import Marker

# The side of a marker in the plane's units, of which the plane's longer side has two.
_SIZES = {Marker.HANDLE: 0.14, Marker.TARGET: 0.2}

# A handle that differs by more than this from its path was moved, in the plane's units. It is
# larger than the error of a float32 transform, and smaller than what a person can place.
_MOVED = 1e-4

# Positions in image pixels are rounded to multiples of this.
_GRID_PX = 1.0 / 1024.0

_COLORS = {Marker.HANDLE: (1.0, 0.2, 0.1, 1.0), Marker.TARGET: (0.15, 0.55, 1.0, 1.0)}


class PlacedPair(NamedTuple):
    """A pair and its positions at one frame.

    Attributes:
        pair: The pair.
        handle_px: Where the handle is, ``(x, y)`` in image pixels.
        target_px: Where the handle should go, given the influence; likewise.
    """

    pair: DRAGGAN_PG_pair
    handle_px: tuple[float, float]
    target_px: tuple[float, float]


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
    used = {pair.name for pair in plane.draggan.pairs}
    number = next(n for n in itertools.count(1) if f"Pair {n}" not in used)
    pair: DRAGGAN_PG_pair = plane.draggan.pairs.add()
    pair.key = _new_key(plane)
    pair.handle = _empty(plane, f"Handle {number:03d}", Marker.HANDLE)
    pair.target = _empty(plane, f"Target {number:03d}", Marker.TARGET)
    # The list and the Graph Editor show this name.
    pair.name = f"Pair {number}"
    pair.handle.location[:2] = handle_local
    pair.target.location[:2] = target_local
    plane.draggan.active_pair = len(plane.draggan.pairs) - 1
    # Without this, Blender's evaluated copy of the plane does not get the pair.
    plane.update_tag()
    return pair


def _new_key(plane: Plane) -> int:
    """Return a key that no pair of the image has had, also after pairs were removed."""
    key: int = plane.draggan.last_key + 1
    plane.draggan.last_key = key
    return key


def remove_pair(plane: Plane, index: int) -> None:
    """Remove a pair of the list together with its empties and its animation."""
    settings = plane.draggan
    for point in (settings.pairs[index].handle, settings.pairs[index].target):
        if point is not None:
            bpy.data.objects.remove(point)
    settings.pairs.remove(index)
    compat.remove_item_curves(plane, "draggan.pairs", index)
    plane.update_tag()
    settings.active_pair = max(0, min(settings.active_pair, len(settings.pairs) - 1))


def default_uv(plane: Plane) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where the next pair starts, as ``(u, v)`` of its handle and of its target.

    New pairs start in the middle of the image, each below the one before, four in turn.
    """
    v = 0.5 - 0.12 * (len(plane.draggan.pairs) % 4)
    return (0.45, v), (0.6, v)


def is_gone(point: bpy.types.Object | None, scene: bpy.types.Scene | None) -> bool:
    """Return whether a handle or target was deleted.

    Blender keeps a deleted object while a pair refers to it, but the object is then in no scene.
    """
    return point is None or scene is None or scene.objects.get(point.name) != point


def is_point(plane: Plane, candidate: bpy.types.Object) -> bool:
    """Return whether an object is a handle or a target of the plane."""
    return any(candidate in (pair.handle, pair.target) for pair in plane.draggan.pairs)


def enabled_pairs(plane: Plane) -> list[DRAGGAN_PG_pair]:
    """Return the pairs that the next drag or bake uses, in the order of the list.

    Raises:
        EditError: No pair is enabled, or a point of an enabled pair was deleted.
    """
    scene = planes.scene_of(plane)
    enabled = [pair for pair in plane.draggan.pairs if pair.enabled]
    for pair in enabled:
        # Files of earlier versions have pairs without keys.
        pair.key = pair.key or _new_key(plane)
    if not enabled:
        raise EditError("At least one enabled pair of points is needed; add one")
    for pair in enabled:
        if is_gone(pair.handle, scene) or is_gone(pair.target, scene):
            raise EditError("A handle or target of an enabled pair was deleted; remove the pair")
    return enabled


def places(
    depsgraph: bpy.types.Depsgraph, plane: Plane, objects: Sequence[bpy.types.Object]
) -> list[tuple[float, float]]:
    """Return where objects are at the depsgraph's frame, as ``(x, y)`` in the plane's space."""
    to_local = plane.evaluated_get(depsgraph).matrix_world.inverted_safe()
    found = [
        to_local @ point.evaluated_get(depsgraph).matrix_world.translation for point in objects
    ]
    return [(point.x, point.y) for point in found]


def to_px(plane: Plane, local: ArrayLike) -> view.Points:
    """Convert positions in the plane's space to image pixels; NaN outside the image.

    The result is rounded to a fine grid. Blender's float32 transforms differ in the last digits,
    and a bake solves a frame again if any bit of its targets has changed.

    Args:
        plane: The GAN image.
        local: ``N x 2`` positions in the plane's space.

    Returns:
        ``N x 2`` px.

    Raises:
        EditError: The plane has no UVs, or the UVs are not flat.
    """
    uv = view.local_to_uv(planes.uv_map(plane), local)
    inside_px = view.uv_to_px(np.clip(uv, 0.0, 1.0), *plane.draggan.size)
    on_grid_px = np.rint(inside_px / _GRID_PX) * _GRID_PX
    return np.where(view.inside(uv)[:, None], on_grid_px, np.nan)


def to_local(plane: Plane, points_px: ArrayLike) -> view.Points:
    """Convert ``N x 2`` px to ``N x 2`` positions in the plane's space.

    Raises:
        EditError: The plane has no UVs, or the UVs are not flat.
    """
    return view.uv_to_local(planes.uv_map(plane), view.px_to_uv(points_px, *plane.draggan.size))


def read_pairs(context: bpy.types.Context, plane: Plane) -> list[PlacedPair]:
    """Return the enabled pairs with their positions at the current frame.

    Raises:
        EditError: No pair is enabled, or a point was deleted or is outside the image.
    """
    enabled = enabled_pairs(plane)
    depsgraph = context.evaluated_depsgraph_get()
    handles = places(depsgraph, plane, [pair.handle for pair in enabled])
    targets = places(depsgraph, plane, [pair.target for pair in enabled])
    placed = []
    for pair, handle, target in zip(enabled, handles, targets, strict=True):
        base = pair.base if pair.has_base and not _was_moved(plane, pair.handle) else handle
        wanted = mix(tuple(base), target, pair.influence)
        handle_px, wanted_px = to_px(plane, np.array([handle, wanted]))
        for point, point_px in ((pair.handle, handle_px), (pair.target, wanted_px)):
            if not np.isfinite(point_px).all():
                raise EditError(f"{point.name} is outside the image; move it onto the plane")
        placed.append(PlacedPair(pair, tuple(handle_px.tolist()), tuple(wanted_px.tolist())))
    return placed


def mix(base: ArrayLike, target: ArrayLike, influence: ArrayLike) -> view.Points:
    """Return where a handle should go, given its base and influence.

    The result is ``base + influence * (target - base)``; the arrays may have any shapes that numpy
    broadcasts.
    """
    start = np.asarray(base)
    return np.asarray(start + np.asarray(influence) * (np.asarray(target) - start))


def bases(
    depsgraph: bpy.types.Depsgraph, plane: Plane, *, is_base_shown: Callable[[], bool]
) -> view.Points:
    """Return where the handles of the enabled pairs are in the image of the latent, ``P x 2`` px.

    Args:
        depsgraph: Blender's dependency graph, evaluated at the current frame.
        plane: The GAN image.
        is_base_shown: Returns whether the plane shows the image of its latent now; called only if
            the answer is needed.

    Raises:
        EditError: No pair is enabled, a handle is outside the image, or a handle was moved while
            the plane showed another image than that of its latent.
    """
    enabled = enabled_pairs(plane)
    found = places(depsgraph, plane, [pair.handle for pair in enabled])
    for index, pair in enumerate(enabled):
        if pair.has_base and not _was_moved(plane, pair.handle):
            found[index] = tuple(pair.base)
        elif not is_base_shown():
            raise EditError(
                f"{pair.handle.name} was placed on another image than the one that a bake starts "
                "from; press Clear Bake, or go to a frame that shows that image, and place the "
                "handle there"
            )
    found_px = to_px(plane, found)
    for pair, point_px in zip(enabled, found_px, strict=True):
        if not np.isfinite(point_px).all():
            raise EditError(f"{pair.handle.name} is outside the image; move it onto the plane")
    return found_px


def _was_moved(plane: Plane, handle: bpy.types.Object) -> bool:
    """Return whether a person moved a handle away from its path, or removed the path's keys."""
    if timing.is_retimed(plane):
        # A driver sets the location.
        return False
    frame = planes.scene_of(plane).frame_current_final
    for axis in (0, 1):
        path = compat.find_fcurve(handle, "location", axis)
        if path is None or abs(path.evaluate(frame) - handle.location[axis]) > _MOVED:
            return True
    return False


def begin(pairs: Sequence[DRAGGAN_PG_pair], plane: Plane) -> None:
    """Store which pairs a drag or bake uses, in which order, and where all handles are."""
    for pair in plane.draggan.pairs:
        pair.slot = -1
        if pair.handle is not None:
            pair.start = pair.handle.location[:2]
    for slot, pair in enumerate(pairs):
        pair.slot = slot


def move_handles(plane: Plane, handles_px: Sequence[tuple[float, float]]) -> None:
    """Move the handles of the running drag to where the engine tracked them.

    Args:
        plane: The GAN image.
        handles_px: ``(x, y)`` px for each pair of the drag, in the order of ``begin``.
    """
    locations = to_local(plane, handles_px)
    for pair in _dragged(plane, len(handles_px)):
        timing.release(pair.handle)
        pair.handle.location[:2] = locations[pair.slot]


def restore_handles(plane: Plane) -> None:
    """Put the handles of the last drag back to where they were when it began."""
    for pair in _dragged(plane):
        pair.handle.location[:2] = pair.start
        timing.hold(pair.handle)


def send_home(plane: Plane) -> None:
    """Put the handles back to where they were before the first drag of this image."""
    for pair in plane.draggan.pairs:
        if pair.dragged and pair.handle is not None:
            pair.handle.location[:2] = pair.home
        pair.dragged, pair.slot = False, -1


def write_paths(
    plane: Plane, first_frame: int, paths_px: ArrayLike, bases_px: ArrayLike | None = None
) -> None:
    """Key the handles' paths of a result, and store where a Reset puts the handles.

    A handle that the previous sequence moved and this one does not move stays where it was when the
    drag or bake began.

    Args:
        plane: A GAN image that already shows the sequence of the result.
        first_frame: The scene frame of the first row.
        paths_px: ``T x P x 2`` px, one row per frame, the pairs in the order of ``begin``.
        bases_px: ``P x 2`` px, the handles in the image of the latent; None for the last row.
    """
    rows = np.asarray(paths_px, dtype=np.float64)
    bases = to_local(plane, rows[-1] if bases_px is None else bases_px)
    row = timing.shown_row(plane)
    for pair in plane.draggan.pairs:
        is_taken = 0 <= pair.slot < rows.shape[1]
        pair.path_slot = pair.slot if is_taken else -1
        if pair.handle is None or not (is_taken or pair.has_base):
            continue
        if not is_taken:
            timing.clear_path(pair.handle)
            pair.handle.location[:2], pair.has_base = pair.start, False
            continue
        path = to_local(plane, rows[:, pair.slot])
        timing.write_path(plane, pair.handle, first_frame, path)
        pair.handle.location[:2] = path[row]
        pair.base, pair.has_base = bases[pair.slot], True
        if not pair.dragged:
            pair.dragged, pair.home = True, pair.start


def cover_paths(plane: Plane) -> None:
    """Store which pairs belong to the sequence that a bake is about to replace."""
    for pair in plane.draggan.pairs:
        pair.under_slot = pair.path_slot


def uncover_paths(plane: Plane) -> None:
    """Prepare ``write_paths`` for the sequence that a bake had replaced.

    Its pairs are those of the next ``write_paths``, and the handles start at their bases.
    """
    for pair in plane.draggan.pairs:
        pair.slot = pair.under_slot
        if pair.has_base and pair.handle is not None:
            pair.start = pair.base


def clear_paths(plane: Plane) -> None:
    """Remove the handles' paths, and put the handles at their bases."""
    for pair in plane.draggan.pairs:
        if pair.handle is not None:
            timing.clear_path(pair.handle)
            if pair.has_base:
                pair.handle.location[:2] = pair.base
        pair.has_base, pair.path_slot = False, -1


def _dragged(plane: Plane, count: float = math.inf) -> list[DRAGGAN_PG_pair]:
    """Return the pairs of the drag whose handles exist, with slots below ``count``."""
    return [
        pair for pair in plane.draggan.pairs if 0 <= pair.slot < count and pair.handle is not None
    ]


def _marker_image(marker: Marker) -> bpy.types.Image:
    """Return the image of a marker; all points of the file share it, and it is packed."""
    image = bpy.data.images.get(marker.value)
    if image is None:
        image = bpy.data.images.new(marker.value, markers.SIZE_PX, markers.SIZE_PX, alpha=True)
        pixels: Any = image.pixels
        pixels.foreach_set(markers.pixels(marker).ravel())
        image.update()
        image.pack()
    return image


def _empty(plane: Plane, name: str, marker: Marker) -> bpy.types.Object:
    empty = bpy.data.objects.new(name, None)
    for collection in plane.users_collection:
        collection.objects.link(empty)
    empty.empty_display_type = "IMAGE"
    empty.data = _marker_image(marker)  # type: ignore[assignment]
    empty.empty_display_size = _SIZES[marker]
    empty.empty_image_depth = "FRONT"
    empty.use_empty_image_alpha = True
    empty.color = _COLORS[marker]
    empty.show_in_front = True
    empty.parent = plane
    empty.matrix_parent_inverse = Matrix.Identity(4)
    empty.lock_location[2] = True
    empty.lock_rotation = empty.lock_scale = (True, True, True)
    hold: Any = empty.constraints.new("LIMIT_LOCATION")
    hold.name = "Hold on the Image"
    hold.owner_space = "LOCAL"
    hold.use_min_z = hold.use_max_z = True
    hold.min_z = hold.max_z = 0.0
    hold.use_transform_limit = True
    return empty
