# SPDX-License-Identifier: GPL-3.0-or-later
"""The rendered pictures in memory, at every resolution of the training, with weights of pixels.

Eyes cover a hundredth of the picture but are the first thing that a person looks at, so errors at
the eyes and at the other landmarks get a larger weight. Without it, the network learns the eyes
last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.suzanne import factors

# Added to the weight of the pixels at each landmark that the camera sees.
FOCUS_WEIGHTS = {
    "eye_left": 6.0,
    "eye_right": 6.0,
    "nose": 3.0,
    "chin": 3.0,
    "ear_left": 3.0,
    "ear_right": 3.0,
    "crown": 2.0,
}
# Standard deviation of the added weight around a landmark, as a share of the picture's width.
FOCUS_RADIUS = 0.055


@dataclass(frozen=True)
class Batch:
    """Several pictures at one size.

    Attributes:
        images: ``B x 3 x S x S`` float32 in [-1, 1].
        weights: ``B x 1 x S x S`` float32, the weight of an error in each pixel, at least 1.
        factors: ``B x F`` float32 in [-1, 1].
    """

    images: Tensor
    weights: Tensor
    factors: Tensor


@dataclass(frozen=True)
class Pictures:
    """All pictures, their factors, and the positions where errors have a larger weight.

    Attributes:
        images: ``N x 3 x S x S`` uint8, sRGB.
        factors: ``N x F`` float32 in [-1, 1], in the order of ``factors.FACTORS``.
        focus: ``N x K x 2`` float32, the landmarks' positions (x, y) as shares of the picture's
            width and height, from the top-left corner.
        focus_weights: ``N x K`` float32, the weight added at each landmark; 0 if the camera does
            not see it.
    """

    images: Tensor
    factors: Tensor
    focus: Tensor
    focus_weights: Tensor

    def __len__(self) -> int:
        return len(self.factors)

    def __getitem__(self, part: slice) -> Pictures:
        return Pictures(
            self.images[part], self.factors[part], self.focus[part], self.focus_weights[part]
        )

    def batch(self, indices: Tensor, size_px: int) -> Batch:
        """Return pictures at a size.

        Args:
            indices: ``B`` int64, numbers of pictures.
            size_px: Width and height, of which the pictures' own size is a multiple.
        """
        images = self.images[indices].float() / 127.5 - 1.0
        shrink = images.shape[-1] // size_px
        return Batch(
            F.avg_pool2d(images, shrink), self._weights(indices, size_px), self.factors[indices]
        )

    def _weights(self, indices: Tensor, size_px: int) -> Tensor:
        """Return weights ``B x 1 x S x S``: 1 plus a Gaussian around each visible landmark."""
        centres = (torch.arange(size_px) + 0.5) / size_px
        offsets = (centres - self.focus[indices][..., None]) / FOCUS_RADIUS  # B x K x 2 x S
        x, y = torch.exp(-0.5 * offsets.square()).unbind(dim=2)
        bells = torch.einsum("bk,bky,bkx->byx", self.focus_weights[indices], y, x)
        return 1.0 + bells[:, None]


def load_pictures(folder: Path, held_out: int) -> tuple[Pictures, Pictures]:
    """Read all shards of a folder in the order of their names.

    Args:
        folder: Contains the shards of ``tools.suzanne.render``.
        held_out: Number of pictures to hold out of the training for validation: the last ones.

    Returns:
        The pictures for training, and those that are held out.

    Raises:
        ValueError: The folder contains too few pictures, or a shard with other factors or without
            a landmark.
    """
    images, values, places, weights = [], [], [], []
    landmark_weights = torch.tensor(list(FOCUS_WEIGHTS.values()))
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as shard:
            if tuple(shard["factor_names"]) != factors.FACTORS:
                raise ValueError(f"{path.name} was rendered with other factors: render it again")
            names = list(shard["landmark_names"])
            chosen = [names.index(name) for name in FOCUS_WEIGHTS]
            images.append(torch.from_numpy(shard["images"]).permute(0, 3, 1, 2))
            values.append(torch.from_numpy(shard["factors"]))
            places.append(torch.from_numpy(shard["landmarks_px"][:, chosen]))
            seen = torch.from_numpy(shard["landmarks_visible"][:, chosen])
            weights.append(seen * landmark_weights)
    count = sum(map(len, images))
    if count <= held_out:
        raise ValueError(f"{folder} holds {count} pictures, but more than {held_out} are needed")
    stacked = torch.cat(images)
    pictures = Pictures(
        stacked, torch.cat(values), torch.cat(places) / stacked.shape[-1], torch.cat(weights)
    )
    cut = count - held_out
    return pictures[:cut], pictures[cut:]
