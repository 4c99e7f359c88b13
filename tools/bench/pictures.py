# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the document: drags as rows of images, with the points drawn in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from engine.arrays import ByteArray, FloatArray

SCALE = 2
"""Of the drags' images in the picture, for a model of 128 px; smaller models are drawn larger."""
_CELL_PX = 128 * SCALE
_GAP_PX = 6
_HEADING_PX = 18
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_HANDLE, _TARGET = (230, 30, 40), (30, 90, 240)


def marked(image: ByteArray, handles_px: FloatArray, targets_px: FloatArray) -> Image.Image:
    """An image with its handles (red) and targets (blue) drawn in, enlarged.

    Args:
        image: `H x W x 3` uint8, square.
        handles_px, targets_px: `P x 2` float32, image pixels.
    """
    picture = enlarged(image)
    draw = ImageDraw.Draw(picture)
    scale = _CELL_PX / image.shape[1]
    for handle, target in zip(handles_px * scale, targets_px * scale, strict=True):
        start, end = (tuple(map(float, point)) for point in (handle, target))
        draw.line([start, end], fill=_WHITE, width=3)
        draw.line([start, end], fill=_BLACK, width=1)
        for (x, y), colour in ((start, _HANDLE), (end, _TARGET)):
            draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour, outline=_WHITE)
    return picture


def enlarged(image: ByteArray) -> Image.Image:
    """`H x W x 3` uint8 as a picture of the sheet's cell size."""
    size = (_CELL_PX, _CELL_PX)
    return Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)


def sheet(
    headings: Sequence[str], rows: Sequence[tuple[str, Sequence[Image.Image]]]
) -> Image.Image:
    """Rows of pictures of one size, two rows of the list beside each other.

    Args:
        headings: of the columns of a row.
        rows: each one's caption and its pictures, as many as headings.
    """
    columns = len(headings)
    row_width = columns * (_CELL_PX + _GAP_PX)
    row_height = _CELL_PX + _HEADING_PX + _GAP_PX
    lines = (len(rows) + 1) // 2
    page = Image.new("RGB", (2 * row_width + 2 * _GAP_PX, lines * row_height + _GAP_PX), _WHITE)
    draw = ImageDraw.Draw(page)
    for number, (caption, pictures) in enumerate(rows):
        # The first half of the list is the left half of the page.
        side, line = divmod(number, lines)
        left, top = _GAP_PX + side * (row_width + _GAP_PX), _GAP_PX + line * row_height
        for column, (heading, picture) in enumerate(zip(headings, pictures, strict=True)):
            x = left + column * (_CELL_PX + _GAP_PX)
            text = f"{caption}  {heading}" if column == 0 else heading
            draw.text((x, top), text, fill=_BLACK)
            page.paste(picture, (x, top + _HEADING_PX))
    return page


def best_and_worst(distances: Sequence[float], count: int) -> list[int]:
    """The numbers of the `count` least and then the `count` greatest values, each in order."""
    order = [int(number) for number in np.argsort(distances, kind="stable")]
    return order if len(order) <= 2 * count else order[:count] + order[-count:]
