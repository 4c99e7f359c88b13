# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of a feature map, and their gradients with respect to the latent, without the whole map.

The windows equal ``Generator.features`` cut at the same places, up to rounding. There are only
convolutions between the latent and the features, so a window depends only on windows of the blocks
below (see ``plan``). The input of every convolution is zero outside the image; likewise the pixels
of a window outside the image are zero.

On a ``Canvas`` the features of each block are blended with those of what is below. These do not
change, so windows of them are cut from whole maps that were computed once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor

from ..network.canvas import Canvas
from ..network.generator import Generator
from ..network.layers import SynthesisLayer
from ..ops.fused import FusedOperators
from ..ops.scratch import Scratch
from .fused_pass import FusedPass, compute_layer
from .image_pass import ImagePass
from .layer_pass import KnownLayer, LayerPass, LayerStyle, Place, split_batch
from .plan import WindowPlan
from .prepared_layer import PreparedLayer


@dataclass(frozen=True)
class _Backdrop:
    """What a block's features are blended with.

    Attributes:
        below: ``1 x H x W x C`` float32.
        matte: ``1 x H x W x 1`` float32, see ``network.canvas.Matte``.
    """

    below: Tensor
    matte: Tensor

    def at(self, place: Place) -> _Backdrop:
        """Return the backdrop of windows; outside the map both parts are zero."""
        return _Backdrop(place.cut(self.below), place.cut(self.matte))

    def blend(self, x: Tensor) -> Tensor:
        """Return ``matte * x + (1 - matte) * below``."""
        return torch.lerp(self.below, x, self.matte)


class Graphs(Protocol):
    """Recorded passes, which are launched at once; see ``graphs.WindowGraphs``."""

    def run(self, synthesis: WindowSynthesis, ws: Tensor, origins: Tensor) -> WindowPass | None:
        """Repeat a recorded pass with other values.

        Args:
            synthesis: Whose pass it is.
            ws: As for ``WindowSynthesis.run``.
            origins: As for ``WindowSynthesis.run``.

        Returns:
            The result of ``WindowSynthesis.run``; None if it has to be computed.
        """
        ...


