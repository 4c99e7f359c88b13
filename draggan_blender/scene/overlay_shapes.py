# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of the overlay as triangles: around the origin, in px at a scale of 1.

Every shape has a white rim and a dark one around it, so that it can be read on light, dark and busy
images. Pure numpy, no bpy and no GPU.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Color = tuple[float, float, float]

# The corners of triangles, ``3N x 2``, and their RGBA.
Shape = tuple[Points, Points]

# Radii: of a handle, of the ring of a selected one, of a target's ring, and half the side of a pin.
HANDLE, OPEN_HANDLE, TARGET, PIN = 7.0, 9.5, 8.5, 6.5
# The radius of the ring around a pin whose content did not stay.
_AROUND_PIN = 13.0
# A third of the height of an arrow's head.
HEAD = 4.5
# How wide the coloured line of a ring or a cross is, and each rim around a shape.
_LINE, _RIM = 2.0, 1.2
# The part of a pixel over which an edge is smoothed.
_SOFT = 0.8
# The number of edges of a circle.
_ROUND = 20

WHITE, DARK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
SHORT_COLOR: Color = (1.00, 0.75, 0.10)
_DARK_ALPHA = 0.65


def _bands(
    outline: Points, normals: Points, profile: tuple[tuple[float, Color, float], ...]
) -> Shape:
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
        (width + _SOFT / 2, WHITE, 1.0),
        (white, WHITE, 1.0),
        (white, DARK, _DARK_ALPHA),
        (dark, DARK, _DARK_ALPHA),
        (dark + _SOFT, DARK, 0.0),
    )


def _regular(count: int, apothem: float, turn: float = 0.0) -> tuple[Points, Points]:
    """Return a regular polygon and the normals of its corners."""
    angles = turn + 2.0 * np.pi * np.arange(count) / count
    normals = np.column_stack((np.cos(angles), np.sin(angles))) / np.cos(np.pi / count)
    normals = normals.astype(np.float32)
    return normals * np.float32(apothem), normals


def _joined(*shapes: Shape) -> Shape:
    return (
        np.concatenate([corners for corners, _ in shapes]),
        np.concatenate([colors for _, colors in shapes]),
    )


def _solid(count: int, size: float, turn: float, color: Color, selected: bool) -> Shape:
    outline, normals = _regular(count, size, turn)
    profile = ((-size, color, 1.0), (0.0, color, 1.0), *_rims(0.0, selected))
    return _bands(outline, normals, profile)


def _ring(size: float, color: Color, selected: bool, width: float = _LINE) -> Shape:
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
) -> Shape:
    """Return a straight bar through the middle."""
    corners = np.array(((1, 1), (-1, 1), (-1, -1), (1, -1)), dtype=np.float32)
    turn = np.array(
        ((math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))), dtype=np.float32
    )
    outline = (corners * np.array((half, width), dtype=np.float32)) @ turn
    profile = ((-width, color, 1.0), (0.0, color, 1.0), *rims)
    return _bands(outline, corners @ turn, profile)


@lru_cache(maxsize=64)
def handle(color: Color, is_open: bool) -> Shape:
    """Return the disc of a handle; a selected one is open, so that what it marks is seen."""
    if not is_open:
        return _solid(_ROUND, HANDLE, 0.0, color, False)
    outline, normals = _regular(8, 0.8)
    rim = ((_SOFT / 2, WHITE, 1.0), (0.8, WHITE, 1.0), (0.8 + _SOFT, DARK, 0.0))
    dot = _bands(outline, normals, ((-0.8, color, 1.0), (0.0, color, 1.0), *rim))
    return _joined(_ring(OPEN_HANDLE, color, True), dot)


@lru_cache(maxsize=64)
def pin(color: Color, selected: bool) -> Shape:
    """Return the square of a pin."""
    return _solid(4, PIN, math.pi / 4, color, selected)


@lru_cache(maxsize=64)
def left_pin(color: Color, selected: bool) -> Shape:
    """Return a pin with a dashed ring around it."""
    return _joined(dashed(SHORT_COLOR, False, _AROUND_PIN), pin(color, selected))


@lru_cache(maxsize=64)
def target(color: Color, selected: bool) -> Shape:
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
def barred(color: Color, selected: bool) -> Shape:
    """Return a disc with a bar across: what it marks may not move."""
    disc = _solid(_ROUND, HANDLE + 1.0, 0.0, color, selected)
    rim = ((_SOFT, DARK, 0.0),)
    return _joined(disc, _bar(HANDLE - 2.0, _LINE * 0.8, 0.0, rim, DARK))


@lru_cache(maxsize=8)
def dashed(color: Color, selected: bool, size: float = HANDLE) -> Shape:
    """Return a ring of dashes."""
    corners, colors = _ring(size, color, selected, _LINE * 1.5)
    # Each band has a quad of 6 corners for each edge of the ring.
    bands, shown = len(corners) // (_ROUND * 6), np.arange(_ROUND) % 4 < 2
    kept = np.repeat(np.tile(shown, bands), 6)
    return corners[kept], colors[kept]


@lru_cache(maxsize=8)
def cross(color: Color, selected: bool) -> Shape:
    """Return an oblique cross: first the rims of both bars, then both bars."""
    angles = (math.pi / 4, -math.pi / 4)
    rims = _rims(0.0, selected)
    below = [_bar(HANDLE * 1.2, 1.6, angle, rims, color) for angle in angles]
    above = [_bar(HANDLE * 1.2, 1.6, angle, ((_SOFT, color, 0.0),), color) for angle in angles]
    return _joined(*below, *above)


@lru_cache(maxsize=64)
def head(color: Color) -> Shape:
    """Return the head of an arrow that points along the x axis."""
    return _solid(3, HEAD, 0.0, color, False)
