# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the picture of ``docs/benchmark.md``: drags as rows of images with their points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from engine.arrays import ByteArray, FloatArray

# Enlargement of the images of a model of 128 px; images of all models get the same size.
SCALE = 2
_CELL_PX = 128 * SCALE
_GAP_PX = 6
_HEADING_PX = 18
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_HANDLE, _TARGET = (230, 30, 40), (30, 90, 240)


def marked(image: ByteArray, handles_px: FloatArray, targets_px: FloatArray) -> Image.Image:
    """Return an image, resized to a cell of the sheet, with handles (red) and targets (blue).

    Args:
        image: ``H x W x 3`` uint8, square.
        handles_px: ``P x 2`` float32 (x, y), image pixels.
        targets_px: The same.
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
    """Return an image ``H x W x 3`` uint8, square, resized to a cell of the sheet."""
    size = (_CELL_PX, _CELL_PX)
    return Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)


def sheet(
    headings: Sequence[str], rows: Sequence[tuple[str, Sequence[Image.Image]]]
) -> Image.Image:
    """Return a sheet of rows of pictures, two rows next to each other.

    Args:
        headings: The headings of the columns of a row.
        rows: The caption and the pictures of each row, as many pictures as headings, each of the
            size of a cell. The first half of the rows is on the left.
    """
    columns = len(headings)
    row_width = columns * (_CELL_PX + _GAP_PX)
    row_height = _CELL_PX + _HEADING_PX + _GAP_PX
    lines = (len(rows) + 1) // 2
    page = Image.new("RGB", (2 * row_width + 2 * _GAP_PX, lines * row_height + _GAP_PX), _WHITE)
    draw = ImageDraw.Draw(page)
    for number, (caption, pictures) in enumerate(rows):
        side, line = divmod(number, lines)
        left, top = _GAP_PX + side * (row_width + _GAP_PX), _GAP_PX + line * row_height
        for column, (heading, picture) in enumerate(zip(headings, pictures, strict=True)):
            x = left + column * (_CELL_PX + _GAP_PX)
            text = f"{caption}  {heading}" if column == 0 else heading
            draw.text((x, top), text, fill=_BLACK)
            page.paste(picture, (x, top + _HEADING_PX))
    return page


def best_and_worst(distances: Sequence[float], count: int) -> list[int]:
    """Return the indices of the smallest and of the largest distances, in ascending order.

    Args:
        distances: The values to sort by.
        count: Number of indices at each end.

    Returns:
        ``2 * count`` indices, or all of them if there are fewer.
    """
    order = [int(number) for number in np.argsort(distances, kind="stable")]
    return order if len(order) <= 2 * count else order[:count] + order[-count:]
