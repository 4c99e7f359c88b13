# SPDX-License-Identifier: GPL-3.0-or-later
"""The synthesis network: from the w vectors to features and to an image.

Every block computes features. In the skip architecture the toRGB layer of each block adds an RGB
image to the upsampled image of the blocks below; in the others only the last block has a toRGB
layer. The features never depend on the RGB images. So a computation
can stop after the features of any block; a ``SynthesisState`` has what is needed to compute the
image of that block, or the rest of the network, later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import filter_taps, upsample2d
from .box import Box
from .config import GeneratorConfig
from .layers import NoiseMode, SkipLayer, SynthesisLayer, ToRGBLayer
from .shapes import check_shape


@dataclass(frozen=True)
class SynthesisState:
    """The state of a synthesis that stopped at a block.

    Attributes:
        features: Output of each block from block 4 to the last computed one,
            ``N x channels x height x width`` float32, before the toRGB layer of the block.
        resolution: Name of the last computed block.
    """

    features: tuple[Tensor, ...]
    resolution: int

    @property
    def x(self) -> Tensor:
        """Features of the last computed block, ``N x channels x height x width`` float32."""
        return self.features[-1]


class SynthesisBlock(nn.Module):
    """The layers of one resolution: an upsampling convolution, a convolution and a toRGB layer.

    Block 4 has a learned constant instead of the upsampling convolution.
    """

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

        self.architecture = config.architecture
        self.is_first = resolution == config.resolutions[0]
        if self.is_first:
            self.const = nn.Parameter(torch.empty(out_channels, *shape))
        else:
            self.conv0 = layer(config.channels_at(resolution // 2), upsample=True)
        self.conv1 = layer(out_channels, upsample=False)
        if config.has_rgb(resolution):
            self.torgb = ToRGBLayer(
                out_channels, config.img_channels, w_dim=config.w_dim, conv_clamp=config.conv_clamp
            )
        self.skip: SkipLayer | None = None
        if config.architecture == "resnet" and not self.is_first:
            self.skip = SkipLayer(config.channels_at(resolution // 2), out_channels)

    def reset_parameters(self) -> None:
        """Draw the constant of block 4; the layers reset their own parameters."""
        if self.is_first:
            nn.init.normal_(self.const)

    def forward(
        self,
        x: Tensor | None,
        ws: Tensor,
        noise_mode: NoiseMode,
        box: Box | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Compute the features of the block.

        Args:
            x: ``N x channels x height x width`` float32, the features of the block below; None for
                block 4.
            ws: ``N x k x w_dim`` float32, one w vector per convolution of the block.
            noise_mode: See ``NoiseMode``.
            box: Which part of the features is computed; None for all. It must be twice the box that
                x is of, and its rim is wrong; see ``box``. Not for random noise, nor for block 4.
            between: Called between the layers; an exception that it raises is not caught.

        Returns:
            ``N x channels x height x width`` float32.
        """
        residual = None
        if x is None:
            x = self.const.expand(len(ws), -1, -1, -1)
            if x.device.type == "cpu":
                # Every later layer keeps the memory format of its input. On CPUs channels last is
                # the faster format; on other devices torch's default is kept.
                x = x.contiguous(memory_format=torch.channels_last)
        else:
            residual = None if self.skip is None else self.skip(x)
            x = self.conv0(x, ws[:, 0], noise_mode, box)
            between()
        y: Tensor = self.conv1(x, ws[:, -1], noise_mode, box)
        # The sum of two independent maps of unit variance is scaled to unit variance.
        return y if residual is None else (y + residual) * math.sqrt(0.5)


