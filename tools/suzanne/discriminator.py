# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2's residual discriminator, for the training of the adversarial model.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", section 4.1: each block
halves the picture by two convolutions, beside which a 1 x 1 convolution leads past them. Near the
end, the standard deviation over a group of pictures becomes one more channel, so that pictures
which are all alike can be told apart from real ones (Karras et al., "Progressive Growing of GANs",
section 3). All layers store raw weights of unit variance and apply the equalised learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan2.network.layers import GAIN, SLOPE, FullyConnectedLayer
from stylegan2.ops import filter_taps

GROUP_SIZE = 4


class _Convolution(nn.Module):
    """A convolution with equalised learning rate; halves the picture if ``down`` is set."""

    taps: Tensor

    def __init__(
        self, inputs: int, outputs: int, size: int, *, activate: bool = True, down: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.weight_gain = 1.0 / math.sqrt(inputs * size * size)
        self.down = down
        self.register_buffer("taps", filter_taps(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weight, size = self.weight * self.weight_gain, self.weight.shape[-1]
        if self.down:
            # The low-pass filter, padded so that the convolution after it needs no padding.
            channels = x.shape[1]
            kernel = self.taps.expand(channels, 1, -1, -1)
            x = F.conv2d(x, kernel, padding=(size + 1) // 2, groups=channels)
            y = F.conv2d(x, weight, self.bias, stride=2)
        else:
            y = F.conv2d(x, weight, self.bias, padding=size // 2)
        return y if self.bias is None else F.leaky_relu(y, SLOPE) * GAIN


class _Block(nn.Module):
    """Halves the picture; the two ways through the block are added with their variance kept."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = _Convolution(inputs, inputs, 3)
        self.conv1 = _Convolution(inputs, outputs, 3, down=True)
        self.skip = _Convolution(inputs, outputs, 1, activate=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv1(self.conv0(x)) + self.skip(x)
        return y * math.sqrt(0.5)


class Discriminator(nn.Module):
    """Returns how real pictures look: positive logits for renders."""

    def __init__(self, channels: Sequence[int], img_channels: int = 3) -> None:
        """Draw random weights.

        Args:
            channels: Channels at 4 px, 8 px and so on, as for the generator.
            img_channels: Channels of the pictures.
        """
        super().__init__()
        sizes = tuple(reversed(channels))
        self.from_rgb = _Convolution(img_channels, sizes[0], 1)
        self.blocks = nn.Sequential(
            *(_Block(inputs, outputs) for inputs, outputs in pairwise(sizes))
        )
        last = sizes[-1]
        self.conv = _Convolution(last + 1, last, 3)
        self.fc = FullyConnectedLayer(last * 16, last, activate=True)
        self.out = FullyConnectedLayer(last, 1)
        for layer in (self.fc, self.out):
            layer.reset_parameters()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``B`` of pictures ``B x C x S x S`` float32, nominally in [-1, 1]."""
        x = self.blocks(self.from_rgb(images))
        x = self.conv(torch.cat([x, minibatch_deviation(x)], dim=1))
        y: Tensor = self.out(self.fc(x.flatten(1)))
        return y[:, 0]


def minibatch_deviation(x: Tensor) -> Tensor:
    """Return the standard deviation within groups of a batch as one channel.

    Args:
        x: ``B x C x H x W`` float32. ``B`` is split into groups of ``GROUP_SIZE``, or taken as one
            group if it is not a multiple of it.

    Returns:
        ``B x 1 x H x W``: per group, the mean over channels and pixels of the standard deviation
        over the pictures of the group.
    """
    size = GROUP_SIZE if len(x) % GROUP_SIZE == 0 else len(x)
    groups = x.reshape(size, -1, *x.shape[1:])
    deviation = (groups.var(dim=0, unbiased=False) + 1e-8).sqrt()
    mean = deviation.mean(dim=(1, 2, 3))
    return mean.repeat(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])
