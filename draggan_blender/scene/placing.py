# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading where points are, how they are turned and how large they are.

All is read from the *evaluated* scene, so that the points' parents, constraints, drivers and
keyframes count.

The *base* of a handle is its position in the image of the plane's latent; it defines what the
handle marks. Until a sequence moves the handle, the base is where the handle is; from then on the
pair stores it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import ArrayLike

from .. import compat
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from . import planes, timing, view
from .points import MOVED, enabled_pairs

# Positions in image pixels are rounded to multiples of this.
_GRID_PX = 1.0 / 1024.0

# The area of a unit of a plane, below which its places cannot be told apart in float32.
_LEAST_AREA = 1e-12
# Angles in radians, and scales, are rounded to multiples of this.
_GRID_TURN = 1.0 / 8192.0

# The least size of a target, as a part of its handle's size.
LEAST_SCALE = 1e-3


class Pose(NamedTuple):
    """Where an object is in the plane's space.

    Attributes:
        place: Its ``(x, y)``.
        angle: How it is turned about the plane's normal, radians, from the x to the y axis.
        scale: Its size: the mean of both directions in the plane.
    """

    place: tuple[float, float]
    angle: float
    scale: float


def places(
    depsgraph: bpy.types.Depsgraph, plane: Plane, objects: Sequence[bpy.types.Object]
) -> list[tuple[float, float]]:
    """Return where objects are at the depsgraph's frame, as ``(x, y)`` in the plane's space."""
    return [pose.place for pose in poses(depsgraph, plane, objects)]


def poses(
    depsgraph: bpy.types.Depsgraph, plane: Plane, objects: Sequence[bpy.types.Object]
) -> list[Pose]:
    """Return where objects are at the depsgraph's frame, and how they are turned and scaled.

    Raises:
        EditError: The plane has no size there, so that every place in the scene is nowhere on it.
    """
    to_world: Any = plane.evaluated_get(depsgraph).matrix_world
    area = to_world.col[0].to_3d().cross(to_world.col[1].to_3d()).length
    if not _LEAST_AREA <= area < math.inf:
        raise EditError(
            f"{plane.name} has no size at frame {depsgraph.scene.frame_current}; clear its scale "
            "with Alt-S, and the scale of what it is parented to"
        )
    to_plane = to_world.inverted_safe()
    found = []
    for point in objects:
        matrix: Any = to_plane @ point.evaluated_get(depsgraph).matrix_world
        (a, b, _, x), (c, d, _, y) = matrix[0], matrix[1]
        # The rotation nearest to the matrix, and its mean scale.
        found.append(Pose((x, y), math.atan2(c - b, a + d), math.sqrt(abs(a * d - b * c))))
    return found


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


def px_per_unit(plane: Plane) -> float:
    """Return how many image pixels a unit of the plane's space has, the mean of all directions.

    Raises:
        EditError: The plane has no UVs, or the UVs are not flat.
    """
    return view.px_per_unit(planes.uv_map(plane), *plane.draggan.size)


def turning_sign(plane: Plane) -> int:
    """Return 1 if a turn in the plane's space looks the same in the image, -1 if it is mirrored.

    Raises:
        EditError: The plane has no UVs, or the UVs are not flat.
    """
    return view.turning_sign(planes.uv_map(plane))


def regions_over_frames(
    plane: Plane,
    pairs: Sequence[DRAGGAN_PG_pair],
    base_turns: ArrayLike,
    radii: ArrayLike,
    target_turns: ArrayLike,
    influences: ArrayLike,
) -> tuple[view.Points, view.Points]:
    """Return the radii of regions, and how they should be turned and scaled over T frames.

    The results are rounded, as positions are; see ``to_px``.

    Args:
        plane: The GAN image.
        pairs: The P pairs, for messages.
        base_turns: ``P x 2``, the angle and the scale of each handle in the image of the latent,
            in the plane's space.
        radii: ``P``, the radius of each pair in the plane's space, 0 for a point.
        target_turns: ``T x P x 2``, the angle and the scale of each target at each frame.
        influences: ``T x P``, 0 to 1.

    Returns:
        ``P`` px, and ``T x P x 2``: the angle, counter-clockwise in the image, and the scale, both
        since the image of the latent, 0 and 1 for a point.

    Raises:
        EditError: A handle or target has no size.
    """
    base, sizes = np.asarray(base_turns, dtype=np.float64), np.asarray(radii, dtype=np.float64)
    wanted = np.asarray(target_turns, dtype=np.float64)
    is_region = sizes > 0.0
    for number, pair in enumerate(pairs):
        least = min(base[number, 1], wanted[:, number, 1].min())
        if is_region[number] and least <= LEAST_SCALE:
            raise EditError(f"{pair.name}: a point has no size; clear its scale with Alt-S")
    turns = wanted[..., 0] - base[:, 0]
    # The first frame takes the short way, and the others go on from there.
    turns = np.unwrap(turns, axis=0) - 2.0 * np.pi * np.rint(turns[:1] / (2.0 * np.pi))
    angles = turning_sign(plane) * np.where(is_region, influences * turns, 0.0)
    ratios = np.where(is_region, wanted[..., 1] / np.where(is_region, base[:, 1], 1.0), 1.0)
    scales = np.maximum(ratios**influences, LEAST_SCALE)
    rounded = np.rint(np.stack([angles, scales], axis=-1) / _GRID_TURN) * _GRID_TURN
    radii_px = np.rint(sizes * base[:, 1] * px_per_unit(plane) / _GRID_PX) * _GRID_PX
    return radii_px, rounded


def base_turns(depsgraph: bpy.types.Depsgraph, plane: Plane) -> list[tuple[float, float]]:
    """Return how the handles of the enabled pairs are turned in the image of the latent.

    Returns:
        ``P x 2``, the angle and the scale of each in the plane's space.
    """
    enabled = enabled_pairs(plane)
    found = poses(depsgraph, plane, [pair.handle for pair in enabled])
    return [
        tuple(pair.base_turn) if follows_path(plane, pair) else (pose.angle, pose.scale)
        for pair, pose in zip(enabled, found, strict=True)
    ]


def wrapped(angle: float) -> float:
    """Return an angle between -pi and pi that is the same direction."""
    return math.remainder(angle, 2.0 * math.pi)


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

    The base of a pin is its place, whatever the plane shows.

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
        if pair.is_pin:
            continue
        if follows_path(plane, pair):
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


def in_drag(plane: Plane, pair: DRAGGAN_PG_pair) -> bool:
    """Return whether a running drag moves the handle of a pair."""
    return bool(plane.draggan.dragging and pair.slot >= 0)


def follows_path(plane: Plane, pair: DRAGGAN_PG_pair) -> bool:
    """Return whether a handle is on the path of the shown sequence, so that its base is stored.

    It is not after a person moved it away from the path, or removed the path's keys. During a drag,
    it is what it was when the drag began.
    """
    if not pair.has_base:
        return False
    if timing.is_retimed(plane):
        # A driver sets the location.
        return True
    place = pair.start if in_drag(plane, pair) else pair.handle.location
    frame = planes.scene_of(plane).frame_current_final
    for axis in (0, 1):
        path = compat.find_fcurve(pair.handle, "location", axis)
        if path is None or abs(path.evaluate(frame) - place[axis]) > MOVED:
            return False
    return True
