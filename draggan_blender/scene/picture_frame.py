# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture beside a GAN image, and the frame on it: two empties that a person can move.

The *board* is an image empty that shows the picture. The *frame* is its child, an empty in the form
of a square, which is moved, turned and scaled like any object. What it encloses is the part of the
picture that the model's image is.
"""

from __future__ import annotations

import math
from typing import Any

import bpy
from mathutils import Matrix

from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.own_picture import Alignment

# The longer side of the board in its own units, as of a plane.
_BOARD = 2.0
# The space between the image and the board, in the plane's units.
_GAP = 0.2
# The frame is flat, but an empty with a scale of 0 cannot be turned.
_FLAT = 1e-3
# What was found of a picture, except the latent, which the history stores once for all its states.
_FOUND = (
    "centre_px",
    "angle",
    "size_px",
    "coverage",
    "sentence",
    "untuned_kind",
    "untuned_path",
    "untuned_sha256",
    "tuned_path",
    "tuned_sha256",
)


def show(plane: Plane) -> None:
    """Put the board and the frame of a plane's picture into the scene, or bring them back.

    Raises:
        EditError: The image was not made from a picture, or the picture was deleted.
    """
    own = plane.draggan.own
    picture = require_picture(plane)
    frame = _alignment(plane)
    if _is_gone(plane, own.board):
        own.board = _board(plane, picture)
    if _is_gone(plane, own.frame):
        own.frame = _frame(plane, own.board)
    own.board.data = picture
    place(plane, frame)


def hide(plane: Plane) -> None:
    """Remove the board and the frame from the file."""
    own = plane.draggan.own
    for empty in (own.frame, own.board):
        if empty is not None:
            bpy.data.objects.remove(empty)


def is_shown(plane: Plane) -> bool:
    """Return whether the frame of a plane is in the scene."""
    own = plane.draggan.own
    return not (_is_gone(plane, own.board) or _is_gone(plane, own.frame))


def place(plane: Plane, alignment: Alignment) -> None:
    """Move the frame, if it is shown, to where an alignment is."""
    own = plane.draggan.own
    if not is_shown(plane):
        return
    width, height = own.picture.size
    unit = _BOARD / max(width, height)
    x, y = alignment.centre_px
    half = alignment.size_px * unit / 2.0
    own.frame.location = ((x - width / 2) * unit, (height / 2 - y) * unit, 0.0)
    own.frame.rotation_euler = (0.0, 0.0, alignment.angle)
    own.frame.scale = (half, half, _FLAT)


def read(plane: Plane) -> Alignment:
    """Return the frame as the person has placed it, or the last one if it is not shown.

    Raises:
        EditError: The image was not made from a picture, or the frame is not on it.
    """
    own = plane.draggan.own
    picture = require_picture(plane)
    if not is_shown(plane):
        return _alignment(plane)
    width, height = picture.size
    unit = _BOARD / max(width, height)
    inside: Matrix = own.board.matrix_world.inverted_safe() @ own.frame.matrix_world
    right = inside.to_3x3().col[0]
    size_px = 2.0 * max(inside.to_3x3().col[axis].xy.length for axis in (0, 1)) / unit
    x, y = inside.translation.x / unit + width / 2, height / 2 - inside.translation.y / unit
    if not (0 <= x <= width and 0 <= y <= height) or size_px < 8.0:
        raise EditError(
            f"The frame {own.frame.name} is not on the picture; move it there, or press Whole"
        )
    return Alignment(centre_px=(x, y), angle=math.atan2(right.y, right.x), size_px=size_px)


def board_px(plane: Plane, local: tuple[float, float]) -> tuple[float, float] | None:
    """Return the pixel of the picture at a place of its board, or None beside the picture.

    Args:
        plane: A GAN image whose frame is shown.
        local: ``(x, y)`` in the local space of the board.
    """
    width, height = plane.draggan.own.picture.size
    unit = _BOARD / max(width, height)
    x, y = local[0] / unit + width / 2, height / 2 - local[1] / unit
    return (x, y) if 0 <= x <= width and 0 <= y <= height else None


def whole(width: int, height: int) -> Alignment:
    """Return the largest upright square in the middle of a picture of this size in pixels."""
    return Alignment(
        centre_px=(width / 2, height / 2), angle=0.0, size_px=float(min(width, height))
    )


def require_picture(plane: Plane) -> bpy.types.Image:
    """Return the picture that an image was made from.

    Raises:
        EditError: It was not made from a picture, or its picture was deleted or cannot be read.
    """
    picture: bpy.types.Image | None = plane.draggan.own.picture
    if picture is None or not all(picture.size):
        raise EditError(
            f"{plane.name} was not made from a picture, or its picture is missing; "
            "use Image from Picture"
        )
    return picture


def store(plane: Plane, alignment: Alignment) -> None:
    """Store the frame that the latent belongs to, and move the empty there."""
    own = plane.draggan.own
    own.centre_px, own.angle = alignment.centre_px, alignment.angle
    own.size_px = alignment.size_px
    place(plane, alignment)


def stored(plane: Plane) -> Alignment:
    """Return the frame that the latent belongs to.

    Raises:
        EditError: There is none.
    """
    own = plane.draggan.own
    if not own.size_px:
        raise EditError(f"{plane.name} was not made from a picture; use Image from Picture")
    x, y = own.centre_px
    return Alignment(centre_px=(x, y), angle=own.angle, size_px=own.size_px)


def copy_found(source: Any, target: Any) -> None:
    """Copy what was found of a picture, except the latent, between an image and a state.

    Args:
        source: A ``DRAGGAN_PG_own_picture`` or a ``DRAGGAN_PG_found_picture``.
        target: The other one.
    """
    for name in _FOUND:
        setattr(target, name, getattr(source, name))


def restore(plane: Plane, found: Any, latent: str) -> None:
    """Bring back what was found of a picture, and move the frame there.

    Args:
        plane: The GAN image.
        found: The ``DRAGGAN_PG_found_picture`` of a state that has a frame.
        latent: The latent that was found, as base64.
    """
    copy_found(found, plane.draggan.own)
    plane.draggan.own.latent = latent
    place(plane, stored(plane))


def _alignment(plane: Plane) -> Alignment:
    own = plane.draggan.own
    return stored(plane) if own.size_px else whole(*own.picture.size)


def _board(plane: Plane, picture: bpy.types.Image) -> bpy.types.Object:
    """Add the board to the left of the plane, turned as it is."""
    board = bpy.data.objects.new(f"{plane.name} Picture", None)
    for collection in plane.users_collection:
        collection.objects.link(board)
    board.empty_display_type = "IMAGE"
    board.empty_display_size = _BOARD
    shown: Any = board
    shown.data = picture
    width, height = picture.size
    half = _BOARD / 2 * width / max(width, height)
    corners: Any = plane.bound_box
    left = min(corner[0] for corner in corners)
    board.matrix_world = plane.matrix_world @ Matrix.Translation((left - _GAP - half, 0.0, 0.0))
    return board


def _frame(plane: Plane, board: bpy.types.Object) -> bpy.types.Object:
    frame = bpy.data.objects.new(f"{plane.name} Frame", None)
    for collection in plane.users_collection:
        collection.objects.link(frame)
    frame.empty_display_type = "CUBE"
    frame.empty_display_size = 1.0
    frame.show_in_front = True
    frame.parent = board
    frame.matrix_parent_inverse = Matrix.Identity(4)
    frame.lock_location = (False, False, True)
    frame.lock_rotation = (True, True, False)
    frame.lock_scale = (False, False, True)
    return frame


def _is_gone(plane: Plane, empty: bpy.types.Object | None) -> bool:
    """Return whether an empty was deleted; Blender keeps it while the image refers to it."""
    return empty is None or not empty.users_scene or empty.users_scene[0] not in plane.users_scene
