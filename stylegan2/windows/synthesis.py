# SPDX-License-Identifier: GPL-3.0-or-later
"""Features in windows around points, and how they depend on the latent, without the whole maps.

Equal to ``Generator.features``, cut at the same places, up to rounding: between the latent and the
features there are only convolutions, so that a window depends on nothing but windows below it
(``window_plan``). Outside the image every convolution's input is zero; so is, here, what a window
has outside of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ..network.generator import Generator
from ..network.layers import SynthesisLayer
from ..ops.fused import FusedOperators
from ..ops.scratch import Scratch
from .fused_pass import FusedPass, compute_layer
from .layer_pass import LayerPass, LayerStyle, Place
from .plan import WindowPlan
from .prepared_layer import PreparedLayer


class WindowSynthesis:
    """Computes windows of a generator's features, for latents of which the first rows vary."""

    def __init__(
        self,
        generator: Generator,
        resolution: int,
        plan: WindowPlan,
        ws: Tensor,
        free: int,
        operators: FusedOperators | None = None,
    ) -> None:
        """Compute what depends on the other rows alone.

        Args:
            generator: frozen.
            resolution: the block whose features are wanted.
            plan: how to compute them, see ``plan_windows``.
            ws: ``num_ws x w_dim`` float32, for the rows that do not vary.
            free: how many rows vary.
            operators: of the generator's device, see ``fused_operators``.
        """
        self._config = generator.config
        self._synthesis = generator.synthesis
        self._resolution = resolution
        self.plan = plan
        self.free = min(free, self._config.layers_below(resolution))
        first = self._synthesis.block(self._config.resolutions[0])
        self._const = first.const.detach().permute(1, 2, 0).contiguous()[None]
        self._scratch = Scratch()
        self._operators = operators
        with torch.no_grad():
            below = self._config.layers_below(resolution)
            self._layers = [PreparedLayer.of(self._layer(index)) for index in range(below)]
            self._fixed_styles = {
                index: LayerStyle.of(self.layer(index), ws[index])
                for index in range(self.free, below)
            }

    @torch.no_grad()
    def run(self, ws: Tensor, origins: Tensor) -> WindowPass:
        """Compute the windows of a latent.

        Args:
            ws: ``num_ws x w_dim`` float32.
            origins: ``P x 2`` int64, (x, y) of the first pixel of each, which is to lie in the map as
                a whole.
        """
        maps: dict[int, Tensor] = {}
        layers: list[LayerPass | FusedPass] = []

        def compute(index: int, x: Tensor, place: Place | None = None) -> Tensor:
            style = self._fixed_styles.get(index)
            if style is None:
                style = LayerStyle.of(self.layer(index), ws[index])
            keep = index < self.free
            layer, operators = self.layer(index), self._operators
            done = compute_layer(
                operators, layer, style, x, place, keep=keep, scratch=self._scratch
            )
            layers.append(done)
            return done.result

        x = self._const
        for block in self._config.resolutions[: self._config.level_of(self.plan.crop) + 1]:
            for index in self._indices(block):
                x = compute(index, x)
            maps[block] = x
        cut, places = self._places(origins)
        x = cut.cut(x)
        for window, place in zip(self.plan.blocks, places, strict=True):
            doubling, last = self._indices(window.resolution)
            x = compute(doubling, x, place)
            x = compute(last, x, place.interior())
        return WindowPass(self, layers, cut, x, maps)

    def block_of(self, index: int) -> int:
        """The block whose convolution takes a w."""
        return self._config.resolutions[(index + 1) // 2]

    def layer(self, index: int) -> PreparedLayer:
        """The convolution that takes a w."""
        return self._layers[index]

    def _layer(self, index: int) -> SynthesisLayer:
        block = self._synthesis.block(self.block_of(index))
        layer = block.conv0 if index % 2 else block.conv1
        assert isinstance(layer, SynthesisLayer)
        return layer

    @property
    def w_dim(self) -> int:
        """Size of one latent w."""
        return self._config.w_dim

    @property
    def whole_layers(self) -> int:
        """How many of the first convolutions are computed on the whole map."""
        return self._config.layers_below(self.plan.crop)

    def _indices(self, block: int) -> range:
        """Which w a block's convolutions take."""
        last = self._config.layers_below(block)
        return range(max(last - 2, 0), last)

    def _places(self, origins: Tensor) -> tuple[Place, list[Place]]:
        """Where windows are cut from the last whole map, and each block's first outputs, upwards.

        With no blocks of windows, the cut gives the windows that are wanted.
        """
        places: list[Place] = []
        for window in reversed(self.plan.blocks):
            shape = self._config.block_shape(window.resolution)
            places.insert(0, Place.of(origins - 1, window.side_out + 2, shape))
            origins = torch.div(origins - 3, 2, rounding_mode="floor")
        side = self.plan.cut_side
        return Place.of(origins, side, self._config.block_shape(self.plan.crop)), places


class WindowPass:
    """The windows of one latent, and their derivative.

    Attributes:
        values: ``P x S x S x C`` float32.
        maps: the whole maps ``1 x H x W x C`` of the blocks below the windows, by their names.
    """

    def __init__(
        self,
        synthesis: WindowSynthesis,
        layers: list[LayerPass | FusedPass],
        cut: Place,
        values: Tensor,
        maps: dict[int, Tensor],
    ) -> None:
        self._synthesis = synthesis
        self._layers = layers
        self._cut = cut
        self.values = values
        self.maps = maps

    @torch.no_grad()
    def pull_back_each(self, directions: Tensor) -> Tensor:
        """How each window depends on the latent, along each of its own directions.

        Args:
            directions: ``R x P x S x S x C`` float32, what the windows' values are multiplied with.

        Returns:
            ``R x P x free x w_dim`` float32: the derivatives of the sums of these products.
        """
        found: dict[int, Tensor] = {}
        g = self._descend(self._window_layers, directions.flatten(0, 1), found)
        maps = self._cut.put_apart(g, self._cut_shape)
        self._descend(self._whole_layers, maps, found)
        rows = torch.stack([found[index] for index in range(self._synthesis.free)], dim=1)
        return rows.reshape(*directions.shape[:2], *rows.shape[1:])

    @torch.no_grad()
    def pull_back(self, windows: Tensor | None, maps: Mapping[int, Tensor]) -> Tensor:
        """The derivative of one sum of products, over all windows and over whole maps.

        Args:
            windows: ``P x S x S x C`` float32; None for zeros.
            maps: ``1 x H x W x C`` float32, for any of the blocks in ``maps``.

        Returns:
            ``free x w_dim`` float32.
        """
        found: dict[int, Tensor] = {}
        g = None
        if windows is not None and len(windows):
            g = self._descend(self._window_layers, windows, found)
            g = self._cut.put_together(g, self._cut_shape)
        self._descend(self._whole_layers, g, found, maps)
        # What is not reached from the maps alone is not found.
        none = self._layers[0].result.new_zeros(self._synthesis.w_dim)
        free = range(self._synthesis.free)
        return torch.stack([found[i].sum(dim=0) if i in found else none for i in free])

    @property
    def _whole_layers(self) -> range:
        return range(self._synthesis.whole_layers)

    @property
    def _window_layers(self) -> range:
        return range(self._synthesis.whole_layers, len(self._layers))

    @property
    def _cut_shape(self) -> tuple[int, int]:
        """Height and width of the last whole map."""
        height, width = self.maps[self._synthesis.plan.crop].shape[1:3]
        return height, width

    def _descend(
        self,
        layers: range,
        g: Tensor | None,
        found: dict[int, Tensor],
        maps: Mapping[int, Tensor] = MappingProxyType({}),
    ) -> Any:
        """Pull back through layers, from the last to the first.

        Args:
            g: what the last one's result is multiplied with; None for zeros.
            found: gets the derivatives with respect to each layer's w, ``B x w_dim``.
            maps: what blocks' results are multiplied with as well.

        Returns:
            What the first one's input is multiplied with.
        """
        for index in reversed(layers):
            # Even layers are the last ones of their blocks.
            more = None if index % 2 else maps.get(self._synthesis.block_of(index))
            if more is not None:
                g = more if g is None else g + more
            if g is None:
                continue
            g, of_scale = self._layers[index].pull_back(g)
            if of_scale is not None:
                found[index] = of_scale @ self._synthesis.layer(index).affine
        return g
