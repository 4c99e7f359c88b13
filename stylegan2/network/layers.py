# SPDX-License-Identifier: GPL-3.0-or-later
"""The three kinds of layers of a StyleGAN2 generator.

Parameter names are those of the public checkpoints.  All layers keep raw weights of unit variance
and apply the equalised learning rate at run time (Karras et al., "Progressive Growing of GANs",
section 4.1); the convolutions need no such factor, for demodulation cancels it.

A new layer's parameters are unset; `reset_parameters` gives them their random values, which a layer
that is about to be read from a file does not need.

float32 throughout.  The clamp that some checkpoints carry was made for half precision, but it is
part of what those models compute, so it is kept.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import filter_taps, modulated_conv2d, weight_energy

NoiseMode = Literal["const", "random", "none"]
"""Noise inputs: the checkpoint's own maps, fresh normal noise from torch's generator, or none."""

SLOPE = 0.2
GAIN = math.sqrt(2)
"""Leaky ReLU's slope, and the gain that keeps the variance behind it."""


class FullyConnectedLayer(nn.Module):
    """`y = x (W g)^T + b l`, optionally followed by leaky ReLU with gain sqrt(2).

    `l` is the learning-rate multiplier and `g = l / sqrt(in_features)`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activate: bool = False,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.activate = activate
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.bias_init = bias_init
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def reset_parameters(self) -> None:
        """Draw weights of unit variance at run time, and set the bias to its initial value."""
        nn.init.normal_(self.weight, std=1 / self.bias_gain)
        nn.init.constant_(self.bias, self.bias_init / self.bias_gain)

    def forward(self, x: Tensor) -> Tensor:
        """Map `N x in_features` to `N x out_features`, float32."""
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(y, SLOPE) * GAIN if self.activate else y


class SynthesisLayer(nn.Module):
    """Modulated 3 x 3 convolution, noise, bias, leaky ReLU with gain sqrt(2), clamp.

    Leaky ReLU is positively homogeneous, so its gain is folded into the factors before it.
    """

    noise_const: Tensor
    up_taps: Tensor | None
    energy: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        shape: tuple[int, int],
        upsample: bool = False,
        use_noise: bool = True,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.use_noise = use_noise
        self.conv_clamp = conv_clamp
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.empty(out_channels))
        if use_noise:
            self.noise_strength = nn.Parameter(torch.empty([]))
            self.register_buffer("noise_const", torch.empty(shape))
        self.register_buffer("up_taps", filter_taps() if upsample else None, persistent=False)
        self.register_buffer("energy", None, persistent=False)
        self.prepared: object | None = None
        """What `prepared_layer` keeps of a frozen layer."""

    def reset_parameters(self) -> None:
        """Draw weights and noise map of unit variance; no bias, and noise of strength zero."""
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)
        if self.use_noise:
            nn.init.zeros_(self.noise_strength)
            nn.init.normal_(self.noise_const)

    def freeze(self) -> None:
        """Precompute what depends on the weight alone, for as long as it takes no gradient.

        On a CPU the weight itself is put into the order in memory that its convolution takes it in;
        otherwise it would be put into that order anew for every image.
        """
        self.prepared = None
        self.energy = weight_energy(self.weight.detach())
        if self.weight.device.type == "cpu":
            is_doubling = self.up_taps is not None
            used = self.weight.transpose(0, 1) if is_doubling else self.weight
            used = used.detach().contiguous(memory_format=torch.channels_last)
            self.weight.data = used.transpose(0, 1) if is_doubling else used

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.energy = self.prepared = None  # they belong to the weight that is being replaced
        super()._load_from_state_dict(*args, **kwargs)

    def forward(self, x: Tensor, w: Tensor, noise_mode: NoiseMode = "const") -> Tensor:
        """Compute the layer.

        Args:
            x: `N x in_channels x H x W` float32.
            w: `N x w_dim` float32.
            noise_mode: see `NoiseMode`.

        Returns:
            `N x out_channels x H' x W'` float32; H', W' = `shape`.
        """
        energy = self.energy
        if energy is None or self.weight.requires_grad:
            energy = weight_energy(self.weight)
        y, demod = modulated_conv2d(x, self.weight, self.affine(w), energy, self.up_taps)
        bias = (self.bias * GAIN)[:, None, None]
        y = torch.addcmul(bias, y, (demod * GAIN)[:, :, None, None])
        noise = self._noise(len(x), noise_mode)
        if noise is not None:
            y = y.add_(noise)
        y = F.leaky_relu_(y, SLOPE)
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)

    def _noise(self, count: int, noise_mode: NoiseMode) -> Tensor | None:
        """The addend `H x W` or `N x 1 x H x W` for the given mode, gain included."""
        if noise_mode == "none" or not self.use_noise:
            return None
        strength = self.noise_strength * GAIN
        if noise_mode == "const":
            return self.noise_const * strength
        return torch.randn(count, 1, *self.shape, device=strength.device) * strength


class ToRGBLayer(nn.Module):
    """Modulated 1 x 1 convolution to image channels: no demodulation, no noise, no activation."""

    def __init__(
        self, in_channels: int, img_channels: int, *, w_dim: int, conv_clamp: float | None = None
    ) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.style_gain = 1 / math.sqrt(in_channels)
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.empty(img_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(img_channels))

    def reset_parameters(self) -> None:
        """Draw weights of unit variance; no bias."""
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map features `N x in_channels x H x W` and w `N x w_dim` to `N x img_channels x H x W`.

        With so few outputs it is cheaper to scale the weight than the features.
        """
        style = self.affine(w) * self.style_gain
        kernel = self.weight[:, :, 0, 0] * style[:, None, :]  # N x img_channels x in_channels
        # Channels behind the pixels, so that result and gradient keep the channels-last format.
        pixels = x.flatten(2).transpose(1, 2)  # N x HW x in_channels
        y = torch.baddbmm(self.bias, pixels, kernel.transpose(1, 2))
        y = y.transpose(1, 2).reshape(len(x), -1, *x.shape[2:])
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)
