# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads image files of people: pictures and masks."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from draggan_blender.protocol.plain_files import read_plain_file

from .errors import RequestError

# Far beyond the largest picture.
_MAX_BYTES = 1 << 29
# Pillow refuses images of more than twice the number that it warns of.
_MOST_MEGAPIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
# How large floating-point numbers of an image from 0 to 1 may be.
_OVERSHOOT = 8.0
# How many percent of the values above black are at most white; a few bright pixels, as of glints
# in a render, do not count.
_USUAL_PERCENT = 99.0


def read_image(path: Path) -> Image.Image:
    """Return an image file with 8 bits for each channel.

    The turn that a camera has stored is applied. Grey values of more than 8 bits are scaled, see
    ``_white``.

    Args:
        path: PNG, JPEG, WebP, TIFF or another file that Pillow reads.

    Returns:
        An image of the mode RGBA, upright.

    Raises:
        RequestError: The file is not an image, is damaged, or is too large to be one.
        OSError: It cannot be read, or is no plain file.
    """
    data = read_plain_file(path, _MAX_BYTES)
    try:
        with warnings.catch_warnings():
            # Large panoramas are what people have; what is too large for memory is an error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
        with image:
            return _in_8_bits(ImageOps.exif_transpose(image)).convert("RGBA")
    except MemoryError:
        raise
    except Image.DecompressionBombError:
        raise RequestError(
            f"{path} has more than {_MOST_MEGAPIXELS} million pixels, the most that are read; save "
            "it smaller, or only the part that is needed"
        ) from None
    except Exception:  # the border: Pillow raises many kinds for damaged files
        raise RequestError(
            f"{path} is not an image file that can be read; expected a PNG, JPEG, WebP or TIFF"
        ) from None


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Return an image in whose mode Pillow's conversions do not clip.

    Pillow takes grey values of more than 8 bits for values from 0 to 255: nearly all became white.
    """
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=np.inf, neginf=-np.inf)
    shown = (values / _white(image.mode, values)).clip(0, 1)
    return Image.fromarray(np.rint(shown * 255).astype(np.uint8))


def _white(mode: str, values: NDArray[np.float64]) -> float:
    """Return the value of white in an image of one of Pillow's deep modes.

    16 bits have 65535. The files do not say what 32 bits mean: numbers as large as those of 8 bits
    or of 16 are taken for these. Floating-point numbers go to 1, with some room above for
    overshoot, or to 255.
    """
    if mode.startswith("I;16"):
        return 65535.0
    shown = values[np.isfinite(values) & (values > 0)]
    most = np.percentile(shown, _USUAL_PERCENT, method="lower") if shown.size else 0.0
    if mode == "F":
        return 1.0 if most <= _OVERSHOOT else 255.0
    return next(white for white in (255.0, 65535.0, 2.0**31 - 1) if most <= white)
