# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a picture as a tree: which part is under a place, larger and smaller ones, masks.

Pure numpy, no bpy. The engine makes the tree (``protocol.parts.PartsFound``); everything that
follows a click is computed here, so that it does not wait for the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import mask_shapes
from .mask_shapes import Mask

# The size of the part that a click means, as a share of the picture, and how strongly it is
# preferred: the standard deviation of the logarithm of the size. ``docs/methods.md`` has the table.
_USUAL_SHARE, _SPREAD = 0.025, 0.5
# A part this much more different from what it is joined with than its own halves are, as a
# logarithm, is as distinct as can be.
_MOST_DISTINCT = 1.0
# From one size to the next, a part grows at least by this factor; the smallest part has this share
# of the picture.
_STEP, _SMALLEST_SHARE = 1.3, 0.001
# The border of a mask is shaped in a map with this many pixels along each cell.
_DETAIL = 4


class PartTree:
    """The tree of a picture."""

    def __init__(
        self,
        shape: tuple[int, int],
        parents: NDArray[np.integer[Any]],
        heights: NDArray[np.floating[Any]],
    ) -> None:
        """Take a tree.

        Args:
            shape: The rows and columns of cells.
            parents: As ``PartsFound.parents``.
            heights: As ``PartsFound.heights``.

        Raises:
            ValueError: This is not a tree.
        """
        cells = shape[0] * shape[1]
        self._shape = shape
        self._parents = np.asarray(parents, dtype=np.int64)
        self._heights = np.concatenate([np.zeros(cells), heights])
        nodes = np.arange(len(self._parents))
        fits = len(nodes) == 2 * cells - 1 == len(self._heights)
        if not fits or (self._parents[:-1] <= nodes[:-1]).any() or self._parents[-1] != -1:
            raise ValueError("the nodes of a tree of parts must be numbered upwards")
        if (self._parents[:-1] >= len(nodes)).any():
            raise ValueError("a node of a tree of parts has a parent that does not exist")
        self._sizes = np.concatenate([np.ones(cells), np.zeros(cells - 1)])
        for node, parent in enumerate(self._parents[:-1].tolist()):
            self._sizes[parent] += self._sizes[node]

    def sizes_at(self, uv: Sequence[float]) -> tuple[list[int], int]:
        """Return the parts around a place, and which of them a click there means.

        Args:
            uv: The place on the image, origin bottom left; one outside counts as the nearest
                inside.

        Returns:
            The nodes from the smallest part to the whole picture, and an index into them.
        """
        rows, columns = self._shape
        column = min(max(int(uv[0] * columns), 0), columns - 1)
        row = min(max(int((1.0 - uv[1]) * rows), 0), rows - 1)
        path = [row * columns + column]
        while self._parents[path[-1]] >= 0:
            path.append(int(self._parents[path[-1]]))
        shares = self._sizes[path] / (rows * columns)
        distinct = self._distinct(path)
        first = int(np.argmax(distinct * _usual(shares)))
        # From the part that is meant, up and down in steps; in each, the most distinct part.
        numbers = [first]
        while shares[numbers[-1]] < 1.0:
            numbers.append(_best(distinct, shares, shares[numbers[-1]] * _STEP, up=True))
        while (below := _best(distinct, shares, shares[numbers[0]] / _STEP, up=False)) >= 0:
            numbers.insert(0, below)
        return [path[number] for number in numbers], numbers.index(first)

    def _distinct(self, path: list[int]) -> NDArray[np.float64]:
        """Return how distinct each part of a path is from what it is joined with, 0 to 1."""
        heights = self._heights[path]
        least = max(float(heights[-1]), 1e-30) * 1e-9
        logs = np.log(np.maximum(heights, least))
        steps = np.append(np.diff(logs), 0.0)
        distinct: NDArray[np.float64] = np.minimum(steps, _MOST_DISTINCT) / _MOST_DISTINCT
        distinct[0] = 0.0  # a cell has no halves to compare with
        return distinct

    def mask(self, node: int, width: int, height: int, margin: float = 0.0) -> Mask:
        """Return a part as a mask with a smooth, soft border.

        Args:
            node: A node of ``sizes_at``.
            width: The mask's width in pixels.
            height: Its height.
            margin: How far the mask reaches beyond the part, so that the part can move there, as a
                share of the longer side.

        Returns:
            ``H x W`` float32 in [0, 1], bottom row first; 1 inside.
        """
        rows, columns = self._shape
        cells = self._contains(node).reshape(rows, columns)[::-1].astype(np.float32)
        # The border is shaped in a size that does not depend on the mask's, so that large masks
        # are as fast as small ones.
        fine = _resized(cells, columns * _DETAIL, rows * _DETAIL)
        radius = round(margin * max(fine.shape))
        if radius:
            fine = mask_shapes.grow(fine, radius)
        soft = mask_shapes.soften(fine, max(_DETAIL // 2, radius // 2))
        return _resized(soft, width, height)

    def _contains(self, node: int) -> NDArray[np.bool_]:
        """Return which cells belong to a node, one bool for each."""
        # Numbers rise on the way up: the last one that is not larger than the node is the node.
        at = np.arange(self._shape[0] * self._shape[1])
        while True:
            above = self._parents[at]
            moves = (above >= 0) & (above <= node)
            if not moves.any():
                inside: NDArray[np.bool_] = at == node
                return inside
            at = np.where(moves, above, at)


def _usual(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how usual parts of these shares of the picture are, 0 to 1."""
    away = np.log(shares / _USUAL_SHARE) / _SPREAD
    usual: NDArray[np.float64] = np.exp(-(away**2) / 2.0)
    return usual


def _best(
    distinct: NDArray[np.float64], shares: NDArray[np.float64], bound: float, *, up: bool
) -> int:
    """Return the most distinct part of the next step of sizes; -1 if there is none below.

    Args:
        distinct: For each part of the path.
        shares: Their shares of the picture, rising.
        bound: The share where the step begins.
        up: Whether parts are larger than the bound, or smaller.
    """
    if up:
        start = min(int(np.searchsorted(shares, bound)), len(shares) - 1)
        end = max(int(np.searchsorted(shares, bound * _STEP)), start + 1)
    else:
        end = int(np.searchsorted(shares, bound, side="right"))
        if end == 0 or shares[end - 1] < _SMALLEST_SHARE:
            return -1
        start = min(int(np.searchsorted(shares, bound / _STEP)), end - 1)
    return start + int(np.argmax(distinct[start:end]))


def _resized(values: Mask, width: int, height: int) -> Mask:
    """Return a map ``H x W`` in another size, interpolated linearly between the pixels."""
    found: NDArray[Any] = values
    for axis, size in ((0, height), (1, width)):
        moved = np.moveaxis(found, axis, 0)
        places = (np.arange(size) + 0.5) * len(moved) / size - 0.5
        places = np.clip(places, 0.0, len(moved) - 1.0)
        first = np.minimum(places.astype(np.intp), max(len(moved) - 2, 0))
        second = np.minimum(first + 1, len(moved) - 1)
        share = (places - first)[:, None]
        found = np.moveaxis(moved[first] * (1.0 - share) + moved[second] * share, 0, axis)
    return np.asarray(found, dtype=np.float32)
