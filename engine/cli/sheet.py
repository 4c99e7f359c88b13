# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the contact sheet of a drag: the first frame, some in between, and the last.

Handles are filled red discs, targets blue rings, and a line joins each pair. Each picture shows the
handles where they are in that frame.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from draggan_blender.protocol.atomic_files import write_atomically

from ..arrays import ByteArray
from ..output.track import Track

# Colours are sRGB, 0 to 255.
HANDLE_COLOUR = (230, 40, 40)
TARGET_COLOUR = (40, 110, 255)
_OUTLINE = (255, 255, 255)
_BACKGROUND = (32, 32, 32)
_GAP = 8
# Smaller frames are enlarged, and larger ones reduced; pixels.
_LEAST_SIDE = 256
_GREATEST_SIDE = 512
_TEXT_SIZE = 15


def sheet_rows(track: Track, count: int = 5) -> list[int]:
    """Return the rows of a track to show: the first, the last, and some evenly between them."""
    count = max(1, min(count, len(track)))
    return [round(index) for index in np.linspace(0, len(track) - 1, count)]


def before_after_sheet(
    track: Track, frames: Sequence[ByteArray], path: Path, first_number: int, count: int = 5
) -> None:
    """Draw the contact sheet of a track and write it as a PNG.

    Args:
        track: The track.
        frames: One image for each row of the track, ``H x W x C`` uint8; alpha is not drawn.
        path: The file to write.
        first_number: The number of the first frame, as in the names of the files.
        count: The largest number of pictures.

    Raises:
        ValueError: The number of frames differs from the number of rows.
        OSError: The file cannot be written.
    """
    if len(frames) != len(track):
        raise ValueError(
            f"a track of {len(track)} rows needs as many frames, but {len(frames)} were given"
        )
    pictures = [
        _picture(track, frames[row], row, first_number + row) for row in sheet_rows(track, count)
    ]
    width, height = pictures[0].size
    sheet = Image.new(
        "RGB", (len(pictures) * (width + _GAP) + _GAP, height + 2 * _GAP), _BACKGROUND
    )
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (_GAP + index * (width + _GAP), _GAP))
    encoded = io.BytesIO()
    sheet.save(encoded, format="PNG")
    write_atomically(path, encoded.getvalue())


def _picture(track: Track, frame: ByteArray, row: int, number: int) -> Image.Image:
    """Return a frame, enlarged or reduced, with its points and its number."""
    image = Image.fromarray(np.ascontiguousarray(frame[..., :3]))
    longest = max(image.size)
    if longest < _LEAST_SIDE:
        factor = -(-_LEAST_SIDE // longest)
        image = image.resize(
            (image.width * factor, image.height * factor), Image.Resampling.NEAREST
        )
    elif longest > _GREATEST_SIDE:
        image.thumbnail((_GREATEST_SIDE, _GREATEST_SIDE), Image.Resampling.LANCZOS)
    scale = image.width / frame.shape[1]
    draw = ImageDraw.Draw(image)
    radius = max(3.0, image.width / 60)
    for handle, target in zip(track.handles_px[row], track.targets_px, strict=True):
        hx, hy = (float(value) * scale for value in handle)
        tx, ty = (float(value) * scale for value in target)
        draw.line((hx, hy, tx, ty), fill=_OUTLINE, width=2)
        ring = (tx - radius * 1.5, ty - radius * 1.5, tx + radius * 1.5, ty + radius * 1.5)
        draw.ellipse(ring, outline=TARGET_COLOUR, width=max(2, round(radius / 2)))
        disc = (hx - radius, hy - radius, hx + radius, hy + radius)
        draw.ellipse(disc, fill=HANDLE_COLOUR, outline=_OUTLINE)
    text = f"frame {number}"
    draw.text((8, 5), text, fill=_OUTLINE, stroke_width=2, stroke_fill=0, font_size=_TEXT_SIZE)
    return image
