# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows cut out of the whole feature map: the plain way, and what the faster one is held to.

The mask's term reads the same map, as published.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stylegan2 import Generator

from .source import FeatureGrid, FixedArea, Windows, grid_of, spread_of


class FullMapSource:
    """Cuts the windows out of the whole feature map."""

    def __init__(
        self,
        generator: Generator,
        resolution: int,
        reference_ws: Tensor,
        fixed: Tensor | None = None,
        held: int = 0,
    ) -> None:
        """Prepare the reference for the mask.

        Args:
            resolution: the feature block, as `feature_block` gives it.
            reference_ws: `num_ws x w_dim`, the latent that the fixed area is held to.
            fixed: `H x W` float32 in the image's size, 1 where nothing may change, or None; see
                `FixedArea`.
            held: the block whose features the mask holds; 0 for the feature block itself.
        """
        self._generator = generator
        self._resolution = resolution
        self._held_block = held or resolution
        self._grid = grid_of(generator, resolution)
        self._fixed: FixedArea | None = None
        if fixed is not None and bool(fixed.any()):
            with torch.no_grad():
                self._fixed = FixedArea(self._maps(reference_ws)[1], fixed)

    @property
    def grid(self) -> FeatureGrid:
        """The sizes of image and feature map."""
        return self._grid

    def _maps(self, ws: Tensor) -> tuple[Tensor, Tensor]:
        """The features of a latent `num_ws x w_dim`, and those that the mask holds, `C x h x w`."""
        if self._held_block == self._resolution:
            features = self._generator.features(ws[None], self._resolution)[0]
            return features, features
        state = self._generator.synthesis_to(ws[None], self._resolution)
        held = state.features[self._generator.config.level_of(self._held_block)]
        return state.x[0], held[0]

    def observe(self, ws: Tensor, centres: Tensor, radius: int) -> FullMapView:
        """Compute the map of `ws`; see `FeatureSource.observe`."""
        features, held = self._maps(ws)
        windows = cut_windows(features, centres, radius)
        return FullMapView(features, ws, windows, held, self._fixed)


class FullMapView:
    """The view that `FullMapSource` gives: a map, and windows cut from it."""

    def __init__(
        self,
        features: Tensor,
        ws: Tensor,
        windows: Windows,
        held: Tensor,
        fixed: FixedArea | None,
    ) -> None:
        """Hold them.

        Args:
            features: `C x h x w` float32 of the latent `ws`, `num_ws x w_dim`.
            held: those that the mask holds, of which `fixed` says how.
        """
        self._features = features
        self._ws = ws
        self._windows = windows
        self._held = held
        self._fixed = fixed

    @property
    def windows(self) -> Windows:
        """The windows around the centres, with gradient to the latent."""
        return self._windows

    def pull_back_each(self, directions: Tensor) -> Tensor:
        """By autograd, one pass for each direction; see `FeatureView.pull_back_each`."""
        return rows_by_autograd(self._windows.values, self._ws, directions)

    def fixed_change(self) -> Tensor:
        """Mean absolute change in the fixed area; see `FeatureView.fixed_change`."""
        if self._fixed is None:
            return self._features.new_zeros(())
        return self._fixed.change(self._held)

    def fixed_difference(self) -> Tensor | None:
        """The change in the fixed area; see `FeatureView.fixed_difference`."""
        return None if self._fixed is None else self._fixed.difference(self._held)

    def spread(self) -> Tensor:
        """How much the features differ over the map; see `FeatureView.spread`."""
        return spread_of(self._features)

    def fixed_spread(self) -> Tensor:
        """The same of the features that the mask holds."""
        return spread_of(self._held)


def rows_by_autograd(values: Tensor, leaf: Tensor, directions: Tensor) -> Tensor:
    """The derivatives of sums of products, each window by itself.

    Args:
        values: `P x S x S x C`, with gradient to `leaf`.
        directions: `R x P x S x S x C`.

    Returns:
        `R x P x` the shape of `leaf`.
    """
    with torch.enable_grad():
        windows = values.unbind()
    rows = [
        torch.autograd.grad(window, leaf, part, retain_graph=True)[0]
        for direction in directions
        for window, part in zip(windows, direction, strict=True)
    ]
    return torch.stack(rows).reshape(*directions.shape[:2], *leaf.shape)


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
