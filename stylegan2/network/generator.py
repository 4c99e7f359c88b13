# SPDX-License-Identifier: GPL-3.0-or-later
"""The StyleGAN2 generator as the rest of the project sees it.

The state dict has the key names of the public PyTorch checkpoints (`mapping.fc0.weight`,
`synthesis.b64.conv1.affine.bias`, …), except for the resampling filters, which are constants.

A new `Generator(config)` has random weights and is ready to be trained.  One that a reader returns
is frozen: evaluation mode, no parameter takes a gradient, and what depends on the weights alone is
precomputed; gradients with respect to `ws` still flow.

All is float32.  On recent NVIDIA devices torch by default lets convolutions round their inputs to
TF32, a relative error of 1e-3; who needs the exact numbers sets
`torch.backends.cudnn.allow_tf32 = False`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import GeneratorConfig
from .layers import FullyConnectedLayer, NoiseMode, SynthesisLayer, ToRGBLayer
from .mapping import MappingNetwork
from .shapes import check_shape
from .synthesis import SynthesisBlock, SynthesisNetwork, SynthesisState


class Generator(nn.Module):
    """Mapping and synthesis.

    `mapping(z, c=None, truncation_psi=1.0, truncation_cutoff=None) -> ws` is
    `MappingNetwork.forward`; `synthesis(ws, noise_mode="const", resolution=None) -> image` is
    `SynthesisNetwork.forward`: `N x img_channels x H x W` float32, nominally in [-1, 1] and not
    clamped, where a `resolution` below the last block's gives the smaller image of that block.

    Attributes:
        config: the sizes.

    Args:
        config: the sizes.
        init_weights: whether to draw random weights; without, they are whatever was in memory,
            to be loaded next.
    """

    def __init__(self, config: GeneratorConfig, *, init_weights: bool = True) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)
        if init_weights:
            self.apply(_reset)

    @property
    def z_dim(self) -> int:
        """Size of the input latent."""
        return self.config.z_dim

    @property
    def c_dim(self) -> int:
        """Size of the label; 0 for a model without labels."""
        return self.config.c_dim

    @property
    def w_dim(self) -> int:
        """Size of one latent w."""
        return self.config.w_dim

    @property
    def num_ws(self) -> int:
        """How many latents w steer an image."""
        return self.config.num_ws

    @property
    def img_channels(self) -> int:
        """Channels of the image."""
        return self.config.img_channels

    @property
    def img_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the image."""
        return self.config.img_shape

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Names of the blocks, 4, 8, … `img_resolution`."""
        return self.config.resolutions

    def features(self, ws: Tensor, resolution: int, noise_mode: NoiseMode = "const") -> Tensor:
        """Compute the features of one block, and nothing above them and no colours.

        Args:
            ws: `N x num_ws x w_dim` float32; the first `layers_below(resolution)` are enough.
            resolution: name of the block.
            noise_mode: "const", "random" or "none".

        Returns:
            `N x channels x height x width` float32, the block's output before its toRGB layer.

        Raises:
            ValueError: if there is no such block, or `ws` has another shape.
        """
        return self.synthesis_to(ws, resolution, noise_mode).x

    def synthesis_to(
        self, ws: Tensor, resolution: int, noise_mode: NoiseMode = "const"
    ) -> SynthesisState:
        """Like `features`, but keep what `finish` and `rgb` need to go on from there."""
        return self.synthesis.run_to(ws, resolution, noise_mode, start=None)

    def finish(self, state: SynthesisState, ws: Tensor, noise_mode: NoiseMode = "const") -> Tensor:
        """Compute the image from where a synthesis has stopped.

        Args:
            state: from `synthesis_to`; its features are used as they are.
            ws: `N x num_ws x w_dim` float32, the latents of the state.
            noise_mode: "const", "random" or "none".

        Returns:
            The image, as from `synthesis`.
        """
        top = self.synthesis.run_to(ws, self.config.img_resolution, noise_mode, start=state)
        return self.synthesis.rgb(top, ws)

    def rgb(self, state: SynthesisState, ws: Tensor) -> Tensor:
        """The small image of the block where a synthesis has stopped.

        Returns:
            `N x img_channels x height x width` float32 of that block, nominally in [-1, 1].
        """
        return self.synthesis.rgb(state, ws)

    def layers_below(self, resolution: int) -> int:
        """How many latents w, counted from the first, steer the features of a block."""
        return self.config.layers_below(resolution)

    def mix(self, ws_structure: Tensor, ws_texture: Tensor, layer: int) -> Tensor:
        """Take the first latents from one image and the others from another (style mixing).

        Args:
            ws_structure: `N x num_ws x w_dim` float32, gives w 0 … `layer` - 1 (coarse).
            ws_texture: the same shape, gives the rest (fine).
            layer: from 0 (all texture) to `num_ws` (all structure).

        Returns:
            `N x num_ws x w_dim` float32.

        Raises:
            ValueError: if the shapes are wrong or the layer is out of range.
        """
        check_shape("ws_structure", ws_structure, ("N", self.num_ws, self.w_dim))
        check_shape("ws_texture", ws_texture, ws_structure.shape)
        if not 0 <= layer <= self.num_ws:
            raise ValueError(f"layer must be from 0 to {self.num_ws}, not {layer}")
        return torch.cat([ws_structure[:, :layer], ws_texture[:, layer:]], dim=1)

    def freeze(self) -> Generator:
        """Turn into a network of constants: evaluation mode, no parameter takes a gradient.

        Call it again after changing weights in place.

        Returns:
            This generator.
        """
        self.eval().requires_grad_(False)
        for module in self.modules():
            if isinstance(module, SynthesisLayer):
                module.freeze()
        return self


def _reset(module: nn.Module) -> None:
    if isinstance(module, FullyConnectedLayer | SynthesisLayer | ToRGBLayer | SynthesisBlock):
        module.reset_parameters()
