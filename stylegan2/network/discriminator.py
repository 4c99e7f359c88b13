# SPDX-License-Identifier: GPL-3.0-or-later
"""The blocks of StyleGAN2's discriminator: from a picture to its features at every size.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", section 4.1: each block
halves the picture by two convolutions, beside which a 1 x 1 convolution leads past them. All layers
store raw weights of unit variance and apply the equalised learning rate. What follows the blocks
says how real a picture is; it is needed for training only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import filter_taps
from .layers import GAIN, SLOPE


class DiscriminatorConvolution(nn.Module):
    """A convolution with equalised learning rate; halves the picture if ``down`` is set.

    Its parameters are uninitialised, see ``layers``.
    """

    taps: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        activate: bool = True,
        down: bool = False,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.empty(outputs)) if activate else None
        self.weight_gain = 1.0 / math.sqrt(inputs * size * size)
        self.down = down
        self.clamp = clamp
        self.register_buffer("taps", filter_taps(), persistent=False)

    def reset_parameters(self) -> None:
        """Draw weights of unit variance; set the bias to zero."""
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``N x inputs x H x W`` to ``N x outputs x H' x W'``, float32."""
        weight, size = self.weight * self.weight_gain, self.weight.shape[-1]
        if self.down:
            # The low-pass filter, padded so that the convolution after it needs no padding.
            channels = x.shape[1]
            kernel = self.taps.expand(channels, 1, -1, -1)
            x = F.conv2d(x, kernel, padding=(size + 1) // 2, groups=channels)
            y = F.conv2d(x, weight, self.bias, stride=2)
        else:
            y = F.conv2d(x, weight, self.bias, padding=size // 2)
        if self.bias is None:
            return y
        y = F.leaky_relu(y, SLOPE) * GAIN
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


class DiscriminatorBlock(nn.Module):
    """Halves the picture; the two ways through the block are added with their variance kept."""

    def __init__(
        self, inputs: int, outputs: int, *, has_skip: bool = True, clamp: float | None = None
    ) -> None:
        super().__init__()
        self.conv0 = DiscriminatorConvolution(inputs, inputs, 3, clamp=clamp)
        self.conv1 = DiscriminatorConvolution(inputs, outputs, 3, down=True, clamp=clamp)
        self.skip: DiscriminatorConvolution | None = None
        if has_skip:
            self.skip = DiscriminatorConvolution(inputs, outputs, 1, activate=False, down=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``N x inputs x H x W`` to ``N x outputs x H / 2 x W / 2``, float32."""
        y: Tensor = self.conv1(self.conv0(x))
        return y if self.skip is None else (y + self.skip(x)) * math.sqrt(0.5)


class DiscriminatorBlocks(nn.Module):
    """The blocks, from the largest to that of 8 px.

    Attributes:
        img_channels: Channels of the pictures.
        resolution: The size of the pictures that it was trained on, pixels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        img_channels: int = 3,
        *,
        has_skip: bool = True,
        clamp: float | None = None,
    ) -> None:
        """Make the layers.

        Args:
            channels: Channels at 4 px, 8 px and so on, as for the generator.
            img_channels: Channels of the pictures.
            has_skip: Whether the blocks have the convolution that leads past the others.
            clamp: The bound of the activations, or None.
        """
        super().__init__()
        sizes = tuple(reversed(channels))
        self.img_channels = img_channels
        self.resolution = 4 << (len(sizes) - 1)
        self.from_rgb = DiscriminatorConvolution(img_channels, sizes[0], 1, clamp=clamp)
        self.blocks = nn.Sequential(
            *(
                DiscriminatorBlock(inputs, outputs, has_skip=has_skip, clamp=clamp)
                for inputs, outputs in pairwise(sizes)
            )
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the features of all sizes.

        Args:
            images: ``N x img_channels x H x W`` float32, nominally in [-1, 1]; height and width can
                be halved once for each block.

        Returns:
            ``N x C x H x W``, and the result of each block, each half as large as the one before.
        """
        found = [self.from_rgb(images)]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found
