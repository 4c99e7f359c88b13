# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the offset of a marker's picture into a move of the point.

A point is an image empty. Blender's own gizmo for image empties drags the picture
(``empty_image_offset``) and leaves the object where it is, so that a person would see the marker
move and the drag would start from the old position.
"""

from __future__ import annotations

import bpy

from ..properties.owners import Plane
from . import planes, points

# The offset of a picture whose centre is the object's origin, in units of the picture's size.
_CENTRED = -0.5


def take_over(point: bpy.types.Object | None) -> bool:
    """Move a point to the middle of its picture, and centre the picture on it again.

    With automatic keying, the position is keyed, as it is after a move with Blender's own tools.

    Args:
        point: Any object. Nothing happens if it is not a point of a GAN image.

    Returns:
        Whether the picture had an offset.
    """
    if point is None or point.type != "EMPTY" or not planes.is_plane(point.parent):
        return False
    x, y = (offset - _CENTRED for offset in point.empty_image_offset)
    if not (x or y) or not points.is_point(point.parent, point):
        return False
    point.empty_image_offset = (_CENTRED, _CENTRED)
    point.location.x += x * point.empty_display_size
    point.location.y += y * point.empty_display_size
    if bpy.context.scene.tool_settings.use_keyframe_insert_auto:
        point.keyframe_insert("location")
    return True


def take_over_all(plane: Plane) -> None:
    """Do the same with all points of a plane: a file or a script may have left offsets."""
    for pair in plane.draggan.pairs:
        take_over(pair.handle)
        take_over(pair.target)
