# SPDX-License-Identifier: GPL-3.0-or-later
"""The rendered pictures in memory, at every resolution that the training passes through.

Eyes are a hundredth of the picture and the first thing that a person looks at, so the pictures come
with weights that single them out, and the other landmarks too.  Without these, eyes are what the
network learns last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tools.suzanne import factors

FOCUS_WEIGHTS = {
    "eye_left": 6.0,
    "eye_right": 6.0,
    "nose": 3.0,
    "chin": 3.0,
    "ear_left": 3.0,
    "ear_right": 3.0,
    "crown": 2.0,
}
"""What is added to the weight of a picture's pixels at each landmark that the camera sees."""
FOCUS_RADIUS = 0.055
"""Standard deviation of the weight around a landmark, as a share of the picture's width."""


@dataclass(frozen=True)
class Batch:
    """Some pictures at one size.

    Attributes:
        images: `B x 3 x S x S` float32 in [-1, 1].
        weights: `B x 1 x S x S` float32, 1 and more, what an error in each pixel counts.
        factors: `B x F` float32 in [-1, 1].
    """

    images: Tensor
    weights: Tensor
    factors: Tensor


@dataclass(frozen=True)
class Pictures:
    """Pictures and their factors.

    Attributes:
        images: `N x 3 x S x S` uint8, sRGB.
        factors: `N x F` float32 in [-1, 1], in the order of `factors.FACTORS`.
        focus: `N x K x 2` float32, where the landmarks are, (x, y) in [0, 1] from the top-left
            corner.
        focus_weights: `N x K` float32, what is added there; 0 if the camera does not see it.
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
        """The pictures with the given numbers (`B` int64), `size_px` wide."""
        images = self.images[indices].float() / 127.5 - 1.0
        shrink = images.shape[-1] // size_px
        return Batch(
            F.avg_pool2d(images, shrink), self._weights(indices, size_px), self.factors[indices]
        )

    def _weights(self, indices: Tensor, size_px: int) -> Tensor:
        """A bell around each visible landmark on a ground of 1; it is separable, x times y."""
        centres = (torch.arange(size_px) + 0.5) / size_px
        offsets = (centres - self.focus[indices][..., None]) / FOCUS_RADIUS  # B x K x 2 x S
        x, y = torch.exp(-0.5 * offsets.square()).unbind(dim=2)
        bells = torch.einsum("bk,bky,bkx->byx", self.focus_weights[indices], y, x)
        return 1.0 + bells[:, None]


def load_pictures(folder: Path, held_out: int) -> tuple[Pictures, Pictures]:
    """Read all shards in `folder`; the last `held_out` pictures are split off for validation.

    Raises:
        ValueError: if the folder holds too few pictures, or shards with other factors.
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
        raise ValueError(f"{folder} holds {count} pictures, more than {held_out} are needed")
    stacked = torch.cat(images)
    pictures = Pictures(
        stacked, torch.cat(values), torch.cat(places) / stacked.shape[-1], torch.cat(weights)
    )
    cut = count - held_out
    return pictures[:cut], pictures[cut:]
