# SPDX-License-Identifier: GPL-3.0-or-later
"""From a position in a 3D view to a place on a GAN image, and back.

Positions are ``(x, y)`` in px of the view's region, origin bottom left; they may be outside the
region, as those of a mouse that has left it during a gesture. They work in views in perspective and
in orthographic ones, and for planes that are turned, scaled or mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import bpy
from bpy_extras import view3d_utils
from mathutils import Vector

from ..errors import EditError
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from . import pair_images, planes, view

# A plane that is seen at a smaller angle takes no presses. At 3 degrees, a px of the view is 19 px
# of an image that faces the viewer, and an image of 500 px is 26 px high, as much as the reach of
# the mouse to one point: no press on it could mean one place.
_LEAST_SINE = math.sin(math.radians(3.0))


class Place(NamedTuple):
    """A place on a plane under a position in a view.

    Attributes:
        uv: ``(u, v)``; it may be outside the image.
        depth: How far it is from where the view's ray starts, in Blender's units.
    """

    uv: tuple[float, float]
    depth: float


def place_at(
    plane: Plane,
    region: bpy.types.Region,
    region_3d: bpy.types.RegionView3D,
    position: Sequence[float],
) -> Place | None:
    """Return the place of a plane, extended without end, under a position.

    Args:
        plane: The GAN image.
        region: The region of a 3D view.
        region_3d: Its view.
        position: ``(x, y)`` px.

    Returns:
        The place, or None if the plane is seen there from its edge, at less than 3 degrees, or
        is behind the viewer.

    Raises:
        EditError: The mesh has no UVs, or the UVs are not flat.
    """
    hit = _hit(plane, region, region_3d, position)
    if hit is None:
        return None
    u, v = view.local_to_uv(planes.uv_map(plane), [hit.local])[0]
    return Place((float(u), float(v)), hit.depth)


class _Hit(NamedTuple):
    """Where the view's ray meets the plane z = 0 of an object.

    Attributes:
        local: ``(x, y)`` in the object's local space.
        depth: See ``Place``.
    """

    local: tuple[float, float]
    depth: float


def _hit(
    flat: bpy.types.Object,
    region: bpy.types.Region,
    region_3d: bpy.types.RegionView3D,
    position: Sequence[float],
) -> _Hit | None:
    at: Any = tuple(position)
    origin = view3d_utils.region_2d_to_origin_3d(region, region_3d, at)
    direction = view3d_utils.region_2d_to_vector_3d(region, region_3d, at)
    to_local: Any = flat.matrix_world.inverted_safe()
    start, along = to_local @ origin, to_local.to_3x3() @ direction
    # In world space, where scales do not change the angle: row z is along the plane's normal.
    upright = to_local[2].to_3d().length * direction.length
    if abs(along.z) <= max(_LEAST_SINE * upright, 1e-9 * along.length):
        return None
    distance = -start.z / along.z
    # An orthographic view has no viewer: what is behind the start of the ray is seen as well.
    if distance < 0.0 and region_3d.is_perspective:
        return None
    hit = start + along * distance
    return _Hit((hit.x, hit.y), distance)


def local_at(
    flat: bpy.types.Object,
    region: bpy.types.Region,
    region_3d: bpy.types.RegionView3D,
    position: Sequence[float],
) -> tuple[float, float] | None:
    """Return ``(x, y)`` in the local space of a flat object that lies under a position, or None.

    The object is taken as its plane z = 0, without an end; otherwise this is as ``place_at``.
    """
    hit = _hit(flat, region, region_3d, position)
    return None if hit is None else hit.local


def uv_at(
    plane: Plane,
    region: bpy.types.Region,
    region_3d: bpy.types.RegionView3D,
    position: Sequence[float],
) -> tuple[float, float] | None:
    """Return the uv of ``place_at``."""
    place = place_at(plane, region, region_3d, position)
    return None if place is None else place.uv


def plane_at(
    context: bpy.types.Context,
    region: bpy.types.Region,
    region_3d: bpy.types.RegionView3D,
    position: Sequence[float],
) -> Plane | None:
    """Return the nearest visible GAN image under a position, or None.

    Objects that are not GAN images do not hide one: a person who pulls at an image means it.
    """
    space: Any = context.space_data
    found: list[tuple[float, Plane]] = []
    for candidate in context.view_layer.objects:
        if not planes.is_plane(candidate) or not candidate.visible_get(viewport=space):
            continue
        try:
            place = place_at(candidate, region, region_3d, position)
        except EditError:
            continue
        if place is not None and view.inside([place.uv])[0]:
            found.append((place.depth, candidate))
    return min(found, key=lambda entry: entry[0])[1] if found else None


def to_region(
    region: bpy.types.Region, region_3d: bpy.types.RegionView3D, world: Sequence[float]
) -> tuple[float, float] | None:
    """Return the position of a place in world space, ``(x, y)`` px, or None if it is behind."""
    position = view3d_utils.location_3d_to_region_2d(region, region_3d, Vector(world))
    return None if position is None else (position.x, position.y)


class FoundPoint(NamedTuple):
    """A point of a GAN image under a position in a view.

    Attributes:
        plane: Its image.
        number: The index of its pair.
        name: ``handle`` or ``target``; a pin is a handle.
        position: Where it is seen, ``(x, y)`` px of the region.
    """

    plane: Plane
    number: int
    name: str
    position: tuple[float, float]


def point_at(
    context: bpy.types.Context,
    region: bpy.types.Region,
    region_3d: bpy.types.RegionView3D,
    position: Sequence[float],
    reach_px: float,
    *,
    passes_left: bool = False,
) -> FoundPoint | None:
    """Return the visible point nearest to a position, or None.

    A target counts before its handle where both are at the same place, as after a drag. Points of
    an image that is seen from its edge, as in ``place_at``, are left out.

    Args:
        context: Its view layer and its view are searched.
        region: The region of a 3D view.
        region_3d: Its view.
        position: ``(x, y)`` px.
        reach_px: How far from the position a point may be.
        passes_left: Whether the points of pairs that are off because they belong to another image
            are passed over.
    """
    space: Any = context.space_data
    best, nearest = None, reach_px
    for plane in context.view_layer.objects:
        if not planes.is_plane(plane) or not plane.visible_get(viewport=space):
            continue
        for index, pair in enumerate(plane.draggan.pairs):
            if passes_left and pair_images.is_left(pair):
                continue
            for name, point in _visible_points(context, pair):
                seen = to_region(region, region_3d, point.matrix_world.translation)
                # The target of a pair wins over the handle by a px, for the noise of floats.
                if seen is None or math.dist(seen, position) >= nearest - (name == "handle"):
                    continue
                if _hit(plane, region, region_3d, seen) is None:
                    continue
                best, nearest = FoundPoint(plane, index, name, seen), math.dist(seen, position)
    return best


def _visible_points(context: bpy.types.Context, pair: DRAGGAN_PG_pair) -> list[tuple[str, Any]]:
    """Return the points of a pair that a view shows, by ``target`` and ``handle``."""
    space: Any = context.space_data
    named = [("handle", pair.handle)]
    if not pair.is_pin:
        named.insert(0, ("target", pair.target))
    objects = context.view_layer.objects
    return [
        (name, point)
        for name, point in named
        if point is not None and point.name in objects and point.visible_get(viewport=space)
    ]


def view_index(area: Any, x: int, y: int) -> int | None:
    """Return which view of a 3D view's area has a position; a quad view has four.

    The sidebar and headers may lie over the view: what is under them is not in it. The toolbar
    covers only what its buttons cover.

    Args:
        area: The area.
        x: The horizontal position in the window, px from the left.
        y: The vertical position, px from the bottom.
    """
    bars = [region for region in area.regions if region.type not in {"WINDOW", "TOOLS"}]
    if any(_has(bar, x, y) for bar in bars):
        return None
    views = enumerate(_view_regions(area))
    return next((index for index, region in views if _has(region, x, y)), None)


def _has(region: Any, x: int, y: int) -> bool:
    """Return whether a region has a position; one that is hidden is a pixel wide."""
    is_inside = 0 <= x - region.x < region.width and 0 <= y - region.y < region.height
    return bool(is_inside and min(region.width, region.height) > 1)


def view_of(area: Any, index: int | None) -> tuple[Any, Any] | None:
    """Return a view of an area: its ``Region`` and ``RegionView3D``; None if it does not exist."""
    if index is None or area is None or area.type != "VIEW_3D":
        return None
    regions, space = _view_regions(area), area.spaces.active
    quads = list(space.region_quadviews)
    if index >= len(regions):
        return None
    is_quad = len(quads) == len(regions) > 1
    return regions[index], quads[index] if is_quad else space.region_3d


def _view_regions(area: Any) -> list[Any]:
    return [region for region in area.regions if region.type == "WINDOW"]
