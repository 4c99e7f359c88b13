# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a mask that is painted or filled: making it, writing its pixels, keeping them.

Blender's undo does not contain pixels that Python writes. It does contain those of its own operator
*Invert Channels*, with the image as that operator leaves it. So ``write`` calls it twice, for the
alpha channel, which masks do not use, and writes the pixels in between. The state between the two
calls is an undo step that a person should not see: ``is_between_steps`` recognises it, and
``ui.mask_watch`` steps over it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import bpy
import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from . import planes
from .mask_shapes import Mask

# Digests of the pixels between the two steps of ``write``. They stay valid as long as Blender runs.
_between: set[bytes] = set()

# Name of a mask -> its pixels, while Blender undoes or redoes a step.
_held: dict[str, Any] = {}


def create(plane: Plane, levels: Mask | None = None) -> bpy.types.Image:
    """Make a mask of the image's size, packed into the .blend, and use it for the plane.

    Args:
        plane: A GAN image with a size.
        levels: ``H x W`` in [0, 1]; white, so that everything may change, if None.
    """
    width, height = plane.draggan.size
    image = bpy.data.images.new(f"{plane.name} Mask", width, height, alpha=False)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.ones((height, width, 4), dtype=np.float32)
    if levels is not None:
        pixels[:, :, :3] = levels[:, :, None]
    _set_pixels(image, pixels)
    image.pack()
    plane.draggan.mask = image
    return image


def require_editable(plane: Plane) -> bpy.types.Image | None:
    """Return the mask of a plane if its pixels can be changed, or None if the plane has no mask.

    Raises:
        EditError: The mask is not a single image, is linked, or has no pixels.
    """
    mask: bpy.types.Image | None = plane.draggan.mask
    if mask is None:
        return None
    if mask.source not in ("FILE", "GENERATED"):
        raise EditError(
            f"The mask {mask.name} is not a single image; paint its files elsewhere, or remove it "
            "in the Mask panel to start a new mask"
        )
    if mask.library is not None:
        raise EditError(
            f"The mask {mask.name} is linked from another file; make it local, or remove it in the "
            "Mask panel"
        )
    if not all(mask.size) or mask.channels != 4:
        raise EditError(
            f"The mask {mask.name} has no pixels that can be painted; reload its file, or remove "
            "it in the Mask panel"
        )
    return mask


def levels(image: bpy.types.Image) -> Mask:
    """Return how much may change, ``H x W`` in [0, 1], bottom row first; painted pixels count."""
    return np.array(_pixels(image)[:, :, 0], dtype=np.float32)


def write(image: bpy.types.Image, wanted: Mask) -> None:
    """Change the pixels of a mask, as one step of Blender's undo.

    Args:
        image: A mask that ``require_editable`` returned.
        wanted: ``H x W`` of the image's size.
    """
    _invert_alpha(image)
    pixels = _pixels(image)
    _between.add(_digest(pixels))
    pixels[:, :, :3] = wanted[:, :, None]
    _set_pixels(image, pixels)
    _invert_alpha(image)


def show(image: bpy.types.Image, wanted: Mask) -> None:
    """Change the pixels of a mask without a step of Blender's undo; ``write`` makes one later.

    Args:
        image: A mask that ``require_editable`` returned.
        wanted: ``H x W`` of the image's size.
    """
    pixels = _pixels(image)
    pixels[:, :, :3] = wanted[:, :, None]
    _set_pixels(image, pixels)


def is_between_steps() -> bool:
    """Return whether an undo or redo stopped between the two undo steps of ``write``."""
    if not _between:
        return False
    return any(_digest(_pixels(image)) in _between for image in _editable())


def keep(image: bpy.types.Image | None) -> None:
    """Pack the painted pixels of a mask into the .blend, which Blender does not do on saving."""
    if image is None or image.library is not None or image.source not in ("FILE", "GENERATED"):
        return
    if image.is_dirty and image.has_data:
        image.pack()


def hold_pixels() -> None:
    """Remember the pixels of masks before an undo or redo that does not change them itself.

    See ``restore_pixels``. In texture painting, and between the two steps of ``write``, the step
    that is undone may be one of the pixels.
    """
    _held.clear()
    active = bpy.context.view_layer.objects.active
    if active is not None and active.mode == "TEXTURE_PAINT":
        return
    for image in _editable():
        pixels = _pixels(image)
        if _digest(pixels) not in _between:
            _held[image.name] = pixels


def restore_pixels() -> None:
    """Give masks their pixels back that the undo or redo has read from the .blend again.

    Blender does so if a mask was packed between two steps of its undo. A mask that is read again
    has no unsaved changes; one that an undo step of its pixels has changed does.
    """
    for image in _editable():
        pixels = _held.get(image.name)
        if pixels is None or image.is_dirty:
            continue
        found = _pixels(image)
        if found.shape == pixels.shape and not np.array_equal(found, pixels):
            _set_pixels(image, pixels)
    _held.clear()


def _editable() -> list[bpy.types.Image]:
    """Return the masks of all planes that are single images with pixels."""
    images = {plane.draggan.mask for plane in planes.everywhere()} - {None}
    return [image for image in images if image.source in ("FILE", "GENERATED") and all(image.size)]


def _invert_alpha(image: bpy.types.Image) -> None:
    with bpy.context.temp_override(edit_image=image):
        bpy.ops.image.invert(invert_a=True)


def _pixels(image: bpy.types.Image) -> Any:
    """Return all pixels, ``H x W x 4`` float32, bottom row first."""
    width, height = image.size
    channels = image.channels
    found = np.empty(width * height * channels, dtype=np.float32)
    stored: Any = image.pixels
    stored.foreach_get(found)
    return found.reshape(height, width, channels)


def _set_pixels(image: bpy.types.Image, pixels: Any) -> None:
    stored: Any = image.pixels
    stored.foreach_set(np.ascontiguousarray(pixels, dtype=np.float32).ravel())
    image.update()


def _digest(pixels: Any) -> bytes:
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