class WindowSynthesis:
    """Computes windows of the features of a generator, for latents that differ in the first w.

    Attributes:
        plan: The plan that the windows are computed by.
        num_layers: How many of the first w vectors may change; at most those below the block.
        between: Called between the layers of every pass.
    """

    def __init__(
        self,
        generator: Generator,
        resolution: int,
        plan: WindowPlan,
        ws: Tensor,
        num_layers: int,
        operators: FusedOperators | None = None,
        canvas: Canvas | None = None,
        between: Callable[[], None] = lambda: None,
        graphs: Graphs | None = None,
    ) -> None:
        """Compute the styles of the w vectors that do not change.

        Args:
            generator: A frozen generator.
            resolution: Name of the block of the features; the plan must be for this block.
            plan: Result of ``plan_windows`` for this generator and block.
            ws: ``num_ws x w_dim`` float32, a latent with the w vectors that do not change.
            num_layers: How many of the first w vectors may change between latents; w vectors from
                this index on are taken from ``ws``.
            operators: Result of ``fused_operators`` for the device of the generator, or None.
            canvas: What the features are blended with; a canvas on which one latent changes. None
                for the plain features of the generator.
            between: Called between the layers of every pass, and before a pass that was recorded.
                An exception that it raises ends the pass and is not caught.
            graphs: Repeats passes that it has recorded; None to compute every pass.

        Raises:
            ValueError: The generator has residual connections, of which no windows are computed.
        """
        if not generator.config.has_windows:
            raise ValueError("no windows of features are computed for the resnet architecture")
        self._config = generator.config
        self._synthesis = generator.synthesis
        self._resolution = resolution
        self.plan = plan
        self.num_layers = min(num_layers, self._config.layers_below(resolution))
        first = self._synthesis.block(self._config.resolutions[0])
        self._const = first.const.detach().permute(1, 2, 0).contiguous()[None]
        self._scratch = Scratch()
        self.between = between
        self._operators = operators
        self._graphs = graphs
        with torch.no_grad():
            below = self._config.layers_below(resolution)
            self._layers = [PreparedLayer.of(self._layer(index)) for index in range(below)]
            self._fixed_styles = {
                index: LayerStyle.of(self.layer(index), ws[index])
                for index in range(self.num_layers, below)
            }
        self._backdrops: dict[int, _Backdrop] = {}
        if canvas is not None and canvas.matte is not None:
            for block in self._config.resolutions[: self._config.level_of(resolution) + 1]:
                self._backdrops[block] = _Backdrop(
                    canvas.below(block).permute(0, 2, 3, 1).contiguous(),
                    canvas.matte.at(block).permute(0, 2, 3, 1).contiguous(),
                )

    @torch.no_grad()
    def run(self, ws: Tensor, origins: Tensor, image: ImagePass | None = None) -> WindowPass:
        """Compute the windows of a latent.

        Args:
            ws: ``num_ws x w_dim`` float32; only the first ``num_layers`` w vectors are read.
            origins: ``P x 2`` int64, (x, y) of the first pixel of each window, in pixels of the
                feature map. The whole window must be inside the map.
            image: Whole maps of the same latent, from which the windows are cut as far as it goes;
                None to compute them. Not on a canvas.
        """
        if self._graphs is not None and image is None:
            self.between()
            repeated = self._graphs.run(self, ws, origins)
            if repeated is not None:
                return repeated
        return self.compute(ws, origins, image)

    @torch.no_grad()
    def compute(self, ws: Tensor, origins: Tensor, image: ImagePass | None = None) -> WindowPass:
        """Compute the windows of a latent layer by layer; arguments and result are ``run``'s."""
        if image is not None:
            assert not self._backdrops, "an image of one latent has no backdrops"
            assert image.num_layers >= self.num_layers, "the image can be differentiated"
        maps: dict[int, Tensor] = {}
        layers: list[LayerPass | FusedPass] = []
        mattes: dict[int, Tensor] = {}

        def compute(index: int, x: Tensor, place: Place | None = None) -> Tensor:
            layers.append(self._layer_pass(index, ws, x, place, image))
            return layers[-1].result

        def blended(block: int, x: Tensor, place: Place | None = None) -> Tensor:
            backdrop = self._backdrops.get(block)
            if backdrop is None:
                return x
            if place is not None:
                backdrop = backdrop.at(place)
            mattes[len(layers) - 1] = backdrop.matte
            return backdrop.blend(x)

        x = self._const
        for block in self._config.resolutions[: self._config.level_of(self.plan.crop) + 1]:
            for index in self._indices(block):
                x = compute(index, x)
            maps[block] = x = blended(block, x)
        cut, places = self._places(origins)
        x = cut.cut(x)
        for window, place in zip(self.plan.blocks, places, strict=True):
            upsampling, last = self._indices(window.resolution)
            interior = place.interior()
            x = compute(upsampling, x, place)
            x = blended(window.resolution, compute(last, x, interior), interior)
        return WindowPass(self, layers, mattes, cut, x, maps)

    def _layer_pass(
        self, index: int, ws: Tensor, x: Tensor, place: Place | None, image: ImagePass | None
    ) -> LayerPass | FusedPass:
        """Compute a layer, or cut it from what an image has; see ``run`` and ``LayerPass``."""
        self.between()
        known: KnownLayer | None = None
        if image is not None and index < len(image.layers):
            known = image.layers[index]
            known = known if place is None else known.cut(place)
            style = known.style
        else:
            style = self._fixed_styles.get(index) or LayerStyle.of(self.layer(index), ws[index])
        return compute_layer(
            self._operators,
            self.layer(index),
            style,
            x,
            place,
            keep=index < self.num_layers,
            scratch=self._scratch,
            known=known,
        )

    def kind(self, count: int) -> Hashable:
        """Return what decides which operations a pass of ``count`` windows consists of."""
        shapes = tuple((block, back.below.shape) for block, back in sorted(self._backdrops.items()))
        layers = (*map(id, self._layers), id(self._operators))
        return self._resolution, self.plan, self.num_layers, count, shapes, layers

    def constants(self) -> list[Tensor]:
        """Return the tensors that all passes read and that other syntheses of a kind lack.

        These are the styles of the w vectors that do not change, and what a canvas has below.
        """
        styles = [self._fixed_styles[index] for index in sorted(self._fixed_styles)]
        backdrops = [self._backdrops[block] for block in sorted(self._backdrops)]
        return [
            *(tensor for style in styles for tensor in (style.scale, style.demodulation)),
            *(tensor for backdrop in backdrops for tensor in (backdrop.below, backdrop.matte)),
        ]

    def twin(self) -> WindowSynthesis:
        """Return a synthesis of the same kind for recordings: it shares the weights alone.

        Its constants are copies, which can be overwritten; its buffers stay where they are; it is
        not interrupted between layers, and it computes every pass.
        """
        twin = copy.copy(self)
        twin._fixed_styles = {
            index: LayerStyle(style.scale.clone(), style.demodulation.clone())
            for index, style in self._fixed_styles.items()
        }
        twin._backdrops = {
            block: _Backdrop(backdrop.below.clone(), backdrop.matte.clone())
            for block, backdrop in self._backdrops.items()
        }
        twin._scratch = Scratch(keeps=True)
        twin._graphs = None
        twin.between = lambda: None
        return twin

    def block_of(self, index: int) -> int:
        """Return the name of the block whose convolution takes the w vector ``index``."""
        return self._config.resolutions[(index + 1) // 2]

    def layer(self, index: int) -> PreparedLayer:
        """Return the constants of the convolution that takes the w vector ``index``."""
        return self._layers[index]

    def _layer(self, index: int) -> SynthesisLayer:
        block = self._synthesis.block(self.block_of(index))
        layer = block.conv0 if index % 2 else block.conv1
        assert isinstance(layer, SynthesisLayer)
        return layer

    @property
    def w_dim(self) -> int:
        """Size of one w vector."""
        return self._config.w_dim

    @property
    def whole_layers(self) -> int:
        """Number of the first convolutions that are computed on the whole map."""
        return self._config.layers_below(self.plan.crop)

    def _indices(self, block: int) -> range:
        """Return the indices of the w vectors that the convolutions of a block take."""
        last = self._config.layers_below(block)
        return range(max(last - 2, 0), last)

    def _places(self, origins: Tensor) -> tuple[Place, list[Place]]:
        """Return the place of the cut in the last whole map, and those of the window blocks.

        The place of a block is that of the results of its upsampling convolution; the blocks are in
        ascending order. Without window blocks the cut gives the requested windows.
        """
        places: list[Place] = []
        for window in reversed(self.plan.blocks):
            shape = self._config.block_shape(window.resolution)
            places.insert(0, Place.of(origins - 1, window.side_out + 2, shape))
            origins = torch.div(origins - 3, 2, rounding_mode="floor")
        side = self.plan.cut_side
        return Place.of(origins, side, self._config.block_shape(self.plan.crop)), places


class WindowPass:
    """The windows of one latent, and their gradients with respect to it.

    Attributes:
        values: ``P x S x S x C`` float32, the windows.
        maps: The whole maps, ``1 x H x W x C`` float32, of the blocks up to the crop of the plan,
            by the names of the blocks.
    """

    maps: Mapping[int, Tensor]

    def __init__(
        self,
        synthesis: WindowSynthesis,
        layers: list[LayerPass | FusedPass],
        mattes: Mapping[int, Tensor],
        cut: Place,
        values: Tensor,
        maps: dict[int, Tensor],
    ) -> None:
        self._synthesis = synthesis
        self._layers = layers
        # The mattes that the results of layers were blended by, by the indices of the layers.
        self._mattes = mattes
        self._cut = cut
        self.values = values
        self.maps = maps

    @torch.no_grad()
    def pull_back_each(self, directions: Tensor) -> Tensor:
        """Compute the vector-Jacobian products of each window with its own cotangents.

        Args:
            directions: ``R x P x S x S x C`` float32, R cotangents for each window.

        Returns:
            ``R x P x num_layers x w_dim`` float32: for each cotangent, the gradient of the sum of
            its products with the values of its window.
        """
        gradients: dict[int, Tensor] = {}
        g = self._backward(self._window_layers, directions.flatten(0, 1), gradients)
        maps = self._cut.scatter_each(g, self._cut_shape)
        self._backward(self._whole_layers, maps, gradients)
        num_layers = self._synthesis.num_layers
        rows = torch.stack([gradients[index] for index in range(num_layers)], dim=1)
        return rows.reshape(*directions.shape[:2], *rows.shape[1:])

    @torch.no_grad()
    def pull_back(self, windows: Tensor | None, maps: Mapping[int, Tensor]) -> Tensor:
        """Compute one vector-Jacobian product over all windows and over whole maps.

        Args:
            windows: ``P x S x S x C`` float32, the cotangents of the windows; None for zeros.
            maps: ``1 x H x W x C`` float32, the cotangents of whole maps by the names of their
                blocks, which must be in the attribute ``maps``.

        Returns:
            ``num_layers x w_dim`` float32: the gradient of the sum of all products of cotangents
            and values.
        """
        gradients: dict[int, Tensor] = {}
        g = None
        if windows is not None and len(windows):
            g = self._backward(self._window_layers, windows, gradients)
            g = self._cut.scatter_sum(g, self._cut_shape)
        self._backward(self._whole_layers, g, gradients, maps)
        # Layers above all given cotangents have no gradient.
        zero = self._layers[0].result.new_zeros(self._synthesis.w_dim)
        indices = range(self._synthesis.num_layers)
        return torch.stack([gradients[i].sum(dim=0) if i in gradients else zero for i in indices])

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

    def _backward(
        self,
        layers: range,
        g: Tensor | None,
        gradients: dict[int, Tensor],
        maps: Mapping[int, Tensor] = MappingProxyType({}),
    ) -> Any:
        """Propagate cotangents through layers, from the last to the first.

        Args:
            layers: Indices of the layers.
            g: ``B x h x w x C``, the cotangents of the result of the last layer; None for zeros.
            gradients: Receives the gradients with respect to the w vector of each layer,
                ``B x w_dim``, by the index of the layer.
            maps: Additional cotangents of the whole maps, by the names of their blocks.

        Returns:
            The cotangents of the input of the first layer; None for zeros.
        """
        for index in reversed(layers):
            # A layer with an even index is the last one of its block.
            more = None if index % 2 else maps.get(self._synthesis.block_of(index))
            if more is not None:
                g = more if g is None else g + more
            if g is None:
                continue
            self._synthesis.between()
            matte = self._mattes.get(index)
            if matte is not None:
                g = (split_batch(g, len(matte)) * matte).flatten(0, 1)
            g, of_scale = self._layers[index].pull_back(g)
            if of_scale is not None:
                gradients[index] = of_scale @ self._synthesis.layer(index).affine
        return g
