# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of layers of a StyleGAN2 generator.

The parameters have the names of the public checkpoints. All layers store raw weights of unit
variance and apply the equalised learning rate at run time (Karras et al., "Progressive Growing of
GANs for Improved Quality, Stability, and Variation", section 4.1). The convolutions need no such
factor because demodulation cancels it.

The parameters of a new layer are uninitialised. ``reset_parameters`` draws their random values; a
layer that is loaded from a file does not need them.

All tensors are float32. The clamp of some checkpoints was introduced for half precision, but those
models were trained with it, so it is applied here too.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import filter_taps, modulated_conv2d, upsample2d, weight_energy
from .box import Box

# Noise inputs: the maps of the checkpoint, new normal noise from torch's generator, or no noise.
NoiseMode = Literal["const", "random", "none"]

# Slope of the leaky ReLU, and the gain after it that preserves the variance.
SLOPE = 0.2
GAIN = math.sqrt(2)


class FullyConnectedLayer(nn.Module):
    """The layer ``y = x (W g)^T + b l``, optionally with leaky ReLU and gain sqrt(2) after it.

    ``l`` is the learning-rate multiplier and ``g = l / sqrt(in_features)``.
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
        """Draw the weights and set the bias to its initial value.

        The standard deviation of the weights is ``1 / lr_multiplier``; at run time the multiplier
        brings them to unit variance.
        """
        nn.init.normal_(self.weight, std=1 / self.bias_gain)
        nn.init.constant_(self.bias, self.bias_init / self.bias_gain)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``N x in_features`` to ``N x out_features``, float32."""
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(y, SLOPE) * GAIN if self.activate else y


class LabelMatrix(nn.Module):
    """The embedding of labels as a plain product, ``y = x W^T``."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))

    def reset_parameters(self) -> None:
        """Draw weights of unit variance."""
        nn.init.normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``N x in_features`` to ``N x out_features``, float32."""
        return F.linear(x, self.weight)


class SynthesisLayer(nn.Module):
    """A modulated 3 x 3 convolution, noise, bias, leaky ReLU with gain sqrt(2), and clamp.

    The leaky ReLU is positively homogeneous, so its gain is folded into the factors before it.
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
        # The ``PreparedLayer`` of a frozen layer, made when it is first needed.
        self.prepared: object | None = None

    def reset_parameters(self) -> None:
        """Draw weights and noise map of unit variance; set bias and noise strength to zero."""
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)
        if self.use_noise:
            nn.init.zeros_(self.noise_strength)
            nn.init.normal_(self.noise_const)

    def freeze(self) -> None:
        """Precompute the values that depend only on the weight.

        They are not used while the weight requires a gradient.

        On a CPU the memory order of the weight is changed to the order that its convolution reads.
        Otherwise torch would reorder the weight for every image.
        """
        self.prepared = None
        self.energy = weight_energy(self.weight.detach())
        if self.weight.device.type == "cpu":
            is_doubling = self.up_taps is not None
            used = self.weight.transpose(0, 1) if is_doubling else self.weight
            used = used.detach().contiguous(memory_format=torch.channels_last)
            self.weight.data = used.transpose(0, 1) if is_doubling else used

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.energy = self.prepared = None  # they were computed from the weight that is replaced
        super()._load_from_state_dict(*args, **kwargs)

    def forward(
        self, x: Tensor, w: Tensor, noise_mode: NoiseMode = "const", box: Box | None = None
    ) -> Tensor:
        """Compute the layer.

        Args:
            x: ``N x in_channels x H x W`` float32.
            w: ``N x w_dim`` float32.
            noise_mode: See ``NoiseMode``.
            box: Which part of the whole result is computed, if x is a part; see ``box``. Not for
                random noise.

        Returns:
            ``N x out_channels x H' x W'`` float32; ``(H', W')`` is ``shape`` or that of the box,
            which is twice ``(H, W)`` in an upsampling layer.
        """
        energy = self.energy
        if energy is None or self.weight.requires_grad:
            energy = weight_energy(self.weight)
        y, demod = modulated_conv2d(x, self.weight, self.affine(w), energy, self.up_taps)
        bias = (self.bias * GAIN)[:, None, None]
        y = torch.addcmul(bias, y, (demod * GAIN)[:, :, None, None])
        noise = self._noise(len(x), noise_mode, box)
        if noise is not None:
            y = y.add_(noise)
        y = F.leaky_relu_(y, SLOPE)
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)

    def _noise(self, count: int, noise_mode: NoiseMode, box: Box | None) -> Tensor | None:
        """Return the noise to add, ``H x W`` or ``N x 1 x H x W``, or None; gain included."""
        if noise_mode == "none" or not self.use_noise:
            return None
        strength = self.noise_strength * GAIN
        if noise_mode == "const":
            known = self.noise_const if box is None else box.cut(self.noise_const)
            return known * strength
        return torch.randn(count, 1, *self.shape, device=strength.device) * strength


class SkipLayer(nn.Module):
    """The residual connection of the resnet architecture: a 1 x 1 convolution and upsampling."""

    taps: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 1, 1))
        self.weight_gain = 1 / math.sqrt(in_channels)
        self.register_buffer("taps", filter_taps(), persistent=False)

    def reset_parameters(self) -> None:
        """Draw weights of unit variance."""
        nn.init.normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``N x in_channels x H x W`` to ``N x out_channels x 2H x 2W``, float32."""
        return upsample2d(F.conv2d(x, self.weight * self.weight_gain), self.taps)


class ToRGBLayer(nn.Module):
    """A modulated 1 x 1 convolution to image channels: no demodulation, noise or activation."""

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
        """Draw weights of unit variance; set the bias to zero."""
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Compute the RGB image of a block.

        Args:
            x: ``N x in_channels x H x W`` float32.
            w: ``N x w_dim`` float32.

        Returns:
            ``N x img_channels x H x W`` float32.
        """
        style = self.affine(w) * self.style_gain
        # There are few output channels, so scaling the weight costs less than scaling the features.
        kernel = self.weight[:, :, 0, 0] * style[:, None, :]  # N x img_channels x in_channels
        pixels = x.flatten(2)  # N x in_channels x HW
        if torch.is_grad_enabled() and x.requires_grad:
            # Channels come after the pixels, so that the gradient keeps the channels-last format.
            y = torch.baddbmm(self.bias, pixels.transpose(1, 2), kernel.transpose(1, 2))
            y = y.transpose(1, 2)
        else:
            # So ordered, the product takes a third of the time.
            y = torch.baddbmm(self.bias[:, None], kernel, pixels)
        y = y.reshape(len(x), -1, *x.shape[2:])
        return y if self.conv_clamp is None else y.clamp(-self.conv_clamp, self.conv_clamp)
