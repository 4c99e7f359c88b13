# SPDX-License-Identifier: GPL-3.0-or-later
"""The StyleGAN2 generator that the rest of the project uses.

The state dict has the key names of the public PyTorch checkpoints (``mapping.fc0.weight``,
``synthesis.b64.conv1.affine.bias``, …), except for the resampling filters, which are constants.

A new ``Generator(config)`` has random weights and can be trained. ``load_generator`` returns a
frozen one: it is in evaluation mode, no parameter requires a gradient, and values that depend only
on the weights are precomputed. Gradients with respect to ``ws`` still flow.

All tensors are float32. On recent NVIDIA devices torch rounds the inputs of convolutions to TF32 by
default, with a relative error of 1e-3. Set ``torch.backends.cudnn.allow_tf32 = False`` for full
float32 precision.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import GeneratorConfig
from .layers import (
    FullyConnectedLayer,
    LabelMatrix,
    NoiseMode,
    SkipLayer,
    SynthesisLayer,
    ToRGBLayer,
)
from .mapping import MappingNetwork
from .shapes import check_shape
from .synthesis import SynthesisBlock, SynthesisNetwork, SynthesisState


class Generator(nn.Module):
    """The mapping network and the synthesis network of one model.

    ``mapping(z, c=None, truncation_psi=1.0, truncation_cutoff=None)`` returns ``ws``; see
    ``MappingNetwork.forward``. ``synthesis(ws, noise_mode="const", resolution=None)`` returns the
    image; see ``SynthesisNetwork.forward``.

    Attributes:
        config: The sizes and constants of the model.
        mapping: From z, ``N x z_dim``, to ws, ``N x num_ws x w_dim``.
        synthesis: From ws to images, ``N x img_channels x H x W``.
        notes: What was assumed when it was loaded, because the file does not contain it, a sentence
            each, such as an average latent that was estimated.

    Args:
        config: The sizes and constants of the model.
        init_weights: Whether to draw random weights. With False the weights are uninitialised and
            must be loaded next.
    """

    def __init__(self, config: GeneratorConfig, *, init_weights: bool = True) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)
        self.notes: tuple[str, ...] = ()
        if init_weights:
            self.apply(_reset)

    @property
    def z_dim(self) -> int:
        """Size of the input latent z."""
        return self.config.z_dim

    @property
    def c_dim(self) -> int:
        """Size of the label vector; 0 for a model without labels."""
        return self.config.c_dim

    @property
    def w_dim(self) -> int:
        """Size of one w vector."""
        return self.config.w_dim

    @property
    def num_ws(self) -> int:
        """Number of w vectors that the synthesis takes: two per block."""
        return self.config.num_ws

    @property
    def img_channels(self) -> int:
        """Channels of the image."""
        return self.config.img_channels

    @property
    def img_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the image; height and width in pixels."""
        return self.config.img_shape

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Names of the blocks in ascending order: 4, 8, … ``img_resolution``."""
        return self.config.resolutions

    def features(self, ws: Tensor, resolution: int, noise_mode: NoiseMode = "const") -> Tensor:
        """Compute the features of one block, without any block above it and without any RGB.

        Args:
            ws: ``N x num_ws x w_dim`` float32; the first ``layers_below(resolution)`` w vectors are
                enough.
            resolution: Name of the block.
            noise_mode: "const", "random" or "none"; see ``NoiseMode``.

        Returns:
            ``N x channels x height x width`` float32, the output of the block before its toRGB
            layer.

        Raises:
            ValueError: The model has no such block, ``ws`` has a wrong shape, or the noise mode is
                unknown.
        """
        return self.synthesis_to(ws, resolution, noise_mode).x

    def synthesis_to(
        self, ws: Tensor, resolution: int, noise_mode: NoiseMode = "const"
    ) -> SynthesisState:
        """Compute the features up to one block and return the state for ``finish`` and ``rgb``.

        Args and errors are those of ``features``.
        """
        return self.synthesis.run_to(ws, resolution, noise_mode, start=None)

    def finish(self, state: SynthesisState, ws: Tensor, noise_mode: NoiseMode = "const") -> Tensor:
        """Compute the image from the state of a synthesis that stopped at a block.

        Args:
            state: Result of ``synthesis_to``; its features are not computed again.
            ws: ``N x num_ws x w_dim`` float32, the latents that the state was computed from.
            noise_mode: "const", "random" or "none"; see ``NoiseMode``.

        Returns:
            ``N x img_channels x H x W`` float32, nominally in [-1, 1], as from ``synthesis``.

        Raises:
            ValueError: ``ws`` has a wrong shape or another batch size than the state, or the noise
                mode is unknown.
        """
        top = self.synthesis.run_to(ws, self.config.img_resolution, noise_mode, start=state)
        return self.synthesis.rgb(top, ws)

    def rgb(self, state: SynthesisState, ws: Tensor) -> Tensor:
        """Compute the small image of the block that a synthesis stopped at.

        Args:
            state: Result of ``synthesis_to``.
            ws: ``N x num_ws x w_dim`` float32, the latents that the state was computed from; the
                first ``layers_below(state.resolution) + 1`` w vectors are enough.

        Returns:
            ``N x img_channels x height x width`` float32, with the height and width of that block,
            nominally in [-1, 1].

        Raises:
            ValueError: ``ws`` has a wrong shape or another batch size than the state.
        """
        return self.synthesis.rgb(state, ws)

    def layers_below(self, resolution: int) -> int:
        """Return how many of the first w vectors affect the features of block ``resolution``."""
        return self.config.layers_below(resolution)

    def mix(self, ws_structure: Tensor, ws_texture: Tensor, layer: int) -> Tensor:
        """Take the first w vectors from one latent and the others from another (style mixing).

        Args:
            ws_structure: ``N x num_ws x w_dim`` float32, the source of the w vectors 0 to
                ``layer`` - 1 (coarse layers).
            ws_texture: The same shape, the source of the other w vectors (fine layers).
            layer: From 0 (all from ``ws_texture``) to ``num_ws`` (all from ``ws_structure``).

        Returns:
            ``N x num_ws x w_dim`` float32.

        Raises:
            ValueError: A shape is wrong, or the layer is out of range.
        """
        check_shape("ws_structure", ws_structure, ("N", self.num_ws, self.w_dim))
        check_shape("ws_texture", ws_texture, ws_structure.shape)
        if not 0 <= layer <= self.num_ws:
            raise ValueError(f"layer must be from 0 to {self.num_ws}, not {layer}")
        return torch.cat([ws_structure[:, :layer], ws_texture[:, layer:]], dim=1)

    def freeze(self) -> Generator:
        """Set evaluation mode, turn off weight gradients, and precompute values of the weights.

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
    layers = FullyConnectedLayer | LabelMatrix | SynthesisLayer | SkipLayer | ToRGBLayer
    if isinstance(module, layers | SynthesisBlock):
        module.reset_parameters()
