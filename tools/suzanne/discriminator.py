# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2's residual discriminator, for the training of the adversarial model.

The blocks are those of ``stylegan2.network.discriminator``. After them, the standard deviation over
a group of pictures becomes one more channel, so that pictures which are all alike can be told apart
from real ones (Karras et al., "Progressive Growing of GANs", section 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stylegan2.network.discriminator import DiscriminatorBlocks, DiscriminatorConvolution
from stylegan2.network.layers import FullyConnectedLayer

GROUP_SIZE = 4


class Discriminator(DiscriminatorBlocks):
    """Returns how real pictures look: positive logits for renders."""

    def __init__(self, channels: Sequence[int], img_channels: int = 3) -> None:
        """Draw random weights.

        Args:
            channels: Channels at 4 px, 8 px and so on, as for the generator.
            img_channels: Channels of the pictures.
        """
        super().__init__(channels, img_channels)
        last = channels[0]
        self.conv = DiscriminatorConvolution(last + 1, last, 3)
        self.fc = FullyConnectedLayer(last * 16, last, activate=True)
        self.out = FullyConnectedLayer(last, 1)
        for layer in self.modules():
            if isinstance(layer, DiscriminatorConvolution | FullyConnectedLayer):
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
