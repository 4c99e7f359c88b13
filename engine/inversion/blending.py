# SPDX-License-Identifier: GPL-3.0-or-later
"""Blend back: what an edit has changed is composed onto the picture, in its full resolution.

The model's image of the picture and its image after the edit differ where something was dragged.
Where the picture's own content is found again after the edit, it is moved there, and keeps its
sharpness; it takes the change of light and colour from the model. Where it is not (a mouth that has
opened), the model's image replaces it. Elsewhere the picture stays as it is. All of it is mixed in
linear light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..arrays import ByteArray
from ..pooling import max_around, mean_around
from .alignment import Alignment
from .registration import Follower, moved

# Changes of the model's image below the first, shares of the range of values, are not taken over;
# from the second on, they are taken over in full.
_UNCHANGED, _CHANGED = 0.012, 0.035
# If the moved content and the edited image differ by the second, the model's image stands in place
# of the picture's own content; by the first, not at all. The other two are for content that has not
# moved, from half a pixel of the model on: of what has gone away, not even an outline may stay.
_OWN, _REPLACED = 0.03, 0.12
_OWN_STILL, _REPLACED_STILL = 0.02, 0.08
_MOVED_PX = 0.5
# How far the changed region, and what is replaced, are widened and feathered, as shares of the
# frame.
_WIDENED, _FEATHERED = 0.012, 0.012
# Over which part of the frame a change of light is smooth.
_SMOOTH = 0.012


@dataclass(frozen=True)
class Blended:
    """A picture with an edit.

    Attributes:
        image: ``H x W x 3`` uint8, sRGB.
        matte: ``H x W`` uint8, how far a pixel was changed; 0 only where it is the picture's, to
            the bit.
    """

    image: ByteArray
    matte: ByteArray


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
        self._base = _values(base)
        self._frame = alignment
        self._box = self._covered_box()
        left, top, right, bottom = self._box
        part = picture[top:bottom, left:right]
        self._own = to_linear(torch.from_numpy(part / np.float32(255)).permute(2, 0, 1)[None])
        self._grid, self._border = self._places()
        self._follower = Follower(self._base)

    def follow(self, image: ByteArray) -> None:
        """Follow the motion of an edit to an image between the last one and the next one.

        Args:
            image: ``h x w x C`` uint8, as ``base``.
        """
        self._follower.follow(_values(image))

    def compose(self, edited: ByteArray) -> Blended:
        """Return the picture with an edit; the images of a sequence in their order.

        Args:
            edited: ``h x w x C`` uint8, the model's image after the edit, as ``base``.
        """
        after = _values(edited)
        matte = self._spread(self._changed(after), self._grid) * self._border
        image, alpha = self._picture.copy(), np.zeros(self._picture.shape[:2], np.uint8)
        changed = (matte[0, 0] > 0).numpy()
        if changed.any():
            # Only the rows and columns with a change are computed.
            rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
            part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            left, top, right, bottom = self._box
            matte, changed = matte[:, :, *part], changed[part]
            mixed = self._mixed(after, matte, part)
            bytes_ = (to_srgb(mixed.clamp(0, 1)) * 255).round().to(torch.uint8)
            image[top:bottom, left:right][part][changed] = (
                bytes_[0].permute(1, 2, 0).numpy()[changed]
            )
            levels = (matte[0, 0] * 255).ceil().clamp(0, 255).to(torch.uint8)
            alpha[top:bottom, left:right][part] = levels.numpy()
        return Blended(image, alpha)

    def _mixed(self, after: Tensor, matte: Tensor, part: tuple[slice, slice]) -> Tensor:
        """Return the changed part of the picture, ``1 x 3 x H' x W'`` in linear light.

        Args:
            after: ``1 x 3 x h x w`` in [0, 1], the model's image after the edit.
            matte: ``1 x 1 x H' x W'``.
            part: Its rows and columns in the box.
        """
        grid = self._grid[:, *part]
        self._follower.follow(after)
        motion, agrees = self._follower.believed(after)
        there = moved(self._base, motion)
        is_moved = _ramp(motion.norm(dim=1, keepdim=True), 0, _MOVED_PX)
        own = _OWN_STILL + (_OWN - _OWN_STILL) * is_moved
        other = _REPLACED_STILL + (_REPLACED - _REPLACED_STILL) * is_moved
        replaced = torch.maximum(_ramp(_far(there, after), own, other), 1 - agrees)
        replaced = self._spread(_grown(replaced), grid)
        smooth = max(1, round(_SMOOTH * max(after.shape[2:])))
        light = _feathered(_feathered(to_linear(after) - to_linear(there), smooth), smooth)
        source, inside = self._sources(motion, grid)
        content = _sampled(self._own, source).clamp(0, 1) + _sampled(light, grid)
        replaced = torch.maximum(replaced, 1 - inside)
        # The model's image is made larger before it becomes linear light: cubic interpolation goes
        # below the darkest values, which linear light spreads.
        new = to_linear(self._spread(after, grid))
        before = self._own[:, :, *part]
        return before + matte * (content + replaced * (new - content) - before)

    def _sources(self, motion: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Return where in the box the content comes from, and whether the picture has it.

        Args:
            motion: ``1 x 2 x h x w``, pixels of the model's image.
            grid: ``1 x H' x W' x 2``, where the pixels are in the model's image.

        Returns:
            ``1 x H' x W' x 2`` for ``grid_sample`` of the box, and ``1 x 1 x H' x W'``, 1 or 0.
        """
        height, width = motion.shape[2:]
        size = motion.new_tensor([width, height])
        places = (grid + 1) / 2 * size + _sampled(motion, grid).permute(0, 2, 3, 1)
        in_picture = self._frame.to_picture(places, (height, width))
        left, top, right, bottom = self._box
        corner = motion.new_tensor([left, top])
        source = (in_picture - corner) / motion.new_tensor([right - left, bottom - top]) * 2 - 1
        inside = (source.abs().amax(dim=3) <= 1).to(motion)[:, None]
        return source, inside

    def _changed(self, after: Tensor) -> Tensor:
        """Return ``1 x 1 x h x w``: where the change of the model's image is taken over."""
        return _grown(_ramp(_far(self._base, after), _UNCHANGED, _CHANGED))

    def _spread(self, image: Tensor, grid: Tensor) -> Tensor:
        """Return an image of the model, ``1 x C x h x w`` in [0, 1], in the picture's pixels."""
        return _sampled(image, grid).clamp(0, 1)

    def _covered_box(self) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the frame in the picture, pixels."""
        shape = self._base.shape[2:]
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
            ``1 x H' x W' x 2`` for ``grid_sample``, and ``1 x 1 x H' x W'``: 0 outside, 1 inside.
        """
        left, top, right, bottom = self._box
        x = torch.arange(left, right) + 0.5 - self._frame.centre_x
        y = torch.arange(top, bottom) + 0.5 - self._frame.centre_y
        right_of, below = torch.meshgrid(x, y, indexing="xy")
        angle = math.radians(self._frame.angle_deg)
        u = math.cos(angle) * right_of - math.sin(angle) * below
        v = math.sin(angle) * right_of + math.cos(angle) * below
        height, width = self._base.shape[2:]
        reach = self._frame.size_px / max(height, width) / 2
        grid = torch.stack([u / (reach * width), v / (reach * height)], dim=-1).float()
        inset = (1 - grid.abs().amax(dim=-1)) / (2 * _FEATHERED)
        return grid[None], inset.clamp(0, 1)[None, None]


def _values(image: ByteArray) -> Tensor:
    """Return the colours of ``h x w x C``, without alpha, as ``1 x 3 x h x w`` in [0, 1]."""
    return torch.from_numpy(image[..., :3] / np.float32(255)).permute(2, 0, 1)[None]


def _sampled(image: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="border", align_corners=False)


def _far(before: Tensor, after: Tensor) -> Tensor:
    """Return ``1 x 1 x h x w``: how much two images differ around each pixel."""
    far = (after - before).abs().amax(dim=1, keepdim=True)
    return F.avg_pool2d(F.pad(far, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def _ramp(values: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    return ((values - low) / (high - low)).clamp(0, 1)


def _grown(matte: Tensor) -> Tensor:
    """Return a matte that is widened and feathered."""
    side = max(matte.shape[2:])
    wide, soft = (max(1, round(one * side)) for one in (_WIDENED, _FEATHERED))
    return _feathered(max_around(matte, wide), soft)


def _feathered(image: Tensor, radius: int) -> Tensor:
    """Return an image whose edges are softened over ``radius`` pixels to both sides."""
    padded = F.pad(image, (radius,) * 4, mode="replicate")
    return mean_around(padded, radius)[..., radius:-radius, radius:-radius]
