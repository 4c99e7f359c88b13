# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator with modulated *weights*, as StyleGAN2 defines it, for comparison of the speed.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", section 2.2 and appendix B:
each sample has its own weights, and a batch is one grouped convolution. ``stylegan2.ops`` computes
the same by scaling activations; it avoids the gradient of these weights, which the backward pass to
a latent needs here. The parameters are those of a ``Generator``; the memory format is torch's
default.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from engine.features.source import feature_block
from stylegan2 import Generator
from stylegan2.network.layers import GAIN, SLOPE, SynthesisLayer, ToRGBLayer
from stylegan2.ops import upsample2d
from stylegan2.ops.modulated import EPSILON


def modulated_weights(generator: Generator, ws: Tensor) -> tuple[Tensor, Tensor]:
    """Run the whole network with modulated weights; a ``reference.Network``.

    Args:
        generator: Gives the parameters.
        ws: ``N x num_ws x w_dim`` float32.

    Returns:
        The image ``N x img_channels x H x W``, and the features ``N x C x h x w`` of the block that
        a drag reads; float32 with gradient to ``ws``.
    """
    network, config = generator.synthesis, generator.config
    x = network.block(config.resolutions[0]).const.expand(len(ws), -1, -1, -1).contiguous()
    image: Tensor | None = None
    features = x
    for resolution in config.resolutions:
        block = network.block(resolution)
        last = config.layers_below(resolution)
        if not block.is_first:
            x = _layer(block.conv0, x, ws[:, last - 2])
        x = _layer(block.conv1, x, ws[:, last - 1])
        if resolution == feature_block(generator):
            features = x
        colour = _colour(block.torgb, x, ws[:, last])
        image = colour if image is None else upsample2d(image, network.taps) + colour
    assert image is not None  # a generator has at least block 4
    return image, features


def _layer(layer: SynthesisLayer, x: Tensor, w: Tensor) -> Tensor:
    """Apply convolution, noise, bias, leaky ReLU and clamp, like ``SynthesisLayer.forward``."""
    weight = _modulate(layer.weight, layer.affine(w))
    weight = weight * (weight.square().sum(dim=(2, 3, 4), keepdim=True) + EPSILON).rsqrt()
    if layer.up_taps is None:
        x = _convolve(x, weight, padding=1)
    else:
        x = _filter(_widen(x, weight), layer.up_taps)
    if layer.use_noise:
        x = x + layer.noise_const * layer.noise_strength
    x = F.leaky_relu(x + layer.bias[:, None, None], SLOPE) * GAIN
    return x if layer.conv_clamp is None else x.clamp(-layer.conv_clamp, layer.conv_clamp)


def _colour(layer: ToRGBLayer, x: Tensor, w: Tensor) -> Tensor:
    """Apply convolution without demodulation, bias and clamp, like ``ToRGBLayer.forward``."""
    weight = _modulate(layer.weight, layer.affine(w) * layer.style_gain)
    y = _convolve(x, weight, padding=0) + layer.bias[:, None, None]
    return y if layer.conv_clamp is None else y.clamp(-layer.conv_clamp, layer.conv_clamp)


def _modulate(weight: Tensor, style: Tensor) -> Tensor:
    """Scale weights by styles: ``O x I x k x k`` and ``N x I`` to ``N x O x I x k x k``.

    The formula is ``w'_noik = s_ni w_oik``.
    """
    return weight * style[:, None, :, None, None]


def _convolve(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Convolve each sample with its own weights: ``N x I x H x W`` to ``N x O x H x W``.

    The weights are ``N x O x I x k x k``.
    """
    count, _, height, width = x.shape
    y = F.conv2d(
        x.reshape(1, -1, height, width), weight.flatten(0, 1), padding=padding, groups=count
    )
    return y.reshape(count, -1, height, width)


def _widen(x: Tensor, weight: Tensor) -> Tensor:
    """Apply a transposed convolution of stride 2.

    It maps ``N x I x H x W`` to ``N x O x (2 H + 1) x (2 W + 1)``.
    """
    count, _, height, width = x.shape
    kernel = weight.transpose(1, 2).flatten(0, 1)  # N I x O x k x k, as torch requires
    y = F.conv_transpose2d(x.reshape(1, -1, height, width), kernel, stride=2, groups=count)
    return y.reshape(count, -1, *y.shape[2:])


def _filter(x: Tensor, taps: Tensor) -> Tensor:
    """Apply the low-pass filter after the transposed convolution; gain 4 for the inserted zeros."""
    channels = x.shape[1]
    return F.conv2d(x, (taps * 4).expand(channels, 1, -1, -1), padding=1, groups=channels)
