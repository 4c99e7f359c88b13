# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks that grow along a pull, so that what is pulled is not cut off at their border.

Pure numpy, no bpy. A mask around an ear has room for an ear where it is, and not where it is pulled
to. Moved along the way of the pull, the mask covers the ear at each place on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Point = tuple[float, float]

# Targets move by a pixel at a time, and each growth of a mask costs about a step: it grows for this
# share of the image's longer side in advance.
_IN_ADVANCE = 0.04


def with_room(mask: Mask, ways: Iterable[tuple[Point, Point]], *, in_advance: bool = False) -> Mask:
    """Return a mask together with what it covers while it is moved along each way.

    Args:
        mask: ``H x W`` uint8, top row first, 255 = may change.
        ways: The handle and the target of each pair, image pixels. A way whose handle is where the
            mask is black counts nothing.
        in_advance: Whether ways are made longer, to the next multiple of a length, so that the
            result is the same for targets that differ little.
    """
    height, width = mask.shape
    grown = mask
    for (x, y), (target_x, target_y) in ways:
        row, column = min(int(max(y, 0)), height - 1), min(int(max(x, 0)), width - 1)
        dx, dy = target_x - x, target_y - y
        length = math.hypot(dx, dy)
        if not mask[row, column] or length < 1:
            continue
        wanted = length
        if in_advance:
            unit = _IN_ADVANCE * max(width, height)
            wanted = unit * math.ceil(length / unit)
        grown = np.maximum(grown, _swept(mask, dx * wanted / length, dy * wanted / length))
    return grown


def _swept(mask: Mask, dx: float, dy: float) -> Mask:
    """Return the largest value that each pixel has while a mask is moved along a line.

    Each round doubles the part of the line that is done. Moves are by whole pixels, so places
    between the ends may be off by a few.
    """
    rounds = max(1, math.ceil(math.log2(max(abs(dx), abs(dy), 2))))
    swept = mask
    for number in range(rounds, 0, -1):
        share = 0.5**number
        swept = np.maximum(swept, _moved(swept, round(dx * share), round(dy * share)))
    return np.maximum(swept, _moved(mask, round(dx), round(dy)))


def _moved(mask: Mask, dx: int, dy: int) -> Mask:
    """Return a mask moved by whole pixels; black comes in at the borders."""
    height, width = mask.shape
    moved = np.zeros_like(mask)
    if abs(dx) < width and abs(dy) < height:
        rows, columns = _span(dy, height), _span(dx, width)
        moved[rows, columns] = mask[_span(-dy, height), _span(-dx, width)]
    return moved


def _span(by: int, size: int) -> slice:
    """Return which of ``size`` places are covered by as many that were moved."""
    return slice(max(by, 0), size + min(by, 0))
