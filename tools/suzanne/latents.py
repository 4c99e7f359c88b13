# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps factors to latents: the flat W that the synthesis network is trained on.

The map is ``w = A u``: each factor is one direction of W, and the directions are orthogonal. W is
then a box, a straight line in it is a straight line in the factors, and every latent between two
good ones is good. (A perceptron on Fourier features of the factors learns faster but makes W
curved: long drags leave it and distort the picture.) The directions are randomly rotated coordinate
axes, because optimisers that scale each coordinate separately, such as Adam, would otherwise move
an unimportant factor as fast as an important one.

The length of a direction is free: ``distill`` changes it after the training without changing any
picture. Here it only has to give the layers that read w numbers of order one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from tools.suzanne import factors

W_DIM = 64
# The number of first latents that coarse factors control: those that a drag may change (Pan et al.
# 2023, section 3.2).
COARSE_LATENTS = 6

# Length of each factor's direction in training.
GAINS = {
    "yaw": 4.0,
    "pitch": 3.0,
    "roll": 3.0,
    "ear_size": 1.6,
    "ear_lift": 1.6,
    "muzzle_length": 1.6,
    "muzzle_width": 1.6,
    "jaw": 1.6,
    "cranium": 1.6,
    "eye_size": 1.6,
    "eye_spacing": 1.4,
    "light_azimuth": 1.4,
    "light_elevation": 1.4,
    "fur_a": 1.8,
    "fur_b": 1.8,
    "eye_a": 1.2,
    "eye_b": 1.2,
    "background_a": 1.6,
    "background_b": 1.6,
}


def factor_directions(gains_by_factor: Mapping[str, float] = GAINS) -> Tensor:
    """Return the matrix ``A``: ``F x W_DIM`` float32 with orthogonal rows.

    Args:
        gains_by_factor: The length of the row of each factor.
    """
    generator = torch.Generator().manual_seed(1)
    rotation, _ = torch.linalg.qr(torch.randn(W_DIM, W_DIM, generator=generator).double())
    gains = torch.tensor([gains_by_factor[name] for name in factors.FACTORS]).double()
    directions: Tensor = (gains[:, None] * rotation[: len(gains)]).float()
    return directions


def complement_projection(directions: Tensor) -> Tensor:
    """Return the projection onto the directions that no factor uses.

    Args:
        directions: ``F x W_DIM`` float32 with orthogonal rows.

    Returns:
        ``W_DIM x W_DIM`` float32, symmetric.
    """
    unit = directions / directions.norm(dim=1, keepdim=True)
    projection: Tensor = torch.eye(directions.shape[1]) - unit.t() @ unit
    return projection


class Sampler(Protocol):
    """Makes the latents of a training from factors.

    Attributes:
        separates: Whether coarse latents must not control colours; see ``LatentSampler``.
    """

    separates: bool

    def plain(self, values: Tensor, num_ws: int) -> Tensor:
        """Return the latents of factors ``B x F``, equal in all layers: ``B x num_ws x W_DIM``."""

    def mixed(self, values: Tensor, num_ws: int) -> Tensor:
        """Return the latents of factors for training: ``B x num_ws x W_DIM``."""


class LatentSampler:
    """Makes the latents of a training batch, such that each layer learns to use only its factors.

    The coarse latents get the right pose and shape with *random* light and colours, the others the
    right light and colours with a random pose and shape: the supervised form of style mixing
    (Karras et al. 2019, section 3.1). A drag, which changes only the coarse latents, then cannot
    change the colours, and the fine latents do not hold the old pose.

    A drag in W+ also moves each latent differently. Two kinds of noise, drawn for each layer, teach
    the network what this means: a change in a direction that no factor uses has no effect, and of
    pose and shape, the mean over the coarse layers counts.

    Attributes:
        directions: ``factor_directions()``.
    """

    separates = True

    def __init__(self, *, noise: float, jitter: float) -> None:
        """Set the strengths of the noise.

        Args:
            noise: Standard deviation of each coordinate of w, before the projection onto the
                directions that no factor uses.
            jitter: Largest standard deviation of a coarse factor about its mean over the layers;
                each picture gets a random one between 0 and this.
        """
        self.directions = factor_directions()
        self._complement = complement_projection(self.directions)
        self._noise = noise
        self._jitter = jitter

    def plain(self, values: Tensor, num_ws: int) -> Tensor:
        """Return the latents of factors ``B x F``, equal in all layers: ``B x num_ws x W_DIM``."""
        return (values @ self.directions)[:, None].expand(-1, num_ws, -1)

    def mixed(self, values: Tensor, num_ws: int) -> Tensor:
        """Return mixed and noisy latents for training.

        The last latent is always a fine one, so that a network that ends at a low resolution also
        has a layer for the colours.

        Args:
            values: The factors, ``B x F`` float32 in [-1, 1].
            num_ws: Number of latents.

        Returns:
            ``B x num_ws x W_DIM`` float32.
        """
        cut = factors.NUM_COARSE
        num_coarse = min(COARSE_LATENTS, num_ws - 1)
        random = torch.rand_like(values) * 2.0 - 1.0
        layers = torch.cat([random[:, :cut], values[:, cut:]], dim=1)[:, None].repeat(1, num_ws, 1)
        strength = self._jitter * torch.rand(len(values), 1, 1)
        jitter = strength * torch.randn(len(values), num_coarse, cut)
        jitter -= jitter.mean(dim=1, keepdim=True)
        layers[:, :num_coarse, :cut] = values[:, None, :cut] + jitter
        layers[:, :num_coarse, cut:] = random[:, None, cut:]
        ws = layers @ self.directions
        return ws + self._noise * torch.randn_like(ws) @ self._complement
