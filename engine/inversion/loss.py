# SPDX-License-Identifier: GPL-3.0-or-later
"""How different two images are: L1 and SSIM at several sizes.

Neither part was trained on photographs, so both mean the same for renders, drawings and photos.
SSIM is computed here: its map is needed for each pixel, as pixels have weights, and the engine
installs no library that has it.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import RequestError

# Images are halved until their shorter side is as small as this.
_SMALLEST_PX = 16
_SSIM_SHARE = 0.5
# What values beyond the range count: enough to bring them back.
_BEYOND = 0.02

# Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004),
# section III: a Gaussian window of 11 pixels with a standard deviation of 1.5, and the constants
# (0.01 L)^2 and (0.03 L)^2 for values in a range of L, here 2.
_WINDOW_PX, _SIGMA_PX = 11, 1.5
_C1, _C2 = 0.02**2, 0.06**2


class Loss(Protocol):
    """How different images are; ``difference`` is one, and ``feature_loss`` has others."""

    def __call__(self, images: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
        """Return ``N`` losses; see ``difference``."""
        ...


def require_finite(loss: float) -> float:
    """Return a loss that a step is made by; with any other, nothing that is found has a value.

    Raises:
        RequestError: It is infinite or not a number.
    """
    if not math.isfinite(loss):
        raise RequestError(
            "the numbers of the model or of the loss overflow, so picture and image cannot be "
            "compared; choose another loss, or another checkpoint"
        )
    return loss


def difference(images: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Return how different images are, 0 for equal ones.

    Args:
        images: ``N x C x H x W`` float32, nominally in [-1, 1].
        wanted: The same shape.
        weights: ``N x 1 x H x W`` in [0, 1], what each pixel counts.

    Returns:
        ``N`` float32: the mean over the sizes of L1, in values, and half of 1 - SSIM.
    """
    # A model may exceed the range, which its files do not show.
    limited = images.clamp(-1, 1)
    images = limited + _BEYOND * (images - limited)
    sizes = []
    while True:
        total = weights.sum(dim=(1, 2, 3)).clamp(min=1e-6)
        far = ((images - wanted).abs().mean(dim=1, keepdim=True) * weights).sum(dim=(1, 2, 3))
        unlike = ((1 - structural_similarity(images, wanted)) * weights).sum(dim=(1, 2, 3))
        sizes.append((far + _SSIM_SHARE * unlike) / total)
        if min(images.shape[2:]) < 2 * _SMALLEST_PX:
            return torch.stack(sizes).mean(dim=0)
        images, wanted, weights = (F.avg_pool2d(x, 2) for x in (images, wanted, weights))


def structural_similarity(one: Tensor, other: Tensor) -> Tensor:
    """Return the SSIM map of images, ``N x 1 x H x W``, at most 1, the mean of the channels.

    Args:
        one: ``N x C x H x W`` float32 in [-1, 1].
        other: The same shape.
    """
    # SSIM takes values from 0 upwards.
    x, y = one + 1, other + 1
    count = x.shape[1]
    blurred = _blur(torch.cat([x, y, x * x, y * y, x * y], dim=1))
    mean_x, mean_y, xx, yy, xy = (
        blurred[:, first : first + count] for first in range(0, 5 * count, count)
    )
    means = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    similar = (2 * means + _C1) * (2 * (xy - means) + _C2)
    similar = similar / ((squares + _C1) * (xx + yy - squares + _C2))
    result: Tensor = similar.mean(dim=1, keepdim=True)
    return result


def _blur(x: Tensor) -> Tensor:
    """Blur by the window; at the border, pixels outside do not count."""
    offsets = torch.arange(_WINDOW_PX, device=x.device, dtype=x.dtype) - _WINDOW_PX // 2
    taps = torch.exp(-0.5 * (offsets / _SIGMA_PX).square())
    taps = taps / taps.sum()
    pad = _WINDOW_PX // 2

    def both(values: Tensor) -> Tensor:
        # One group for each channel: many times as fast on a CPU as a batch of single channels.
        count = values.shape[1]
        kernel = taps.expand(count, 1, 1, -1)
        rows = F.conv2d(values, kernel, padding=(0, pad), groups=count)
        return F.conv2d(rows, kernel.transpose(2, 3), padding=(pad, 0), groups=count)

    flat = x.reshape(1, -1, *x.shape[2:])
    return (both(flat) / both(torch.ones_like(flat[:, :1]))).reshape(x.shape)


def mean_error(images: Tensor, wanted: Tensor, weights: Tensor) -> float:
    """Return the mean absolute error of one image, as a share of the range of values.

    Args:
        images: ``1 x C x H x W`` float32; clamped to [-1, 1] here.
        wanted: The same shape, in [-1, 1].
        weights: ``1 x 1 x H x W``, what each pixel counts.
    """
    far = (images.clamp(-1, 1) - wanted).abs().mean(dim=1, keepdim=True) / 2
    return float((far * weights).sum() / weights.sum().clamp(min=1e-6))
