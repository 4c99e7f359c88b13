# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an inversion starts: the best of a few hundred of the model's own images.

The images are the same for every picture, so they are made once for each model and kept small.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..inputs import device_of
from ..pooling import reduced
from .alignment import AlignedPicture

COUNT = 300
_SEED = 1
_TRUNCATION = 0.8
_BATCH = 10
# The shorter side of the small images that are compared.
_SMALL_PX = 16
# A block's own image stands for the whole one if it differs from it by less than this, mean
# absolute difference as a share of the range of values.
_FAITHFUL = 0.04
_LEAST_BLOCK = 32
# Frames that are tried around the given one: shares of its size, degrees and factors of its size.
_SHIFTS = (-0.1, -0.05, 0.0, 0.05, 0.1)
_TURNS = (-14.0, -7.0, 0.0, 7.0, 14.0)
_SCALES = (0.92, 1.0, 1.09)
# What a frame that far from the given one costs, in the values' mean absolute difference.
_PRICE_OF_FRAME = 0.01


@dataclass(frozen=True)
class Starts:
    """The model's own images to choose from.

    Attributes:
        ws: ``N x w_dim`` float32.
        images: ``N x 3 x h x w`` float32, small.
        shrink: How many times smaller they are than the model's image.
        block: The smallest block whose own image stands for the whole one.
    """

    ws: Tensor
    images: Tensor
    shrink: int
    block: int


_KNOWN: weakref.WeakKeyDictionary[Generator, Starts] = weakref.WeakKeyDictionary()


def rgb(images: Tensor) -> Tensor:
    """Return ``N x 3 x H x W`` of a model's images: grey is repeated, other channels left out."""
    return images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)


@torch.no_grad()
def starts_of(generator: Generator) -> Starts:
    """Return the images of a generator to start from; computed once for each generator."""
    known = _KNOWN.get(generator)
    if known is not None and known.ws.device == device_of(generator):
        return known
    ws = sampled_ws(generator)
    block = _faithful_block(generator, ws[:4])
    shape = generator.img_shape[1:]
    shrink = max(1, min(shape) // _SMALL_PX)
    size = [length // shrink for length in shape]
    parts = []
    for first in range(0, len(ws), _BATCH):
        batch = ws[first : first + _BATCH]
        latents = batch[:, None].expand(-1, generator.num_ws, -1)
        parts.append(reduced(rgb(generator.synthesis(latents, resolution=block)), size))
    found = _KNOWN[generator] = Starts(ws, torch.cat(parts), shrink, block)
    return found


@torch.no_grad()
def sampled_ws(generator: Generator) -> Tensor:
    """Return ``COUNT x w_dim``: truncated w of random z, and the mean of W as the first."""
    device = device_of(generator)
    source = np.random.RandomState(_SEED)
    z = source.randn(COUNT, generator.z_dim).astype(np.float32)
    label: Tensor | None = None
    if generator.c_dim:
        classes = source.randint(generator.c_dim, size=COUNT)
        label = torch.from_numpy(np.eye(generator.c_dim, dtype=np.float32)[classes]).to(device)
    ws: Tensor = generator.mapping(
        torch.from_numpy(z).to(device), label, truncation_psi=_TRUNCATION
    )[:, 0]
    ws[0] = generator.mapping.w_avg
    return ws


def _faithful_block(generator: Generator, ws: Tensor) -> int:
    """Return the smallest block whose own image is nearly the whole image, made smaller."""
    latents = ws[:, None].expand(-1, generator.num_ws, -1)
    whole = rgb(generator.synthesis(latents)).clamp(-1, 1)
    for block in generator.resolutions[:-1]:
        small = rgb(generator.synthesis(latents, resolution=block)).clamp(-1, 1)
        if min(small.shape[2:]) < _LEAST_BLOCK:
            continue
        expected = reduced(whole, small.shape[2:])
        if float((small - expected).abs().mean()) / 2 < _FAITHFUL:
            return block
    return generator.resolutions[-1]


@torch.no_grad()
def best_starts(
    generator: Generator, picture: AlignedPicture, frame: Tensor, aligned: bool, count: int
) -> tuple[Tensor, Tensor]:
    """Return the starts that are nearest to a picture.

    Args:
        generator: The model.
        picture: The picture.
        frame: ``4`` float32, the given frame; see ``Alignment.to_tensor``.
        aligned: Whether the frame is right already; otherwise frames around it are tried too.
        count: How many starts to return.

    Returns:
        ``count x w_dim`` float32, and ``count x 4``, the frame of each.
    """
    starts = starts_of(generator)
    frames, prices = frame[None], frame.new_zeros(1)
    if not aligned:
        frames, prices = _frames_around(frame)
    crops, inside = zip(*(picture.crop(one[None], starts.shrink) for one in frames), strict=True)
    wanted, weights = torch.cat(crops), torch.cat(inside)
    costs = []
    for own, weight, price in zip(wanted, weights, prices, strict=True):
        far = ((starts.images - own).abs().mean(dim=1, keepdim=True) * weight).sum(dim=(1, 2, 3))
        costs.append(far / weight.sum().clamp(min=1.0) + price)
    cost = torch.stack(costs)  # frames x starts
    # The best frame of each start, then the best starts.
    lowest, which = cost.min(dim=0)
    best = lowest.argsort()[:count]
    return starts.ws[best], frames[which[best]]


def _frames_around(frame: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``N x 4`` frames around one, and what each costs."""
    size = float(frame[3].exp())
    frames, prices = [], []
    for x, y, turn, scale in product(_SHIFTS, _SHIFTS, _TURNS, _SCALES):
        change = frame.new_tensor([x * size, y * size, math.radians(turn), math.log(scale)])
        frames.append(frame + change)
        far = math.hypot(x / 0.1, y / 0.1, turn / 14.0, math.log(scale) / 0.09)
        prices.append(_PRICE_OF_FRAME * far**2)
    return torch.stack(frames), frame.new_tensor(prices)
