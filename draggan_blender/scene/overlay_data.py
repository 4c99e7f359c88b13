# SPDX-License-Identifier: GPL-3.0-or-later
"""What the overlay draws for the points of an image: shapes, colours and texts in screen pixels.

Every shape has a white rim and a dark one around it, so that it can be read on light, dark and busy
images. What is wrong with a handle changes its shape as well as its colour:

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
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Color = tuple[float, float, float]

# Radii in px at a scale of 1: of a handle, of the ring of a selected one, of a target's ring, and
# half the side of a pin.
HANDLE, OPEN_HANDLE, TARGET, PIN = 7.0, 9.5, 8.5, 6.5
# The radius of the ring around a pin whose content did not stay.
_AROUND_PIN = 13.0
# How wide the coloured line of a ring or a cross is, and each rim around a shape.
_LINE, _RIM = 2.0, 1.2
# The part of a pixel over which an edge is smoothed.
_SOFT = 0.8
# The lengths of a dash and of the gap after it.
_DASH, _GAP = 7.0, 6.0
# The number of edges of a circle.
_ROUND = 20
# The side of an arrow's head.
_HEAD = 4.5
# Widths of the three passes of a line, from the lowest to the highest.
LINE_WIDTHS = (4.8, 3.4, 1.8)

_WHITE, _DARK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
LOST_COLOR: Color = (0.85, 0.05, 0.10)
SHORT_COLOR: Color = (1.00, 0.75, 0.10)
FLAT_COLOR: Color = (0.15, 0.15, 0.15)
_DARK_ALPHA = 0.65


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A pair or pin as it is seen in one view; all positions are px of the region.

    Attributes:
        number: What is written at the handle; empty to write nothing.
        color: The colour of the pair, sRGB.
        is_pin: Whether handle and target are one point.
        state: ``FINE``, ``FLAT``, ``LOST`` or ``SHORT``.
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


# The corners of triangles around a middle, ``3N x 2`` px at a scale of 1, and their RGBA.
_Shape = tuple[Points, Points]


class Drawing:
    """All shapes of a view."""

    def __init__(self) -> None:
        """Make an empty drawing."""
        self.labels: list[Label] = []
        self._segments: list[Points] = []
        self._segment_colors: list[tuple[float, float, float, float]] = []
        self._shapes: list[_Shape] = []
        self._places: list[tuple[float, float]] = []
        self._scales: list[float] = []
        self._alphas: list[float] = []

    def add_segments(self, ends: Points, color: Color, alpha: float) -> None:
        """Add line segments, of which each two rows of ``ends`` are one."""
        self._segments.append(ends)
        self._segment_colors.append((*color, alpha))

    def add_shape(
        self, shape: _Shape, place: tuple[float, float], alpha: float, scale: float
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
            shape = _target(mark.color, mark.is_target_selected)
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
        shape, color = _cross(LOST_COLOR, mark.is_handle_selected), LOST_COLOR
    elif state == "FLAT":
        shape, color = _dashed(FLAT_COLOR, mark.is_handle_selected), FLAT_COLOR
    elif mark.is_pin and state == "SHORT":
        shape = _left_pin(color, mark.is_handle_selected)
    elif mark.is_pin:
        shape = _pin(color, mark.is_handle_selected)
    else:
        shape = _handle(color, is_open)
    drawing.add_shape(shape, mark.handle, mark.alpha, scale)
    if not mark.number:
        return
    x, y = mark.handle
    if state in ("LOST", "FLAT") or is_open:
        offset = (OPEN_HANDLE + 8.0) * scale
        text = f"{mark.number}?" if state == "LOST" else mark.number
        place = (x - offset, y + offset * 0.7)
        drawing.labels.append(Label(text, place, _WHITE, mark.alpha, True))
    else:
        ink = _DARK if luminance(color) > 0.3 else _WHITE
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
    if tip - start < 2.0 * _HEAD * scale:
        return
    along_x, along_y = (to_x - x) / length, (to_y - y) / length
    is_short = mark.state == "SHORT"
    color = SHORT_COLOR if is_short else mark.color
    end = tip - 2.0 * _HEAD * scale
    starts = np.array([start])
    ends = np.array([end])
    if is_short:
        starts = np.arange(start, end, (_DASH + _GAP) * scale)
        ends = np.minimum(starts + _DASH * scale, end)
    distances = np.column_stack((starts, ends)).ravel()[:, None]
    segments = np.array((x, y)) + distances * (along_x, along_y)
    drawing.add_segments(segments.astype(np.float32), color, mark.alpha)
    corners, colors = _head(color)
    turned = corners @ np.array(((along_x, along_y), (-along_y, along_x)), dtype=np.float32)
    middle = tip - _HEAD * 1.5 * scale
    place = (x + along_x * middle, y + along_y * middle)
    drawing.add_shape((turned, colors), place, mark.alpha, scale)


def _add_line(drawing: Drawing, line: Points, color: Color, alpha: float) -> None:
    """Add a line through points; parts of it that are not in front of the viewer are left out."""
    segments = np.stack((line[:-1], line[1:]), axis=1)
    seen = np.isfinite(segments).all(axis=(1, 2))
    drawing.add_segments(segments[seen].reshape(-1, 2), color, alpha)


def _bands(
    outline: Points, normals: Points, profile: tuple[tuple[float, Color, float], ...]
) -> _Shape:
    """Return nested outlines filled with colours.

    Args:
        outline: ``K x 2`` corners of a convex shape around the origin.
        normals: ``K x 2``, how far a corner moves if the shape grows by 1.
        profile: From the inside to the outside: by how much the shape has grown, and the colour and
            opacity there; between two entries the colour changes evenly. The first is filled.
    """
    rings = np.array([outline + normals * grown for grown, _, _ in profile], dtype=np.float32)
    rgba = np.array([(*color, alpha) for _, color, alpha in profile], dtype=np.float32)
    following = np.roll(rings, -1, axis=1)
    inner, outer = rings[:-1], rings[1:]
    next_inner, next_outer = following[:-1], following[1:]
    # Where the radius of two entries is the same, the colour jumps.
    wide = np.array([b[0] > a[0] for a, b in pairwise(profile)])
    corners = np.stack((inner, outer, next_outer, inner, next_outer, next_inner), axis=2)[wide]
    low, high = rgba[:-1], rgba[1:]
    colors = np.stack((low, high, high, low, high, low), axis=1)[wide]
    repeated = np.broadcast_to(colors[:, None], (*corners.shape[:3], 4))
    return corners.reshape(-1, 2), repeated.reshape(-1, 4)


def _rims(width: float, selected: bool) -> tuple[tuple[float, Color, float], ...]:
    """Return the end of a profile, from ``width`` outwards: a white rim and a dark one around it.

    The white rim of a selected point is wider.
    """
    white = width + (_RIM * 2.2 if selected else _RIM)
    dark = white + _RIM
    return (
        (width + _SOFT / 2, _WHITE, 1.0),
        (white, _WHITE, 1.0),
        (white, _DARK, _DARK_ALPHA),
        (dark, _DARK, _DARK_ALPHA),
        (dark + _SOFT, _DARK, 0.0),
    )


def _regular(count: int, apothem: float, turn: float = 0.0) -> tuple[Points, Points]:
    """Return a regular polygon and the normals of its corners."""
    angles = turn + 2.0 * np.pi * np.arange(count) / count
    normals = np.column_stack((np.cos(angles), np.sin(angles))) / np.cos(np.pi / count)
    normals = normals.astype(np.float32)
    return normals * np.float32(apothem), normals


def _joined(*shapes: _Shape) -> _Shape:
    return (
        np.concatenate([corners for corners, _ in shapes]),
        np.concatenate([colors for _, colors in shapes]),
    )


def _solid(count: int, size: float, turn: float, color: Color, selected: bool) -> _Shape:
    outline, normals = _regular(count, size, turn)
    profile = ((-size, color, 1.0), (0.0, color, 1.0), *_rims(0.0, selected))
    return _bands(outline, normals, profile)


def _ring(size: float, color: Color, selected: bool, width: float = _LINE) -> _Shape:
    """Return a coloured ring with rims on both sides, which is open in the middle."""
    outline, normals = _regular(_ROUND, size)
    half = width / 2
    outside = ((-half, color, 1.0), (half, color, 1.0), *_rims(half, selected))
    inside = tuple((-grown, rgb, alpha) for grown, rgb, alpha in _rims(half, False))
    return _bands(outline, normals, (*reversed(inside), *outside))


def _bar(
    half: float,
    width: float,
    angle: float,
    rims: tuple[tuple[float, Color, float], ...],
    color: Color,
) -> _Shape:
    """Return a straight bar through the middle."""
    corners = np.array(((1, 1), (-1, 1), (-1, -1), (1, -1)), dtype=np.float32)
    turn = np.array(
        ((math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))), dtype=np.float32
    )
    outline = (corners * np.array((half, width), dtype=np.float32)) @ turn
    profile = ((-width, color, 1.0), (0.0, color, 1.0), *rims)
    return _bands(outline, corners @ turn, profile)


@lru_cache(maxsize=64)
def _handle(color: Color, is_open: bool) -> _Shape:
    """Return the disc of a handle; a selected one is open, so that what it marks is seen."""
    if not is_open:
        return _solid(_ROUND, HANDLE, 0.0, color, False)
    outline, normals = _regular(8, 0.8)
    rim = ((_SOFT / 2, _WHITE, 1.0), (0.8, _WHITE, 1.0), (0.8 + _SOFT, _DARK, 0.0))
    dot = _bands(outline, normals, ((-0.8, color, 1.0), (0.0, color, 1.0), *rim))
    return _joined(_ring(OPEN_HANDLE, color, True), dot)


@lru_cache(maxsize=64)
def _pin(color: Color, selected: bool) -> _Shape:
    return _solid(4, PIN, math.pi / 4, color, selected)


@lru_cache(maxsize=64)
def _left_pin(color: Color, selected: bool) -> _Shape:
    """Return a pin with a dashed ring around it."""
    return _joined(_dashed(SHORT_COLOR, False, _AROUND_PIN), _pin(color, selected))


@lru_cache(maxsize=64)
def _target(color: Color, selected: bool) -> _Shape:
    """Return a ring with a cross whose arms leave the middle free."""
    arms = []
    for turn in range(4):
        arm, colors = _bar(2.8, _LINE / 2, 0.0, _rims(0.0, False), color)
        angle = turn * math.pi / 2
        turned = np.array(
            ((math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))),
            dtype=np.float32,
        )
        arms.append(((arm + np.array((TARGET, 0.0), dtype=np.float32)) @ turned, colors))
    return _joined(*arms, _ring(TARGET, color, selected))


@lru_cache(maxsize=8)
def _dashed(color: Color, selected: bool, size: float = HANDLE) -> _Shape:
    """Return a ring of dashes."""
    corners, colors = _ring(size, color, selected, _LINE * 1.5)
    # Each band has a quad of 6 corners for each edge of the ring.
    bands, shown = len(corners) // (_ROUND * 6), np.arange(_ROUND) % 4 < 2
    kept = np.repeat(np.tile(shown, bands), 6)
    return corners[kept], colors[kept]


@lru_cache(maxsize=8)
def _cross(color: Color, selected: bool) -> _Shape:
    """Return an oblique cross: first the rims of both bars, then both bars."""
    angles = (math.pi / 4, -math.pi / 4)
    rims = _rims(0.0, selected)
    below = [_bar(HANDLE * 1.2, 1.6, angle, rims, color) for angle in angles]
    above = [_bar(HANDLE * 1.2, 1.6, angle, ((_SOFT, color, 0.0),), color) for angle in angles]
    return _joined(*below, *above)


@lru_cache(maxsize=64)
def _head(color: Color) -> _Shape:
    """Return the head of an arrow that points along the x axis."""
    return _solid(3, _HEAD, 0.0, color, False)
