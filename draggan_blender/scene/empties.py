# SPDX-License-Identifier: GPL-3.0-or-later
"""The empties that mark handles, targets and pins: making them, and bringing deleted ones back.

They are children of the plane and are held on it. Their wire shapes are small, because the overlay
draws the points; without the overlay, and without this extension, the shapes are what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import bpy
from mathutils import Matrix

from ..properties.owners import Plane

# The offset of the picture of an image empty whose centre is the object's origin, in units of the
# picture's size.
_CENTRED = -0.5

# The images that the points of version 0.1 show.
_OLD_IMAGES = ("GAN Handle Marker", "GAN Target Marker")


class Kind(Enum):
    """What an empty marks; the value is the start of its name."""

    HANDLE = "Handle"
    TARGET = "Target"
    PIN = "Pin"


# The wire shape of a kind and its size in the plane's units, of which the longer side has two.
_SHAPES: dict[Kind, tuple[Any, float]] = {
    Kind.HANDLE: ("SPHERE", 0.02),
    Kind.TARGET: ("PLAIN_AXES", 0.035),
    Kind.PIN: ("CUBE", 0.015),
}


def make(
    plane: Plane, kind: Kind, number: int, place: Sequence[float], color: Sequence[float]
) -> bpy.types.Object:
    """Add an empty to the plane and to its collections.

    Args:
        plane: The GAN image.
        kind: What the empty marks.
        number: The number in its name.
        place: ``(x, y)`` in the plane's space.
        color: RGB in [0, 1], for views that show the colours of objects.
    """
    empty = bpy.data.objects.new(f"{kind.value} {number:03d}", None)
    for collection in plane.users_collection:
        collection.objects.link(empty)
    empty.color = (*color, 1.0)
    empty.show_in_front = True
    empty.parent = plane
    empty.matrix_parent_inverse = Matrix.Identity(4)
    empty.location[:2] = place
    _shape(empty, kind)
    hold: Any = empty.constraints.new("LIMIT_LOCATION")
    hold.name = "Hold on the Image"
    hold.owner_space = "LOCAL"
    hold.use_min_z = hold.use_max_z = True
    hold.min_z = hold.max_z = 0.0
    hold.use_transform_limit = True
    return empty


def _shape(empty: bpy.types.Object, kind: Kind) -> None:
    """Set the wire shape, and lock what would move the point off the image."""
    empty.empty_display_type, empty.empty_display_size = _SHAPES[kind]
    empty.lock_location = (False, False, True)
    # A region is turned about the plane's normal and scaled.
    empty.lock_rotation = (True, True, kind is Kind.PIN)
    empty.lock_scale = (kind is Kind.PIN,) * 3


def is_gone(point: bpy.types.Object | None, scene: bpy.types.Scene | None) -> bool:
    """Return whether a handle or target was deleted.

    Blender keeps a deleted object while a pair refers to it, but the object is then in no scene.
    """
    return point is None or scene is None or scene.objects.get(point.name) != point


def bring_back(plane: Plane, point: bpy.types.Object) -> None:
    """Link a deleted empty, which a pair still refers to, to the plane's collections again."""
    for collection in plane.users_collection:
        if collection.objects.get(point.name) != point:
            collection.objects.link(point)


def modernise(plane: Plane) -> None:
    """Convert the image empties of version 0.1, which Blender's gizmo could pull off their place.

    An offset of the picture becomes a move of the point. Images that no empty shows any more are
    removed from the file.
    """
    for pair in plane.draggan.pairs:
        for point, kind in ((pair.handle, Kind.HANDLE), (pair.target, Kind.TARGET)):
            if point is None or point.type != "EMPTY" or point.empty_display_type != "IMAGE":
                continue
            x, y = (offset - _CENTRED for offset in point.empty_image_offset)
            size = point.empty_display_size
            point.location.x += x * size
            point.location.y += y * size
            point.empty_image_offset = (_CENTRED, _CENTRED)
            point.data = None
            point.color = (*pair.color, 1.0)
            _shape(point, kind)
    for name in _OLD_IMAGES:
        image = bpy.data.images.get(name)
        if image is not None and image.users == 0:
            bpy.data.images.remove(image)
