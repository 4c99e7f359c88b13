# SPDX-License-Identifier: GPL-3.0-or-later
"""Small images for the panels: made from images, stored as text, and shown as icons.

The .blend stores the text. Icons belong to this session of Blender; they are made from the text
when a panel needs them.
"""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews
import numpy as np
from numpy.typing import NDArray

# The longest side of a stored thumbnail.
SIZE_PX = 96
# The longest side that is read.
_MOST_PX = 1024

# The icons of this session by name; None before the first one.
_icons: Any = None


def of_pixels(pixels: NDArray[np.float32]) -> str:
    """Return an image reduced to a thumbnail, as text.

    Args:
        pixels: ``H x W x 4`` float32, RGBA in [0, 1], bottom row first.

    Returns:
        Width and height in the form ``96x64``, a colon, and RGB bytes that are compressed by zlib,
        each stored as the difference from the pixel on its left, as base64.
    """
    small = np.rint(np.clip(_reduced(pixels[..., :3]), 0.0, 1.0) * 255.0).astype(np.uint8)
    height, width, _ = small.shape
    differences = small.copy()
    differences[:, 1:] -= small[:, :-1]
    packed = base64.b64encode(zlib.compress(differences.tobytes(), 9)).decode("ascii")
    return f"{width}x{height}:{packed}"


def to_pixels(text: str) -> NDArray[np.float32]:
    """Return the image of a thumbnail, ``H x W x 4`` float32, RGBA, bottom row first.

    Raises:
        ValueError: The text is not a thumbnail.
    """
    size, _, packed = text.partition(":")
    width, height = (int(side) for side in size.split("x"))
    if not 0 < width <= _MOST_PX >= height > 0:
        raise ValueError(f"not a thumbnail: {width} x {height} px")
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode(packed), 3 * width * height + 1)
    except zlib.error as error:
        raise ValueError(f"not a thumbnail: {error}") from None
    differences = np.frombuffer(data, np.uint8).reshape(height, width, 3)
    small = np.add.accumulate(differences, axis=1, dtype=np.uint8)
    pixels = np.ones((height, width, 4), dtype=np.float32)
    np.divide(small, np.float32(255), out=pixels[..., :3])
    return pixels


def of_image(image: bpy.types.Image | None) -> str:
    """Return the thumbnail of an image, or an empty text if it cannot be read."""
    if image is None or not image.size[0]:
        return ""
    width, height = image.size
    pixels = np.empty(width * height * 4, dtype=np.float32)
    source: Any = image.pixels
    source.foreach_get(pixels)
    return of_pixels(pixels.reshape(height, width, 4))


def of_file(path: Path) -> str:
    """Return the thumbnail of an image file, or an empty text if it cannot be read."""
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError:
        return ""
    try:
        return of_image(image)
    finally:
        bpy.data.images.remove(image)


def icon_of_text(text: str) -> int:
    """Return the icon of a stored thumbnail; 0, which is no icon, if there is none."""
    if not text:
        return 0
    name = f"{hash(text):x}"
    if name in _collection():
        return int(_collection()[name].icon_id)
    try:
        return make_icon(name, to_pixels(text))
    except ValueError:
        return 0


def make_icon(name: str, pixels: NDArray[np.float32]) -> int:
    """Make or replace the icon of a name, and return it.

    Args:
        name: Any text.
        pixels: ``H x W x 4`` float32, RGBA in [0, 1], bottom row first.
    """
    icons = _collection()
    preview = icons[name] if name in icons else icons.new(name)
    image = _reduced(pixels[..., :3])
    height, width, _ = image.shape
    small = np.ones((height, width, 4), dtype=np.float32)
    small[..., :3] = image
    preview.image_size = (width, height)
    target: Any = preview.image_pixels_float
    target.foreach_set(small.ravel())
    return int(preview.icon_id)


def icon_of(name: str, width: int, height: int, data: bytes) -> int:
    """Make or replace the icon of a name from the pixels of a message, and return it.

    Args:
        name: Any text.
        width: Pixels.
        height: Pixels.
        data: ``height x width x 4`` float32, as ``make_icon`` takes it.
    """
    return make_icon(name, np.frombuffer(data, np.float32).reshape(height, width, 4))


def icon_to_come() -> int:
    """Return the grey icon of an image that is still to come."""
    return make_icon("to come", np.full((8, 8, 4), 0.25, dtype=np.float32))


def forget() -> None:
    """Free all icons; panels make those again that they need."""
    global _icons
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
        _icons = None


def _collection() -> Any:
    global _icons
    if _icons is None:
        _icons = bpy.utils.previews.new()
    return _icons


def _reduced(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an image reduced by a whole factor, so that no side is longer than ``SIZE_PX``.

    Each pixel is the mean of a square; what is left over at the right and the top is cut off.
    """
    height, width, channels = image.shape
    factor = -(-max(height, width) // SIZE_PX)
    if factor == 1:
        return image
    rows, columns = max(height // factor, 1), max(width // factor, 1)
    cut = image[: rows * factor, : columns * factor]
    squares = cut.reshape(rows, factor, columns, factor, channels)
    result: NDArray[np.float32] = squares.mean(axis=(1, 3), dtype=np.float32)
    return result
