# SPDX-License-Identifier: GPL-3.0-or-later
"""Dense motion between images of a model: where what a pixel shows was before an edit.

Least squares in windows with a smoothness term, coarse to fine (Bruhn, Weickert and Schnörr,
"Lucas/Kanade Meets Horn/Schunck", IJCV 2005, sections 3 and 4). Both terms are robust: pixels that
have no counterpart, and the borders of what moves, count little. An edit that moves far is followed
through the images in between, which the model can make: each step is short.

A motion is ``1 x 2 x H x W`` float32, (x, y) in pixels: what the later image shows at a place p,
the earlier one shows at p + motion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pooling import mean_around, reduced

# Larger images are halved first: motion is smooth, and the time grows with the pixels.
_LARGEST_PX = 512
# The shorter side of the coarsest level, pixels; and from which level on a known motion is refined.
_COARSEST_PX, _NEAR_LEVELS = 16, 3
# How often an image is moved at each level, and the steps that solve for the motion in between.
_WARPS, _STEPS = 5, 16
# Half the side of the windows without the middle, pixels.
_WINDOW = 1
# What a bend of the motion costs, for values in [0, 1].
_SMOOTHNESS = 0.02
# Above these, differences of values, and of the motion in pixels, count less than their squares.
_VALUE_SCALE, _MOTION_SCALE = 0.02, 0.1
# Both ways together must lead back to within the first, pixels and share of the way; from the
# second on, in the same unit, a motion is not believed at all.
_BACK, _NOT_BACK, _BACK_SHARE = 0.5, 1.5, 0.05
# A motion is believed in full if it explains this share of what has changed around a pixel, and
# not at all below the first. Light that changes looks like a little motion, and explains less.
_USELESS, _USEFUL = 0.25, 0.5
# Half the side of the windows for this, as a share of the image; and differences by noise alone.
_AROUND, _NOISE = 0.05, 0.002
_INVERSIONS = 8


class Follower:
    """Follows the motion from one image through others, each a little farther than the last."""

    def __init__(self, base: Tensor) -> None:
        """Begin at an image, ``1 x C x H x W`` float32 in [0, 1]."""
        self._size = base.shape[2:]
        self._base = _small(base)
        self._motion: Tensor | None = None

    def follow(self, image: Tensor) -> None:
        """Go on to an image of the same shape."""
        self._motion = motion_between(self._base, _small(image), self._motion)

    def believed(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the motion to the image that was followed last, as far as it explains anything.

        Args:
            image: The image, as for ``follow``.

        Returns:
            The motion, 0 where it explains hardly more than no motion; and ``1 x 1 x H x W`` in
            [0, 1], 1 where the motion back agrees with it and it comes from inside the image.
        """
        small = _small(image)
        motion = self._motion
        if motion is None:
            motion = torch.zeros_like(small[:, :2])
        back = motion_between(small, self._base, inverted(motion))
        apart = (motion + moved(back, motion)).norm(dim=1, keepdim=True)
        unit = 1 + _BACK_SHARE * motion.norm(dim=1, keepdim=True)
        agrees = ((_NOT_BACK - apart / unit) / (_NOT_BACK - _BACK)).clamp(0, 1)
        agrees = agrees * _is_inside(motion)
        motion = motion * self._use(small, motion)
        size = list(self._size)
        larger = F.interpolate(agrees, size, mode="bilinear", align_corners=False)
        return resized(motion, size), larger

    def _use(self, image: Tensor, motion: Tensor) -> Tensor:
        """Return ``1 x 1 x H x W`` in [0, 1]: whether a motion explains what has changed."""
        radius = max(1, round(_AROUND * max(image.shape[2:])))
        still, after = (
            mean_around((one - image).abs().mean(dim=1, keepdim=True), radius) + _NOISE
            for one in (self._base, moved(self._base, motion))
        )
        use = ((1 - after / still - _USELESS) / (_USEFUL - _USELESS)).clamp(0, 1)
        return mean_around(use, radius // 2)


def motion_between(before: Tensor, after: Tensor, start: Tensor | None = None) -> Tensor:
    """Return the motion between two images.

    Args:
        before: ``1 x C x H x W`` float32 in [0, 1].
        after: The same.
        start: A motion that is nearly right; None for images that are near each other, or for the
            best guess from small versions of them.
    """
    levels = [(before, after)]
    most = _NEAR_LEVELS if start is not None else 99
    while min(levels[-1][0].shape[2:]) >= 2 * _COARSEST_PX and len(levels) < most:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    motion = torch.zeros_like(before[:, :2]) if start is None else start
    motion = resized(motion, levels[-1][0].shape[2:])
    for one, other in reversed(levels):
        motion = resized(motion, one.shape[2:])
        for _ in range(_WARPS):
            motion = _refined(one, other, motion)
    return motion


def inverted(motion: Tensor) -> Tensor:
    """Return the motion back: at p + motion it is the opposite of the motion at p."""
    back = -motion
    for _ in range(_INVERSIONS):
        back = -moved(motion, back)
    return back


def moved(image: Tensor, motion: Tensor) -> Tensor:
    """Return ``1 x C x H x W``: what an image shows at p + motion, for each place p."""
    grid = _grid(motion)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)


