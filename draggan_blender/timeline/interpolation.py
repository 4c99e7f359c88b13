# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways from latent to latent over time, and mixes of latents. Pure numpy, no bpy.

Three kinds of ways, named as the panel has them:

- ``LINEAR``: straight, with a constant speed.
- ``SPHERICAL``: each layer's direction turns with a constant angular speed, its length changes
  evenly (K. Shoemake, *Animating Rotation with Quaternion Curves*, SIGGRAPH 1985, section 3.3;
  for latents T. White, *Sampling Generative Networks*, 2016, section 2.1).
- ``CUBIC``: smooth through the keys, a cubic Hermite polynomial between two of them. The slope at
  a key is the weighted harmonic mean of the two differences beside it, and zero where they differ
  in sign or one is zero (F. N. Fritsch and J. Butland, *A Method for Constructing Local Monotone
  Piecewise Cubic Interpolants*, SIAM J. Sci. Stat. Comput. 5, 1984), so that it never goes beyond
  the keys, which could leave what the model knows, and two equal keys are a hold. It is zero at
  the first and last key: what follows is a hold.

All ways give the keys themselves at their frames, equal to the bit, and hold before and after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["LINEAR", "SPHERICAL", "CUBIC"]
KINDS: tuple[str, ...] = get_args(Kind)

Latents = NDArray[np.float32]

#: Below this sine of the angle between two latents the arc is as good as straight, or has no
#: direction of its own to turn in.
_LEAST_SINE = 1e-6


def between(key_frames: Sequence[int], keys: Latents, frames: Sequence[int], kind: str) -> Latents:
    """The latents at some frames.

    Args:
        key_frames: `N >= 1` frames, rising.
        keys: `N x num_ws x w_dim` float32, one latent for each of them.
        frames: `T` frames, in any order; those beside the keys hold the nearest.
        kind: one of :data:`KINDS`.

    Returns:
        `T x num_ws x w_dim` float32.

    Raises:
        ValueError: the key frames do not rise, are none or not as many as keys, or the kind is
            another.
    """
    at = np.asarray(key_frames, dtype=np.float64)
    if len(at) != len(keys) or not len(at) or (np.diff(at) <= 0).any():
        raise ValueError(f"{len(keys)} keys need as many rising frames, not {list(key_frames)}")
    if kind not in KINDS:
        raise ValueError(f"an interpolation is one of {', '.join(KINDS)}, not {kind!r}")
    result = np.empty((len(frames), *keys.shape[1:]), dtype=np.float32)
    slopes = _slopes(at, keys) if kind == "CUBIC" else None
    for row, frame in enumerate(frames):
        left = int(np.clip(np.searchsorted(at, frame, side="right") - 1, 0, len(at) - 1))
        right = min(left + 1, len(at) - 1)
        if frame <= at[left] or left == right:
            result[row] = keys[left]
            continue
        length = at[right] - at[left]
        part = float(frame - at[left]) / length
        start, end = keys[left].astype(np.float64), keys[right].astype(np.float64)
        if slopes is not None:
            result[row] = _cubic(start, end, slopes[left] * length, slopes[right] * length, part)
        elif kind == "SPHERICAL":
            result[row] = _spherical(start, end, part)
        else:
            result[row] = start + part * (end - start)
    return result


def shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights as parts of a whole.

    A frame at which all weights are zero takes the parts of the nearest frame before it that has
    any, or after it at the start: a mix that is faded out stays as it was.

    Args:
        weights: `T x S`, 0 or more.

    Returns:
        `T x S`; each row's sum is 1.

    Raises:
        ValueError: no frame has a weight above zero.
    """
    sums = weights.sum(axis=1)
    known = np.flatnonzero(sums > 0)
    if not len(known):
        raise ValueError("every weight is 0 at every frame")
    nearest = known[np.maximum(np.searchsorted(known, np.arange(len(sums)), side="right") - 1, 0)]
    parts: NDArray[np.float64] = weights[nearest] / sums[nearest, None]
    return parts


def _spherical(
    start: NDArray[np.float64], end: NDArray[np.float64], part: float
) -> NDArray[np.float64]:
    """Each row's direction along the great circle, its length along a straight line."""
    lengths = [np.linalg.norm(one, axis=-1, keepdims=True) for one in (start, end)]
    straight = start + part * (end - start)
    product = lengths[0] * lengths[1]
    cosine = (start * end).sum(axis=-1, keepdims=True) / np.where(product > 0, product, 1.0)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    sine = np.sin(angle)
    turns = (sine > _LEAST_SINE) & (product > 0)
    safe = np.where(turns, sine, 1.0)
    units = [
        one / np.where(length > 0, length, 1.0)
        for one, length in zip((start, end), lengths, strict=True)
    ]
    direction = (np.sin((1.0 - part) * angle) * units[0] + np.sin(part * angle) * units[1]) / safe
    length = lengths[0] + part * (lengths[1] - lengths[0])
    turned: NDArray[np.float64] = np.where(turns, length * direction, straight)
    return turned


def _cubic(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    slope: NDArray[np.float64],
    end_slope: NDArray[np.float64],
    part: float,
) -> NDArray[np.float64]:
    """The Hermite polynomial, in a form in which equal ends without slopes are equal to the bit."""
    rise = part * part * (3.0 - 2.0 * part)
    left = part * (1.0 - part) ** 2
    right = part * part * (part - 1.0)
    value: NDArray[np.float64] = start + rise * (end - start) + left * slope + right * end_slope
    return value


def _slopes(at: NDArray[np.float64], keys: Latents) -> NDArray[np.float64]:
    """The slope at each key, `N x num_ws x w_dim`, per frame."""
    slopes = np.zeros(keys.shape, dtype=np.float64)
    if len(at) < 3:
        return slopes
    widths = np.diff(at).reshape(-1, *(1,) * (keys.ndim - 1))
    rises = np.diff(keys.astype(np.float64), axis=0) / widths
    before, after = rises[:-1], rises[1:]
    # Weights as Fritsch and Butland's: the shorter interval's difference counts for more.
    weight_before = 2.0 * widths[1:] + widths[:-1]
    weight_after = widths[1:] + 2.0 * widths[:-1]
    same = before * after > 0
    safe_before, safe_after = np.where(same, before, 1.0), np.where(same, after, 1.0)
    mean = (weight_before + weight_after) / (
        weight_before / safe_before + weight_after / safe_after
    )
    slopes[1:-1] = np.where(same, mean, 0.0)
    return slopes
