# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the content of a place of the truth again in a picture, where no landmark can be detected.

The patch of the truth around a target is compared with the patches of the picture around it, by the
correlation of their colours without mean and contrast. A patch on an edge looks the same
everywhere along it: of all places that match nearly as well as the best, the nearest counts.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.arrays import ByteArray, FloatArray

from ..pairs import REFERENCE_SIZE_PX

# Half the width of a patch, px of 128.
PATCH_PX = 4.0
# The search goes a little farther than the drag, at least so far, px of 128.
_LEAST_SEARCH_PX = 8.0
_FARTHER_PX = 3.0
# Places whose correlation is smaller than the best by no more than this match as well.
AS_GOOD = 0.01
# Below this correlation the content is nowhere in reach.
LEAST_CORRELATION = 0.6


def found_px(truth: ByteArray, image: ByteArray, target_px: FloatArray, pull_px: float) -> float:
    """Return how far from a target its content is found in a picture, image pixels.

    Args:
        truth: ``H x W x 3`` uint8, with the content at the target.
        image: The same size, the picture to search.
        target_px: ``2`` float32 (x, y), inside the image.
        pull_px: The distance of the handle from the target, image pixels.

    Returns:
        The distance, a whole number of pixels in x and in y apart; the radius of the search if the
        content is not found.
    """
    unit = truth.shape[1] / REFERENCE_SIZE_PX
    half = max(2, round(PATCH_PX * unit))
    reach = round(max(_LEAST_SEARCH_PX * unit, pull_px + _FARTHER_PX * unit))
    x, y = (int(value) for value in np.floor(target_px))
    wanted = _cut(truth, x, y, half)
    area = _cut(image, x, y, half + reach)
    scores = correlations(area, wanted)
    offsets = torch.arange(-reach, reach + 1)
    gaps = torch.hypot(offsets[:, None].float(), offsets[None].float())
    scores = torch.where(gaps <= reach, scores, -1.0)
    best = float(scores.max())
    if best < LEAST_CORRELATION:
        return float(reach)
    return float(gaps[scores >= best - AS_GOOD].min())


def correlations(area: Tensor, wanted: Tensor) -> Tensor:
    """Return the correlation of a patch with each patch of an area.

    Args:
        area: ``3 x A x A`` float32.
        wanted: ``3 x P x P`` float32, P <= A.

    Returns:
        ``(A - P + 1) x (A - P + 1)`` float32 in [-1, 1]; 0 where a patch has one colour only.
    """
    size = wanted.shape[1]
    count = wanted[0].numel()
    patches = F.unfold(area[None], size)[0].reshape(3, count, -1)
    patches = patches - patches.mean(dim=1, keepdim=True)
    pattern = wanted.reshape(3, count, 1)
    pattern = pattern - pattern.mean(dim=1, keepdim=True)
    product = (patches * pattern).sum(dim=(0, 1))
    lengths = patches.square().sum(dim=(0, 1)).sqrt() * pattern.square().sum().sqrt()
    side = area.shape[1] - size + 1
    return (product / lengths.clamp(min=1.0)).reshape(side, side)


def _cut(image: ByteArray, x: int, y: int, half: int) -> Tensor:
    """Return the square around a pixel, ``3 x S x S``; the border of the image is repeated."""
    padded = np.pad(image, ((half, half), (half, half), (0, 0)), mode="edge")
    square = padded[y : y + 2 * half + 1, x : x + 2 * half + 1]
    return torch.from_numpy(np.ascontiguousarray(square)).permute(2, 0, 1).float()
