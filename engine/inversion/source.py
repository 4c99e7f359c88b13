# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the picture that a person wants to invert."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..arrays import ByteArray
from ..image_files import read_image


def read_picture(path: Path) -> ByteArray:
    """Return the pixels of an image file; transparent places become white.

    Args:
        path: As of ``read_image``.

    Returns:
        ``H x W x 3`` uint8, sRGB, top row first.

    Raises:
        RequestError: The file is not an image, is damaged, or is too large to be one.
        OSError: It cannot be read, or is no plain file.
    """
    image = read_image(path)
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))
