# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a new image is put: in sight, upright or facing the view, beside what is there.

A plane of 2 x 2 units is assumed, which is what a new image is, or a little more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector
from numpy.typing import NDArray

from ..properties.owners import Plane

# Half the side of a new plane, and the free space around it.
_HALF, _GAP = 1.0, 0.2
# How far to the side a free place is searched for; a floor or a sky is wider.
_FARTHEST = 20.0
# The types of objects that can hide an image. The others, such as lights, have no surface.
_SOLID = frozenset(
    {"MESH", "CURVE", "SURFACE", "META", "FONT", "VOLUME", "POINTCLOUD", "GPENCIL", "GREASEPENCIL"}
)
# An orthographic view along an axis of the world may be off by this, as a cosine.
_ALONG = 0.9999

Axes = NDArray[np.float64]
Boxes = list[tuple[Axes, Axes]]


@dataclass(frozen=True)
class Place:
    """A location in world units and an XYZ Euler rotation."""

    location: tuple[float, float, float]
    rotation: tuple[float, float, float]


# A view is from above or below if its direction is steeper than this, as a sine.
_STEEP = 0.8
# The turn of an image about the vertical is a multiple of this, in degrees.
_TURN_STEP = 5.0


def find(context: bpy.types.Context, view: Any) -> Place:
    """Return a place for a new plane, where nothing else is.

    In an orthographic view along an axis, the plane faces the view. Otherwise it stands upright and
    is turned towards the viewer; if the view is from above or below, it lies. Without a view it
    faces -Y.

    Args:
        context: Its scene gets the plane.
        view: A ``RegionView3D``, or None if no 3D view is known.
    """
    scene = context.scene
    assert scene is not None  # a window always has one
    rotation = _rotation(view)
    axes = np.array(rotation.to_matrix())
    start = np.array(scene.cursor.location) @ axes
    found = _free(start, list(_boxes(context, axes)))
    location = axes @ found
    return Place(
        (float(location[0]), float(location[1]), float(location[2])),
        (rotation.x, rotation.y, rotation.z),
    )


def is_in_sight(context: bpy.types.Context, area: Any, plane: Plane) -> bool:
    """Return whether a 3D view shows all of a plane, large enough and not from its edge.

    Args:
        context: Its dependency graph is brought up to date.
        area: A 3D view.
        plane: The GAN image.
    """
    context.view_layer.update()
    region = window_region(area)
    view = area.spaces.active.region_3d
    corners = [plane.matrix_world @ vertex.co for vertex in plane.data.vertices]
    seen = np.array([_on_screen(region, view, corner) for corner in corners])
    left, right = _covered(area)
    if not np.isfinite(seen).all():
        return False
    low, high = seen.min(axis=0), seen.max(axis=0)
    inside = low[0] >= left and high[0] <= region.width - right
    inside = inside and low[1] >= 0 and high[1] <= region.height
    least = min(region.width, region.height) / 8.0
    return bool(inside and ((high - low) >= least).all())


def window_region(area: Any) -> Any:
    """Return the region of a 3D view that shows the scene."""
    return next(region for region in area.regions if region.type == "WINDOW")


def view_area(context: bpy.types.Context) -> Any | None:
    """Return the 3D view that a person works in: that of the context, or the window's largest."""
    area = context.area
    if area is not None and area.type == "VIEW_3D":
        return area
    if context.window is None:
        return None
    found = [area for area in context.window.screen.areas if area.type == "VIEW_3D"]
    return max(found, key=lambda area: area.width * area.height, default=None)


def _rotation(view: Any) -> Euler:
    if view is None:
        return Euler((np.pi / 2.0, 0.0, 0.0))
    facing: Matrix = view.view_rotation.to_matrix()
    if view.view_perspective == "ORTHO" and _is_along_axes(facing):
        return facing.to_euler()
    right, height = facing.col[0], facing.col[2].z
    turn = np.radians(round(np.degrees(np.arctan2(right.y, right.x)) / _TURN_STEP) * _TURN_STEP)
    if abs(height) < _STEEP:
        return Euler((np.pi / 2.0, 0.0, turn))
    return Euler((0.0 if height > 0.0 else np.pi, 0.0, turn))


def _is_along_axes(rotation: Matrix) -> bool:
    return bool((np.abs(np.array(rotation)).max(axis=0) > _ALONG).all())


def _boxes(context: bpy.types.Context, axes: Axes) -> Iterable[tuple[Axes, Axes]]:
    """Yield the boxes of all visible surfaces, in the coordinates of a plane with these axes."""
    context.view_layer.update()
    for item in context.view_layer.objects:
        is_picture = item.type == "EMPTY" and item.empty_display_type == "IMAGE"
        is_marker = is_picture and item.parent is not None
        is_group = item.type == "EMPTY" and item.instance_type == "COLLECTION"
        is_solid = item.type in _SOLID or (is_picture and not is_marker) or is_group
        if not is_solid or not item.visible_get():
            continue
        world = np.array(item.matrix_world)
        corners = np.array(item.bound_box) @ world[:3, :3].T + world[:3, 3]
        seen = corners @ axes
        yield seen.min(axis=0), seen.max(axis=0)


def _free(start: Axes, boxes: Boxes) -> Axes:
    """Return a free place: at the start, else to its right, else above it."""
    for axis in (0, 1):
        place = start.copy()
        while (box := _hit(place, boxes)) is not None:
            place[axis] = box[1][axis] + _GAP + _HALF
            if place[axis] - start[axis] > _FARTHEST:
                break
        else:
            return place
    return start


def _hit(place: Axes, boxes: Boxes) -> tuple[Axes, Axes] | None:
    """Return a box that a plane in this place would touch."""
    reach = _HALF + _GAP - 1e-4
    for low, high in boxes:
        if (place + reach > low).all() and (place - reach < high).all():
            return low, high
    return None


def _on_screen(region: Any, view: Any, point: Vector) -> tuple[float, float]:
    """Return a point of the scene in px of a region; NaN behind the viewer."""
    clip = view.perspective_matrix @ Vector((*point, 1.0))
    if clip.w <= 0.0:
        return (np.nan, np.nan)
    return (
        region.width * (0.5 + 0.5 * clip.x / clip.w),
        region.height * (0.5 + 0.5 * clip.y / clip.w),
    )


def _covered(area: Any) -> tuple[int, int]:
    """Return how many px of a 3D view the toolbar and the sidebar cover, left and right."""
    widths = {region.type: region.width for region in area.regions if region.width > 1}
    if not bpy.context.preferences.system.use_region_overlap:
        return 0, 0
    return widths.get("TOOLS", 0), widths.get("UI", 0)
