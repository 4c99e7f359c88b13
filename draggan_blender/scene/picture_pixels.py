# SPDX-License-Identifier: GPL-3.0-or-later
"""The pixels of a person's picture, as a file that the engine reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..errors import EditError, reason_of

Pixels = NDArray[np.float32]


def write_png(picture: bpy.types.Image, path: Path) -> None:
    """Write the pixels of a Blender image as they are now: painted, packed or generated.

    Args:
        picture: The image; its file, if it has one, is not read again.
        path: The PNG to write, with 8 bits, sRGB, straight alpha.

    Raises:
        EditError: The picture has no pixels that can be read, or the file cannot be written.
    """
    pixels = _shown(picture)
    height, width, _ = pixels.shape
    copy = bpy.data.images.new(path.stem, width, height, alpha=True)
    try:
        # Otherwise the colours of what is transparent get lost.
        copy.alpha_mode = "STRAIGHT"
        stored: Any = copy.pixels
        stored.foreach_set(pixels.ravel())
        copy.filepath_raw, copy.file_format = str(path), "PNG"
        copy.save()
    except RuntimeError as error:
        raise EditError(
            f"The picture {picture.name} cannot be written as {path.name}: {reason_of(error)}"
        ) from None
    finally:
        bpy.data.images.remove(copy)


def to_srgb(values: Pixels) -> Pixels:
    """Return linear values as sRGB; what is outside [0, 1] is clipped."""
    clipped = np.clip(np.nan_to_num(values), 0.0, 1.0)
    high = 1.055 * clipped ** (1 / 2.4) - 0.055
    return np.where(clipped <= 0.0031308, clipped * 12.92, high).astype(np.float32)


def _shown(picture: bpy.types.Image) -> Pixels:
    """Return what an image shows, ``H x W x 4`` float32, sRGB, straight alpha, bottom row first.

    Raises:
        EditError: It has no pixels.
    """
    width, height = picture.size
    stored: Any = picture.pixels
    count = len(stored)
    if not width * height or count % (width * height):
        raise EditError(
            f"The picture {picture.name} has no pixels that can be read; save it as a PNG, and "
            "choose that file"
        )
    found = np.empty(count, dtype=np.float32)
    stored.foreach_get(found)
    raw = found.reshape(height, width, -1)
    pixels = np.ones((height, width, 4), dtype=np.float32)
    # One channel is grey; two are grey and alpha.
    has_alpha = raw.shape[2] in (2, 4)
    pixels[..., :3] = raw[..., :3] if raw.shape[2] >= 3 else raw[..., :1]
    if has_alpha:
        pixels[..., 3] = raw[..., -1]
    if picture.is_float:
        _from_linear(picture, pixels)
    return np.clip(pixels, 0.0, 1.0)


def _from_linear(picture: bpy.types.Image, pixels: Pixels) -> None:
    """Convert pixels of a float image, which Blender keeps linear and multiplied by alpha."""
    if picture.alpha_mode != "CHANNEL_PACKED":
        alpha = pixels[..., 3:]
        np.divide(pixels[..., :3], alpha, out=pixels[..., :3], where=alpha > 0)
    if not picture.colorspace_settings.is_data:
        pixels[..., :3] = to_srgb(pixels[..., :3])
