# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the steps of a drag into the rows of an even sequence.

A method that needs only a few large steps would give a jerky sequence. Rows are inserted between
the steps, so that no handle moves further than a small part of the image from one row to the next.
Everything in them, the latent too, is interpolated linearly. Steps that led away from the targets,
and that the method took back, are left out, and so is an attempt before one that began anew. The
other steps stay unchanged.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import FloatArray
from ..solving.result import DragResult

# The longest distance of a handle between two rows, as a part of the image's width.
LONGEST_WAY = 1 / 256


def even_rows(result: DragResult, image_width: int) -> DragResult:
    """Return a drag's result with rows inserted wherever a handle moves too far in one step.

    Args:
        result: The result of a drag.
        image_width: Width of the generator's images, pixels.

    Returns:
        A result whose rows have no jumps. The first row, the last row, and each row that is nearer
        to the targets than all before it are unchanged, to the bit. Fields that do not belong to
        rows (steps, seconds, status) are unchanged.
    """
    result = _without_detours(result)
    moves_px = np.linalg.norm(np.diff(result.handles_px, axis=0), axis=2).max(axis=1)
    counts = np.maximum(1, np.ceil(moves_px / (LONGEST_WAY * image_width))).astype(np.int64)
    steps = np.arange(len(counts))
    firsts = np.concatenate([[0], counts.cumsum()])
    # For each new row but the last: the step before it, and its part of the way to the next step.
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
        turns=None if result.turns is None else between(result.turns),
        best_index=int(firsts[result.best_index]),
    )


def _without_detours(result: DragResult) -> DragResult:
    """Keep the first and last rows, and those whose farthest handle is nearer than ever before.

    Rows before the last return to the start do not count: a sequence that mixed two attempts would
    go to one image and from there to another.
    """
    distances = result.distances_px
    tried = np.arange(len(distances))
    returns = np.flatnonzero((result.latents[1:] == result.latents[0]).all(axis=(1, 2)))
    if len(returns):
        # A drag that was stopped when it had just returned has nothing after that.
        tried = np.concatenate([[0], tried[min(returns[-1] + 2, len(tried) - 1) :]])
    nearest = np.minimum.accumulate(distances[tried])
    kept = np.concatenate([[True], distances[tried[1:]] < nearest[:-1]])
    kept[-1] = True
    rows = tried[kept]
    best = result.best_index
    if best not in rows:
        best = int(rows[distances[rows].argmin()])
    return replace(
        result,
        latents=result.latents[rows],
        handles_px=result.handles_px[rows],
        distances_px=distances[rows],
        losses=result.losses[rows],
        turns=None if result.turns is None else result.turns[rows],
        best_index=int(np.searchsorted(rows, best)),
    )
