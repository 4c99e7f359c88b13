# SPDX-License-Identifier: GPL-3.0-or-later
"""The 3 x 3 convolution with fewer multiplications, by Winograd's minimal filtering.

The algorithm is F(2 x 2, 3 x 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks": four outputs cost 16 products per pair of channels instead of 36. In one dimension, the
outputs y0, y1 of the kernel k over the inputs d0 … d3 are

    m0 = (d0 - d2) k0                   y0 = m0 + m1 + m2
    m1 = (d1 + d2) (k0 + k1 + k2) / 2   y1 = m1 - m2 + m3
    m2 = (d2 - d1) (k0 - k1 + k2) / 2
    m3 = (d1 - d3) (-k2)

The sign of the last kernel value is part of the kernel, so that m0 and m3 are treated alike. In two
dimensions the same is done along rows and along columns. The factors are only 1 and 1/2, and the
sums over the input channels have less than half as many terms. So in float32 the result is as
accurate as with the direct form.

One batch of 16 matrix products sums over the channels; processors are fastest at these. The steps
before and after it are additions over whole rows of channels, in a few large operations.

The adjoint applies the adjoint of each step in reverse order, so it reads the same kernels.

Maps are ``N x height x width x channels``. A *tile* is 2 x 2 outputs, computed from the 4 x 4
inputs around them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .scratch import Scratch


def winograd_kernels(weight: Tensor) -> Tensor:
    """Transform the kernels for ``winograd_conv``.

    Args:
        weight: ``O x I x 3 x 3``.

    Returns:
        ``16 x O x I`` of the same dtype. The index of the 16 is ``4 column + row`` of the
        transformed 4 x 4 kernel.
    """
    found = weight.new_empty(4, 4, *weight.shape[:2])
    for row, lines in enumerate(_transformed(weight.unbind(2))):
        for column, kernel in enumerate(_transformed(lines.unbind(2))):
            found[column, row] = kernel
    return found.flatten(0, 1)


def winograd_conv(
    x: Tensor, scale: Tensor, kernels: Tensor, padding: int, scratch: Scratch
) -> Tensor:
    """Convolve ``x * scale``.

    Args:
        x: ``N x h x w x I``.
        scale: ``I``, a factor per input channel.
        kernels: ``16 x O x I`` from ``winograd_kernels``.
        padding: Zeros around the map, 0 or 1.
        scratch: Buffers for intermediate values.

    Returns:
        ``N x (h - 2 + 2 padding) x (w - 2 + 2 padding) x O``, possibly a view of a larger tensor.
    """
    count, height, width, channels = x.shape
    out_height, out_width = height - 2 + 2 * padding, width - 2 + 2 * padding
    down, across = (out_height + 1) // 2, (out_width + 1) // 2
    padded_shape = (count, 2 * down + 2, 2 * across + 2, channels)
    padded = scratch.take("padded", padded_shape, x)
    if padded.shape != x.shape:
        padded.zero_()
    inner = padded[:, padding : padding + height, padding : padding + width]
    torch.mul(x, scale, out=inner)
    rows = scratch.take("rows", (4, count, down, 2 * across + 2, channels), x)
    _tiles(padded, rows, dim=1)
    tiles = scratch.take("tiles", (4, 4, count, down, across, channels), x)
    _tiles(rows, tiles, dim=3)
    products = scratch.take("products", (16, count * down * across, kernels.shape[1]), x)
    torch.bmm(tiles.view(16, -1, channels), kernels.transpose(1, 2), out=products)
    found = products.view(4, 4, count, down, across, -1)
    lines = scratch.take("lines", (4, count, down, 2 * across, kernels.shape[1]), x)
    _sums(found, lines, dim=3)
    y = x.new_empty(count, 2 * down, 2 * across, kernels.shape[1])
    _sums(lines, y, dim=1)
    return y[:, :out_height, :out_width]


def winograd_conv_back(
    g: Tensor, kernels: Tensor, padding: int, size: tuple[int, int], scratch: Scratch
) -> Tensor:
    """Apply the adjoint of ``winograd_conv``, without the scale.

    Args:
        g: ``N x h' x w' x O``, the cotangent of the result.
        kernels: ``16 x O x I`` from ``winograd_kernels``.
        padding: Zeros around the map, 0 or 1.
        size: Height and width of the input, ``(h, w)``.
        scratch: Buffers for intermediate values.

    Returns:
        ``N x h x w x I``, the cotangent of ``x * scale``, a view of a larger tensor.
    """
    count, out_height, out_width, channels = g.shape
    down, across = (out_height + 1) // 2, (out_width + 1) // 2
    if out_height % 2 or out_width % 2:
        even = scratch.take("even", (count, 2 * down, 2 * across, channels), g)
        even[:, out_height:] = 0
        even[:, :, out_width:] = 0
        even[:, :out_height, :out_width] = g
        g = even
    lines = scratch.take("lines", (4, count, down, 2 * across, channels), g)
    _sums_back(g, lines, dim=1)
    products = scratch.take("products", (4, 4, count, down, across, channels), g)
    _sums_back(lines, products, dim=3)
    tiles = scratch.take("tiles", (16, count * down * across, kernels.shape[2]), g)
    torch.bmm(products.view(16, -1, channels), kernels, out=tiles)
    found = tiles.view(4, 4, count, down, across, -1)
    rows = scratch.take("rows", (4, count, down, 2 * across + 2, kernels.shape[2]), g)
    _tiles_back(found, rows, dim=3)
    padded = g.new_empty(count, 2 * down + 2, 2 * across + 2, kernels.shape[2])
    _tiles_back(rows, padded, dim=1)
    return padded[:, padding : padding + size[0], padding : padding + size[1]]


def _transformed(kernel: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the four kernel factors of m0 to m3 (see the module) for k0, k1, k2."""
    half, middle = (kernel[0] + kernel[2]) * 0.5, kernel[1] * 0.5
    return kernel[0], half + middle, half - middle, -kernel[2]


