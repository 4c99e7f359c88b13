# SPDX-License-Identifier: GPL-3.0-or-later
"""Upsampling by two with the low-pass filter that every StyleGAN2 uses.

The filter is the outer product of [1, 3, 3, 1] with itself. StyleGAN2's definition (zero
insertion, padding, filtering: ``reference.upfirdn2d``) multiplies mostly zeros; the forms here do
the same arithmetic without them. Derivation: the filter applied after zero insertion is a
transposed convolution with stride two, and a transposed convolution may be cropped instead of
padded.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = (1.0, 3.0, 3.0, 1.0)


def filter_taps() -> Tensor:
    """The resampling filter: ``4 x 4`` float32, sum 1."""
    taps = torch.tensor(TAPS)
    outer = torch.outer(taps, taps)
    return outer / outer.sum()


def upsample2d(image: Tensor, taps: Tensor) -> Tensor:
    """Double the size of an image, keeping its brightness.

    Args:
        image: ``N x C x H x W`` float32.
        taps: ``4 x 4`` float32, the filter with sum 1.

    Returns:
        ``N x C x 2H x 2W`` float32.
    """
    channels = image.shape[1]
    # Gain 4 makes up for the three inserted zeros beside each pixel.
    kernel = (taps * 4).expand(channels, 1, -1, -1)
    return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=channels)


def upsampling_conv2d(x: Tensor, weight: Tensor, taps: Tensor) -> Tensor:
    """Double the size of a feature map and convolve it, in one go.

    Equal to inserting zeros, a true convolution with the 3 x 3 kernel, and the low-pass filter with
    gain 4: the first two are the transposed convolution, the last is depthwise.

    Args:
        x: ``N x I x H x W`` float32.
        weight: ``O x I x 3 x 3`` float32, in the orientation of the checkpoints (true convolution).
        taps: ``4 x 4`` float32, the filter with sum 1.

    Returns:
        ``N x O x 2H x 2W`` float32.
    """
    widened = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    channels = widened.shape[1]
    kernel = (taps * 4).expand(channels, 1, -1, -1)
    return F.conv2d(widened, kernel, padding=1, groups=channels)
