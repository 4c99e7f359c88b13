# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles and targets: empties that are children of the plane and held on it.

A handle is a red disc, a target a blue ring with a cross. What a drag starts from is read from the
*evaluated* scene, so that parents, constraints, drivers and keyframes of the points count.

A handle stands for what is at its *base*, its place in the image of the plane's latent. As long as
no sequence moves it along, that is where it is; after that it is remembered.
"""

from __future__ import annotations

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

#: Side in the plane's units; the plane's longer side has two.
_SIZES = {Marker.HANDLE: 0.14, Marker.TARGET: 0.2}
#: In the plane's units: a transform is a float32, and no person places a point that finely.
_MOVED = 1e-4
_GRID_PX = 1.0 / 1024.0
_COLORS = {Marker.HANDLE: (1.0, 0.2, 0.1, 1.0), Marker.TARGET: (0.15, 0.55, 1.0, 1.0)}


class PlacedPair(NamedTuple):
    """A pair with where it is: ``px`` points of the generator's resolution, ``(x, y)``."""

    pair: DRAGGAN_PG_pair
    handle_px: tuple[float, float]
    target_px: tuple[float, float]


def add_pair(
    plane: Plane, handle_uv: Sequence[float], target_uv: Sequence[float]
) -> DRAGGAN_PG_pair:
    """Put a new pair on the plane and return its entry in ``plane.draggan.pairs``.

    Args:
        plane: a GAN image.
        handle_uv, target_uv: ``(u, v)`` in [0, 1], origin bottom-left.
    """
    uv_map = planes.uv_map(plane)
    handle_local, target_local = view.uv_to_local(uv_map, [tuple(handle_uv), tuple(target_uv)])
    number = len(plane.draggan.pairs) + 1
    pair: DRAGGAN_PG_pair = plane.draggan.pairs.add()
    pair.handle = _empty(plane, f"Handle {number:03d}", Marker.HANDLE)
    pair.target = _empty(plane, f"Target {number:03d}", Marker.TARGET)
    # By it the Graph Editor tells the pairs' influences apart.
    pair.name = f"Pair {number}"
    pair.handle.location[:2] = handle_local
    pair.target.location[:2] = target_local
    plane.draggan.active_pair = number - 1
    # The evaluated plane has the pair only when Blender is told.
    plane.update_tag()
    return pair


def remove_pair(plane: Plane, index: int) -> None:
    """Remove a pair of the list together with its empties."""
    settings = plane.draggan
    for point in (settings.pairs[index].handle, settings.pairs[index].target):
        if point is not None:
            bpy.data.objects.remove(point)
    settings.pairs.remove(index)
    compat.remove_item_curves(plane, "draggan.pairs", index)
    plane.update_tag()
    settings.active_pair = max(0, min(settings.active_pair, len(settings.pairs) - 1))


def default_uv(plane: Plane) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the next pair starts: handle and target in the middle, below those before."""
    v = 0.5 - 0.12 * (len(plane.draggan.pairs) % 4)
    return (0.45, v), (0.6, v)


def is_gone(point: bpy.types.Object | None, scene: bpy.types.Scene | None) -> bool:
    """Whether a handle or target was deleted.

    Blender keeps a deleted object as long as a pair names it; it is then in no scene.
    """
    return point is None or scene.objects.get(point.name) != point


def enabled_pairs(plane: Plane) -> list[DRAGGAN_PG_pair]:
    """The pairs that the next drag or bake takes, in their order.

    Raises:
        EditError: there is none, or one of their points was deleted.
    """
    scene = planes.scene_of(plane)
    enabled = [pair for pair in plane.draggan.pairs if pair.enabled]
    if not enabled:
        raise EditError("At least one enabled pair of points is needed; add one")
    for pair in enabled:
        if is_gone(pair.handle, scene) or is_gone(pair.target, scene):
            raise EditError("A handle or target of an enabled pair was deleted; remove the pair")
    return enabled


def places(
    depsgraph: bpy.types.Depsgraph, plane: Plane, objects: Sequence[Any]
) -> list[tuple[float, float]]:
    """Where objects are at the depsgraph's frame, in the plane's space."""
    to_local = plane.evaluated_get(depsgraph).matrix_world.inverted_safe()
    found = [
        to_local @ point.evaluated_get(depsgraph).matrix_world.translation for point in objects
    ]
    return [(point.x, point.y) for point in found]


def to_px(plane: Plane, local: ArrayLike) -> view.Points:
    """``N x 2`` places in the plane's space to ``N x 2`` px; not finite where they lie beside.

    They are put onto a fine grid, so that a place that went through Blender's float32 transforms
    on different ways is the same to the bit: a bake solves again what differs.

    Raises:
        EditError: the plane's UVs map no flat image.
    """
    uv = view.local_to_uv(planes.uv_map(plane), local)
    inside_px = view.uv_to_px(np.clip(uv, 0.0, 1.0), *plane.draggan.size)
    on_grid_px = np.rint(inside_px / _GRID_PX) * _GRID_PX
    return np.where(view.inside(uv)[:, None], on_grid_px, np.nan)


def to_local(plane: Plane, points_px: ArrayLike) -> view.Points:
    """``N x 2`` px to ``N x 2`` places in the plane's space.

    Raises:
        EditError: the plane's UVs map no flat image.
    """
    return view.uv_to_local(planes.uv_map(plane), view.px_to_uv(points_px, *plane.draggan.size))


def read_pairs(context: bpy.types.Context, plane: Plane) -> list[PlacedPair]:
    """Where the enabled pairs are at the current frame; targets as their influence has it.

    Raises:
        EditError: there is no pair, a point was deleted, or a point lies beside the image.
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
                raise EditError(f"{point.name} lies beside the image; move it onto the plane")
        placed.append(PlacedPair(pair, tuple(handle_px.tolist()), tuple(wanted_px.tolist())))
    return placed


