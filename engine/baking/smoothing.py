# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooths rows over time, without changing poses and holds.

A Gaussian over the frames removes the jitter of single frames, but flattens the extremes of a
motion. It is therefore applied separately between each two rows that are kept, to the difference
from the straight line between them, which is continued beyond both ends as its own negative mirror
image. The result is zero at both ends by symmetry, so that they need no correction, and a straight
motion does not change. (This is the heat equation with fixed ends, solved by its sine series.)
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ..arrays import FloatArray

# The most values that are smoothed at once, to limit the memory.
_NUMBERS_AT_ONCE = 1 << 22


def frames_that_stay(values: FloatArray, poses: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the rows that smoothing keeps: poses, both ends, and the rows of holds.

    Args:
        values: ``T x N`` float32; equal neighbouring rows are a hold.
        poses: Row numbers; numbers outside ``values`` are ignored.

    Returns:
        Row numbers in rising order, int64.
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
        values: ``T x N`` float32.
        sigma: Standard deviation of the Gaussian in frames, above 0.
        stay: The rows to keep, in rising order, with the first and the last row.

    Returns:
        ``T x N`` float32; the rows of ``stay`` equal those of ``values`` to the bit.
    """
    result = values.copy()
    for first, last in pairwise(stay.tolist()):
        columns = max(1, _NUMBERS_AT_ONCE // (last - first))
        for left in range(0, values.shape[1], columns):
            part = slice(left, left + columns)
            result[first + 1 : last, part] = _between(values[first : last + 1, part], sigma)[1:-1]
    return result


def _between(values: FloatArray, sigma: float) -> npt.NDArray[np.float64]:
    """Return rows, ``n + 1 x N``, smoothed; the first and the last change by rounding only."""
    steps = len(values) - 1
    exact = values.astype(np.float64)
    line = exact[0] + np.linspace(0, 1, steps + 1)[:, None] * (exact[-1] - exact[0])
    off = exact - line
    waves = np.fft.rfft(np.concatenate([off[:-1], -off[:0:-1]]), axis=0)
    damping = np.exp(-0.5 * (sigma * np.pi * np.arange(len(waves)) / steps) ** 2)
    smoothed: npt.NDArray[np.float64] = line
    smoothed += np.fft.irfft(waves * damping[:, None], n=2 * steps, axis=0)[: steps + 1]
    return smoothed
