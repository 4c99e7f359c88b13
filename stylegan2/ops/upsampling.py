# SPDX-License-Identifier: GPL-3.0-or-later
"""The two steps of the upsampling convolution, and their adjoints.

The steps are those of ``resample.upsampling_conv2d``: a transposed convolution with stride two,
then the low-pass filter. On a CPU the transposed convolution is one matrix product of all pixels
with all kernels; the 3 x 3 results of each pixel are then added to their places. On other devices
it is torch's operator.

Maps are ``N x height x width x channels``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from . import precision
from .scratch import Scratch


def kernel_matrix(weight: Tensor) -> Tensor:
    """Return a weight ``O x I x 3 x 3`` as ``I x (9 O)``; a view if its memory order allows one."""
    return weight.permute(1, 2, 3, 0).reshape(weight.shape[1], -1)


def widen(x: Tensor, weight: Tensor, scratch: Scratch) -> Tensor:
    """Apply the transposed convolution with stride two.

    Args:
        x: ``N x h x w x I``.
        weight: ``O x I x 3 x 3``; on a CPU the memory order that ``SynthesisLayer.freeze`` gives it
            is fastest.
        scratch: Buffers for intermediate values and, on a CPU, for the result.

    Returns:
        ``N x (2 h + 1) x (2 w + 1) x O``, valid until the scratch is used again.
    """
    if x.device.type != "cpu" or precision.reduced() is not None:
        y = precision.conv_transpose2d(x.permute(0, 3, 1, 2), weight.transpose(0, 1), stride=2)
        return y.permute(0, 2, 3, 1)
    count, height, width, _ = x.shape
    matrix = kernel_matrix(weight)
    products = scratch.take("products", (count * height * width, matrix.shape[1]), x)
    torch.mm(x.reshape(-1, x.shape[3]), matrix, out=products)
    planes = products.view(count, height, width, 3, 3, -1).permute(3, 4, 0, 1, 2, 5)
    y = scratch.take("widened", (count, 2 * height + 1, 2 * width + 1, planes.shape[5]), x)
    y[:, 2 * height] = 0
    y[:, :, 2 * width] = 0
    _quads(y[:, :-1, :-1]).copy_(planes[:2, :2])
    _quads(y[:, 1:, :-1])[1].add_(planes[2, :2])
    _quads(y[:, :-1, 1:])[:, 1].add_(planes[:2, 2])
    y[:, 2::2, 2::2].add_(planes[2, 2])
    return y


def widen_back(g: Tensor, weight: Tensor, scratch: Scratch) -> Tensor:
    """Apply the adjoint of ``widen``, a convolution with stride two.

    Args:
        g: ``N x (2 h + 1) x (2 w + 1) x O``, the cotangent of the result.
        weight: ``O x I x 3 x 3``, as for ``widen``.
        scratch: Buffers for intermediate values.

    Returns:
        ``N x h x w x I``, the cotangent of the input.
    """
    if g.device.type != "cpu" or precision.reduced() is not None:
        x = precision.conv2d(g.permute(0, 3, 1, 2), weight.transpose(0, 1), stride=2)
        return x.permute(0, 2, 3, 1)
    count, height, width, channels = (g.shape[0], g.shape[1] // 2, g.shape[2] // 2, g.shape[3])
    products = scratch.take("products", (count, height, width, 3, 3, channels), g)
    rows, columns, step = g.stride()[1:]
    strides = (g.stride(0), 2 * rows, 2 * columns, rows, columns, step)
    products.copy_(g.as_strided(products.shape, strides))
    x = products.view(count * height * width, -1) @ kernel_matrix(weight).t()
    return x.view(count, height, width, -1)


def low_pass(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Apply the low-pass filter to each channel.

    The filter is symmetric, so its adjoint is the same filter with the padding ``3 - padding``.

    Args:
        x: ``N x h x w x C``.
        kernel: ``C x 1 x 4 x 4``, gain included.
        padding: Zeros around the map.

    Returns:
        ``N x (h - 3 + 2 padding) x (w - 3 + 2 padding) x C``.
    """
    y = F.conv2d(x.permute(0, 3, 1, 2), kernel, padding=padding, groups=len(kernel))
    return y.permute(0, 2, 3, 1)


def _quads(y: Tensor) -> Tensor:
    """View ``N x 2 h x 2 w x C`` by parity of row and column, as ``2 x 2 x N x h x w x C``."""
    count, height, width, channels = y.shape
    return y.view(count, height // 2, 2, width // 2, 2, channels).permute(2, 4, 0, 1, 3, 5)
