# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the pairs of a drag: where their points are on the image at the current frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import bpy
import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from . import evaluating, placing, planes
from .points import enabled_pairs, key_of, missing


class PlacedPair(NamedTuple):
    """A pair and its positions at one frame.

    Attributes:
        pair: The pair.
        handle_px: Where the handle is, ``(x, y)`` in image pixels.
        target_px: Where the handle should go, given the influence; likewise.
        radius_px: The radius of a region, 0 for a point. A handle that was scaled has a larger one.
        angle: How far a region should be turned, radians, counter-clockwise in the image. While
            a drag is running, it is measured from the start of the drag, otherwise from the handle.
        scale: The factor by which a region should be scaled, measured likewise.
    """

    pair: DRAGGAN_PG_pair
    handle_px: tuple[float, float]
    target_px: tuple[float, float]
    radius_px: float
    angle: float
    scale: float


def read_pairs(
    context: bpy.types.Context,
    plane: Plane,
    held: Mapping[int, tuple[float, float]] = MappingProxyType({}),
) -> list[PlacedPair]:
    """Return the enabled pairs with their positions at the current frame.

    Args:
        context: The Blender context.
        plane: The GAN image.
        held: Places of targets that count instead of those in the scene, ``(x, y)`` in the plane's
            space, by the keys of their pairs.

    Raises:
        EditError: No pair is enabled, or a point was deleted, is outside the image or has no size.
    """
    enabled = enabled_pairs(plane)
    found = zip(enabled, *_poses_of_all(context, plane, enabled), strict=True)
    return [_placed(plane, pair, handle, target, held) for pair, handle, target in found]


def read_usable(
    context: bpy.types.Context,
    plane: Plane,
    held: Mapping[int, tuple[float, float]] = MappingProxyType({}),
) -> list[tuple[DRAGGAN_PG_pair, PlacedPair | None]]:
    """Return the enabled pairs whose points exist, with their positions at the current frame.

    Args:
        context: The Blender context.
        plane: The GAN image.
        held: As for ``read_pairs``.

    Returns:
        Each pair, and its positions; None where a point is outside the image or has no size, or
        where Blender does not evaluate the target. This is for handlers of updates, which must
        cause none; see ``evaluating``.

    Raises:
        EditError: The plane is in no scene, or has no size.
    """
    scene = planes.scene_of(plane)
    present = [pair for pair in plane.draggan.pairs if pair.enabled and not missing(pair, scene)]
    found: list[tuple[DRAGGAN_PG_pair, PlacedPair | None]] = []
    view_layer = _view_layer(context, scene)
    poses_found = _poses_of(context, plane, present)
    for pair, handle, target in zip(present, *poses_found, strict=True):
        is_held = key_of(plane, pair) in held
        if not is_held and not evaluating.is_evaluated(view_layer, pair.target):
            found.append((pair, None))
            continue
        try:
            found.append((pair, _placed(plane, pair, handle, target, held)))
        except EditError:
            found.append((pair, None))
    return found


def _poses_of(
    context: bpy.types.Context, plane: Plane, pairs: Sequence[DRAGGAN_PG_pair]
) -> tuple[list[placing.Pose], list[placing.Pose]]:
    """Return the poses of handles and of targets at the current frame."""
    depsgraph = context.evaluated_depsgraph_get()
    handles = placing.poses(depsgraph, plane, [pair.handle for pair in pairs])
    return handles, placing.poses(depsgraph, plane, [pair.target for pair in pairs])


def _poses_of_all(
    context: bpy.types.Context, plane: Plane, pairs: Sequence[DRAGGAN_PG_pair]
) -> tuple[list[placing.Pose], list[placing.Pose]]:
    """Return the poses as ``_poses_of`` does, also of points that Blender does not evaluate."""
    scene = planes.scene_of(plane)
    view_layer = _view_layer(context, scene)
    items = [plane, *(point for pair in pairs for point in (pair.handle, pair.target))]
    stale = [item for item in items if not evaluating.is_evaluated(view_layer, item)]
    if not stale:
        return _poses_of(context, plane, pairs)
    with evaluating.evaluated(scene, stale):
        return _poses_of(context, plane, pairs)


def _view_layer(context: bpy.types.Context, scene: bpy.types.Scene) -> bpy.types.ViewLayer:
    """Return the view layer in which a plane of a scene is seen."""
    shown = context.view_layer if context.scene == scene else None
    return scene.view_layers[0] if shown is None else shown


def _placed(
    plane: Plane,
    pair: DRAGGAN_PG_pair,
    handle: placing.Pose,
    target: placing.Pose,
    held: Mapping[int, tuple[float, float]],
) -> PlacedPair:
    """Return where a pair is on the image.

    Raises:
        EditError: A point is outside the image or has no size.
    """
    base = tuple(pair.base) if placing.follows_path(plane, pair) else _start(plane, pair, handle)
    place = held.get(pair.key, target.place)
    wanted = handle.place if pair.is_pin else placing.mix(base, place, pair.influence)
    handle_px, wanted_px = placing.to_px(plane, np.array([handle.place, wanted]))
    for point, point_px in ((pair.handle, handle_px), (pair.target, wanted_px)):
        if not np.isfinite(point_px).all():
            raise EditError(f"{point.name} is outside the image; move it onto the plane")
    region = _region(plane, pair, handle, target)
    return PlacedPair(pair, tuple(handle_px.tolist()), tuple(wanted_px.tolist()), *region)


def _start(plane: Plane, pair: DRAGGAN_PG_pair, handle: placing.Pose) -> tuple[float, float]:
    """Return from where the influence of a pair without a path counts."""
    return tuple(pair.start) if placing.in_drag(plane, pair) else handle.place


def _region(
    plane: Plane, pair: DRAGGAN_PG_pair, handle: placing.Pose, target: placing.Pose
) -> tuple[float, float, float]:
    """Return the radius in image pixels, the angle and the scale of a pair.

    Raises:
        EditError: Handle or target has no size.
    """
    if pair.is_pin or not pair.radius:
        return 0.0, 0.0, 1.0
    angle, scale = handle.angle, handle.scale
    if placing.in_drag(plane, pair):
        angle, scale = pair.start_turn
    base_angle, base_scale = pair.base_turn if placing.follows_path(plane, pair) else (angle, scale)
    if min(target.scale, base_scale, scale) <= placing.LEAST_SCALE:
        raise EditError(f"{pair.name}: a point has no size; clear its scale with Alt-S")
    wanted = base_angle + pair.influence * placing.wrapped(target.angle - base_angle)
    grown = base_scale * (target.scale / base_scale) ** pair.influence
    turned = placing.turning_sign(plane) * placing.wrapped(wanted - angle)
    return pair.radius * scale * placing.px_per_unit(plane), turned, grown / scale
