# SPDX-License-Identifier: GPL-3.0-or-later
"""The mask: one image, or an image sequence whose files are numbered by scene frame.

As in the sequences that the engine writes, the first file also applies to the frames before its
number, and each file applies until the next number. Blender loads the pixels of a sequence only for
the frame that it draws, so the files are read one by one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.codec import MAX_PAYLOAD_BYTES
from ..protocol.mask_levels import mask_levels
from ..protocol.timeline import MaskFrom
from . import view

_NUMBERED = re.compile(r"(.*?)(\d+)(\.[^.]+)")


def at_frame(plane: Plane, frame: int) -> bytes:
    """Return the mask at a scene frame, as ``view.mask_bytes`` makes it.

    Returns:
        ``height * width`` bytes, top row first, 255 = may change; empty if everything may change.

    Raises:
        EditError: The mask has no pixels, is a movie, or its file is missing or cannot be read.
    """
    mask = plane.draggan.mask
    if mask is None:
        return b""
    if mask.source == "SEQUENCE":
        numbers, paths = _files(mask)
        return _file_bytes(paths[_index_at(numbers, frame)], plane)
    return of_image(mask, plane)


def over_frames(plane: Plane, frames: range) -> tuple[tuple[MaskFrom, ...], bytes]:
    """Return the masks over a range of frames.

    Args:
        plane: The GAN image.
        frames: Scene frames, at least one.

    Returns:
        From which frame on each mask applies, as indices into the second value, -1 where everything
        may change; and the different masks, as ``at_frame`` returns them, one after the other.

    Raises:
        EditError: A mask has no pixels, is a movie, or its file is missing or cannot be read; or
            the masks are too large to be sent.
    """
    mask = plane.draggan.mask
    if mask is None:
        return (), b""
    if mask.source != "SEQUENCE":
        return _joined([(frames.start, of_image(mask, plane))])
    numbers, paths = _files(mask)
    first = _index_at(numbers, frames.start)
    last = _index_at(numbers, frames[-1])
    return _joined(
        (frames.start if index == first else numbers[index], _file_bytes(paths[index], plane))
        for index in range(first, last + 1)
    )


def refuse_black(plane: Plane, levels: bytes) -> None:
    """Refuse masks under which nothing may move.

    Args:
        plane: The GAN image.
        levels: What ``at_frame`` or ``over_frames`` has returned.

    Raises:
        EditError: There are masks, all of them are black everywhere, and they are not ignored.
    """
    drag = plane.draggan.drag
    if levels and not any(levels) and (drag.mask_mode == "exact" or drag.mask_weight > 0.0):
        raise EditError(
            "The mask is black everywhere, so nothing may move; paint white where the image may "
            "change, or press Fill in the Mask panel"
        )


def _joined(masks: Iterable[tuple[int, bytes]]) -> tuple[tuple[MaskFrom, ...], bytes]:
    """Merge equal masks into spans; a white mask, which permits everything, has the index -1.

    Raises:
        EditError: The masks are too large to be sent.
    """
    indices: dict[bytes, int] = {b"": -1}
    spans: list[MaskFrom] = []
    for number, data in masks:
        index = indices.setdefault(data, len(indices) - 1)
        if len(indices) * len(data) > MAX_PAYLOAD_BYTES:
            raise EditError(
                f"The masks up to frame {number} exceed the limit of {MAX_PAYLOAD_BYTES >> 20} "
                "MiB; bake fewer frames, or use fewer different masks"
            )
        if not spans or spans[-1].index != index:
            spans.append(MaskFrom(number=number, index=index))
    if all(span.index < 0 for span in spans):
        return (), b""
    return tuple(spans), b"".join(indices)


def _files(mask: bpy.types.Image) -> tuple[list[int], list[Path]]:
    """Return the numbers and the files of an image sequence, in the order of the numbers.

    Raises:
        EditError: There are no such files.
    """
    shown = Path(bpy.path.abspath(mask.filepath, library=mask.library))
    parts = _NUMBERED.fullmatch(shown.name)
    found: dict[int, Path] = {}
    if parts is not None and shown.parent.is_dir():
        stem, suffix = parts[1], parts[3].lower()
        for path in shown.parent.iterdir():
            other = _NUMBERED.fullmatch(path.name)
            if other is not None and other[1] == stem and other[3].lower() == suffix:
                found[int(other[2])] = path
    if not found:
        raise EditError(
            f"The mask {mask.name} is an image sequence, but there are no numbered files like "
            f"{shown}; choose another mask, or a single image"
        )
    numbers = sorted(found)
    return numbers, [found[number] for number in numbers]


def _index_at(numbers: list[int], frame: int) -> int:
    """Return the index of the file that applies at a frame."""
    return max(bisect_right(numbers, frame) - 1, 0)


def _file_bytes(path: Path, plane: Plane) -> bytes:
    if not path.is_file():
        # Blender would wait for a pipe.
        raise EditError(f"The mask {path} is not a file; choose another mask")
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError:
        raise EditError(f"The mask {path} cannot be read; choose another mask") from None
    try:
        return of_image(image, plane)
    finally:
        bpy.data.images.remove(image)


def of_image(image: bpy.types.Image, plane: Plane) -> bytes:
    """Return what ``at_frame`` does, of a single image.

    Raises:
        EditError: The image is a movie, or has no pixels.
    """
    width, height = image.size
    if image.source == "MOVIE":
        raise EditError(f"The mask {image.name} is a movie; render it to an image sequence first")
    if not width or not height:
        raise EditError(
            f"The mask {image.name} has no pixels; reload its file, or choose another mask"
        )
    pixels = np.empty(width * height * image.channels, dtype=np.float32)
    stored: Any = image.pixels
    stored.foreach_get(pixels)
    levels = mask_levels(pixels.reshape(height, width, image.channels))
    return view.mask_bytes(levels, *plane.draggan.size)
