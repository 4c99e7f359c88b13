# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of the synthesis, and the blocks that it does not compute."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2 import Generator, GeneratorConfig
from stylegan2.network.layers import SynthesisLayer
from stylegan2.network.synthesis import SynthesisBlock
from stylegan2.ops import reference

from ..making import random_generator, random_ws, tiny_config


def count_calls(generator: Generator) -> Counter[str]:
    """Return a counter of the later calls of every module, by its name."""
    calls: Counter[str] = Counter()
    for name, module in generator.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: calls.update([name]))
    return calls


def test_features_compute_no_block_above_and_no_colours(frozen: Generator) -> None:
    calls = count_calls(frozen)
    frozen.features(random_ws(frozen), 8)
    assert calls["synthesis.b4"] == calls["synthesis.b8"] == 1
    assert not [name for name in calls if "b16" in name or "torgb" in name]


@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_features_depend_on_the_layers_below_and_only_on_them(
    frozen: Generator, resolution: int
) -> None:
    ws = random_ws(frozen).requires_grad_()
    (gradient,) = torch.autograd.grad(frozen.features(ws, resolution).square().sum(), ws)
    reached = gradient.abs().amax(dim=(0, 2)) > 0
    count = frozen.layers_below(resolution)
    assert reached.tolist() == [index < count for index in range(frozen.num_ws)]
    needed = frozen.features(ws[:, :count], resolution)
    torch.testing.assert_close(needed, frozen.features(ws, resolution))


@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_finishing_gives_the_image_without_computing_twice(
    frozen: Generator, resolution: int
) -> None:
    ws = random_ws(frozen)
    expected = frozen.synthesis(ws)
    calls = count_calls(frozen)
    state = frozen.synthesis_to(ws, resolution)
    assert torch.equal(state.x, frozen.features(ws, resolution))
    calls.clear()
    assert torch.equal(frozen.finish(state, ws), expected)
    assert calls["synthesis.b4.conv1"] == 0
    assert calls["synthesis.b16.conv1"] == (resolution < 16)


def test_the_image_of_a_lower_block_is_that_of_a_smaller_network(frozen: Generator) -> None:
    ws = random_ws(frozen)
    small = Generator(tiny_config(8))
    weights = frozen.state_dict()
    small.load_state_dict({key: weights[key] for key in small.state_dict()})
    expected = small.synthesis(ws[:, : small.num_ws])
    torch.testing.assert_close(frozen.rgb(frozen.synthesis_to(ws, 8), ws), expected)
    torch.testing.assert_close(frozen.synthesis(ws, resolution=8), expected)


