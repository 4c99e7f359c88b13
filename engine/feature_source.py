# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the drag loop gets features from: windows around points, never a whole map.

The loop reads the feature map only near its handles, so all that it asks for is a square window
around each of them.  `FullMapSource` computes the map and cuts them out; a source that computes
nothing but the windows gives the same numbers and can take its place without a change of the loop.

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


@dataclass(frozen=True)
class Windows:
    """One square piece of the feature map for each of P points.

    Attributes:
        values: `P x S x S x C` float32.  Beyond the map's border the border's values go on.
        origins: `P x 2` float32, the feature position `(x, y)` of each window's first pixel.
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
        """How much the features differ over the whole map, a scalar.

        The root of the mean square of what each channel is off its own mean: the unit in which
        differences mean the same for every network.  It needs the whole map, so ask once.
        """
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


class FullMapSource:
    """Cuts the windows out of the whole feature map."""

    def __init__(
        self,
        generator: Generator,
        resolution: int,
        reference_ws: Tensor,
        fixed: Tensor | None = None,
    ) -> None:
        """Prepare the reference for the mask.

        Args:
            resolution: the feature block, as `feature_block` gives it.
            reference_ws: `num_ws x w_dim`, the latent that the fixed area is held to.
            fixed: `H x W` float32 in the image's size, 1 where nothing may change, or None.
                Parts of 1 count as such parts of a pixel; where 1 is not reached anywhere, as in
                a mask that is nearly white, the whole change counts that much less.
        """
        self._generator = generator
        self._resolution = resolution
        _, height, width = generator.img_shape
        rows, columns = generator.config.block_shape(resolution)
        self._grid = FeatureGrid((width, height), (columns, rows))
        self._reference: Tensor | None = None
        if fixed is not None and bool(fixed.any()):
            with torch.no_grad():
                self._reference = self._features(reference_ws)
            weights = torch.nn.functional.adaptive_avg_pool2d(fixed[None], (rows, columns))
            self._fixed_weights = weights * (fixed.max() / (weights.sum() * len(self._reference)))

    @property
    def grid(self) -> FeatureGrid:
        """The sizes of image and feature map."""
        return self._grid

    def _features(self, ws: Tensor) -> Tensor:
        """The map `C x h x w` float32 of a latent `num_ws x w_dim`."""
        return self._generator.features(ws[None], self._resolution)[0]

    def observe(self, ws: Tensor, centres: Tensor, radius: int) -> FullMapView:
        """Compute the map of `ws`; see `FeatureSource.observe`."""
        return FullMapView(self, self._features(ws), centres, radius)

    def change_of(self, features: Tensor) -> Tensor:
        """Weighted mean of `|F - F0|` over the fixed area and all channels, a scalar."""
        if self._reference is None:
            return features.new_zeros(())
        return ((features - self._reference).abs() * self._fixed_weights).sum()

    def difference_of(self, features: Tensor) -> Tensor | None:
        """See `FeatureView.fixed_difference`."""
        if self._reference is None:
            return None
        return ((features - self._reference) * self._fixed_weights.sqrt()).flatten()


class FullMapView:
    """The view that `FullMapSource` gives: a map, and windows cut from it."""

    def __init__(
        self, source: FullMapSource, features: Tensor, centres: Tensor, radius: int
    ) -> None:
        self._source = source
        self._features = features
        self._windows = cut_windows(features, centres, radius)

    @property
    def windows(self) -> Windows:
        """The windows around the centres, with gradient to the latent."""
        return self._windows

    def fixed_change(self) -> Tensor:
        """Mean absolute change in the fixed area; see `FeatureView.fixed_change`."""
        return self._source.change_of(self._features)

    def fixed_difference(self) -> Tensor | None:
        """The change in the fixed area; see `FeatureView.fixed_difference`."""
        return self._source.difference_of(self._features)

    def spread(self) -> Tensor:
        """How much the features differ over the map; see `FeatureView.spread`."""
        centred = self._features - self._features.mean(dim=(1, 2), keepdim=True)
        return centred.square().mean().sqrt()


def cut_windows(features: Tensor, centres: Tensor, radius: int) -> Windows:
    """Copy a window around each centre out of a map, repeating the border beyond it.

    Args:
        features: `C x h x w` float32.
        centres: `P x 2` feature positions.
        radius: see `FeatureSource.observe`.
    """
    channels, rows, columns = features.shape
    origins = (centres.detach() + 0.5).floor() - radius
    steps = torch.arange(2 * radius + 1, device=features.device)
    x = (origins[:, :1].long() + steps).clamp(0, columns - 1)
    y = (origins[:, 1:].long() + steps).clamp(0, rows - 1)
    index = y[:, :, None] * columns + x[:, None, :]
    # On CPUs the generator's maps are channels last already: this is a view there.
    pixels = features.permute(1, 2, 0).reshape(rows * columns, channels)
    values = pixels.index_select(0, index.flatten())
    return Windows(values.reshape(*index.shape, channels), origins)
