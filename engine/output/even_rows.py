# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a drag as a sequence: no jump between two of them.

A method that needs only a few large steps would give a sequence of a few jerks.  Rows are put
between its steps, so that no handle goes further than a small part of the image from one to the
next; what lies between two steps is taken to be straight, in the latent as in everything else.
Steps that led away from the targets, and that the method took back, are left out; the others stay
as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import FloatArray
from ..solving.result import DragResult

LONGEST_WAY = 1 / 256
"""The part of the image's width that a handle may go between two rows."""


def even_rows(result: DragResult, image_width: int) -> DragResult:
    """A drag with rows put between those of its steps, wherever a handle has gone too far.

    Args:
        image_width: of the generator's images, pixels.

    Returns:
        Rows without jumps; each of the old ones that came nearer than all before is among them, to
        the bit, and the first and the last.  What is not a row (steps, seconds, status) is the same
        as before.
    """
    result = _without_detours(result)
    ways = np.linalg.norm(np.diff(result.handles_px, axis=0), axis=2).max(axis=1)
    counts = np.maximum(1, np.ceil(ways / (LONGEST_WAY * image_width))).astype(np.int64)
    steps = np.arange(len(counts))
    firsts = np.concatenate([[0], counts.cumsum()])
    # For each row but the last: the step before it, and how far it is on the way to the next.
    before = np.repeat(steps, counts)
    parts = ((np.arange(firsts[-1]) - firsts[before]) / counts[before]).astype(np.float32)

    def between(rows: FloatArray) -> FloatArray:
        fractions = parts.reshape(-1, *[1] * (rows.ndim - 1))
        filled = rows[before] + (rows[before + 1] - rows[before]) * fractions
        return np.concatenate([filled, rows[-1:]])

    return replace(
        result,
        latents=between(result.latents),
        handles_px=between(result.handles_px),
        distances_px=between(result.distances_px),
        losses=between(result.losses),
        best_index=int(firsts[result.best_index]),
    )


def _without_detours(result: DragResult) -> DragResult:
    """The first row, the last, and those whose farthest handle is nearer than in all before."""
    distances = result.distances_px
    nearest = np.minimum.accumulate(distances)
    kept = np.concatenate([[True], distances[1:] < nearest[:-1]])
    kept[-1] = True
    rows = np.flatnonzero(kept)
    best = result.best_index if kept[result.best_index] else rows[distances[rows].argmin()]
    return replace(
        result,
        latents=result.latents[rows],
        handles_px=result.handles_px[rows],
        distances_px=distances[rows],
        losses=result.losses[rows],
        best_index=int(np.searchsorted(rows, best)),
    )