def test_samples_of_a_batch_are_independent(frozen: Generator) -> None:
    ws = random_ws(frozen, count=3)
    together = frozen.synthesis(ws)
    alone = torch.cat([frozen.synthesis(one) for one in torch.split(ws, 1)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_constant_noise_repeats_and_random_noise_does_not(frozen: Generator) -> None:
    ws = random_ws(frozen, count=1).repeat(2, 1, 1)
    constant = frozen.synthesis(ws, noise_mode="const")
    assert torch.equal(constant, frozen.synthesis(ws))
    torch.testing.assert_close(constant[0], constant[1])
    torch.manual_seed(3)
    drawn = frozen.synthesis(ws, noise_mode="random")
    assert not torch.allclose(drawn[0], drawn[1])
    torch.manual_seed(3)
    assert torch.equal(drawn, frozen.synthesis(ws, noise_mode="random"))
    assert not torch.allclose(constant, drawn)


def test_no_noise_is_noise_of_strength_zero(frozen: Generator) -> None:
    ws = random_ws(frozen)
    without = frozen.synthesis(ws, noise_mode="none")
    assert not torch.allclose(without, frozen.synthesis(ws))
    for name, parameter in frozen.named_parameters():
        if name.endswith("noise_strength"):
            parameter.zero_()
    torch.testing.assert_close(without, frozen.synthesis(ws))


def test_a_model_without_noise_inputs_has_no_noise() -> None:
    config = GeneratorConfig(img_resolution=8, channels=(6, 6), w_dim=8, use_noise=False)
    generator = random_generator(config).freeze()
    assert not [key for key in generator.state_dict() if "noise" in key]
    ws = random_ws(generator)
    torch.manual_seed(0)
    assert torch.equal(generator.synthesis(ws, "random"), generator.synthesis(ws, "none"))


def test_the_clamp_bounds_features() -> None:
    sizes: dict[str, Any] = {"img_resolution": 8, "channels": (6, 6), "w_dim": 8}
    plain = random_generator(GeneratorConfig(**sizes)).freeze()
    clamped = Generator(GeneratorConfig(**sizes, conv_clamp=0.5)).freeze()
    clamped.load_state_dict(plain.state_dict())
    ws = random_ws(plain)
    assert plain.features(ws, 4).abs().max() > 0.5
    torch.testing.assert_close(clamped.features(ws, 4), plain.features(ws, 4).clamp(-0.5, 0.5))
    assert clamped.synthesis(ws, resolution=4).abs().max() <= 0.5


def test_a_tall_model_makes_tall_features_and_images() -> None:
    config = GeneratorConfig(img_resolution=16, channels=(6, 5, 4), w_dim=8, start_shape=(4, 2))
    generator = random_generator(config)
    ws = random_ws(generator)
    assert generator.features(ws, 8).shape == (2, 5, 8, 4)
    assert generator.synthesis(ws, "random").shape == (2, 3, 16, 8)


def test_style_mixing_takes_coarse_layers_from_one_and_fine_from_the_other(
    frozen: Generator,
) -> None:
    structure, texture = random_ws(frozen, seed=1), random_ws(frozen, seed=2)
    mixed = frozen.mix(structure, texture, layer=3)
    assert torch.equal(mixed[:, :3], structure[:, :3])
    assert torch.equal(mixed[:, 3:], texture[:, 3:])
    assert torch.equal(frozen.features(mixed, 8), frozen.features(structure, 8))
    assert not torch.allclose(frozen.synthesis(mixed), frozen.synthesis(structure))
    assert torch.equal(frozen.mix(structure, texture, 0), texture)
    with pytest.raises(ValueError, match="layer must be from 0 to 6"):
        frozen.mix(structure, texture, 7)
    with pytest.raises(ValueError, match="ws_texture has shape 1 x 6 x 8, expected 2 x 6 x 8"):
        frozen.mix(structure, texture[:1], 3)


def plain_features(generator: Generator, ws: Tensor, resolution: int) -> Tensor:
    """Compute features by the formula of the paper: modulate and demodulate weights, convolve."""

    def layer(block: SynthesisBlock, name: str, x: Tensor, w: Tensor) -> Tensor:
        conv = block.get_submodule(name)
        assert isinstance(conv, SynthesisLayer)
        style = w @ conv.affine.weight.t() / math.sqrt(w.shape[1]) + conv.affine.bias
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        up_taps = torch.outer(taps, taps) / 64 if name == "conv0" else None
        y = reference.modulated_conv2d(x, conv.weight, style, up_taps)
        y = y + conv.noise_strength * conv.noise_const + conv.bias[:, None, None]
        return F.leaky_relu(y, 0.2) * math.sqrt(2)

    first = generator.synthesis.block(4)
    x = layer(first, "conv1", first.const.repeat(len(ws), 1, 1, 1), ws[:, 0])
    index = 1
    for current in (8, 16):
        if current > resolution:
            break
        block = generator.synthesis.block(current)
        x = layer(block, "conv0", x, ws[:, index])
        x = layer(block, "conv1", x, ws[:, index + 1])
        index += 2
    return x


@pytest.mark.parametrize("resolution", [4, 8, 16])
def test_gradients_equal_those_of_the_weight_modulated_formula(
    frozen: Generator, resolution: int
) -> None:
    ws = random_ws(frozen).requires_grad_()
    found, expected = frozen.features(ws, resolution), plain_features(frozen, ws, resolution)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    cotangent = torch.randn(found.shape, generator=torch.Generator().manual_seed(5))
    (found_gradient,) = torch.autograd.grad(found, ws, cotangent)
    (expected_gradient,) = torch.autograd.grad(expected, ws, cotangent)
    assert expected_gradient.abs().max() > 1
    scale = float(expected_gradient.abs().max())
    torch.testing.assert_close(found_gradient, expected_gradient, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("ws_shape", "message"),
    [
        ((2, 8), "ws has shape 2 x 8, expected N x 6 x 8"),
        ((2, 4, 8), "ws has shape 2 x 4 x 8, expected N x 6 x 8"),
        ((2, 7, 8), "ws has shape 2 x 7 x 8, expected N x 6 x 8"),
        ((2, 6, 9), "ws has shape 2 x 6 x 9"),
    ],
)
def test_latents_of_the_wrong_shape_are_refused(
    frozen: Generator, ws_shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        frozen.synthesis(torch.zeros(ws_shape))


def test_other_wrong_arguments_are_refused(frozen: Generator) -> None:
    ws = random_ws(frozen)
    with pytest.raises(ValueError, match="no block 64"):
        frozen.features(ws, 64)
    with pytest.raises(ValueError, match="noise_mode must be"):
        frozen.synthesis(ws, noise_mode="sometimes")
    with pytest.raises(ValueError, match="ws has 1 samples, but the state has 2"):
        frozen.finish(frozen.synthesis_to(ws, 8), ws[:1])
