# SPDX-License-Identifier: GPL-3.0-or-later
"""Winograd's algorithm with tiles of 4 x 4 results: 2.25 multiplications for each result.

The algorithm is F(4 x 4, 3 x 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", section 4.3: 16 outputs cost 36 products per pair of channels instead of 144; with the
tiles of ``winograd`` they cost 64. Its factors, up to 8 and down to 1/24, make rounding errors
several times as large as those of the direct form, so nothing whose last bits matter is computed
with it. In one dimension, the outputs y0 … y3 of the kernel k over the inputs d0 … d5 are

    m0 = (4 d0 - 5 d2 + d4) k0 / 4
    m1 = (d4 - 4 d2 + d3 - 4 d1) (-k0 - k1 - k2) / 6       y0 = m0 + m1 + m2 + m3 + m4
    m2 = (d4 - 4 d2 - d3 + 4 d1) (-k0 + k1 - k2) / 6       y1 = m1 - m2 + 2 m3 - 2 m4
    m3 = (d4 - d2 + 2 d3 - 2 d1) (k0 + 2 k1 + 4 k2) / 24   y2 = m1 + m2 + 4 m3 + 4 m4
    m4 = (d4 - d2 - 2 d3 + 2 d1) (k0 - 2 k1 + 4 k2) / 24   y3 = m1 - m2 + 8 m3 - 8 m4 + m5
    m5 = (4 d1 - 5 d3 + d5) k2

In two dimensions the same is done along columns and along rows. The steps before and after the
products are compiled (``fused/wide.cpp``); without a compiler the algorithm is not used.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Products of a tile, and its results along one axis.
PRODUCTS, RESULTS = 36, 4
# The factors of k0, k1 and k2 in the kernels of m0 … m5.
_KERNELS = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)


def wide_kernels(weight: Tensor) -> Tensor:
    """Transform the kernels for tiles of 4 x 4 results.

    Args:
        weight: ``O x I x 3 x 3``.

    Returns:
        ``36 x I x O`` of the same dtype. The index of the 36 is ``6 row + column`` of the
        transformed 6 x 6 kernel.
    """
    # Rounded once, at the end: what the kernels lack, all pixels of the result lack.
    exact = weight.cpu().double()
    factors = torch.tensor(_KERNELS, dtype=exact.dtype)
    found = torch.einsum("ry,oiyx,cx->rcio", factors, exact, factors)
    return found.flatten(0, 1).to(weight).contiguous()


def tiles_of(height: int, width: int) -> int:
    """Return the number of tiles of a map of results."""
    return -(-height // RESULTS) * -(-width // RESULTS)
