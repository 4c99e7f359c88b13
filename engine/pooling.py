# SPDX-License-Identifier: GPL-3.0-or-later
"""The mean and the maximum around each pixel, in time proportional to the side of the square.

Torch's pooling reads the whole square for each pixel: on a mask of 1024 px with a radius of 64 px
this takes half a minute. Rows first and then columns give the same.
"""

from __future__ import annotations

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