class SynthesisNetwork(nn.Module):
    """All blocks of the synthesis; block ``r`` is the submodule ``b{r}``."""

    taps: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        for resolution in config.resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(config, resolution))
        self.register_buffer("taps", filter_taps(), persistent=False)

    def block(self, resolution: int) -> SynthesisBlock:
        """Return the block of the name ``resolution``.

        Raises:
            ValueError: The model has no such block.
        """
        self.config.level_of(resolution)
        block = self.get_submodule(f"b{resolution}")
        assert isinstance(block, SynthesisBlock)
        return block

    def forward(
        self,
        ws: Tensor,
        noise_mode: NoiseMode = "const",
        resolution: int | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Synthesise an image.

        Args:
            ws: ``N x num_ws x w_dim`` float32, latents in W+.
            noise_mode: "const", "random" or "none"; see ``NoiseMode``.
            resolution: Name of a block, for the smaller image of that block; None for the full
                image. The first ``layers_below(resolution) + 1`` w vectors are enough then, unless
                the block has no toRGB layer: that image is the full one, averaged.
            between: Called between the layers; an exception that it raises is not caught.

        Returns:
            ``N x img_channels x H x W`` float32, nominally in [-1, 1] and not clamped.

        Raises:
            ValueError: ``ws`` has a wrong shape, the noise mode is unknown, or the model has no
                such block.
        """
        top = self.config.img_resolution if resolution is None else resolution
        shape = self.config.block_shape(top)
        self.config.level_of(top)
        if not self.config.has_rgb(top):
            return F.adaptive_avg_pool2d(self.forward(ws, noise_mode, between=between), shape)
        state = self.run_to(ws, top, noise_mode, start=None, between=between)
        return self.rgb(state, ws)

    def run_to(
        self,
        ws: Tensor,
        resolution: int,
        noise_mode: NoiseMode,
        start: SynthesisState | None,
        between: Callable[[], None] = lambda: None,
    ) -> SynthesisState:
        """Compute the features up to a block, from the constant or from the state ``start``.

        Args:
            ws: ``N x num_ws x w_dim`` float32; the first ``layers_below(resolution)`` w vectors are
                enough.
            resolution: Name of the last block to compute.
            noise_mode: "const", "random" or "none"; see ``NoiseMode``.
            start: Result of an earlier call; its features are not computed again.
            between: Called between the layers; an exception that it raises is not caught.

        Returns:
            The features of all blocks up to ``resolution``, or up to ``start.resolution`` if that
            is higher.

        Raises:
            ValueError: ``ws`` has a wrong shape or another batch size than ``start``, the noise
                mode is unknown, or the model has no such block.
        """
        level = self.config.level_of(resolution)
        self._check(ws, self.config.layers_below(resolution), noise_mode, start)
        features = list(start.features) if start else []
        for current in self.config.resolutions[len(features) : level + 1]:
            last = self.config.layers_below(current)
            first = max(last - 2, 0)
            below = features[-1] if features else None
            block = self.block(current)
            features.append(block(below, ws[:, first:last], noise_mode, between=between))
            between()
        return SynthesisState(tuple(features), self.config.resolutions[len(features) - 1])

    def rgb(self, state: SynthesisState, ws: Tensor) -> Tensor:
        """Add up the RGB images of the blocks that a state contains.

        Args:
            state: Result of ``run_to``.
            ws: ``N x num_ws x w_dim`` float32, the latents that the state was computed from; the
                first ``layers_below(state.resolution) + 1`` w vectors are enough.

        Returns:
            ``N x img_channels x height x width`` float32 with the height and width of block
            ``state.resolution``, nominally in [-1, 1] and not clamped.

        Raises:
            ValueError: ``ws`` has a wrong shape or another batch size than the state, or the block
                has no toRGB layer.
        """
        self._check(ws, self.config.layers_below(state.resolution) + 1, "const", state)
        if not self.config.has_rgb(state.resolution):
            raise ValueError(f"block {state.resolution} of this model has no toRGB layer")
        image: Tensor | None = None
        for resolution, x in zip(self.config.resolutions, state.features, strict=False):
            # The toRGB layer of a block takes the w vector after those of the block's convolutions.
            # The first convolution of the next block takes the same one.
            if not self.config.has_rgb(resolution):
                continue
            w = ws[:, self.config.layers_below(resolution)]
            rgb = self.block(resolution).torgb(x, w)
            image = rgb if image is None else upsample2d(image, self.taps) + rgb
        assert image is not None  # a state contains at least block 4
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
