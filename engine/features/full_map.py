# SPDX-License-Identifier: GPL-3.0-or-later
"""Computes the whole feature map and cuts the windows out of it.

This is the simple implementation. ``windows.WindowSource`` is the faster one and is tested against
it. The mask's term can read the same map, as published.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stylegan2 import Canvas, Generator

from .source import FeatureGrid, FixedArea, Windows, grid_of, reference_map, spread_of


class FullMapSource:
    """A ``FeatureSource`` that cuts windows out of the whole feature map."""

    def __init__(
        self,
        generator: Generator,
        resolution: int,
        reference_ws: Tensor,
        fixed: Tensor | None = None,
        held: int = 0,
        canvas: Canvas | None = None,
        *,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Compute the features that the fixed area keeps, if there is a mask.

        Args:
            generator: Frozen, on the device to compute on.
            resolution: The feature block, see ``source.feature_block``.
            reference_ws: ``num_ws x w_dim`` float32, the latent whose features the fixed area
                keeps.
            fixed: ``H x W`` float32 in the image's size, 1 where nothing may change; None without
                a mask. See ``source.FixedArea``.
            held: The block whose features the fixed area keeps, see ``source.held_block``; 0 for
                the feature block.
            canvas: The picture whose features are observed; None for the pictures of the generator.
            between: Called between passes; it may raise to end the computation.
        """
        self._generator = generator
        self._canvas = canvas
        self._between = between
        self._resolution = resolution
        self._held_block = held or resolution
        self._grid = grid_of(generator, resolution)
        self._fixed: FixedArea | None = None
        if fixed is not None and bool(fixed.any()):
            reference = reference_map(generator, canvas, self._held_block, reference_ws)
            self._fixed = FixedArea(reference, fixed)

    @property
    def grid(self) -> FeatureGrid:
        """The sizes of the image and of the feature map."""
        return self._grid

    def _maps(self, ws: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps ``C x h x w`` of the feature block and of the held block.

        Args:
            ws: ``num_ws x w_dim`` float32.
        """
        canvas = self._canvas
        if canvas is not None:
            features = canvas.features(ws[None], self._resolution)[0]
            if self._fixed is None:
                return features, features
            # In front of something that cannot change, what is held is what the latent would show
            # without a mask; see ``seam``.
            where = self._generator if canvas.has_below else canvas
            return features, where.features(ws[None], self._held_block)[0]
        if self._held_block == self._resolution:
            features = self._generator.features(ws[None], self._resolution)[0]
            return features, features
        state = self._generator.synthesis_to(ws[None], self._resolution)
        held = state.features[self._generator.config.level_of(self._held_block)]
        return state.x[0], held[0]

    def observe(self, ws: Tensor, centres: Tensor, radius: int) -> FullMapView:
        """Compute the whole map of a latent; see ``source.FeatureSource.observe``."""
        self._between()
        features, held = self._maps(ws)
        windows = cut_windows(features, centres, radius)
        return FullMapView(features, ws, windows, held, self._fixed, self._between)


class FullMapView:
    """The ``FeatureView`` of a ``FullMapSource``: a map, and windows cut from it."""

    def __init__(
        self,
        features: Tensor,
        ws: Tensor,
        windows: Windows,
        held: Tensor,
        fixed: FixedArea | None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Store the computed features.

        Args:
            features: ``C x h x w`` float32, the feature map.
            ws: ``num_ws x w_dim`` float32, the latent that the features were computed from.
            windows: The windows cut from ``features``.
            held: ``C' x h' x w'`` float32, the map of the held block.
            fixed: The fixed area of ``held``; None if nothing is fixed.
            between: Called between passes.
        """
        self._features = features
        self._ws = ws
        self._windows = windows
        self._held = held
        self._fixed = fixed
        self._between = between

    @property
    def windows(self) -> Windows:
        """The windows around the centres, with a gradient to the latent."""
        return self._windows

    def pull_back_each(self, directions: Tensor) -> Tensor:
        """Differentiate with autograd, one backward pass for each direction and window.

        See ``source.FeatureView.pull_back_each``.
        """
        return rows_by_autograd(self._windows.values, self._ws, directions, self._between)

    def fixed_change(self) -> Tensor:
        """Return the mean absolute change; see ``source.FeatureView.fixed_change``."""
        if self._fixed is None:
            return self._features.new_zeros(())
        return self._fixed.change(self._held)

    def fixed_difference(self) -> Tensor | None:
        """Return the change as a vector; see ``source.FeatureView.fixed_difference``."""
        return None if self._fixed is None else self._fixed.difference(self._held)

    def spread(self) -> Tensor:
        """Return the spread of the feature map; see ``source.FeatureView.spread``."""
        return spread_of(self._features)

    def fixed_spread(self) -> Tensor:
        """Return the spread of the held map; see ``source.FeatureView.fixed_spread``."""
        return spread_of(self._held)


def rows_by_autograd(
    values: Tensor, leaf: Tensor, directions: Tensor, between: Callable[[], None] = lambda: None
) -> Tensor:
    """Return the derivatives of ``sum(direction * window)``, separately for each window.

    Args:
        values: ``P x S x S x C``, the windows, with a gradient to ``leaf``.
        leaf: The tensor to differentiate with respect to.
        directions: ``R x P x S x S x C``.
        between: Called before each backward pass.

    Returns:
        ``R x P x`` the shape of ``leaf``.
    """
    with torch.enable_grad():
        windows = values.unbind()
    rows: list[Tensor] = []
    for direction in directions:
        for window, part in zip(windows, direction, strict=True):
            between()
            rows += torch.autograd.grad(window, leaf, part, retain_graph=True)
    return torch.stack(rows).reshape(*directions.shape[:2], *leaf.shape)


def cut_windows(features: Tensor, centres: Tensor, radius: int) -> Windows:
    """Copy a window around each centre out of a map; outside the map, its border is repeated.

    Args:
        features: ``C x h x w`` float32.
        centres: ``P x 2`` feature positions.
        radius: Windows have ``2 radius + 1`` pixels a side.

    Returns:
        Windows with a gradient to ``features``.
    """
    channels, rows, columns = features.shape
    origins = (centres.detach() + 0.5).floor() - radius
    steps = torch.arange(2 * radius + 1, device=features.device)
    x = (origins[:, :1].long() + steps).clamp(0, columns - 1)
    y = (origins[:, 1:].long() + steps).clamp(0, rows - 1)
    index = y[:, :, None] * columns + x[:, None, :]
    # On CPUs the generator's maps are in channels-last order already: this is a view there.
    pixels = features.permute(1, 2, 0).reshape(rows * columns, channels)
    values = pixels.index_select(0, index.flatten())
    return Windows(values.reshape(*index.shape, channels), origins)
