# SPDX-License-Identifier: GPL-3.0-or-later
"""The mask: one image, or an image sequence whose files are numbered by scene frame.

As with our own sequences, the first file holds before its number, and each until the next one.
Blender loads a sequence's pixels only for what it draws, so that its files are read one by one.
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
from ..protocol.timeline import MaskFrom
from . import view

_NUMBERED = re.compile(r"(.*?)(\d+)(\.[^.]+)")


def at_frame(plane: Plane, frame: int) -> bytes:
    """The mask as the engine takes it (:func:`.view.mask_bytes`); empty where all may change.

    Raises:
        EditError: the mask has no pixels.
    """
    mask = plane.draggan.mask
    if mask is None:
        return b""
    if mask.source == "SEQUENCE":
        numbers, paths = _files(mask)
        return _file_bytes(paths[_place(numbers, frame)], plane)
    return _image_bytes(mask, plane)


def over_frames(plane: Plane, frames: range) -> tuple[tuple[MaskFrom, ...], bytes]:
    """Which mask holds from which frame on, and the masks one after the other, each only once.

    Raises:
        EditError: a mask has no pixels.
    """
    mask = plane.draggan.mask
    if mask is None:
        return (), b""
    if mask.source != "SEQUENCE":
        return _joined([(frames.start, _image_bytes(mask, plane))])
    numbers, paths = _files(mask)
    first = _place(numbers, frames.start)
    last = _place(numbers, frames[-1])
    return _joined(
        (frames.start if place == first else numbers[place], _file_bytes(paths[place], plane))
        for place in range(first, last + 1)
    )


def _joined(masks: Iterable[tuple[int, bytes]]) -> tuple[tuple[MaskFrom, ...], bytes]:
    """Spans of equal masks; a white one, which is none, has the index -1.

    Raises:
        EditError: they are more than the engine can be told.
    """
    indices: dict[bytes, int] = {b"": -1}
    spans: list[MaskFrom] = []
    for number, data in masks:
        index = indices.setdefault(data, len(indices) - 1)
        if len(indices) * len(data) > MAX_PAYLOAD_BYTES:
            raise EditError(
                f"The masks up to frame {number} are over the limit of {MAX_PAYLOAD_BYTES >> 20} "
                "MB; bake fewer frames, or use fewer masks"
            )
        if not spans or spans[-1].index != index:
            spans.append(MaskFrom(number=number, index=index))
    if all(span.index < 0 for span in spans):
        return (), b""
    return tuple(spans), b"".join(indices)


def _files(mask: Any) -> tuple[list[int], list[Path]]:
    """The numbers and files of a sequence, in order.

    Raises:
        EditError: there are none.
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
            f"The mask {mask.name} has no files like {shown}; choose another, or one image instead "
            "of a sequence"
        )
    numbers = sorted(found)
    return numbers, [found[number] for number in numbers]


def _place(numbers: list[int], frame: int) -> int:
    """The index of the file that holds at a frame."""
    return max(bisect_right(numbers, frame) - 1, 0)


def _file_bytes(path: Path, plane: Plane) -> bytes:
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError:
        raise EditError(f"The mask {path} cannot be read; choose another") from None
    try:
        return _image_bytes(image, plane)
    finally:
        bpy.data.images.remove(image)


def _image_bytes(image: Any, plane: Plane) -> bytes:
    width, height = image.size
    if image.source == "MOVIE":
        raise EditError(f"The mask {image.name} is a movie; render it to an image sequence first")
    if not width or not height:
        raise EditError(f"The mask {image.name} has no pixels; reload its file or choose another")
    pixels = np.empty(width * height * image.channels, dtype=np.float32)
    image.pixels.foreach_get(pixels)
    red = pixels.reshape(height, width, image.channels)[:, :, 0]
    return view.mask_bytes(red, *plane.draggan.size)