def _tiles(x: Tensor, tiles: Tensor, dim: int) -> None:
    """Compute the four input factors of m0 to m3 (see the module) along one dimension.

    Args:
        x: The inputs d, with ``2 n + 2`` pixels along ``dim``.
        tiles: The result: the four factors first, then the dimensions of ``x`` with ``n`` pixels
            along ``dim``.
        dim: The dimension of ``x``.
    """
    pairs = _pairs(x, dim)
    count = tiles.shape[1 + dim]
    first, second = pairs.narrow(1 + dim, 0, count), pairs.narrow(1 + dim, 1, count)
    torch.sub(first, second, out=tiles[0::3])
    torch.add(first[1], second[0], out=tiles[1])
    torch.sub(second[0], first[1], out=tiles[2])


def _tiles_back(tiles: Tensor, x: Tensor, dim: int) -> None:
    """Apply the adjoint of ``_tiles``; ``x`` is the result."""
    length = x.shape[dim]
    x.movedim(dim, 0)[:: length - 1] = 0
    second, first = x.narrow(dim, 2, length - 2), x.narrow(dim, 0, length - 2)
    torch.add(tiles[1], tiles[2], out=_pairs(second, dim)[0])
    torch.sub(tiles[1], tiles[2], out=_pairs(first, dim)[1])
    _pairs(first, dim).add_(tiles[0::3])
    _pairs(second, dim).sub_(tiles[0::3])


def _sums(products: Tensor, y: Tensor, dim: int) -> None:
    """Compute the outputs y from m0 to m3 (see the module) along one dimension.

    Args:
        products: m0 to m3 first, then the dimensions of ``y`` with ``n`` pixels along ``dim``.
        y: The result, with ``2 n`` pixels along ``dim``.
        dim: The dimension of ``y``.
    """
    pairs = _pairs(y, dim)
    torch.add(products[1], products[2], out=pairs[0])
    torch.sub(products[1], products[2], out=pairs[1])
    pairs.add_(products[0::3])


def _sums_back(y: Tensor, products: Tensor, dim: int) -> None:
    """Apply the adjoint of ``_sums``; ``products`` is the result."""
    pairs = _pairs(y, dim)
    products[0::3] = pairs
    torch.add(pairs[0], pairs[1], out=products[1])
    torch.sub(pairs[0], pairs[1], out=products[2])


def _pairs(x: Tensor, dim: int) -> Tensor:
    """View a tensor as two parts: the even and the odd pixels along a dimension."""
    shape = x.shape
    return x.view(*shape[:dim], shape[dim] // 2, 2, *shape[dim + 1 :]).movedim(dim + 1, 0)
