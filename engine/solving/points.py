# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a running drag, and how they are replaced by others while it runs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..arrays import ByteArray, FloatArray
from ..features.source import FeatureSource
from .picture import Paths
from .regions import Regions, turn_of


@dataclass(frozen=True, kw_only=True)
class LivePoints:
    """The points that a running drag continues with.

    Attributes:
        keys: P keys, all different. A point whose key the drag knows keeps its handle where the
            drag has tracked it.
        handles_px: ``P x 2`` float, where the points with new keys are in the present image, image
            pixels; the rows of known keys are not used.
        targets_px: ``P x 2`` float, the target of each point, image pixels.
        radii_px: ``P`` float, the radii of regions, image pixels, 0 for a plain point; None if all
            points are plain. See ``regions``.
        turns: ``P x 2`` float, the angle and scale that each region should have in the end, 0 and 1
            for a plain point; None if all points are plain.
        mask: ``H x W`` uint8, 255 = may change: a larger exact mask that the drag continues with;
            None to keep the mask.
    """

    keys: Sequence[Hashable]
    handles_px: FloatArray
    targets_px: FloatArray
    radii_px: FloatArray | None = None
    turns: FloatArray | None = None
    mask: ByteArray | None = None

    @property
    def has_regions(self) -> bool:
        """Whether any of the points is a region."""
        return self.radii_px is not None and bool((np.asarray(self.radii_px) > 0).any())


class LiveChanges(Protocol):
    """Replaces the points of a running drag."""

    @property
    def is_open(self) -> bool:
        """Whether the drag waits when it cannot come closer to its targets."""
        ...

    def take(self, resting: Tensor | None) -> LivePoints | None:
        """Return other points, or None to go on as before.

        Args:
            resting: None before a look. Otherwise the drag is about to end with this latent,
                ``num_ws x w_dim``; the method may then wait for other points, and returns None to
                let it end.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class PointChange:
    """What a drag method needs to know about other points.

    Attributes:
        kept: ``P`` int64 on the CPU, for each point its present number, or -1 for a new point.
        handles: ``P x 2`` float32 feature positions, where new points start.
        targets: ``P x 2`` float32 feature positions.
        is_same: Whether the points are the same as before, in the same order; only their targets
            differ.
        paths: The ways of the pairs.
        regions: The regions that the points belong to; None if all are plain.
        shares: How much each point counts, see ``methods.base.DragProblem``.
        source: What computes the features from now on, if the mask has become larger; None for the
            one before. Then ``is_same`` is False.
    """

    kept: Tensor
    handles: Tensor
    targets: Tensor
    is_same: bool
    paths: Paths
    regions: Regions | None = None
    shares: Tensor | None = None
    source: FeatureSource | None = None

    def carry(self, present: Tensor, new: Tensor) -> Tensor:
        """Return a tensor with a row for each point: the present row, or the new one.

        Args:
            present: ``P0 x ...``, a row for each point before the change.
            new: ``P x ...``, of which the rows of new points are used.
        """
        if self.is_same:
            return present
        kept = self.kept.to(present.device)
        is_new = (kept < 0).reshape(-1, *[1] * (new.ndim - 1))
        return torch.where(is_new, new, present[kept.clamp(min=0)])


@dataclass(frozen=True, kw_only=True)
class RowPoints:
    """The points that a row of a drag was made with.

    Attributes:
        keys: P keys, all different.
        targets_px: ``P x 2`` float32, image pixels.
        turns: ``P x 2`` float32, the angle and scale that each region should have; None if none of
            the points is a region.
        radii_px: ``P`` float32, the radii of regions, image pixels, 0 for a plain point; None
            likewise.
    """

    keys: tuple[Hashable, ...]
    targets_px: FloatArray
    turns: FloatArray | None = None
    radii_px: FloatArray | None = None

    @classmethod
    def of(cls, points: LivePoints) -> RowPoints:
        """Return copies of what a row needs of points."""

        def copied(values: FloatArray | None) -> FloatArray | None:
            return np.array(values, dtype=np.float32) if points.has_regions else None

        return cls(
            keys=tuple(points.keys),
            targets_px=np.array(points.targets_px, dtype=np.float32),
            turns=copied(points.turns),
            radii_px=copied(points.radii_px),
        )

    def distances_px(self, handles_px: FloatArray, turns: FloatArray | None) -> FloatArray:
        """Return how far handles are from what is wanted of them, image pixels.

        For a region it is the distance of its place, or that of its rim due to turn and scale,
        whichever is larger.

        Args:
            handles_px: ``... x P x 2`` float32, image pixels.
            turns: ``... x P x 2`` float32, their angles and scales; None if none is a region.

        Returns:
            ``... x P`` float32.
        """
        places: FloatArray = np.linalg.norm(handles_px - self.targets_px, axis=-1)
        if turns is None or self.turns is None or self.radii_px is None:
            return places
        rest = turn_of(turns[..., 0], turns[..., 1]) - turn_of(self.turns[:, 0], self.turns[:, 1])
        rims: FloatArray = self.radii_px * np.linalg.norm(rest, axis=-1)
        return np.maximum(places, rims)


def numbers_of(keys: Sequence[Hashable], present: Sequence[Hashable]) -> Tensor:
    """Return the number that each key has among the present ones, -1 for a new key; int64."""
    numbers = {key: number for number, key in enumerate(present)}
    return torch.tensor([numbers.get(key, -1) for key in keys], dtype=torch.int64)


def joined_rows(
    rows: Sequence[FloatArray], keys_of_rows: Sequence[Sequence[Hashable]]
) -> FloatArray:
    """Return rows of points that all have the points of the last row.

    A point that was added later is, in the rows before that, where it was added.

    Args:
        rows: One array for each row, ``P_t x 2``.
        keys_of_rows: The keys of the points of each row.

    Returns:
        ``T x P x 2`` float32, with the points of the last row in their order.
    """
    last = keys_of_rows[-1]
    joined = np.empty((len(rows), len(last), 2), dtype=np.float32)
    later = rows[-1]
    for number in reversed(range(len(rows))):
        keys = keys_of_rows[number]
        if keys is not last:
            places = dict(zip(keys, rows[number], strict=True))
            later = np.stack([places.get(key, later[i]) for i, key in enumerate(last)])
        else:
            later = rows[number]
        joined[number] = later
    return joined
