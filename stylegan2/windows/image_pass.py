# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of one latent, layer by layer, from which windows of the features can be cut as well.

While a person drags, each latent is shown, and its features are needed for the next step. So both
are computed in one pass: the whole maps of all blocks, which the image is made of, contain the
windows that ``WindowSynthesis`` would compute apart (see ``WindowSynthesis.run``).

The values are those of ``SynthesisNetwork.forward``, up to rounding (see ``compute_map``), with the
constant noise. Maps are ``1 x height x width x channels`` float32 here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..network.generator import Generator
from ..network.layers import SynthesisLayer
from ..ops import upsample2d
from ..ops.fused import FusedOperators
from ..ops.scratch import Scratch
from .fused_pass import compute_layer, compute_map
from .layer_pass import KnownLayer, LayerStyle
from .prepared_layer import PreparedLayer


class ImagePass:
    """The whole maps of one latent up to a block.

    Attributes:
        ws: ``num_ws x w_dim`` float32, the latent.
        resolution: Name of the last block.
        num_layers: For how many of the first w vectors the layers can be differentiated.
        layers: The results of the convolutions, in the order of their w vectors.
    """

    @torch.no_grad()
    def __init__(
        self,
        generator: Generator,
        ws: Tensor,
        resolution: int,
        num_layers: int = 0,
        operators: FusedOperators | None = None,
        between: Callable[[], None] = lambda: None,
        scratch: Scratch | None = None,
    ) -> None:
        """Compute the maps.

        Args:
            generator: A frozen generator.
            ws: ``num_ws x w_dim`` float32.
            resolution: Name of the last block.
            num_layers: For how many of the first w vectors the layers will be differentiated.
            operators: Result of ``fused_operators`` for the device of the generator, or None.
            between: Called between the layers; an exception that it raises is not caught.
            scratch: Buffers for intermediate values, to use those of the last pass again.

        Raises:
            ValueError: The generator has residual connections, or no such block.
        """
        if not generator.config.has_windows:
            raise ValueError("the resnet architecture is not computed layer by layer")
        self._generator = generator
        self.ws, self.resolution, self.num_layers = ws, resolution, num_layers
        self.layers: list[KnownLayer] = []
        config, synthesis = generator.config, generator.synthesis
        scratch = Scratch() if scratch is None else scratch
        first = synthesis.block(config.resolutions[0]).const.detach()
        x = first.permute(1, 2, 0).contiguous()[None]
        for block in config.resolutions[: config.level_of(resolution) + 1]:
            network = synthesis.block(block)
            for name in ("conv0", "conv1")[block == config.resolutions[0] :]:
                between()
                index = len(self.layers)
                layer = network.get_submodule(name)
                assert isinstance(layer, SynthesisLayer)
                prepared = PreparedLayer.of(layer)
                known = _computed(
                    operators, prepared, ws[index], x, keep=index < num_layers, scratch=scratch
                )
                self.layers.append(known)
                x = known.result

    @torch.no_grad()
    def image(self) -> Tensor:
        """Return the image of the last block, ``1 x img_channels x H x W``, not clamped.

        Raises:
            ValueError: The block has no toRGB layer.
        """
        config, synthesis = self._generator.config, self._generator.synthesis
        if not config.has_rgb(self.resolution):
            raise ValueError(f"block {self.resolution} of this model has no toRGB layer")
        image: Tensor | None = None
        for block in config.resolutions[: config.level_of(self.resolution) + 1]:
            if not config.has_rgb(block):
                continue
            index = config.layers_below(block)
            x = self.layers[index - 1].result.permute(0, 3, 1, 2)
            rgb = synthesis.block(block).torgb(x, self.ws[None, index])
            image = rgb if image is None else upsample2d(image, synthesis.taps) + rgb
        assert image is not None
        return image


def _computed(
    operators: FusedOperators | None,
    layer: PreparedLayer,
    w: Tensor,
    x: Tensor,
    *,
    keep: bool,
    scratch: Scratch,
) -> KnownLayer:
    """Compute a layer on a whole map, ``1 x h x w x I``."""
    style = LayerStyle.of(layer, w)
    known = compute_map(operators, layer, style, x, keep=keep, scratch=scratch)
    if known is not None:
        return known
    return compute_layer(operators, layer, style, x, None, keep=keep, scratch=scratch).known()
