# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs that an exact mask holds: where it is black, nothing moves, whatever a target asks.

Such a pair must not count: the others would never have reached their targets because of it, and
steps that bring them closer would look small beside the way that it has left.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from stylegan2 import Canvas, Matte

from ..arrays import FloatArray
from .points import LivePoints, RowPoints
from .regions import angle_and_scale


@dataclass(frozen=True)
class Held:
    """What a mask holds of the pairs of a drag.

    Attributes:
        pairs: For each pair, whether it asks to be moved and is held; empty if none is.
        is_all: Whether no other pair asks to be moved.
    """

    pairs: tuple[bool, ...] = ()
    is_all: bool = False

    @property
    def sentence(self) -> str:
        """A clause that names the pairs and says what to do."""
        numbers = [str(number) for number, is_held in enumerate(self.pairs, start=1) if is_held]
        handles = f"handle{'s' if len(numbers) > 1 else ''} {' and '.join(numbers)}"
        return f"the mask is black under {handles}, where nothing moves; paint white there"


def left_where_held(
    canvas: Canvas | None,
    points: LivePoints,
    places: Mapping[Hashable, tuple[FloatArray, FloatArray]],
    tolerance_px: float,
) -> tuple[LivePoints, Held]:
    """Return points whose pairs stay where they are if a mask holds them.

    Args:
        canvas: The picture; with a matte if a mask holds exactly.
        points: The P pairs.
        places: For each pair of which the drag knows where it is now, its place and turn, see
            ``pair_points.PairPoints.expand``.
        tolerance_px: A pair that is as close to what is wanted does not ask to be moved.
    """
    if canvas is None or canvas.matte is None:
        return points, Held()
    here = [
        places.get(key, (handle, np.array([1.0, 0.0], np.float32)))
        for key, handle in zip(points.keys, points.handles_px, strict=True)
    ]
    places_px = np.stack([np.asarray(place, np.float32) for place, _ in here])
    turns = angle_and_scale(np.stack([turn for _, turn in here]))
    asks = RowPoints.of(points).distances_px(places_px, turns) > tolerance_px
    held = asks & _is_black(canvas.matte, places_px)
    if not held.any():
        return points, Held()
    stays = held[:, None]
    points = replace(
        points,
        targets_px=np.where(stays, places_px, points.targets_px),
        turns=None if points.turns is None else np.where(stays, turns, points.turns),
    )
    return points, Held(tuple(held.tolist()), bool(held[asks].all()))


def _is_black(matte: Matte, places_px: FloatArray) -> npt.NDArray[np.bool_]:
    """Return for places ``P x 2``, image pixels, whether nothing moves there, ``P``."""
    seen = matte.full[0, 0].cpu().numpy()
    size = np.array(seen.shape[::-1]) - 1
    columns, rows = np.clip(places_px, 0, size).astype(np.int64).T
    black: npt.NDArray[np.bool_] = seen[rows, columns] <= 0
    return black
