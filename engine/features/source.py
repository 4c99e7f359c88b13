# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the drag loop gets features from: windows around points, never a whole map.

The loop reads the feature map only near its handles, so all that it asks for is a square window
around each of them.  `FullMapSource` computes the map and cuts them out; `WindowSource` computes
nothing but the windows, and gives the same numbers.  The loop does not know which it has.

Two spaces meet here.  *Image pixels*: `(x, y)`, origin top-left, pixel centres at half-integers.
*Feature positions*: `(x, y)` in pixels of the feature map, where whole numbers are pixel centres,
so that they are indices into the tensor.  `FeatureGrid` converts; both axes have their own size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from stylegan2 import Generator

USUAL_FEATURE_RESOLUTION = 128
"""The paper's feature block (Pan et al., "Drag Your GAN", section 4, by the official code)."""


@dataclass(frozen=True)
class FeatureGrid:
    """The sizes of image and feature map, both as (width, height).

    The axes are converted one by one, with plain numbers: a tensor of sizes would have to be sent
    to a GPU, and the drag loop would wait for it.
    """

    image_size: tuple[int, int]
    feature_size: tuple[int, int]

    def to_feature(self, points_px: Tensor) -> Tensor:
        """Image pixels to feature positions, `... x 2`: `p * feature / image - 0.5`."""
        (width, height), (columns, rows) = self.image_size, self.feature_size
        x, y = points_px.unbind(-1)
        return torch.stack([x * (columns / width), y * (rows / height)], dim=-1) - 0.5

    def to_image(self, positions: Tensor) -> Tensor:
        """Feature positions to image pixels, `... x 2`; the inverse of `to_feature`."""
        (width, height), (columns, rows) = self.image_size, self.feature_size
        x, y = (positions + 0.5).unbind(-1)
        return torch.stack([x * (width / columns), y * (height / rows)], dim=-1)

    def clamp(self, positions: Tensor) -> Tensor:
        """Bring feature positions back onto the map, whose outer edge is at -0.5."""
        columns, rows = self.feature_size
        x, y = positions.unbind(-1)
        return torch.stack([x.clamp(-0.5, columns - 0.5), y.clamp(-0.5, rows - 0.5)], dim=-1)


def grid_of(generator: Generator, resolution: int) -> FeatureGrid:
    """The sizes of a generator's image and of the feature map of one of its blocks."""
    _, height, width = generator.img_shape
    rows, columns = generator.config.block_shape(resolution)
    return FeatureGrid((width, height), (columns, rows))


@dataclass(frozen=True)
class Windows:
    """One square piece of the feature map for each of P points.

    Attributes:
        values: `P x S x S x C` float32.
        origins: `P x 2` float32, the feature position `(x, y)` of each window's first pixel.  Where
            a window ends at the border of the map, samples beyond it are the border's.
    """

    values: Tensor
    origins: Tensor

    def sample(self, positions: Tensor) -> Tensor:
        """Bilinear samples, each point from its own window.

        Written with rows picked by index and not with `grid_sample`: exact at whole positions, the
        same on every device, and on the CPU with a gradient that is summed in one fixed order.

        Args:
            positions: `P x Q x 2` feature positions; clamped to the window.

        Returns:
            `P x Q x C` float32.
        """
        count, side, _, channels = self.values.shape
        local = (positions - self.origins[:, None]).clamp(0, side - 1)
        first = local.floor().clamp(max=max(side - 2, 0))
        fraction = local - first
        rows = self.values.reshape(count * side * side, channels)
        x, y = first.long().unbind(-1)
        window = torch.arange(count, device=rows.device)[:, None]
        index = ((window * side + y) * side + x).flatten()
        right, below = min(side - 1, 1), min(side - 1, 1) * side

        def corner(step: int) -> Tensor:
            return rows.index_select(0, index + step).reshape(count, -1, channels)

        fx, fy = fraction[..., :1], fraction[..., 1:]
        upper = torch.lerp(corner(0), corner(right), fx)
        lower = torch.lerp(corner(below), corner(below + right), fx)
        return torch.lerp(upper, lower, fy)


