# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the picture that a person wants to invert."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..arrays import ByteArray
from ..errors import RequestError


def read_picture(path: Path) -> ByteArray:
    """Return the pixels of an image file.

    The turn that a camera has stored is applied. Transparent places become white.

    Args:
        path: PNG, JPEG, WebP, TIFF or another file that Pillow reads.

    Returns:
        ``H x W x 3`` uint8, sRGB, top row first.

    Raises:
        RequestError: The file is not an image, or it is too large to be one.
        OSError: It cannot be read.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError):
        raise RequestError(
            f"{path.name} is not a picture that can be read; expected a PNG, JPEG, WebP or TIFF"
        ) from None
    white = Image.new("RGBA", upright.size, "white")
    return np.asarray(Image.alpha_composite(white, upright).convert("RGB"))
