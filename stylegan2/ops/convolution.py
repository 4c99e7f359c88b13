# SPDX-License-Identifier: GPL-3.0-or-later
"""The 3 x 3 convolution of channels-last maps, by the fastest algorithm for its size.

This is torch's operator, except on a CPU with many channels and more than a few pixels: there it is
Winograd's algorithm. With few channels the additions of that algorithm cost more than the saved
multiplications. With few pixels each kernel is read only once or twice, so the time depends on the
size of the kernels, which the algorithm increases. The smallest maps are multiplied as one matrix.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from . import precision
from .scratch import Scratch
from .winograd import winograd_conv, winograd_conv_back, winograd_kernels

_MANY_CHANNELS = 384
_FEW_PIXELS = 64
# Pixels of the largest map of which all 3 x 3 surroundings are copied for one product.
_TINY = 16


class Convolution:
    """A 3 x 3 convolution with a constant weight; the transformed kernels are computed once.

    Maps are ``N x height x width x channels``.
    """

    def __init__(self, weight: Tensor) -> None:
        """Prepare the convolution.

        Args:
            weight: ``O x I x 3 x 3``; on a CPU the channels-last memory order is fastest.
        """
        self._weight = weight
        self._kernels: Tensor | None = None
        self._on_cpu = on_cpu = weight.device.type == "cpu"
        self._is_large = on_cpu and min(weight.shape[:2]) >= _MANY_CHANNELS
        self._in_mkldnn = on_cpu and torch._C._has_mkldnn

    def __call__(self, x: Tensor, scale: Tensor, padding: int, scratch: Scratch) -> Tensor:
        """Convolve ``x * scale``.

        Args:
            x: ``N x h x w x I``.
            scale: ``I``, a factor per input channel.
            padding: Zeros around the map, 0 or 1.
            scratch: Buffers for intermediate values.

        Returns:
            ``N x (h - 2 + 2 padding) x (w - 2 + 2 padding) x O``.
        """
        size = (x.shape[1] - 2 + 2 * padding, x.shape[2] - 2 + 2 * padding)
        if self._by_winograd(len(x), size):
            return winograd_conv(x, scale, self.transformed(), padding, scratch)
        if self._is_tiny(size, padding):
            return self._product(x * scale)
        scaled = (x * scale).permute(0, 3, 1, 2)
        is_single = x.dtype == torch.float32 and len(x) == 1
        if self._in_mkldnn and is_single and precision.reduced() is None:
            # torch would choose a slower implementation for a single small map.
            y = torch.mkldnn_convolution(
                scaled, self._weight, None, (padding, padding), (1, 1), (1, 1), 1
            )
        else:
            y = precision.conv2d(scaled, self._weight, padding=padding)
        return y.permute(0, 2, 3, 1)

    def back(self, g: Tensor, size: tuple[int, int], padding: int, scratch: Scratch) -> Tensor:
        """Apply the adjoint of the convolution, without the scale.

        Args:
            g: ``N x h' x w' x O``, the cotangent of the result.
            size: Height and width of the input, ``(h, w)``.
            padding: Zeros around the map, 0 or 1.
            scratch: Buffers for intermediate values.

        Returns:
            ``N x h x w x I``, the cotangent of ``x * scale``.
        """
        if self._by_winograd(len(g), (g.shape[1], g.shape[2])):
            return winograd_conv_back(g, self.transformed(), padding, size, scratch)
        if self._is_tiny(size, padding):
            return self._product_back(g)
        shape = (len(g), self._weight.shape[1], *size)
        x = precision.conv2d_back(shape, self._weight, g.permute(0, 3, 1, 2), padding=padding)
        return x.permute(0, 2, 3, 1)

    def transformed(self) -> Tensor:
        """Return the kernels for Winograd's algorithm, ``16 x O x I``; see ``winograd_kernels``."""
        if self._kernels is None:
            self._kernels = winograd_kernels(self._weight)
        return self._kernels

    def _is_tiny(self, size: tuple[int, int], padding: int) -> bool:
        is_small = self._on_cpu and size[0] * size[1] <= _TINY
        return is_small and padding == 1 and precision.reduced() is None

    def _product(self, x: Tensor) -> Tensor:
        """Convolve maps ``N x h x w x I`` with zeros around them, as one matrix product."""
        count, height, width, channels = x.shape
        padded = F.pad(x, (0, 0, 1, 1, 1, 1))
        maps, rows, columns, step = padded.stride()
        around = padded.as_strided(
            (count, height, width, 3, 3, channels), (maps, rows, columns, rows, columns, step)
        )
        return (around.reshape(count * height * width, -1) @ self._rows().T).view(*x.shape[:3], -1)

    def _product_back(self, g: Tensor) -> Tensor:
        """Apply the adjoint of ``_product``."""
        count, height, width, channels = g.shape
        products = (g.reshape(-1, channels) @ self._rows()).view(count, height, width, 3, 3, -1)
        padded = g.new_zeros(count, height + 2, width + 2, products.shape[-1])
        for y in range(3):
            for x in range(3):
                padded[:, y : y + height, x : x + width] += products[:, :, :, y, x]
        return padded[:, 1:-1, 1:-1]

    def _rows(self) -> Tensor:
        """Return the weight as ``O x (9 I)``, a view in the memory order of a frozen layer."""
        return self._weight.permute(0, 2, 3, 1).reshape(len(self._weight), -1)

    def _by_winograd(self, count: int, size: tuple[int, int]) -> bool:
        is_large = self._is_large and count * size[0] * size[1] > _FEW_PIXELS
        return is_large and precision.reduced() is None
