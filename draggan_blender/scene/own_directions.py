# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions that a person makes of images: a difference, a drag, the style of another image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import bpy
import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from ..properties.sliders import DRAGGAN_PG_slider
from ..protocol.directions import Change, Direction
from ..protocol.pictures import decode_picture
from . import edits, history, kept_drags, models, planes, shown, sliders

# Changes below this part of the size of a latent's numbers are rounding.
_NOTHING = 1e-5


def from_images(plane: Plane, others: Sequence[Plane]) -> DRAGGAN_PG_slider:
    """Add a slider from the mean of other images to an image, at 0; at -1 the image is that mean.

    Raises:
        EditError: There is no other image, one has another model, or they are equal.
    """
    require_others(plane, others)
    start = np.mean([_latent(plane, other) for other in others], axis=0, dtype=np.float64)
    change = (sliders.base(plane) - start).astype(np.float32)
    if not _is_change(change):
        raise EditError("The images are equal; select another image")
    return sliders.add(plane, _whole(f"To {plane.name}", change))


def from_drag(plane: Plane) -> DRAGGAN_PG_slider:
    """Add a slider of what the last drag of an image has changed.

    It is at 1 in this image, and at 0 the image is as before the drag. What a drag with an exact
    mask has changed becomes a slider of the whole image, at 0.

    Raises:
        EditError: The image was not made by a drag, or the state before it was deleted.
    """
    state = history.active(plane)
    begun = None
    if state is not None and state.kind == "DRAG":
        begun = history.origin(plane, state)
    if state is None or begun is None:
        raise EditError(
            f"{plane.name} does not show the result of a drag, or the state before it was deleted; "
            "drag, or go to a drag in the History"
        )
    settings = plane.draggan
    names = {row.name for row in settings.sliders}
    name = next(text for n in itertools.count(1) if (text := f"Drag {n}") not in names)
    origin = _base_of(plane, begun)
    change = sliders.base(plane) - origin
    if _is_change(change):
        row = sliders.add(plane, _whole(name, change))
        sliders.set_shown(plane, row, 1.0)
        kept_drags.note(row, origin.astype("<f4").tobytes(), state.handles)
        return row
    index = settings.active_edit
    if not 0 <= index < len(settings.edits):
        raise EditError("The drag has changed nothing that a slider could repeat")
    edit = settings.edits[index]
    row = sliders.add(plane, _whole(edit.name, edits.change_of(plane, edit)))
    kept_drags.note(row, origin.astype("<f4").tobytes(), state.handles)
    return row


def style_of(plane: Plane, other: Plane) -> DRAGGAN_PG_slider:
    """Add a style: a slider to the latent of another image, in the finer half of the layers.

    Raises:
        EditError: The other image has no latent, another model, or is equal.
    """
    require_others(plane, [other])
    change = _latent(plane, other) - sliders.base(plane)
    if not _is_change(change):
        raise EditError("The images are equal; select another image")
    whole = _whole(f"Style of {other.name}", change)
    row = sliders.add(plane, whole, kind="STYLE")
    row.first, row.strength = (len(change) + 1) // 2, 1.0
    return row


def back_to(plane: Plane, latent: bytes, distance: float) -> DRAGGAN_PG_slider:
    """Add a slider from an image to a latent that is like those of the model, at 0.

    Args:
        plane: The GAN image.
        latent: ``num_ws x w_dim`` float32, little-endian.
        distance: How far the image is from the mean of W, 1 for a usual image; for the name.

    Raises:
        EditError: The image cannot be read, or is the same.
    """
    change = _base_of(plane, latent) - sliders.base(plane)
    if not _is_change(change):
        raise EditError(f"{plane.name} is like the model's own images already")
    return sliders.add(plane, _whole(f"Pull Back from {distance:.1f}", change), kind="STYLE")


def swap_style(plane: Plane, row: DRAGGAN_PG_slider) -> None:
    """Exchange structure and texture: a style gets the layers that it did not have.

    Raises:
        EditError: The style has all layers, or its layers begin and end between others.
    """
    last = sliders.num_ws(plane) - 1
    if row.first > 0 and row.last >= last:
        row.last, row.first = row.first - 1, 0
    elif row.first == 0 and row.last < last:
        row.first, row.last = row.last + 1, last
    else:
        raise EditError(
            f"{row.name} has the layers {row.first} to {row.last}; to be swapped, they must begin "
            f"at 0 or end at {last}, but not both"
        )


def require_others(plane: Plane, others: Sequence[Plane]) -> None:
    """Refuse other images that have nothing to share with an image.

    Raises:
        EditError: There is no other image, or one has no latent or another model.
    """
    if not others:
        raise EditError(f"Select another GAN image as well, and {plane.name} last")
    for other in others:
        settings = other.draggan
        if not settings.latent:
            raise EditError(f"{other.name} has no image yet; wait for it")
        if models.base_of(other) != models.base_of(plane):
            raise EditError(
                f"{other.name} has another model than {plane.name}; choose images of one model"
            )


def others(plane: Plane, objects: Sequence[bpy.types.Object]) -> list[Plane]:
    """Return the GAN images among objects, except one."""
    return [one for one in objects if planes.is_plane(one) and one != plane]


def _latent(plane: Plane, other: Plane) -> Change:
    """Return the latent of the whole image that another plane shows, ``num_ws x w_dim``."""
    return _base_of(plane, shown.latent(other))


def _base_of(plane: Plane, picture: bytes) -> Change:
    try:
        latent = decode_picture(picture).latent
    except ValueError as error:
        raise EditError(f"The image cannot be read ({error})") from None
    values = np.frombuffer(latent, "<f4").reshape(-1, plane.draggan.w_dim)
    return values.astype(np.float32)


def _is_change(change: Change) -> bool:
    return bool(np.abs(change).max() > _NOTHING)


def _whole(name: str, change: Change) -> Direction:
    return Direction(name=name, change=change, first=0, last=len(change) - 1)
