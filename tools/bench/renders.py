# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders with known landmarks: read from the shards of ``tools.suzanne.render``, and varied.

The variations force the detector to use the pixels at a landmark. On plain renders it could learn
instead where a head of a given pose has its ears, and would then find perfect ears in an image that
a drag has distorted. So pictures are bent like rubber, and the landmarks' true positions move with
them; they are also blurred, made noisy and changed in contrast, because a generator's images are
softer than renders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .landmarks import COLOURS, LANDMARKS

# Control points of the bending in x and in y.
_BEND_CELLS = 4
# Standard deviations of the bending at each control point and of the shift, both as shares of the
# picture's width, and of each element of the linear map minus the identity.
_BEND = 0.015
_SHIFT = 0.05
_SHEAR = 0.07
# Share of the pictures that are not bent.
_STRAIGHT = 0.25


@dataclass(frozen=True)
class Renders:
    """Pictures with their ground truth.

    Attributes:
        images: ``N x 3 x S x S`` uint8, sRGB.
        points_px: ``N x L x 2`` float32 (x, y), image pixels, in the order of ``LANDMARKS``.
        visible: ``N x L`` float32, 1 if the camera sees the landmark, otherwise 0.
        colours: ``N x 6`` float32 in [-1, 1], in the order of ``COLOURS``.
        factors: ``N x F`` float32 in [-1, 1], all factors of the shards.
    """

    images: Tensor
    points_px: Tensor
    visible: Tensor
    colours: Tensor
    factors: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice | Tensor) -> Renders:
        return Renders(
            self.images[part],
            self.points_px[part],
            self.visible[part],
            self.colours[part],
            self.factors[part],
        )

    @property
    def size_px(self) -> int:
        """Width and height of the pictures."""
        return self.images.shape[-1]


def load_renders(folder: Path, held_out: int) -> tuple[Renders, Renders]:
    """Read all shards of a folder in the order of their names.

    Args:
        folder: Contains the shards of ``tools.suzanne.render``.
        held_out: Number of pictures to hold out of the training: the last ones, the same that
            ``tools.suzanne`` holds out of the generator's training.

    Returns:
        The pictures for training, and those that are held out.

    Raises:
        ValueError: The folder contains too few pictures, or a shard lacks a landmark or a colour.
    """
    parts = [_load_shard(path) for path in sorted(folder.glob("*.npz"))]
    count = sum(map(len, parts))
    if count <= held_out:
        raise ValueError(f"{folder} holds {count} pictures, but more than {held_out} are needed")
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    renders = Renders(*(torch.cat(column) for column in columns))
    return renders[: count - held_out], renders[count - held_out :]


def _load_shard(path: Path) -> Renders:
    with np.load(path, allow_pickle=False) as shard:
        places = _indices(path, "landmark", shard["landmark_names"].tolist(), LANDMARKS)
        colours = _indices(path, "factor", shard["factor_names"].tolist(), COLOURS)
        factors = torch.from_numpy(shard["factors"])
        return Renders(
            torch.from_numpy(shard["images"]).permute(0, 3, 1, 2),
            torch.from_numpy(shard["landmarks_px"][:, places]),
            torch.from_numpy(shard["landmarks_visible"][:, places]).float(),
            factors[:, colours],
            factors,
        )


def _indices(path: Path, what: str, present: list[str], wanted: tuple[str, ...]) -> list[int]:
    missing = [name for name in wanted if name not in present]
    if missing:
        raise ValueError(f"{path.name} has no {what} {missing[0]}; render the pictures again")
    return [present.index(name) for name in wanted]


def vary(batch: Renders, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Bend pictures and change their sharpness, noise and contrast.

    Args:
        batch: ``B`` pictures.
        random: The source of randomness.

    Returns:
        The pictures, ``B x 3 x S x S`` float32, nominally in [-1, 1], and the landmarks' positions
        in them, ``B x L x 2`` float32 (x, y), image pixels.
    """
    images = batch.images.float() / 127.5 - 1.0
    images, points = bend(images, batch.points_px, random)
    images = _soften(images, random)

    def spread(deviation: float) -> Tensor:
        return deviation * torch.randn(len(images), 1, 1, 1, generator=random)

    images = images * (1.0 + spread(0.05)) + spread(0.02)
    noise = torch.randn(images.shape, generator=random)
    return images + spread(0.03).abs() * noise, points


def bend(images: Tensor, points_px: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rotate, stretch, shift and bend pictures by smooth displacements.

    The pixel at ``x`` of the result shows what was at ``x + D(x)``. So a landmark that was at ``p``
    is now at the ``x`` with ``x + D(x) = p``, which is found by iteration: ``D`` is small and
    smooth, and each iteration reduces the error to less than a third.

    Args:
        images: ``B x 3 x S x S`` float32.
        points_px: ``B x L x 2`` float32 (x, y), image pixels.
        random: The source of randomness.

    Returns:
        Pictures and points after bending, in the same shapes.
    """
    count, size = len(images), images.shape[-1]
    bent = (torch.rand(count, 1, 1, 1, generator=random) >= _STRAIGHT).float()
    knots = _BEND * torch.randn(count, 2, _BEND_CELLS, _BEND_CELLS, generator=random)
    smooth = F.interpolate(knots, size=(size, size), mode="bicubic", align_corners=True)
    linear = _SHEAR * torch.randn(count, 2, 2, generator=random)
    shift = _SHIFT * torch.randn(count, 2, 1, 1, generator=random)
    line = (torch.arange(size) + 0.5) / size - 0.5
    where = torch.stack([line.expand(size, size), line[:, None].expand(size, size)])
    turned = torch.einsum("bij,jyx->biyx", linear, where) + shift
    field = bent * (smooth + turned)
    grid = 2.0 * (where + field).permute(0, 2, 3, 1)
    shown = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    old = points_px / size - 0.5
    new = old
    for _ in range(6):
        moved = F.grid_sample(field, 2.0 * new[:, None], padding_mode="border", align_corners=False)
        new = old - moved[:, :, 0].transpose(1, 2)
    return shown, (new + 0.5) * size


def _soften(images: Tensor, random: torch.Generator) -> Tensor:
    """Blur half of the pictures with a standard deviation of up to 1.2 px of 128."""
    reach = 2
    offsets = torch.arange(-reach, reach + 1)
    deviation = 1.2 * images.shape[-1] / 128 * float(torch.rand(1, generator=random)) + 1e-3
    taps = torch.exp(-0.5 * (offsets / deviation).square())
    taps = (taps / taps.sum()).expand(3, 1, 1, -1)
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    across = F.conv2d(padded, taps, groups=3)
    blurred = F.conv2d(across, taps.transpose(2, 3), groups=3)
    chosen = torch.rand(len(images), 1, 1, 1, generator=random) < 0.5
    return torch.where(chosen, blurred, images)
