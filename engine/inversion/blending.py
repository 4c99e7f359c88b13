# SPDX-License-Identifier: GPL-3.0-or-later
"""Blend back: what an edit has changed is composed onto the picture, in its full resolution.

The model's image of the picture and its image after the edit differ where something was dragged.
There the picture takes the change, in linear light. Where the change is large, the picture's own
content has moved away, and the model's image replaces it. Elsewhere the picture stays as it is.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..arrays import ByteArray
from ..pooling import max_around, mean_around
from .alignment import Alignment

# Changes of the model's image below the first, shares of the range of values, are not taken over;
# from the second on, they are taken over in full.
_UNCHANGED, _CHANGED = 0.012, 0.035
# From this change on, the model's image stands in place of the picture's own content.
_REPLACED = 0.12
# How far the changed region is widened and feathered, as a share of the frame.
_WIDENED, _FEATHERED = 0.012, 0.012


def to_linear(values: Tensor) -> Tensor:
    """Convert sRGB values in [0, 1] to linear light (IEC 61966-2-1)."""
    return torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_srgb(values: Tensor) -> Tensor:
    """Convert linear light in [0, 1] to sRGB values."""
    high = 1.055 * values.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(values <= 0.0031308, values * 12.92, high)


class BlendBack:
    """Composes edits of one picture onto it."""

    def __init__(self, picture: ByteArray, alignment: Alignment, base: ByteArray) -> None:
        """Prepare the part of the picture that the frame covers.

        Args:
            picture: ``H x W x 3`` uint8, sRGB, top row first.
            alignment: The frame.
            base: ``h x w x C`` uint8, the model's image of the picture, before the edit. Its
                colours are used; a fourth channel, alpha, is not.
        """
        self._picture = picture
        self._base = base
        self._frame = alignment
        self._box = self._covered_box()
        left, top, right, bottom = self._box
        part = picture[top:bottom, left:right]
        self._own = to_linear(torch.from_numpy(part / np.float32(255))).permute(2, 0, 1)
        self._grid, self._border = self._places()
        self._base_linear = self._spread(to_linear(_values(base)))

    def compose(self, edited: ByteArray) -> ByteArray:
        """Return the picture with an edit.

        Args:
            edited: ``h x w x C`` uint8, the model's image after the edit, as ``base``.

        Returns:
            ``H x W x 3`` uint8, sRGB. Pixels without a change are those of the picture, to the bit.
        """
        matte, replaced = (self._spread(each)[0] for each in self._mattes(edited))
        matte = matte * self._border
        after = self._spread(to_linear(_values(edited)))
        kept = (self._own - self._base_linear) * (1 - replaced)
        mixed = self._own + matte * (after + kept - self._own)
        bytes_ = (to_srgb(mixed.clamp(0, 1)) * 255).round().to(torch.uint8)
        left, top, right, bottom = self._box
        result = self._picture.copy()
        part = result[top:bottom, left:right]
        changed = (matte > 0).numpy()
        part[changed] = bytes_.permute(1, 2, 0).numpy()[changed]
        return result

    def _mattes(self, edited: ByteArray) -> tuple[Tensor, Tensor]:
        """Return ``1 x 1 x h x w`` each: where the change is taken over, and where it replaces."""
        far = (_values(edited) - _values(self._base)).abs().amax(dim=1, keepdim=True)
        far = F.avg_pool2d(F.pad(far, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        side = max(far.shape[2:])
        changed = ((far - _UNCHANGED) / (_CHANGED - _UNCHANGED)).clamp(0, 1)
        replaced = (far / _REPLACED).clamp(0, 1)
        wide = max(1, round(_WIDENED * side))
        soft = max(1, round(_FEATHERED * side))

        def grown(matte: Tensor) -> Tensor:
            return _feathered(max_around(matte, wide), soft)

        return grown(changed), grown(replaced)

    def _spread(self, image: Tensor) -> Tensor:
        """Return an image of the model, ``1 x C x h x w``, in the picture's pixels of the box."""
        spread = F.grid_sample(
            image, self._grid, mode="bicubic", padding_mode="border", align_corners=False
        )
        return spread[0].clamp(0, 1)

    def _covered_box(self) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the frame in the picture, pixels."""
        shape = self._base.shape[:2]
        corners = torch.tensor(
            [[x, y] for x in (0.0, shape[1]) for y in (0.0, shape[0])], dtype=torch.float64
        )
        placed = self._frame.to_picture(corners, (shape[0], shape[1])).numpy()
        height, width, _ = self._picture.shape
        left, top = np.floor(placed.min(axis=0)).clip(0, [width - 1, height - 1])
        right, bottom = np.ceil(placed.max(axis=0)).clip([left + 1, top + 1], [width, height])
        return int(left), int(top), int(right), int(bottom)

    def _places(self) -> tuple[Tensor, Tensor]:
        """Return where each pixel of the box is in the model's image, and the fade at its border.

        Returns:
            ``1 x H' x W' x 2`` for ``grid_sample``, and ``H' x W'``: 0 outside, 1 inside.
        """
        left, top, right, bottom = self._box
        x = torch.arange(left, right) + 0.5 - self._frame.centre_x
        y = torch.arange(top, bottom) + 0.5 - self._frame.centre_y
        right_of, below = torch.meshgrid(x, y, indexing="xy")
        angle = math.radians(self._frame.angle_deg)
        u = math.cos(angle) * right_of - math.sin(angle) * below
        v = math.sin(angle) * right_of + math.cos(angle) * below
        height, width, _ = self._base.shape
        reach = self._frame.size_px / max(height, width) / 2
        grid = torch.stack([u / (reach * width), v / (reach * height)], dim=-1).float()
        inset = (1 - grid.abs().amax(dim=-1)) / (2 * _FEATHERED)
        return grid[None], inset.clamp(0, 1)


def _values(image: ByteArray) -> Tensor:
    """Return the colours of ``h x w x C``, without alpha, as ``1 x 3 x h x w`` in [0, 1]."""
    return torch.from_numpy(image[..., :3] / np.float32(255)).permute(2, 0, 1)[None]


def _feathered(matte: Tensor, radius: int) -> Tensor:
    """Return a matte whose edge fades inwards and outwards over ``radius`` pixels."""
    padded = F.pad(matte, (radius,) * 4, mode="replicate")
    return mean_around(padded, radius)[..., radius:-radius, radius:-radius]
