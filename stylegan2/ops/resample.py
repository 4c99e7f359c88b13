# SPDX-License-Identifier: GPL-3.0-or-later
"""Upsampling by two with the low-pass filter that every StyleGAN2 uses.

The filter is the outer product of [1, 3, 3, 1] with itself. The definition of StyleGAN2 (zero
insertion, padding, filtering: ``reference.upfirdn2d``) mostly multiplies zeros; the functions here
do the same arithmetic without them. They use that zero insertion followed by a filter is a
transposed convolution with stride two, and that cropping its result replaces the padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from . import precision

TAPS = (1.0, 3.0, 3.0, 1.0)
# The side of the largest image that is doubled by matrices on a CPU, pixels.
_SMALL = 64


def filter_taps() -> Tensor:
    """Return the resampling filter: ``4 x 4`` float32 with the sum 1."""
    taps = torch.tensor(TAPS)
    outer = torch.outer(taps, taps)
    return outer / outer.sum()


def upsample2d(image: Tensor, taps: Tensor) -> Tensor:
    """Double the size of an image and preserve its brightness.

    Args:
        image: ``N x C x H x W`` float32.
        taps: ``4 x 4`` float32, the filter with the sum 1.

    Returns:
        ``N x C x 2 H x 2 W`` float32.
    """
    count, channels, height, width = image.shape
    if image.device.type == "cpu" and max(height, width) <= _SMALL:
        # Two products with nearly empty matrices: torch's operator takes several times as long.
        lines = taps.sum(dim=0)
        down, across = _doubling(lines, height), _doubling(lines, width)
        return (down @ image.reshape(-1, height, width) @ across.T).view(
            count, channels, 2 * height, 2 * width
        )
    # The gain 4 compensates for the three zeros that are inserted for each pixel.
    kernel = (taps * 4).expand(channels, 1, -1, -1)
    return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=channels)


def _doubling(taps: Tensor, size: int) -> Tensor:
    """Return the matrix that doubles the size of a line, ``2 size x size``.

    Args:
        taps: ``4``, the filter with the sum 1.
        size: Number of pixels.
    """
    # Pixel p of the line adds to the pixels 2 p - 1 to 2 p + 2 of the result.
    matrix = taps.new_zeros(2 * size + 2, size)
    matrix.as_strided((size, 4), (2 * size + 1, size)).copy_(2 * taps)
    return matrix[1:-1]


def upsampling_conv2d(x: Tensor, weight: Tensor, taps: Tensor) -> Tensor:
    """Double the size of a feature map and convolve it.

    The definition is zero insertion, a true convolution with the 3 x 3 kernel, and the low-pass
    filter with gain 4. The first two together are a transposed convolution with stride two; the
    filter is a depthwise convolution.

    Args:
        x: ``N x I x H x W`` float32.
        weight: ``O x I x 3 x 3`` float32, in the orientation of the checkpoints (true convolution).
        taps: ``4 x 4`` float32, the filter with the sum 1.

    Returns:
        ``N x O x 2 H x 2 W`` float32.
    """
    widened = precision.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    channels = widened.shape[1]
    kernel = (taps * 4).expand(channels, 1, -1, -1)
    return F.conv2d(widened, kernel, padding=1, groups=channels)
