# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses by the features of a trained network, beside the loss of the pixels.

A network that was trained on photographs sees what differs between photographs. It does not see all
that differs between drawings, and nothing holds colours, so the pixels always count as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat

import torch
from torch import Tensor

from ..pooling import reduced
from .loss import difference

Network = Callable[[Tensor], Sequence[Tensor]]
# From the features of both images, those of the wanted one last, to ``N`` distances.
Distance = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]

_TINY = 1e-10


class FeatureLoss:
    """The loss of the pixels, and a share of the distance between features; see ``loss.Loss``."""

    def __init__(self, network: Network, distance: Distance, share: float, most_px: int) -> None:
        """Take a network.

        Args:
            network: From images ``N x 3 x H x W`` in [-1, 1] to features.
            distance: Between the features of two images.
            share: What the distance counts.
            most_px: Images whose shorter side is at least twice as long are made smaller, by a
                whole number; 0 for never.
        """
        self._network = network
        self._distance = distance
        self._share = share
        self._most_px = most_px
        # What was wanted last, and its features.
        self._known: tuple[Tensor, Sequence[Tensor]] | None = None

    def __call__(self, images: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
        """Return how different images are; arguments and result are those of ``difference``."""
        # Where pixels do not count, both images are the wanted one.
        seen = wanted + (images.clamp(-1, 1) - wanted) * weights
        far = self._distance(self._features(seen), self._wanted_features(wanted))
        return difference(images, wanted, weights) + self._share * far

    def _wanted_features(self, wanted: Tensor) -> Sequence[Tensor]:
        """Return the features of what is wanted, which is the same in all steps without a frame."""
        if wanted.requires_grad:
            return self._features(wanted)
        if self._known is None or not torch.equal(self._known[0], wanted):
            self._known = wanted, self._features(wanted)
        return self._known[1]

    def _features(self, images: Tensor) -> Sequence[Tensor]:
        shrink = min(images.shape[2:]) // self._most_px if self._most_px else 1
        if shrink > 1:
            images = reduced(images, [n // shrink for n in images.shape[2:]])
        return self._network(images)


class PerceptualDistance:
    """The distance of LPIPS between features.

    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018),
    section 3, equation 1: features of unit length for each pixel, their squared difference weighted
    by channel, the mean over the pixels, the sum over the layers.
    """

    def __init__(self, channel_weights: Sequence[Tensor] | None = None) -> None:
        """Take the weights.

        Args:
            channel_weights: ``C`` for each layer; None to count all channels, and the mean over the
                layers instead of the sum.
        """
        self._channel_weights = channel_weights

    def __call__(self, ours: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        """Return ``N`` distances between features ``N x C x h x w`` of several layers."""
        given = self._channel_weights
        weights = repeat(None, len(ours)) if given is None else given
        layers = []
        for a, b, weight in zip(ours, wanted, weights, strict=True):
            far = (_unit(a) - _unit(b)).square()
            if weight is not None:
                far = far * weight[:, None, None]
            layers.append(far.sum(dim=1).mean(dim=(1, 2)))
        total = torch.stack(layers)
        return total.mean(dim=0) if given is None else total.sum(dim=0)


def matching_distance(ours: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return how far the features of a discriminator are from the wanted ones.

    The mean absolute difference of each layer (Wang et al., "High-Resolution Image Synthesis and
    Semantic Manipulation with Conditional GANs", 2018, equation 4), relative to the mean size of
    the wanted features, as the layers of different discriminators have different scales.

    Args:
        ours: ``N x C x h x w`` of several layers.
        wanted: The same shapes.

    Returns:
        ``N``, the mean over the layers.
    """
    layers = []
    for a, b in zip(ours, wanted, strict=True):
        size = b.detach().abs().mean(dim=(1, 2, 3)).clamp(min=_TINY)
        layers.append((a - b).abs().mean(dim=(1, 2, 3)) / size)
    return torch.stack(layers).mean(dim=0)


def _unit(features: Tensor) -> Tensor:
    # The constant is inside of the root: its slope at 0 is infinite.
    return features * (features.square().sum(dim=1, keepdim=True) + _TINY).rsqrt()
