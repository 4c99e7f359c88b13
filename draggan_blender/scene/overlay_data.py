# SPDX-License-Identifier: GPL-3.0-or-later
"""What the overlay draws for the points of an image: shapes, colours and texts in screen pixels.

``overlay_shapes`` has the shapes. What is wrong with a handle changes its shape as well as its
colour:

- a handle is a disc, a target a ring with a cross, and a pin a square;
- a handle on an area that cannot be followed is a dashed, empty ring;
- a handle that was lost is a cross, and its number has a question mark;
- the way that a handle did not go to its target is dashed, and so is a ring around a pin that did
  not hold.

Pure numpy, no bpy and no GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import overlay_shapes
from .overlay_shapes import (
    DARK,
    HANDLE,
    HEAD,
    OPEN_HANDLE,
    SHORT_COLOR,
    TARGET,
    WHITE,
    Color,
    Points,
    Shape,
)

# The lengths of a dash and of the gap after it, px at a scale of 1.
_DASH, _GAP = 7.0, 6.0
# Widths of the three passes of a line, from the lowest to the highest.
LINE_WIDTHS = (4.8, 3.4, 1.8)

LOST_COLOR: Color = (0.85, 0.05, 0.10)
FLAT_COLOR: Color = (0.15, 0.15, 0.15)


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A pair or pin as it is seen in one view; all positions are px of the region.

    Attributes:
        number: What is written at the handle; empty to write nothing.
        color: The colour of the pair, sRGB.
        is_pin: Whether handle and target are one point.
        state: ``FINE``, ``FLAT``, ``LOST``, ``SHORT`` or ``MASKED``.
        alpha: The opacity of all of it.
        size: The factor of all sizes; less than 1 where the image is small in the view.
        handle: Where the handle is, or None if it is not seen.
        target: Where the target is, likewise.
        is_handle_selected: Whether the handle is selected.
        is_target_selected: Whether the target is selected.
        lines: Thin lines in the colour of the pair: ``N x 2`` each; the circles of a region and
            the path that was tracked.
    """

    number: str
    color: Color
    is_pin: bool = False
    state: str = "FINE"
    alpha: float = 1.0
    size: float = 1.0
    handle: tuple[float, float] | None = None
    target: tuple[float, float] | None = None
    is_handle_selected: bool = False
    is_target_selected: bool = False
    lines: tuple[Points, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """A text of the overlay.

    Attributes:
        text: What is written.
        place: The middle of the text, px.
        color: RGB.
        alpha: Its opacity.
        is_bare: Whether the text lies on the image itself and needs an outline.
    """

    text: str
    place: tuple[float, float]
    color: Color
    alpha: float
    is_bare: bool


class Drawing:
    """All shapes of a view."""

    def __init__(self) -> None:
        """Make an empty drawing."""
        self.labels: list[Label] = []
        self._segments: list[Points] = []
        self._segment_colors: list[tuple[float, float, float, float]] = []
        self._shapes: list[Shape] = []
        self._places: list[tuple[float, float]] = []
        self._scales: list[float] = []
        self._alphas: list[float] = []

    def add_segments(self, ends: Points, color: Color, alpha: float) -> None:
        """Add line segments, of which each two rows of ``ends`` are one."""
        self._segments.append(ends)
        self._segment_colors.append((*color, alpha))

    def add_shape(
        self, shape: Shape, place: tuple[float, float], alpha: float, scale: float
    ) -> None:
        """Add a shape around a place."""
        self._shapes.append(shape)
        self._places.append(place)
        self._scales.append(scale)
        self._alphas.append(alpha)

    def segments(self) -> tuple[Points, Points]:
        """Return the ends of all line segments, ``2N x 2`` px, and their RGBA, ``2N x 4``."""
        if not self._segments:
            return _NOTHING
        counts = [len(ends) for ends in self._segments]
        colors = np.array(self._segment_colors, dtype=np.float32)
        return np.concatenate(self._segments), np.repeat(colors, counts, axis=0)

    def triangles(self) -> tuple[Points, Points]:
        """Return the corners of all triangles, ``3N x 2`` px, and their RGBA, ``3N x 4``."""
        if not self._shapes:
            return _NOTHING
        counts = [len(corners) for corners, _ in self._shapes]
        corners = np.concatenate([corners for corners, _ in self._shapes])
        corners *= np.repeat(np.array(self._scales, dtype=np.float32), counts)[:, None]
        corners += np.repeat(np.array(self._places, dtype=np.float32), counts, axis=0)
        colors = np.concatenate([colors for _, colors in self._shapes])
        if min(self._alphas) < 1.0:
            colors[:, 3] *= np.repeat(np.array(self._alphas, dtype=np.float32), counts)
        return corners, colors


_NOTHING = (np.zeros((0, 2), dtype=np.float32), np.zeros((0, 4), dtype=np.float32))


def draw(marks: list[Mark], scale: float) -> Drawing:
    """Return the shapes of pairs; later pairs are drawn over earlier ones.

    Args:
        marks: The pairs as they are seen in a view.
        scale: The size of the interface.
    """
    drawing = Drawing()
    for mark in marks:
        for line in mark.lines:
            _add_line(drawing, line, mark.color, mark.alpha)
        if mark.handle is not None and mark.target is not None and not mark.is_pin:
            _add_arrow(drawing, mark, scale * mark.size)
    for mark in marks:
        if mark.target is not None and not mark.is_pin:
            shape = overlay_shapes.target(mark.color, mark.is_target_selected)
            drawing.add_shape(shape, mark.target, mark.alpha, scale * mark.size)
        if mark.handle is not None:
            _add_handle(drawing, mark, scale * mark.size)
    return drawing


def _add_handle(drawing: Drawing, mark: Mark, scale: float) -> None:
    """Add the disc of a handle, or the shape of a pin or of a handle that has a problem."""
    assert mark.handle is not None
    state, color = mark.state, mark.color
    is_open = mark.is_handle_selected and not mark.is_pin
    if state == "LOST":
        shape, color = overlay_shapes.cross(LOST_COLOR, mark.is_handle_selected), LOST_COLOR
    elif state == "MASKED":
        shape, color = overlay_shapes.barred(SHORT_COLOR, mark.is_handle_selected), SHORT_COLOR
    elif state == "FLAT":
        shape, color = overlay_shapes.dashed(FLAT_COLOR, mark.is_handle_selected), FLAT_COLOR
    elif mark.is_pin and state == "SHORT":
        shape = overlay_shapes.left_pin(color, mark.is_handle_selected)
    elif mark.is_pin:
        shape = overlay_shapes.pin(color, mark.is_handle_selected)
    else:
        shape = overlay_shapes.handle(color, is_open)
    drawing.add_shape(shape, mark.handle, mark.alpha, scale)
    if not mark.number:
        return
    x, y = mark.handle
    if state in ("LOST", "FLAT", "MASKED") or is_open:
        offset = (OPEN_HANDLE + 8.0) * scale
        text = f"{mark.number}?" if state == "LOST" else mark.number
        place = (x - offset, y + offset * 0.7)
        drawing.labels.append(Label(text, place, WHITE, mark.alpha, True))
    else:
        ink = DARK if luminance(color) > 0.3 else WHITE
        drawing.labels.append(Label(mark.number, (x, y), ink, mark.alpha, False))


def luminance(color: Color) -> float:
    """Return the relative luminance of an sRGB colour, 0 to 1, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _add_arrow(drawing: Drawing, mark: Mark, scale: float) -> None:
    """Add the arrow from a handle to its target, if there is room for one between them."""
    assert mark.handle is not None
    assert mark.target is not None
    (x, y), (to_x, to_y) = mark.handle, mark.target
    length = math.hypot(to_x - x, to_y - y)
    start, tip = (HANDLE + 2.0) * scale, length - (TARGET + 3.0) * scale
    if tip - start < 2.0 * HEAD * scale:
        return
    along_x, along_y = (to_x - x) / length, (to_y - y) / length
    is_short = mark.state in ("SHORT", "MASKED")
    color = SHORT_COLOR if is_short else mark.color
    end = tip - 2.0 * HEAD * scale
    starts = np.array([start])
    ends = np.array([end])
    if is_short:
        starts = np.arange(start, end, (_DASH + _GAP) * scale)
        ends = np.minimum(starts + _DASH * scale, end)
    distances = np.column_stack((starts, ends)).ravel()[:, None]
    segments = np.array((x, y)) + distances * (along_x, along_y)
    drawing.add_segments(segments.astype(np.float32), color, mark.alpha)
    corners, colors = overlay_shapes.head(color)
    turned = corners @ np.array(((along_x, along_y), (-along_y, along_x)), dtype=np.float32)
    middle = tip - HEAD * 1.5 * scale
    place = (x + along_x * middle, y + along_y * middle)
    drawing.add_shape((turned, colors), place, mark.alpha, scale)


def _add_line(drawing: Drawing, line: Points, color: Color, alpha: float) -> None:
    """Add a line through points; parts of it that are not in front of the viewer are left out."""
    segments = np.stack((line[:-1], line[1:]), axis=1)
    seen = np.isfinite(segments).all(axis=(1, 2))
    drawing.add_segments(segments[seen].reshape(-1, 2), color, alpha)