class FeatureView(Protocol):
    """What one latent's features look like near the points."""

    @property
    def windows(self) -> Windows:
        """The windows around the centres, with gradient to the latent."""
        ...

    def pull_back_each(self, directions: Tensor) -> Tensor:
        """How the windows depend on the latent, each by itself and along each of its directions.

        Args:
            directions: `R x P x S x S x C` float32, what the windows' values are multiplied with.

        Returns:
            `R x P x L x w_dim` float32, the derivatives of the sums of these products with respect
            to the first L rows of the latent: all of those that vary.
        """
        ...

    def fixed_change(self) -> Tensor:
        """Mean absolute change of the features in the fixed area since the start, a scalar.

        The mean is over the fixed area alone, so that the weight of this term against motion
        supervision does not depend on how large that area is.  Zero if nothing is fixed.
        """
        ...

    def fixed_difference(self) -> Tensor | None:
        """The change of the features in the fixed area, as a vector; None if nothing is fixed.

        With gradient to the latent; its sum of squares is the mean square of the change over the
        fixed area and all channels.
        """
        ...

    def spread(self) -> Tensor:
        """How much the features differ over the whole map, a scalar; see `spread_of`.

        The unit in which differences mean the same for every network.  It needs the whole map, so
        ask once.
        """
        ...

    def fixed_spread(self) -> Tensor:
        """Likewise of the features that `fixed_difference` compares; ask only if it is not None."""
        ...


class FeatureSource(Protocol):
    """Made once for each drag; gives a view of the features of any latent."""

    @property
    def grid(self) -> FeatureGrid:
        """The sizes of image and feature map."""
        ...

    def observe(self, ws: Tensor, centres: Tensor, radius: int) -> FeatureView:
        """Look at the features of a latent.

        Args:
            ws: `num_ws x w_dim` float32.
            centres: `P x 2` feature positions.
            radius: windows have `2 radius + 1` pixels a side, around the pixel next to the centre.
        """
        ...


def feature_block(generator: Generator, wanted: int = 0) -> int:
    """The block whose features a drag reads.

    Args:
        wanted: a block's resolution, or 0 for the usual one: 128, or the last if that is smaller.

    Raises:
        ValueError: the generator has no such block.
    """
    resolutions = generator.resolutions
    if not wanted:
        return min(USUAL_FEATURE_RESOLUTION, resolutions[-1])
    if wanted not in resolutions:
        known = ", ".join(str(resolution) for resolution in resolutions)
        raise ValueError(f"the model has no block of {wanted} px, only {known}")
    return wanted


def spread_of(features: Tensor) -> Tensor:
    """The root of the mean square of what each channel of `C x H x W` is off its own mean."""
    centred = features - features.mean(dim=(1, 2), keepdim=True)
    return centred.square().mean().sqrt()


def held_block(generator: Generator, resolution: int, free: int, wanted: int = 0) -> int:
    """The block whose features a mask holds.

    Args:
        resolution: the block whose features are read.
        free: how many of the first rows of a latent vary.
        wanted: a block, or 0 for the first that none of the other rows has a part in.  All that
            lies above it depends on it alone: where its features, and those around, stay the same,
            the image does.

    Raises:
        ValueError: the generator has no such block, or it lies above the one that is read.
    """
    blocks = [block for block in generator.resolutions if block <= resolution]
    if not wanted:
        below = generator.config.layers_below
        return next((block for block in blocks if below(block) >= free), resolution)
    if wanted not in blocks:
        known = ", ".join(str(block) for block in blocks)
        raise ValueError(f"there is no block of {wanted} px up to the features, only {known}")
    return wanted


class FixedArea:
    """What a mask holds: a block's features at the start, and how much each place counts."""

    def __init__(self, reference: Tensor, fixed: Tensor) -> None:
        """Remember the start.

        Args:
            reference: `C x H x W` float32, the block's features.
            fixed: `height x width` float32 in the image's size, 1 where nothing may change.  Parts
                of 1 count as such parts of a pixel; where 1 is not reached anywhere, as in a mask
                that is nearly white, the whole change counts that much less.
        """
        self._reference = reference
        _, rows, columns = reference.shape
        weights = torch.nn.functional.adaptive_avg_pool2d(fixed[None], (rows, columns))
        self._weights = weights * (fixed.max() / (weights.sum() * len(reference)))

    def change(self, features: Tensor) -> Tensor:
        """Weighted mean of `|F - F0|` over the area and all channels, a scalar."""
        return ((features - self._reference).abs() * self._weights).sum()

    def difference(self, features: Tensor) -> Tensor:
        """See `FeatureView.fixed_difference`."""
        return ((features - self._reference) * self._weights.sqrt()).flatten()
