# SPDX-License-Identifier: GPL-3.0-or-later
"""The losses of StyleGAN2's training: non-saturating logistic loss, R1, and path length."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_loss(fake: Tensor) -> Tensor:
    """Return the non-saturating loss of the generator, from logits ``B`` of its images."""
    return F.softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the logistic loss of the discriminator, from logits ``B`` each."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def r1_penalty(real: Tensor, images: Tensor) -> Tensor:
    """Return half the mean squared length of the discriminator's gradient at real pictures.

    Mescheder et al., "Which Training Methods for GANs do actually Converge?" (2018), section 4.1.

    Args:
        real: ``B``, the logits of ``images``, each of which may depend on all pictures.
        images: ``B x C x S x S``, requires a gradient.

    Returns:
        A scalar with a graph for a second derivative, to be multiplied by gamma.
    """
    (gradient,) = torch.autograd.grad(real.sum(), images, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(images: Tensor, ws: Tensor) -> Tensor:
    """Return how much each image changes with its latent, in a random direction of the image.

    Karras et al. 2020, section 3.2: the length of ``J_w^T y`` with normal noise ``y`` of the size
    of the image, whose scale makes the result independent of the resolution.

    Args:
        images: ``B x C x H x W``, computed from ``ws``.
        ws: ``B x num_ws x w_dim``, requires a gradient.

    Returns:
        ``B``, with a graph for a second derivative: the root of the mean over layers of the squared
        length in each layer.
    """
    noise = torch.randn_like(images) / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad((images * noise).sum(), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()
