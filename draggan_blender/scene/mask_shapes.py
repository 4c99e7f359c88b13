# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes and filters of masks as arrays: polygons, strips, growing, shrinking, softening.

Masks are ``H x W`` float32 in [0, 1], bottom row first as in Blender's images; 1 = may change. Pure
numpy, no bpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.float32]
Combination = Literal["REPLACE", "ADD", "SUBTRACT"]


def polygon(corners_uv: ArrayLike, width: int, height: int) -> Mask:
    """Return a mask that is 1 inside a polygon; a pixel is inside if its centre is.

    Areas that a self-crossing outline encloses twice are outside, as in Blender's lasso.

    Args:
        corners_uv: ``N x 2`` uv, origin bottom left, N at least 3; corners may be outside the
            image.
        width: The mask's width in pixels.
        height: Its height.

    Raises:
        ValueError: There are fewer than three corners, or one is not finite.
    """
    corners = np.asarray(corners_uv, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError(f"a polygon needs at least 3 corners (u, v), not {corners.shape}")
    if not np.isfinite(corners).all():
        raise ValueError("the corners of a polygon must be finite")
    points = corners * [width, height]
    middles = np.arange(height) + 0.5
    # In each row, every crossing of an edge changes inside to outside or back, to its right.
    changes = np.zeros((height, width + 1), dtype=np.int32)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        rows = np.nonzero((middles >= min(y0, y1)) & (middles < max(y0, y1)))[0]
        if len(rows):
            crossings = x0 + (middles[rows] - y0) / (y1 - y0) * (x1 - x0)
            columns = np.ceil(np.clip(crossings, 0.0, width + 1.0) - 0.5)
            np.add.at(changes, (rows, np.clip(columns, 0, width).astype(np.intp)), 1)
    return (np.cumsum(changes, axis=1)[:, :width] % 2).astype(np.float32)


def strips(
    segments: Sequence[tuple[ArrayLike, ArrayLike, float]],
    width: int,
    height: int,
    uv_to_space: ArrayLike,
) -> Mask:
    """Return a mask that is 1 within a distance of any of some line segments.

    Args:
        segments: The start ``(x, y)``, the end ``(x, y)`` and the distance of each, in the space of
            ``uv_to_space``.
        width: The mask's width in pixels.
        height: Its height.
        uv_to_space: ``3 x 2``: ``(x, y) = [u, v, 1] @ uv_to_space``.
    """
    matrix = np.asarray(uv_to_space, dtype=np.float64)
    u = (np.arange(width) + 0.5)[None, :, None] / width
    v = (np.arange(height) + 0.5)[:, None, None] / height
    places = u * matrix[0] + v * matrix[1] + matrix[2]
    found = np.zeros((height, width), dtype=np.float32)
    for start, end, distance in segments:
        first = np.asarray(start, dtype=np.float64)
        along = np.asarray(end, dtype=np.float64) - first
        length = max(float(along @ along), 1e-12)
        part = np.clip((places - first) @ along / length, 0.0, 1.0)
        apart = places - first - part[..., None] * along
        found[np.einsum("hwc,hwc->hw", apart, apart) <= distance * distance] = 1.0
    return found


def combine(mask: Mask | None, shape: Mask, how: Combination) -> Mask:
    """Return a mask after a shape was drawn.

    Args:
        mask: The mask before; None if there is no mask, so that everything may change.
        shape: The shape, of the same size; 1 inside.
        how: ``REPLACE``: only the inside may change. ``ADD``: the inside may change too; without a
            mask, or with a white one, the same as ``REPLACE``, because the shape would have no
            effect otherwise. ``SUBTRACT``: the inside stays.
    """
    before = np.ones_like(shape) if mask is None else mask
    if how == "REPLACE" or (how == "ADD" and bool((before >= 1.0).all())):
        return shape
    return np.maximum(before, shape) if how == "ADD" else np.minimum(before, 1.0 - shape)


def grow(mask: Mask, radius: int) -> Mask:
    """Return a mask whose white areas reach ``radius`` pixels further in every direction."""
    height, width = mask.shape
    grown, row = mask.copy(), mask.copy()
    reached = 0
    # The disc is a stack of rows: short ones at its top and bottom, the longest in the middle.
    # Going from its top to the middle, each row's maximum extends that of the row before.
    for above in range(radius, -1, -1):
        half = int(np.sqrt((radius + 0.5) ** 2 - above * above))
        for reach in range(reached + 1, min(half, width - 1) + 1):
            np.maximum(row[:, reach:], mask[:, :-reach], out=row[:, reach:])
            np.maximum(row[:, :-reach], mask[:, reach:], out=row[:, :-reach])
        reached = max(reached, half)
        if above < height:
            np.maximum(grown[above:], row[: height - above], out=grown[above:])
            np.maximum(grown[: height - above], row[above:], out=grown[: height - above])
    return grown


def shrink(mask: Mask, radius: int) -> Mask:
    """Return a mask whose black areas reach ``radius`` pixels further in every direction."""
    return np.asarray(1.0 - grow(1.0 - mask, radius), dtype=np.float32)


def soften(mask: Mask, radius: int) -> Mask:
    """Return a mask blurred by about ``radius`` pixels; the border's pixels continue outside.

    Three box filters are close to a Gaussian.
    """
    blurred = mask.astype(np.float64)
    half = max(round(radius / 2), 1)
    for _ in range(3):
        for axis in (0, 1):
            blurred = _box(blurred, half, axis)
    return np.clip(blurred, 0.0, 1.0).astype(np.float32)


def _box(values: NDArray[np.float64], half: int, axis: int) -> NDArray[np.float64]:
    """Return the mean over ``2 * half + 1`` neighbours along an axis."""
    moved = np.moveaxis(values, axis, 0)
    padded = np.concatenate(
        [np.repeat(moved[:1], half + 1, axis=0), moved, np.repeat(moved[-1:], half, axis=0)]
    )
    sums = np.cumsum(padded, axis=0)
    means = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)
    return np.moveaxis(means, 0, axis)
