# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws drags as rows of images: the start with its points and mask, the truth, each result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from engine.arrays import ByteArray, FloatArray

from ..results import Result
from .drags import BoolArray, LocalDrag

_GAP_PX = 4
_HEADING_PX = 14
_WHITE, _BLACK, _GREY = (255, 255, 255), (0, 0, 0), (225, 225, 225)
_HANDLE, _TARGET, _PIN, _MASK = (230, 30, 40), (30, 90, 240), (250, 220, 0), (255, 140, 0)


@dataclass(frozen=True)
class Line:
    """One drag of a sheet.

    Attributes:
        drag: The drag, in the size of its pictures.
        start: ``H x W x 3`` uint8, the picture at the start.
        ends: The picture at the end and what is written above it, for each column; None for a
            result that is missing.
    """

    drag: LocalDrag
    start: ByteArray
    ends: Sequence[tuple[str, ByteArray] | None]


def sheet(
    headings: Sequence[str], lines: Sequence[Line], *, cell_px: int, beside: int
) -> Image.Image:
    """Return a sheet with a row of pictures for each drag.

    Args:
        headings: What is written above each column of results.
        lines: The drags, with as many ends as headings.
        cell_px: Width and height of each picture on the sheet.
        beside: How many drags there are next to each other.
    """
    columns = len(headings) + 2
    width = columns * (cell_px + _GAP_PX) + 3 * _GAP_PX
    height = cell_px + _HEADING_PX + _GAP_PX
    rows = -(-len(lines) // beside)
    page = Image.new("RGB", (beside * width, _HEADING_PX + rows * height), _WHITE)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        side, row = divmod(number, rows)
        left, top = side * width + _GAP_PX, _HEADING_PX + row * height
        if row == 0:
            for column, heading in enumerate(("start", "truth", *headings)):
                draw.text((left + column * (cell_px + _GAP_PX), 0), heading, fill=_BLACK)
        cells = [(f"{line.drag.number} {line.drag.kind}", marked(line.drag, line.start, cell_px))]
        truth = line.drag.truth
        cells.append(("", _grey(cell_px) if truth is None else _fitted(truth, cell_px)))
        for end in line.ends:
            if end is None:
                cells.append(("", _grey(cell_px)))
            else:
                cells.append((end[0], with_targets(line.drag, end[1], cell_px)))
        for column, (text, picture) in enumerate(cells):
            x = left + column * (cell_px + _GAP_PX)
            draw.text((x, top), text, fill=_BLACK)
            page.paste(picture, (x, top + _HEADING_PX))
    return page


def marked(drag: LocalDrag, start: ByteArray, cell_px: int) -> Image.Image:
    """Return the start with the mask's edge (orange), handles, targets (blue) and pins (yellow)."""
    shown = start.copy()
    shown[edge_of(drag.mask > 0)] = _MASK
    picture = _fitted(shown, cell_px)
    draw = ImageDraw.Draw(picture)
    scale = cell_px / drag.size_px
    for number, (handle, target) in enumerate(
        zip(drag.handles_px * scale, drag.targets_px * scale, strict=True)
    ):
        if number < drag.pulled:
            draw.line([*map(float, handle), *map(float, target)], fill=_BLACK)
            _dot(draw, target, _TARGET)
            _dot(draw, handle, _HANDLE)
        else:
            _dot(draw, handle, _PIN)
    return picture


def with_targets(drag: LocalDrag, image: ByteArray, cell_px: int) -> Image.Image:
    """Return a result with small dots where the pulled points should be."""
    picture = _fitted(image, cell_px)
    draw = ImageDraw.Draw(picture)
    for target in drag.targets_px[: drag.pulled] * cell_px / drag.size_px:
        _dot(draw, target, _TARGET, radius=1.5)
    return picture


def badness(result: Result) -> float:
    """Return how bad a result is, to sort by: 1 for each of the faults below at its usual size.

    These are 4 px from the target, a change of 4 of 255 outside, a damage of 0.5, and a torn
    picture.
    """
    found = result.measures
    faults = found.get("off", 0.0) / 4.0 + found["outside"] / 4.0
    return faults + max(0.0, found["damage"]) / 0.5 + found["torn"]


def caption_of(result: Result) -> str:
    """Return the text above a result: distance from the target, change outside, damage."""
    found: Mapping[str, float] = result.measures
    parts = [f"{found['off']:.1f}px" if "off" in found else "", f"out {found['outside']:.1f}"]
    parts.append(f"{'TORN' if found['torn'] else 'dmg'} {found['damage']:.1f}")
    return " ".join(filter(None, parts))


def edge_of(area: BoolArray) -> BoolArray:
    """Return the pixels of an area, ``H x W``, that have a neighbour outside it."""
    padded = np.pad(area, 1, mode="edge")
    inner = padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    edge: BoolArray = area & ~inner
    return edge


def _dot(
    draw: ImageDraw.ImageDraw, place: FloatArray, colour: tuple[int, int, int], radius: float = 2.5
) -> None:
    x, y = (float(value) for value in place)
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour, outline=_WHITE)


def _fitted(image: ByteArray, cell_px: int) -> Image.Image:
    picture = Image.fromarray(image)
    if picture.width != cell_px:
        picture = picture.resize((cell_px, cell_px), Image.Resampling.BICUBIC)
    return picture


def _grey(cell_px: int) -> Image.Image:
    return Image.new("RGB", (cell_px, cell_px), _GREY)