def mix(base: ArrayLike, target: ArrayLike, influence: ArrayLike) -> view.Points:
    """What a handle of this base is to go for: arrays of any shape that numpy broadcasts."""
    start = np.asarray(base)
    return np.asarray(start + np.asarray(influence) * (np.asarray(target) - start))


def bases(
    depsgraph: bpy.types.Depsgraph, plane: Plane, *, is_base_shown: Callable[[], bool]
) -> view.Points:
    """Where the handles of the enabled pairs are in the image of the latent, ``P x 2`` px.

    Args:
        depsgraph: evaluated at the current frame.
        plane: a GAN image.
        is_base_shown: whether the plane shows the image of its latent now; asked only if need be.

    Raises:
        EditError: a handle lies beside the image, or nobody knows where in that image it is.
    """
    enabled = enabled_pairs(plane)
    found = places(depsgraph, plane, [pair.handle for pair in enabled])
    for index, pair in enumerate(enabled):
        if pair.has_base and not _was_moved(plane, pair.handle):
            found[index] = tuple(pair.base)
        elif not is_base_shown():
            raise EditError(
                f"{pair.handle.name} was placed on another image than the one that a bake starts "
                "from; press Clear Bake, or go to a frame that shows it, and place it there"
            )
    found_px = to_px(plane, found)
    for pair, point_px in zip(enabled, found_px, strict=True):
        if not np.isfinite(point_px).all():
            raise EditError(f"{pair.handle.name} lies beside the image; move it onto the plane")
    return found_px


def _was_moved(plane: Plane, handle: Any) -> bool:
    """Whether a handle is not where its path has it: a person moved it, or removed its keys."""
    if timing.is_retimed(plane):
        # A driver holds it where it is.
        return False
    frame = planes.scene_of(plane).frame_current_final
    for axis in (0, 1):
        path = compat.find_fcurve(handle, "location", axis)
        if path is None or abs(path.evaluate(frame) - handle.location[axis]) > _MOVED:
            return True
    return False


def begin(pairs: Sequence[Any], plane: Plane) -> None:
    """Remember which pairs a drag or bake takes, in which order, and where all handles are."""
    for pair in plane.draggan.pairs:
        pair.slot = -1
        if pair.handle is not None:
            pair.start = pair.handle.location[:2]
    for slot, pair in enumerate(pairs):
        pair.slot = slot


def move_handles(plane: Plane, handles_px: Sequence[tuple[float, float]]) -> None:
    """Put the handles of the running drag where the engine found their points."""
    locations = to_local(plane, handles_px)
    for pair in _dragged(plane, len(handles_px)):
        timing.release(pair.handle)
        pair.handle.location[:2] = locations[pair.slot]


def restore_handles(plane: Plane) -> None:
    """Put the handles back to where they were when the last drag began."""
    for pair in _dragged(plane):
        pair.handle.location[:2] = pair.start
        timing.hold(pair.handle)


def send_home(plane: Plane) -> None:
    """Put the handles back to where they were before their first drag since the image was new."""
    for pair in plane.draggan.pairs:
        if pair.dragged and pair.handle is not None:
            pair.handle.location[:2] = pair.home
        pair.dragged, pair.slot = False, -1


def write_paths(
    plane: Plane, first_frame: int, paths_px: ArrayLike, bases_px: ArrayLike | None = None
) -> None:
    """Take a result: key the handles' paths, and remember where a Reset puts them.

    A handle that went along with the sequence before, and not with this one, stops where it was.

    Args:
        plane: a GAN image that shows the sequence of the result already.
        first_frame: the scene frame of the first row.
        paths_px: `T x P x 2`, a row of points for each frame, in the order of the pairs that were
            dragged.
        bases_px: `P x 2`, where they are in the image of the latent; None for the last row.
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
    """Remember which pairs go along with the sequence that a bake is about to cover."""
    for pair in plane.draggan.pairs:
        pair.under_slot = pair.path_slot


def uncover_paths(plane: Plane) -> None:
    """Take them for the pairs of the next :func:`write_paths`; their handles go to their bases."""
    for pair in plane.draggan.pairs:
        pair.slot = pair.under_slot
        if pair.has_base and pair.handle is not None:
            pair.start = pair.base


def clear_paths(plane: Plane) -> None:
    """Remove the keys of the handles' paths; they stand where they are in the latent's image."""
    for pair in plane.draggan.pairs:
        if pair.handle is not None:
            timing.clear_path(pair.handle)
            if pair.has_base:
                pair.handle.location[:2] = pair.base
        pair.has_base, pair.path_slot = False, -1


def _dragged(plane: Plane, count: float = math.inf) -> list[DRAGGAN_PG_pair]:
    """The pairs of the drag whose handles still exist."""
    return [
        pair for pair in plane.draggan.pairs if 0 <= pair.slot < count and pair.handle is not None
    ]


def _marker_image(marker: Marker) -> bpy.types.Image:
    """The image of a marker; one for all points of the file, packed so that it is saved."""
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
