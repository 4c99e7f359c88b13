# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoothing of rows over time that leaves poses and holds as they are.

A Gaussian over the frames takes the small jitter of single frames away, and with it the extremes of
a motion.  So it is applied between each two rows that stay, to what is off the straight line from
the one to the other, continued beyond both ends as its own negative mirror image.  That is zero at
the ends by symmetry: nothing has to be put right there, and a straight motion is not changed at
all.  (It is the heat equation with held ends, solved by its sine series.)
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..arrays import FloatArray

_NUMBERS_AT_ONCE = 1 << 22
"""To bound the memory."""


def frames_that_stay(values: FloatArray, poses: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The rows that smoothing keeps: poses, both ends, and all rows of holds, in order.

    Args:
        values: `T x N` float32; rows that equal the one before to the bit are a hold.
        poses: row numbers; those that are no rows are left out.
    """
    stays = np.zeros(len(values), dtype=bool)
    stays[[0, -1]] = True
    stays[[row for row in poses if 0 <= row < len(values)]] = True
    same = (values[1:] == values[:-1]).all(axis=1)
    stays[1:] |= same
    stays[:-1] |= same
    return np.flatnonzero(stays)


def smooth(values: FloatArray, sigma: float, stay: npt.NDArray[np.int64]) -> FloatArray:
    """Smooth rows over time.

    Args:
        values: `T x N` float32.
        sigma: standard deviation of the Gaussian, frames; above 0.
        stay: the rows to keep as they are, rising, the first and the last among them.

    Returns:
        `T x N` float32; the rows of `stay` are those of `values`, to the bit.
    """
    result = values.copy()
    for first, last in pairwise(stay.tolist()):
        columns = max(1, _NUMBERS_AT_ONCE // (last - first))
        for left in range(0, values.shape[1], columns):
            part = slice(left, left + columns)
            result[first + 1 : last, part] = _between(values[first : last + 1, part], sigma)[1:-1]
    return result


def _between(values: FloatArray, sigma: float) -> npt.NDArray[np.float64]:
    """Rows `n + 1`, smoothed, the first and the last (nearly) as they are."""
    steps = len(values) - 1
    exact = values.astype(np.float64)
    line = exact[0] + np.linspace(0, 1, steps + 1)[:, None] * (exact[-1] - exact[0])
    off = exact - line
    waves = np.fft.rfft(np.concatenate([off[:-1], -off[:0:-1]]), axis=0)
    damping = np.exp(-0.5 * (sigma * np.pi * np.arange(len(waves)) / steps) ** 2)
    smoothed: npt.NDArray[np.float64] = line
    smoothed += np.fft.irfft(waves * damping[:, None], n=2 * steps, axis=0)[: steps + 1]
    return smoothed
