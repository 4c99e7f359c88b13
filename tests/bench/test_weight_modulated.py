# SPDX-License-Identifier: GPL-3.0-or-later
"""The network with modulated weights computes what the generator computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stylegan2 import Generator, GeneratorConfig
from tools.bench.reference import scaled_activations
from tools.bench.weight_modulated import modulated_weights


def lively(config: GeneratorConfig) -> Generator:
    """Return a generator with random weights, also of noise and biases, which start at zero."""
    torch.manual_seed(1)
    generator = Generator(config)
    for name, parameter in generator.named_parameters():
        if name.startswith("synthesis") and name.endswith(("bias", "noise_strength")):
            torch.nn.init.normal_(parameter, mean=float("affine" in name), std=0.5)
    return generator.freeze()


def apart(result: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, divided by the largest wanted value."""
    return float(((result - wanted).abs().max() / wanted.abs().max()).detach())


@pytest.mark.parametrize("conv_clamp", [None, 1.0])
@pytest.mark.parametrize("size", [32, 256])
def test_image_features_and_gradients_are_the_generator_s(
    size: int, conv_clamp: float | None
) -> None:
    config = GeneratorConfig.standard(
        size, channel_base=512, channel_max=16, w_dim=16, mapping_layers=1, conv_clamp=conv_clamp
    )
    generator = lively(config)
    results = []
    for network in (modulated_weights, scaled_activations):
        torch.manual_seed(2)
        ws = torch.randn(2, generator.num_ws, 16, requires_grad=True)
        image, features = network(generator, ws)
        pull = torch.randn(features.shape)
        (gradient,) = torch.autograd.grad((features * pull).sum(), ws)
        results.append((image, features, gradient))
    (image, features, gradient), wanted = results
    assert image.shape == (2, 3, size, size)
    assert features.shape[2] == min(size, 128)
    assert apart(image, wanted[0]) < 1e-5
    assert apart(features, wanted[1]) < 1e-5
    assert apart(gradient, wanted[2]) < 1e-4


def test_a_model_without_noise_gets_no_noise() -> None:
    config = GeneratorConfig(
        img_resolution=8, channels=(4, 4), w_dim=8, num_layers=1, use_noise=False
    )
    generator = lively(config)
    ws = torch.randn(1, generator.num_ws, 8)
    image, _ = modulated_weights(generator, ws)
    assert apart(image, generator.synthesis(ws)) < 1e-5
