# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of the command line, read from their texts.

A text that does not fit is an ``argparse.ArgumentTypeError``, which names it and what was expected.
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

from draggan_blender.protocol.file_names import GREATEST_FRAME

# Handle, target, and of a region its radius, angle in degrees and scale.
Pair = tuple[tuple[float, float], tuple[float, float], tuple[float, float, float]]

# The most seeds that a change is applied to at once.
_MOST_SEEDS = 1000

# How much of a style is taken at most; with more the image soon shows nothing.
_MOST_WEIGHT = 2

# Endings of image files that are not written.
_OTHER_IMAGES = {".bmp", ".exr", ".gif", ".jpeg", ".jpg", ".tga", ".tif", ".tiff", ".webp"}


def pair(text: str) -> Pair:
    """Parse ``x,y:x,y`` as a handle and its target, and what may follow as a region."""
    try:
        handle, target, *rest = [
            [float(value) for value in part.split(",")] for part in text.split(":")
        ]
        (handle_x, handle_y), (target_x, target_y) = handle, target
        (region,) = rest or [[0.0]]
        radius, angle, scale = region + [0.0, 0.0, 1.0][len(region) :]
        if not (0 <= radius < math.inf and math.isfinite(angle) and 0 < scale < math.inf):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a pair; expected a handle and a target such as 30,40:44,40, and for "
            "a region its radius, angle and scale such as 30,40:44,40:12,15,1.1"
        ) from None
    return (handle_x, handle_y), (target_x, target_y), (radius, angle, scale)


def alignment(text: str) -> tuple[float, ...]:
    """Parse ``x,y[,angle[,size]]``: 2 to 4 finite numbers."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not 2 <= len(values) <= 4 or not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a frame; expected its middle, angle and size such as 200,180,-5,256"
        )
    return values


def frames(text: str) -> tuple[int, int]:
    """Parse ``a-b``, or one number, as the first and the last frame."""
    found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text)
    begin, end = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if end < begin:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a range of numbers; expected one such as 12-48"
        )
    return begin, end


def seeds(text: str) -> tuple[int, int]:
    """Parse ``a-b``, or one number, as the first and the last of at most ``_MOST_SEEDS`` seeds."""
    found = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", text)
    begin, end = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not begin <= end < 2**32:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a range of seeds from 0 to {2**32 - 1}; expected one such as 0-15"
        )
    if end - begin >= _MOST_SEEDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} has {end - begin + 1} seeds, and at most {_MOST_SEEDS} are taken at once"
        )
    return begin, end


def png(text: str) -> Path:
    """Check that the name of an image says what it will be."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png; images are PNG files")
    return path


def png_or_folder(text: str) -> Path:
    """Check that a name with the ending of an image file is that of a PNG."""
    path = Path(text)
    if path.suffix.lower() in _OTHER_IMAGES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a PNG file; expected a name that ends in .png, or a folder"
        )
    return path


def safetensors(text: str) -> Path:
    """Check that the name of a model says what it will be."""
    path = Path(text)
    if path.suffix.lower() != ".safetensors":
        raise argparse.ArgumentTypeError(
            f"{text!r} does not end in .safetensors, the format that is written"
        )
    return path


def frame_number(text: str) -> int:
    """Parse the number of a frame that Blender can have and that a file can be named by."""
    if not re.fullmatch(r"\d{1,7}", text) or not 1 <= int(text) <= GREATEST_FRAME:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the number of a frame; expected 1 to {GREATEST_FRAME}"
        )
    return int(text)


def weight(text: str) -> float:
    """Parse how much of a style is taken."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _MOST_WEIGHT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a weight; expected a number from -{_MOST_WEIGHT} to {_MOST_WEIGHT}"
        )
    return value


def stem(text: str) -> str:
    """Check what the frames' names start with: no folder, and no hidden file."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a plain name; expected at most 64 letters, digits, - and _"
        )
    return text
