# SPDX-License-Identifier: GPL-3.0-or-later
"""The 3 x 3 convolution of channels-last maps, in the way that is fastest for its size.

torch's operator, except on a CPU, for many channels and more than a few pixels: there Winograd's
algorithm. Few channels do not make up for its additions, and of few pixels each kernel is read
only once or twice, so that their number counts, which it makes larger.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from .scratch import Scratch
from .winograd import winograd_conv, winograd_conv_back, winograd_kernels

_MANY_CHANNELS = 384
_FEW_PIXELS = 64


class Convolution:
    """A 3 x 3 convolution with a constant weight; what is made of it is made once, when needed.

    Maps are ``N x height x width x channels``.
    """

    def __init__(self, weight: Tensor) -> None:
        """For a weight ``O x I x 3 x 3``, on a CPU best with its channels last in memory."""
        self._weight = weight
        self._kernels: Tensor | None = None
        on_cpu = weight.device.type == "cpu"
        self._is_large = on_cpu and min(weight.shape[:2]) >= _MANY_CHANNELS
        self._in_mkldnn = on_cpu and torch._C._has_mkldnn

    def __call__(self, x: Tensor, scale: Tensor, padding: int, scratch: Scratch) -> Tensor:
        """Convolve ``x * scale``.

        Args:
            x: ``N x h x w x I``.
            scale: ``I``.
            padding: zeros around the map, 0 or 1.

        Returns:
            ``N x (h - 2 + 2 padding) x (likewise) x O``.
        """
        size = (x.shape[1] - 2 + 2 * padding, x.shape[2] - 2 + 2 * padding)
        if self._by_winograd(len(x), size):
            return winograd_conv(x, scale, self.transformed(), padding, scratch)
        scaled = (x * scale).permute(0, 3, 1, 2)
        if self._in_mkldnn and x.dtype == torch.float32 and len(x) == 1:
            # torch takes a slower way by itself for a single small map.
            y = torch.mkldnn_convolution(
                scaled, self._weight, None, (padding, padding), (1, 1), (1, 1), 1
            )
        else:
            y = F.conv2d(scaled, self._weight, padding=padding)
        return y.permute(0, 2, 3, 1)

    def back(self, g: Tensor, size: tuple[int, int], padding: int, scratch: Scratch) -> Tensor:
        """The transposed, without the scale.

        Args:
            g: ``N x h' x w' x O``.
            size: height and width of the input.

        Returns:
            ``N x h x w x I``.
        """
        if self._by_winograd(len(g), (g.shape[1], g.shape[2])):
            return winograd_conv_back(g, self.transformed(), padding, size, scratch)
        shape = (len(g), self._weight.shape[1], *size)
        x: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
            shape, self._weight, g.permute(0, 3, 1, 2), padding=padding
        )
        return x.permute(0, 2, 3, 1)

    def transformed(self) -> Tensor:
        """The kernels for Winograd's algorithm, ``16 x O x I``."""
        if self._kernels is None:
            self._kernels = winograd_kernels(self._weight)
        return self._kernels

    def _by_winograd(self, count: int, size: tuple[int, int]) -> bool:
        return self._is_large and count * size[0] * size[1] > _FEW_PIXELS
