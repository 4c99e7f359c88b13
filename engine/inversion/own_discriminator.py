# SPDX-License-Identifier: GPL-3.0-or-later
"""The features of a model's own discriminator, for images and pictures of any size.

It was trained on the same pictures as the model, so it sees what matters in them: strokes in
drawings as well as hair in photographs.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2 import ModelError, load_discriminator

from ..errors import RequestError


class DiscriminatorFeatures:
    """Returns the features of images ``N x 3 x H x W`` in [-1, 1]."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Load a discriminator.

        Args:
            path: A checkpoint with one.
            device: Where to compute.

        Raises:
            RequestError: The checkpoint has none, or it was trained on other channels than colours.
        """
        try:
            self._network = load_discriminator(path, device)
        except ModelError as error:
            raise RequestError(error.message) from None
        channels = self._network.img_channels
        if channels not in (1, 3):
            raise RequestError(
                f"the discriminator of {path.name} was trained on images of {channels} channels, "
                "but a picture has 3; choose another loss"
            )

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return ``N x C x h x w`` for each size."""
        if self._network.img_channels == 1:
            images = images.mean(dim=1, keepdim=True)
        return self._network.features(self._fitting(images))

    def _fitting(self, images: Tensor) -> Tensor:
        """Return images of about the size that it was trained on, which can be halved."""
        size, step = self._network.resolution, self._network.resolution // 4
        height, width = images.shape[2:]
        longer = max(height, width)
        if size <= longer < 2 * size and not (height % step or width % step):
            return images
        fitting = [max(step, round(n * size / longer / step) * step) for n in (height, width)]
        # MPS has not always had the way back of this.
        there = images.cpu() if images.device.type == "mps" else images
        return F.interpolate(there, fitting, mode="bilinear", antialias=True).to(images.device)
