# SPDX-License-Identifier: GPL-3.0-or-later
"""Interpolating latents over time, and the shares of a blend. Pure numpy, no bpy.

There are three kinds of interpolation, named as in the panel:

- ``LINEAR``: a straight line at a constant speed.
- ``SPHERICAL``: the direction of each layer turns at a constant angular speed, and its length
  changes evenly (K. Shoemake, *Animating Rotation with Quaternion Curves*, SIGGRAPH 1985,
  section 3.3; for latents T. White, *Sampling Generative Networks*, 2016, section 2.1).
- ``CUBIC``: smooth through the keys, a cubic Hermite polynomial between two keys. The slope at a
  key is the weighted harmonic mean of the slopes before and after it, and zero if these differ in
  sign or one is zero (F. N. Fritsch and J. Butland, *A Method for Constructing Local Monotone
  Piecewise Cubic Interpolants*, SIAM J. Sci. Stat. Comput. 5, 1984). Therefore it never goes
  beyond the keys, where the model might give no proper image, and it is constant between two equal
  keys. The slope is zero at the first and the last key, because the image is constant before and
  after them.

Every kind gives the keys themselves at their frames, equal to the bit, the first key before them,
and the last key after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["LINEAR", "SPHERICAL", "CUBIC"]
KINDS: tuple[str, ...] = get_args(Kind)

Latents = NDArray[np.float32]

# If the sine of the angle between two latents is smaller, the arc is nearly straight, or the plane
# to turn in is not defined.
_LEAST_SINE = 1e-6


def between(
    key_frames: Sequence[int], keys: Latents, frames: Sequence[float], kind: str
) -> Latents:
    """Return the interpolated latents at some frames.

    Args:
        key_frames: The frames of the ``N`` keys, ``N >= 1``, in increasing order.
        keys: ``N x num_ws x w_dim`` float32, one latent per key.
        frames: ``T`` frames in any order. Before the first and after the last key the image is
            constant.
        kind: One of ``KINDS``.

    Returns:
        ``T x num_ws x w_dim`` float32.

    Raises:
        ValueError: There is no key, the key frames do not increase or are not as many as the keys,
            or the kind is unknown.
    """
    at = np.asarray(key_frames, dtype=np.float64)
    if len(at) != len(keys) or not len(at) or (np.diff(at) <= 0).any():
        raise ValueError(f"{len(keys)} keys need as many increasing frames, not {list(key_frames)}")
    if kind not in KINDS:
        raise ValueError(f"an interpolation must be one of {', '.join(KINDS)}, not {kind!r}")
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
    """Divide weights by their sum at each frame.

    If all weights of a frame are zero, the shares of the nearest frame before it are used, or at
    the start those of the nearest frame after it: a blend that is faded out stays as it was.

    Args:
        weights: ``T x S``, one row per frame, 0 or more.

    Returns:
        ``T x S``, each row with the sum 1.

    Raises:
        ValueError: No frame has a weight above zero.
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
    """Turn each row's direction along the great circle, and change its length linearly."""
    lengths = [np.linalg.norm(latent, axis=-1, keepdims=True) for latent in (start, end)]
    straight = start + part * (end - start)
    product = lengths[0] * lengths[1]
    cosine = (start * end).sum(axis=-1, keepdims=True) / np.where(product > 0, product, 1.0)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    sine = np.sin(angle)
    turns = (sine > _LEAST_SINE) & (product > 0)
    safe = np.where(turns, sine, 1.0)
    units = [
        latent / np.where(length > 0, length, 1.0)
        for latent, length in zip((start, end), lengths, strict=True)
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
    """Evaluate the Hermite polynomial; between equal ends with zero slopes the result is exact."""
    rise = part * part * (3.0 - 2.0 * part)
    left = part * (1.0 - part) ** 2
    right = part * part * (part - 1.0)
    value: NDArray[np.float64] = start + rise * (end - start) + left * slope + right * end_slope
    return value


def _slopes(at: NDArray[np.float64], keys: Latents) -> NDArray[np.float64]:
    """Return the slope at each key, ``N x num_ws x w_dim``, in units per frame."""
    slopes = np.zeros(keys.shape, dtype=np.float64)
    if len(at) < 3:
        return slopes
    widths = np.diff(at).reshape(-1, *(1,) * (keys.ndim - 1))
    rises = np.diff(keys.astype(np.float64), axis=0) / widths
    before, after = rises[:-1], rises[1:]
    # The weights of Fritsch and Butland: the slope of the shorter interval counts more.
    weight_before = 2.0 * widths[1:] + widths[:-1]
    weight_after = widths[1:] + 2.0 * widths[:-1]
    same = before * after > 0
    safe_before, safe_after = np.where(same, before, 1.0), np.where(same, after, 1.0)
    mean = (weight_before + weight_after) / (
        weight_before / safe_before + weight_after / safe_after
    )
    slopes[1:-1] = np.where(same, mean, 0.0)
    return slopes
