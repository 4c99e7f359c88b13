# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of the usual models, and refusals of impossible sizes."""

from __future__ import annotations

from typing import Any

import pytest

from stylegan2 import Generator, GeneratorConfig


def test_config_f_at_1024_has_the_published_size() -> None:
    config = GeneratorConfig.standard(1024)
    assert config.channels == (512, 512, 512, 512, 512, 256, 128, 64, 32)
    assert config.num_ws == 18
    assert config.img_shape == (3, 1024, 1024)
    parameters = Generator(config, init_weights=False).parameters()
    assert sum(parameter.numel() for parameter in parameters) == 30_370_060


def test_half_size_channels_follow_the_base() -> None:
    config = GeneratorConfig.standard(256, channel_base=16384)
    assert config.channels == (512, 512, 512, 512, 256, 128, 64)
    assert config.num_ws == 14


def test_a_tall_constant_makes_a_tall_image() -> None:
    config = GeneratorConfig(img_resolution=64, channels=(8,) * 5, start_shape=(4, 2))
    assert config.img_shape == (3, 64, 32)
    assert config.block_shape(16) == (16, 8)


@pytest.mark.parametrize(
    ("resolution", "layers"), [(4, 1), (8, 3), (16, 5), (32, 7), (128, 11), (1024, 17)]
)
def test_latents_below_a_block(resolution: int, layers: int) -> None:
    assert GeneratorConfig.standard(1024).layers_below(resolution) == layers


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"img_resolution": 48}, "power of two"),
        ({"img_resolution": 2}, "power of two"),
        ({"img_resolution": 1 << 20, "channels": (8,) * 19}, "power of two"),
        ({"channels": (8, 8)}, "has 3 blocks, but channels are given for 2"),
        ({"channels": (8, 0, 8)}, "channels of block 8"),
        ({"z_dim": 0}, "z_dim must be from 1"),
        ({"num_layers": 0}, "num_layers must be from 1"),
        ({"c_dim": 3, "embed_features": 0}, "embed_features must be from 1"),
        ({"start_shape": (4, 0)}, "start width"),
        ({"lr_multiplier": float("nan")}, "lr_multiplier"),
        ({"conv_clamp": -1.0}, "conv_clamp"),
    ],
)
def test_impossible_sizes_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"img_resolution": 16, "channels": (8, 8, 8)}
    with pytest.raises(ValueError, match=message):
        GeneratorConfig(**(arguments | change))


def test_a_block_that_the_model_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="no block 32, only 4, 8, 16"):
        GeneratorConfig.standard(16).channels_at(32)
