# SPDX-License-Identifier: GPL-3.0-or-later
"""The area around selected points, as the shape of a mask."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from . import empties, mask_shapes, placing, planes, points, view
from .mask_shapes import Mask

# The radius around points whose pair has no radius, in the plane's units; its longer side has two.
DEFAULT_RADIUS = 0.25


def around_points(context: bpy.types.Context, plane: Plane, width: int, height: int) -> Mask:
    """Return a shape around the selected pairs: from each handle to its target.

    A pair is selected if its handle or its target is. If no point is selected, the pair that is
    active in the list is used.

    Args:
        context: Its view layer has the selection and the places of the points.
        plane: The GAN image.
        width: The shape's width in pixels.
        height: Its height.

    Raises:
        EditError: There is no pair, or all selected points were deleted.
    """
    depsgraph = context.evaluated_depsgraph_get()
    segments = []
    for pair in _chosen(context, plane):
        ends = [
            point
            for point in (pair.handle, pair.target)
            if not empties.is_gone(point, context.scene)
        ]
        if ends:
            found = placing.places(depsgraph, plane, ends)
            segments.append((found[0], found[-1], pair.radius or DEFAULT_RADIUS))
    if not segments:
        raise EditError("There are no points to mask around; add a pair of points, or select one")
    corners = view.uv_to_local(planes.uv_map(plane), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
    uv_to_local = np.array([corners[1] - corners[0], corners[2] - corners[0], corners[0]])
    return mask_shapes.strips(segments, width, height, uv_to_local)


def _chosen(context: bpy.types.Context, plane: Plane) -> list[Any]:
    pairs = list(plane.draggan.pairs)
    selected = {item for item in context.view_layer.objects if item.select_get()}
    chosen = [pair for pair in pairs if selected & {pair.handle, pair.target}]
    active = points.active_pair(plane)
    return chosen or ([] if active is None else [active])
