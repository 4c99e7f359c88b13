# SPDX-License-Identifier: GPL-3.0-or-later
"""From the name of a loss to the loss: finds the weights that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from draggan_blender.protocol.losses import (
    DISCRIMINATOR,
    IMAGENET,
    LOSS_NAMES,
    PIXELS,
    VGG,
)

from ..errors import RequestError
from .efficientnet import find_weights, load_efficientnet
from .feature_loss import FeatureLoss, PerceptualDistance, matching_distance
from .loss import Loss, difference
from .own_discriminator import DiscriminatorFeatures
from .vgg import load_vgg

# The size of the images that the networks for photographs were trained on, or nearly.
_PHOTO_PX = 256
# What the distance between features counts. In the last phase that is about as much as the pixels.
_VGG_SHARE = 0.5
_IMAGENET_SHARE = 0.5
_DISCRIMINATOR_SHARE = 0.25


@dataclass(frozen=True)
class LossChoice:
    """Which loss is used.

    Attributes:
        name: One of ``LOSS_NAMES``.
        file: The file of the weights; None if none was given.
    """

    name: str = PIXELS
    file: Path | None = None

    def __post_init__(self) -> None:
        if self.name not in LOSS_NAMES:
            raise RequestError(f"the loss must be one of {', '.join(LOSS_NAMES)}, not {self.name}")


def make_loss(choice: LossChoice, model: Path, device: torch.device) -> Loss:
    """Return a loss.

    Args:
        choice: Which.
        model: The file of the model.
        device: Where to compute.

    Raises:
        RequestError: Its weights are not there, or cannot be read; the message says what to do.
    """
    if choice.name == DISCRIMINATOR:
        own = DiscriminatorFeatures(choice.file or model, device)
        return FeatureLoss(own, matching_distance, _DISCRIMINATOR_SHARE, 0)
    if choice.name == VGG:
        if choice.file is None:
            raise RequestError("this loss needs a file with the weights of VGG16; choose one")
        network = load_vgg(choice.file, device)
        distance = PerceptualDistance(network.channel_weights)
        return FeatureLoss(network, distance, _VGG_SHARE, _PHOTO_PX)
    if choice.name == IMAGENET:
        lite0 = load_efficientnet(find_weights(), device)
        return FeatureLoss(lite0, PerceptualDistance(), _IMAGENET_SHARE, _PHOTO_PX)
    return difference
