# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of planes: making one, and making a copy independent of its original.

A copy that Blender has made (Shift-D, Ctrl-C and Ctrl-V) has the uuid of its original, shares its
material and its masks, and refers to the original's points unless they were copied with it.
"""

from __future__ import annotations

import uuid

import bpy
from mathutils import Vector

from .. import compat
from ..errors import EditError
from ..properties.owners import Plane
from . import mask_images, planes, timing

# The space between an image and its copy, in widths of the image.
_GAP = 0.1


def duplicate(context: bpy.types.Context, plane: Plane) -> Plane:
    """Add an independent copy of an image to the right of it, in a new collection.

    The copy has the latent, the track, the sequence, the history and the points with their
    animation. Both show the same files until one of them gets another result.

    Raises:
        EditError: The plane's mesh is missing.
    """
    if plane.data is None:
        raise EditError(f"{plane.name} has no mesh; make a new GAN image")
    copy = plane.copy()
    collection = bpy.data.collections.new(copy.name)
    context.scene.collection.children.link(collection)
    collection.objects.link(copy)
    separate(copy)
    step = Vector((plane.dimensions.x * (1.0 + _GAP), 0.0, 0.0))
    copy.location = copy.location + plane.matrix_world.to_quaternion() @ step
    return copy


def original_of(twins: list[Plane]) -> Plane:
    """Return which of the planes with one uuid is the original.

    It is the one whose points are its children; of several, the oldest of this session.
    """

    def order(plane: Plane) -> tuple[bool, int]:
        found = [point for pair in plane.draggan.pairs for point in (pair.handle, pair.target)]
        strange = any(point is not None and point.parent != plane for point in found)
        return strange, plane.session_uid

    return min(twins, key=order)


def is_partly_linked(plane: Plane) -> bool:
    """Return whether a plane that was made local has its mesh, material or points elsewhere."""
    slot = planes.slot_of(plane)
    parts = [plane.data, None if slot is None else slot.material]
    parts += [point for pair in plane.draggan.pairs for point in (pair.handle, pair.target)]
    return any(part is not None and part.library is not None for part in parts)


def separate(plane: Plane) -> None:
    """Make a copy an independent image with its own uuid, mesh, material, masks and points.

    Points that were copied with the plane are used; of the others, copies are made. A pair whose
    points were deleted is removed. Materials of other objects go on showing the original.
    """
    settings = plane.draggan
    settings.uuid = str(uuid.uuid4())
    settings.request_id = 0
    # The frame on the picture stays with the original.
    settings.own.board = settings.own.frame = None
    settings.uses.clear()
    mask_images.separate(plane)
    if plane.data.users > 1 or plane.data.library is not None:
        plane.data = plane.data.copy()
    slot = planes.slot_of(plane)
    if slot is not None:
        slot.material = slot.material.copy()
    _own_action(plane)
    for index in reversed(range(len(settings.pairs))):
        pair = settings.pairs[index]
        if pair.handle is None or pair.target is None:
            settings.pairs.remove(index)
            compat.remove_item_curves(plane, "draggan.pairs", index)
            continue
        pair.handle = _own_point(plane, pair.handle)
        pair.target = pair.handle if pair.is_pin else _own_point(plane, pair.target)
    timing.adopt(plane)
    plane.update_tag()


def _own_point(plane: Plane, point: bpy.types.Object) -> bpy.types.Object:
    """Return a point if it is a child of the plane, otherwise a copy that is one."""
    if point.parent == plane:
        return point
    copy = point.copy()
    copy.parent = plane
    for collection in plane.users_collection:
        collection.objects.link(copy)
    _own_action(copy)
    return copy


def _own_action(copy: bpy.types.Object) -> None:
    """Give a copied object its own keys: a copy shares its action with the original."""
    animation = copy.animation_data
    if animation is not None and animation.action is not None and animation.action.users > 1:
        animation.action = animation.action.copy()
