# SPDX-License-Identifier: GPL-3.0-or-later
"""The mean and the maximum around each pixel, and images made smaller by areas.

Torch's pooling reads the whole square for each pixel: on a mask of 1024 px with a radius of 64 px
this takes half a minute. Rows first and then columns give the same, in time proportional to the
side of the square.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def mean_around(x: Tensor, radius: int) -> Tensor:
    """Return the mean of the square around each pixel, without what is outside the image.

    Args:
        x: ``N x C x H x W`` float.
        radius: Half the side of the square, pixels, without the pixel itself.
    """
    side = 2 * radius + 1
    rows = F.avg_pool2d(x, (1, side), 1, (0, radius), count_include_pad=False)
    return F.avg_pool2d(rows, (side, 1), 1, (radius, 0), count_include_pad=False)


def max_around(x: Tensor, radius: int) -> Tensor:
    """Return the largest value of the square around each pixel; see ``mean_around``."""
    side = 2 * radius + 1
    rows = F.max_pool2d(x, (1, side), 1, (0, radius))
    return F.max_pool2d(rows, (side, 1), 1, (radius, 0))


def reduced(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return smaller images, each pixel the mean of those that it covers, in whole or in part.

    MPS has this only for sizes that divide each other, so others are computed on the CPU.

    Args:
        x: ``N x C x H x W`` float.
        size: Height and width of the result, pixels.
    """
    divides = all(length % wanted == 0 for length, wanted in zip(x.shape[2:], size, strict=True))
    there = x if divides or x.device.type != "mps" else x.cpu()
    height, width = size
    return F.adaptive_avg_pool2d(there, (height, width)).to(x.device)