def resized(motion: Tensor, size: Sequence[int]) -> Tensor:
    """Return the motion for images of another height and width."""
    if tuple(motion.shape[2:]) == tuple(size):
        return motion
    height, width = (new / old for new, old in zip(size, motion.shape[2:], strict=True))
    larger = F.interpolate(motion, list(size), mode="bilinear", align_corners=False)
    return larger * motion.new_tensor([width, height])[:, None, None]


def _small(image: Tensor) -> Tensor:
    while max(image.shape[2:]) > _LARGEST_PX:
        image = _halved(image)
    return image


def _halved(image: Tensor) -> Tensor:
    return reduced(image, [length // 2 for length in image.shape[2:]])


def _grid(motion: Tensor) -> Tensor:
    """Return p + motion of each place p, ``1 x H x W x 2`` for ``grid_sample``."""
    height, width = motion.shape[2:]
    places = torch.meshgrid(torch.arange(width) + 0.5, torch.arange(height) + 0.5, indexing="xy")
    there = motion + torch.stack(places).to(motion)
    return there.permute(0, 2, 3, 1) * motion.new_tensor([2 / width, 2 / height]) - 1


def _is_inside(motion: Tensor) -> Tensor:
    return (_grid(motion).abs().amax(dim=3) <= 1).to(motion)[:, None]


def _refined(before: Tensor, after: Tensor, motion: Tensor) -> Tensor:
    """Return a motion after one linearisation of the images around it."""
    there = moved(before, motion)
    dx, dy = _gradient((there + after) / 2)
    far = there - after
    weight = _robust(far, 1, _VALUE_SCALE)
    products = [
        (weight * one * other).sum(dim=1, keepdim=True)
        for one, other in ((dx, dx), (dx, dy), (dy, dy), (dx, far), (dy, far))
    ]
    windows = mean_around(torch.cat(products, dim=1), _WINDOW)
    xx, xy, yy, x, y = torch.chunk(windows, 5, dim=1)
    mean, weights = _mean_of_neighbours(motion)
    pull = _SMOOTHNESS * weights
    xx, yy = xx + pull, yy + pull
    determinant = xx * yy - xy * xy
    found = motion
    for _ in range(_STEPS):
        # Jacobi's method for the change d of each pixel: (A + pull) d = pull (mean - motion) - b,
        # with the windows' A = [xx xy; xy yy] and b = [x; y].
        bend = pull * (mean(found) - motion)
        right, down = bend[:, :1] - x, bend[:, 1:] - y
        change = torch.cat([yy * right - xy * down, xx * down - xy * right], dim=1)
        found = motion + change / determinant
    return found


def _gradient(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives of an image to the right and down."""
    right, left, below, above = _neighbours(image)
    return (right - left) / 2, (below - above) / 2


def _neighbours(image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the values to the right, to the left, below and above of each pixel."""
    wide = F.pad(image, (1, 1, 1, 1), mode="replicate")
    rows, columns = wide[:, :, 1:-1], wide[..., 1:-1]
    return rows[..., 2:], rows[..., :-2], columns[:, :, 2:], columns[:, :, :-2]


def _robust(far: Tensor, dim: int, scale: float) -> Tensor:
    """Return the weights of differences whose squares count up to a scale, and then their size."""
    return scale * (far.square().sum(dim=dim, keepdim=True) + scale**2).rsqrt()


def _mean_of_neighbours(motion: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return the mean of a motion's neighbours, as a function, and the sum of their weights."""
    steps = torch.stack(_neighbours(motion)) - motion
    weights = _robust(steps, 2, _MOTION_SCALE)
    total = weights.sum(dim=0)

    def mean(values: Tensor) -> Tensor:
        return (torch.stack(_neighbours(values)) * weights).sum(dim=0) / total

    return mean, total
