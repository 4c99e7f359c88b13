# SPDX-License-Identifier: GPL-3.0-or-later
"""The synthesis network: from the latents w to features and to an image.

Skip architecture: every block has features and, from these, adds its own layer of colour to the
image of the blocks below.  The features never depend on the colours.  So a computation may stop at
any block with nothing but features, and the image of that level, or the rest of the network, can be
computed from there, later or never: that is what `SynthesisState` carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from ..ops import filter_taps, upsample2d
from .config import GeneratorConfig
from .layers import NoiseMode, SynthesisLayer, ToRGBLayer
from .shapes import check_shape


@dataclass(frozen=True)
class SynthesisState:
    """A synthesis that has stopped at a block.

    Attributes:
        features: output of each block from block 4 to the last one computed,
            `N x channels x height x width` float32, before the block's toRGB layer.
        resolution: name of the last block computed.
    """

    features: tuple[Tensor, ...]
    resolution: int

    @property
    def x(self) -> Tensor:
        """The features of the last block computed."""
        return self.features[-1]


class SynthesisBlock(nn.Module):
    """One resolution: an upsampling convolution (from block 8 on), a convolution, and toRGB."""

    def __init__(self, config: GeneratorConfig, resolution: int) -> None:
        super().__init__()
        out_channels = config.channels_at(resolution)
        shape = config.block_shape(resolution)

        def layer(in_channels: int, *, upsample: bool) -> SynthesisLayer:
            return SynthesisLayer(
                in_channels,
                out_channels,
                w_dim=config.w_dim,
                shape=shape,
                upsample=upsample,
                use_noise=config.use_noise,
                conv_clamp=config.conv_clamp,
            )

        self.is_first = resolution == config.resolutions[0]
        if self.is_first:
            self.const = nn.Parameter(torch.empty(out_channels, *shape))
        else:
            self.conv0 = layer(config.channels_at(resolution // 2), upsample=True)
        self.conv1 = layer(out_channels, upsample=False)
        self.torgb = ToRGBLayer(
            out_channels, config.img_channels, w_dim=config.w_dim, conv_clamp=config.conv_clamp
        )

    def reset_parameters(self) -> None:
        """Draw the constant, if the block has it; the layers have their own."""
        if self.is_first:
            nn.init.normal_(self.const)

    def forward(self, x: Tensor | None, ws: Tensor, noise_mode: NoiseMode) -> Tensor:
        """Compute the block's features.

        Args:
            x: the features of the block below; None for block 4.
            ws: `N x k x w_dim`, one w per convolution of the block.
            noise_mode: see `NoiseMode`.
        """
        if x is None:
            x = self.const.expand(len(ws), -1, -1, -1)
            if x.device.type == "cpu":
                # Every later layer follows the memory format of its input, and channels last
                # is the faster one on CPUs; elsewhere torch's default is left alone.
                x = x.contiguous(memory_format=torch.channels_last)
        else:
            x = self.conv0(x, ws[:, 0], noise_mode)
        y: Tensor = self.conv1(x, ws[:, -1], noise_mode)
        return y


class SynthesisNetwork(nn.Module):
    """All blocks.  Block `r` is the submodule `b{r}`."""

    taps: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        for resolution in config.resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(config, resolution))
        self.register_buffer("taps", filter_taps(), persistent=False)

    def block(self, resolution: int) -> SynthesisBlock:
        """The block of the given name.

        Raises:
            ValueError: if the model has no such block.
        """
        self.config.level_of(resolution)
        block = self.get_submodule(f"b{resolution}")
        assert isinstance(block, SynthesisBlock)
        return block

    def forward(
        self, ws: Tensor, noise_mode: NoiseMode = "const", resolution: int | None = None
    ) -> Tensor:
        """Synthesise an image; see `Generator.synthesis`."""
        top = self.config.img_resolution if resolution is None else resolution
        state = self.run_to(ws, top, noise_mode, start=None)
        return self.rgb(state, ws)

    def run_to(
        self, ws: Tensor, resolution: int, noise_mode: NoiseMode, start: SynthesisState | None
    ) -> SynthesisState:
        """Compute features up to a block, from the constant or from where `start` stopped.

        Raises:
            ValueError: if `ws` has not the shape that `check_ws` wants or is of another batch size
                than `start`, the noise mode is unknown, or there is no such block.
        """
        level = self.config.level_of(resolution)
        self._check(ws, self.config.layers_below(resolution), noise_mode, start)
        features = list(start.features) if start else []
        for current in self.config.resolutions[len(features) : level + 1]:
            last = self.config.layers_below(current)
            first = max(last - 2, 0)
            below = features[-1] if features else None
            features.append(self.block(current)(below, ws[:, first:last], noise_mode))
        return SynthesisState(tuple(features), self.config.resolutions[len(features) - 1])

    def rgb(self, state: SynthesisState, ws: Tensor) -> Tensor:
        """Add up the colours of the blocks that a state has: the image at the state's size.

        Args:
            state: from `run_to`.
            ws: the same latents, one more than the features needed.

        Returns:
            `N x img_channels x height x width` float32 of block `state.resolution`.
        """
        self._check(ws, self.config.layers_below(state.resolution) + 1, "const", state)
        image: Tensor | None = None
        for resolution, x in zip(self.config.resolutions, state.features, strict=False):
            # A block's toRGB takes the w after its convolutions, which the next block's first
            # convolution takes too.
            w = ws[:, self.config.layers_below(resolution)]
            colour = self.block(resolution).torgb(x, w)
            image = colour if image is None else upsample2d(image, self.taps) + colour
        assert image is not None  # a state has at least block 4
        return image

    def _check(
        self, ws: Tensor, needed: int, noise_mode: NoiseMode, state: SynthesisState | None
    ) -> None:
        if ws.ndim != 3 or ws.shape[1] < needed or ws.shape[1] > self.config.num_ws:
            check_shape("ws", ws, ("N", self.config.num_ws, self.config.w_dim))
        check_shape("ws", ws, ("N", "num_ws", self.config.w_dim))
        if noise_mode not in get_args(NoiseMode):
            raise ValueError(f'noise_mode must be "const", "random" or "none", not {noise_mode!r}')
        if state is not None and len(state.x) != len(ws):
            raise ValueError(f"ws has {len(ws)} samples, but the state has {len(state.x)}")
