# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of a picture the model's image is: a frame that is moved, turned and scaled.

Models are trained on pictures that are all cropped alike. A frame has the proportions of the
model's image. Places in the picture are (x, y) in its pixels, origin top left, y downwards, pixel
centres at half-integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..arrays import ByteArray
from ..errors import RequestError
from ..pooling import reduced

# A crop from more than this many pixels of the picture for each of its own is averaged.
_AVERAGED_FROM = 1.15
_SMALLEST_PX = 8.0
_SMALLEST_SHARE, _LARGEST_SHARE = 0.02, 20.0


@dataclass(frozen=True)
class Alignment:
    """A frame on a picture.

    Attributes:
        centre_x: The middle of the frame, pixels of the picture.
        centre_y: The same.
        angle_deg: How far it is turned, counter-clockwise as one sees it.
        size_px: Its longer side, pixels of the picture.
    """

    centre_x: float
    centre_y: float
    angle_deg: float
    size_px: float

    @staticmethod
    def whole(width: int, height: int) -> Alignment:
        """Return the largest upright square in the middle of a picture of this size in pixels."""
        return Alignment(width / 2, height / 2, 0.0, float(min(width, height)))

    def check(self, width: int, height: int) -> None:
        """Raise ``RequestError`` if the frame is not on a picture of this size in pixels."""
        values = (self.centre_x, self.centre_y, self.angle_deg, self.size_px)
        if not all(map(math.isfinite, values)):
            raise RequestError("the frame on the picture has values that are not finite; reset it")
        if not (0 <= self.centre_x <= width and 0 <= self.centre_y <= height):
            raise RequestError(
                f"the middle of the frame is at ({self.centre_x:.0f}, {self.centre_y:.0f}), outside"
                f" the picture of {width} x {height} px; move the frame onto the picture"
            )
        shares = self.size_px / min(width, height), self.size_px / max(width, height)
        if self.size_px < _SMALLEST_PX or shares[0] < _SMALLEST_SHARE or shares[1] > _LARGEST_SHARE:
            raise RequestError(
                f"the frame is {self.size_px:.1f} px large on a picture of {width} x {height} px; "
                f"scale it to the part that the model knows, at least {_SMALLEST_PX:.0f} px"
            )

    def to_tensor(self) -> Tensor:
        """Return ``4`` float32: centre x and y, angle in radians, logarithm of the size."""
        angle, size = math.radians(self.angle_deg), math.log(self.size_px)
        return torch.tensor([self.centre_x, self.centre_y, angle, size])

    @staticmethod
    def of_tensor(values: Tensor) -> Alignment:
        """Return the frame of ``to_tensor``'s values."""
        x, y, angle, size = values.detach().cpu().double().tolist()
        return Alignment(x, y, math.degrees(angle), math.exp(size))

    def to_picture(self, points_px: Tensor, shape: tuple[int, int]) -> Tensor:
        """Return where places in the model's image are in the picture.

        Args:
            points_px: ``... x 2`` float, (x, y) in pixels of the model's image.
            shape: Height and width of the model's image.

        Returns:
            ``... x 2``, (x, y) in pixels of the picture.
        """
        return _placed(self.to_tensor().to(points_px), points_px, shape)


def _placed(frame: Tensor, points_px: Tensor, shape: tuple[int, int]) -> Tensor:
    """Do what ``Alignment.to_picture`` does; ``frame`` is ``... x 4`` from ``to_tensor``."""
    height, width = shape
    x, y, angle, log_size = (frame[..., i] for i in range(4))
    scale = log_size.exp() / max(height, width)
    right, down = points_px[..., 0] - width / 2, points_px[..., 1] - height / 2
    cos, sin = angle.cos() * scale, angle.sin() * scale
    return torch.stack([x + cos * right + sin * down, y - sin * right + cos * down], dim=-1)


class AlignedPicture:
    """A picture that is cropped by frames, at any size and differentiably.

    Attributes:
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        shape: Height and width of the model's image.
    """

    def __init__(self, pixels: ByteArray, shape: tuple[int, int], device: torch.device) -> None:
        """Take a picture.

        Args:
            pixels: ``H x W x 3`` uint8, sRGB, top row first.
            shape: Height and width of the model's image.
            device: Where to compute.
        """
        self.height, self.width, _ = pixels.shape
        self.shape = shape
        values = torch.from_numpy(np.array(pixels)).to(device).permute(2, 0, 1)[None].float()
        self._levels = [values / 127.5 - 1.0]

    def crop(self, frame: Tensor, shrink: int = 1) -> tuple[Tensor, Tensor]:
        """Return what frames show.

        Args:
            frame: ``N x 4`` float32, see ``Alignment.to_tensor``.
            shrink: How many times smaller than the model's image the result is, a power of two.

        Returns:
            ``N x 3 x h x w`` float32 in [-1, 1]; outside the picture its nearest pixel is repeated.
            And ``N x 1 x h x w``, 1 inside the picture and 0 outside. Gradients flow to the frame
            from the first.
        """
        height, width = (size // shrink for size in self.shape)
        largest = float(frame[:, 3].detach().max().exp())
        ratio = largest / max(height, width)
        level = max(0, math.floor(math.log2(max(ratio, 1e-6)) + 1e-6))
        finer = 2 if ratio / 2**level > _AVERAGED_FROM else 1
        places = _centres(height * finer, width * finer, self.shape, frame.device)
        where = _placed(frame[:, None, None], places, self.shape)
        size = where.new_tensor([self.width, self.height])
        grid = where / size * 2 - 1
        source = self._level(level).expand(len(frame), -1, -1, -1)
        crop = F.grid_sample(
            source, grid, mode="bicubic", padding_mode="border", align_corners=False
        )
        inside = (grid.detach().abs() <= 1).all(dim=-1)[:, None].to(crop)
        if finer > 1:
            crop, inside = F.avg_pool2d(crop, finer), F.avg_pool2d(inside, finer)
        return crop, inside.floor()

    def _level(self, level: int) -> Tensor:
        """Return the picture, ``level`` times halved."""
        while len(self._levels) <= level:
            last = self._levels[-1]
            if min(last.shape[2:]) < 2:
                return last
            size = [length // 2 for length in last.shape[2:]]
            self._levels.append(reduced(last, size))
        return self._levels[level]


def _centres(height: int, width: int, shape: tuple[int, int], device: torch.device) -> Tensor:
    """Return ``height x width x 2``: pixel centres of a smaller or larger image, (x, y).

    They are in pixels of the model's image, of the height and width ``shape``.
    """
    y = (torch.arange(height, device=device) + 0.5) * (shape[0] / height)
    x = (torch.arange(width, device=device) + 0.5) * (shape[1] / width)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
