# SPDX-License-Identifier: GPL-3.0-or-later
"""The band outside an exact mask in which inside and outside should agree.

Nothing holds the two latents of a masked picture together: a head that has turned inside the mask
would meet one that has not. So the features that the latent of the inside would have without any
mask are compared with those outside, most strongly right outside the border of the mask.
"""

from __future__ import annotations

from torch import Tensor

from ..pooling import mean_around

# How far the band reaches from the mask, as a part of the image's larger side.
_REACH = 1 / 8
_PASSES = 2


def seam_band(matte: Tensor) -> Tensor:
    """Return how much each pixel outside a matte counts.

    Args:
        matte: ``1 x 1 x H x W`` float32, 1 = inside.

    Returns:
        ``H x W`` float32, 0 to 1: zero inside, largest near the border, and zero far outside.
    """
    radius = max(1, round(_REACH * max(matte.shape[2:]) / _PASSES))
    near = matte
    for _ in range(_PASSES):
        near = mean_around(near, radius)
    return (near * (1 - matte))[0, 0]
