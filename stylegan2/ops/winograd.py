# SPDX-License-Identifier: GPL-3.0-or-later
"""The 3 x 3 convolution with fewer multiplications, by Winograd's minimal filtering.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", F(2 x 2, 3 x 3): four outputs
cost 16 products for each pair of channels instead of 36. In one dimension, the outputs y0, y1 of
the kernel k over d0 … d3 are

    m0 = (d0 - d2) k0                   y0 = m0 + m1 + m2
    m1 = (d1 + d2) (k0 + k1 + k2) / 2   y1 = m1 - m2 + m3
    m2 = (d2 - d1) (k0 - k1 + k2) / 2
    m3 = (d1 - d3) (-k2)

with the last sign moved into the kernel, so that m0 and m3 go the same ways. In two dimensions it
is the same along rows and along columns. The factors are 1 and 1/2 only, and the sums over the
input channels become shorter by more than half: in float32 the result is not less accurate than
the direct form's.

The channels are summed up by 16 matrix products at once, which is what a processor is fastest at;
what goes before and behind is additions over whole rows of channels, a few large operations.

The derivative is the same backwards, each step transposed, so that it reads the same kernels.

Maps are ``N x height x width x channels``; a *tile* is two by two outputs, computed from the four by
four inputs around them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .scratch import Scratch


def winograd_kernels(weight: Tensor) -> Tensor:
    """What the kernels become: ``O x I x 3 x 3`` to ``16 x O x I``, of the same type.

    The 16 are (column, row) of the transformed kernel, the column first.
    """
    found = weight.new_empty(4, 4, *weight.shape[:2])
    for row, lines in enumerate(_transformed(weight.unbind(2))):
        for column, kernel in enumerate(_transformed(lines.unbind(2))):
            found[column, row] = kernel
    return found.flatten(0, 1)


def winograd_conv(
    x: Tensor, scale: Tensor, kernels: Tensor, padding: int, scratch: Scratch
) -> Tensor:
    """Convolve a map, scaled by channels.

    Args:
        x: ``N x h x w x I``.
        scale: ``I``.
        kernels: ``16 x O x I`` from ``winograd_kernels``.
        padding: zeros around the map, 0 or 1.

    Returns:
        ``N x (h - 2 + 2 padding) x (likewise) x O``, possibly a part of a larger tensor.
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
    """The transposed of ``winograd_conv`` without its scale.

    Args:
        g: ``N x h' x w' x O``, what the result is multiplied with.
        size: height and width of the input.

    Returns:
        ``N x h x w x I``, what the scaled input is multiplied with, part of a larger tensor.
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
    """k0, k1, k2 to what the head of this file multiplies with."""
    half, middle = (kernel[0] + kernel[2]) * 0.5, kernel[1] * 0.5
    return kernel[0], half + middle, half - middle, -kernel[2]


def _tiles(x: Tensor, tiles: Tensor, dim: int) -> None:
    """The d of the head of this file to what k is multiplied with.

    Args:
        x: has 2 n + 2 pixels along ``dim``.
        tiles: 4, and then as ``x``, but n pixels along that dimension.
    """
    pairs = _pairs(x, dim)
    count = tiles.shape[1 + dim]
    first, behind = pairs.narrow(1 + dim, 0, count), pairs.narrow(1 + dim, 1, count)
    torch.sub(first, behind, out=tiles[0::3])
    torch.add(first[1], behind[0], out=tiles[1])
    torch.sub(behind[0], first[1], out=tiles[2])


def _tiles_back(tiles: Tensor, x: Tensor, dim: int) -> None:
    """The transposed of ``_tiles``."""
    length = x.shape[dim]
    x.movedim(dim, 0)[:: length - 1] = 0
    behind, first = x.narrow(dim, 2, length - 2), x.narrow(dim, 0, length - 2)
    torch.add(tiles[1], tiles[2], out=_pairs(behind, dim)[0])
    torch.sub(tiles[1], tiles[2], out=_pairs(first, dim)[1])
    _pairs(first, dim).add_(tiles[0::3])
    _pairs(behind, dim).sub_(tiles[0::3])


def _sums(products: Tensor, y: Tensor, dim: int) -> None:
    """The m of the head of this file to y; shapes as in ``_tiles``, but with 2 n pixels."""
    pairs = _pairs(y, dim)
    torch.add(products[1], products[2], out=pairs[0])
    torch.sub(products[1], products[2], out=pairs[1])
    pairs.add_(products[0::3])


def _sums_back(y: Tensor, products: Tensor, dim: int) -> None:
    """The transposed of ``_sums``."""
    pairs = _pairs(y, dim)
    products[0::3] = pairs
    torch.add(pairs[0], pairs[1], out=products[1])
    torch.sub(pairs[0], pairs[1], out=products[2])


def _pairs(x: Tensor, dim: int) -> Tensor:
    """A view: the even pixels along a dimension, and the odd ones."""
    shape = x.shape
    return x.view(*shape[:dim], shape[dim] // 2, 2, *shape[dim + 1 :]).movedim(dim + 1, 0)
