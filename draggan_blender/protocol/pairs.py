# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs of a handle and a target, and where the handles of a running drag are.

A pair is a point, or a *region*: a disc of the image around the handle that is moved, turned and
scaled as one. Angles are radians, counter-clockwise as a person sees the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import require

Point = tuple[float, float]

# The most pairs of a drag or an edit. Time and memory of a step grow with their number: about
# 4 MiB for each on the built-in model.
MOST_PAIRS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One handle and its target.

    Attributes:
        handle_px: Where the handle is, image pixels.
        target_px: Where the content at the handle should go, image pixels.
        key: Identifies the pair within a drag, also after other pairs were added or removed.
        radius_px: The radius of a region, image pixels; 0 for a point.
        angle: How far a region should be turned; 0 for a point.
        scale: The factor by which a region should be scaled; 1 for a point.
    """

    handle_px: Point
    target_px: Point
    key: int = 0
    radius_px: float = 0.0
    angle: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        for value in (*self.handle_px, *self.target_px):
            require(math.isfinite(value), f"a point must be finite, not {value}")
        radius, angle, scale = self.radius_px, self.angle, self.scale
        require(0 <= radius < math.inf, f"radius_px must be 0 or more, not {radius}")
        require(math.isfinite(angle), f"angle must be finite, not {angle}")
        require(0 < scale < math.inf, f"scale must be more than 0, not {scale}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleState:
    """The handle of a pair at one step of a drag.

    Attributes:
        key: The key of its pair.
        place_px: Where the content at the handle was found, image pixels.
        distance_px: Its distance from the target, image pixels.
        angle: How far a region has been turned since the drag began; 0 for a point.
        scale: By which factor a region has been scaled since the drag began; 1 for a point.
        is_flat: Whether the handle was placed on something that cannot be followed: plain
            background or skin, an area without structure.
        is_lost: Whether the content of the start was found elsewhere, or not at all, so that
            ``place_px`` and ``distance_px`` are not to be believed.
        is_held: Whether an exact mask holds the handle, which its target does not: it stays, and
            ``distance_px`` is that from where it is.
    """

    key: int
    place_px: Point
    distance_px: float
    angle: float = 0.0
    scale: float = 1.0
    is_flat: bool = False
    is_lost: bool = False
    is_held: bool = False


def require_pairs(pairs: Sequence[Pair]) -> None:
    """Check that there is a pair, not more than ``MOST_PAIRS``, and none with another's key.

    Raises:
        LocalProtocolError: One of these is not so.
    """
    require(bool(pairs), "a drag needs at least one pair of points")
    require_count(len(pairs))
    distinct = len({pair.key for pair in pairs}) == len(pairs)
    require(distinct, "two pairs of a drag have the same key")


def require_count(count: int) -> None:
    """Check that there are not more than ``MOST_PAIRS`` pairs.

    Raises:
        LocalProtocolError: There are more.
    """
    require(count <= MOST_PAIRS, f"there are {count} pairs of points; at most {MOST_PAIRS} work")
