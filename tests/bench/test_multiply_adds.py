# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts of multiply-adds, compared with counts by hand and with counts by torch."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from stylegan2 import Generator, GeneratorConfig
from tools.bench import multiply_adds
from tools.bench.weight_modulated import modulated_weights

SMALL = GeneratorConfig(img_resolution=16, channels=(5, 3, 2), w_dim=4, num_layers=1)

BLOCK_4 = 4 * 4 * 9 * 5 * 5
BLOCK_8 = 4 * 4 * 9 * 5 * 3 + 8 * 8 * 9 * 3 * 3
BLOCK_16 = 8 * 8 * 9 * 3 * 2 + 16 * 16 * 9 * 2 * 2
COLOURS = 3 * (4 * 4 * 5 + 8 * 8 * 3 + 16 * 16 * 2)


def test_a_small_network_is_counted_as_by_hand() -> None:
    assert multiply_adds.of_features(SMALL, 4) == BLOCK_4
    assert multiply_adds.of_features(SMALL, 16) == BLOCK_4 + BLOCK_8 + BLOCK_16
    assert multiply_adds.of_colours(SMALL, 16) == COLOURS


def test_the_way_back_begins_at_the_features_and_only_the_literal_one_has_weights() -> None:
    below = BLOCK_4 + BLOCK_8
    assert multiply_adds.of_full_step(SMALL, 8) == 2 * below
    assert multiply_adds.of_literal_step(SMALL, 8) == 3 * below + BLOCK_16 + COLOURS


def test_maps_need_not_be_square() -> None:
    wide = GeneratorConfig(img_resolution=8, channels=(5, 3), start_shape=(4, 6))
    assert multiply_adds.of_features(wide, 8) == (
        4 * 6 * 9 * 5 * 5 + 4 * 6 * 9 * 5 * 3 + 8 * 12 * 9 * 3 * 3
    )


def test_the_network_does_what_was_counted() -> None:
    generator = Generator(GeneratorConfig.standard(32, channel_base=512, channel_max=16)).freeze()
    ws = torch.randn(1, generator.num_ws, 512)
    counted = multiply_adds.of_features(generator.config, 32)
    counted += multiply_adds.of_colours(generator.config, 32)
    with FlopCounterMode(display=False) as counter:
        modulated_weights(generator, ws)
    convolutions = sum(
        flops
        for operation, flops in counter.get_flop_counts()["Global"].items()
        if "convolution" in str(operation)
    )
    # The rest are the filters, which are separate for each channel.
    assert counted == pytest.approx(convolutions / 2, rel=0.15)
    assert counted < convolutions / 2


def test_a_windowed_step_is_counted_forward_and_backward_with_the_block_of_a_mask() -> None:
    config = GeneratorConfig.standard(128)
    # Each block's window width, the width in the block below, its channels, and those below.
    blocks = [(15, 11, 256, 512), (11, 9, 512, 512), (9, 8, 512, 512), (8, 8, 512, 512)]
    costs = [9 * (below**2 * i * o + side**2 * o * o) for side, below, o, i in blocks]
    by_hand = multiply_adds.of_features(config, 8) + 2 * sum(costs)
    assert multiply_adds.of_windowed_step(config, 128, 2, 15) == 2 * by_hand
    by_hand = multiply_adds.of_features(config, 32) + 2 * sum(costs[:2])
    assert multiply_adds.of_windowed_step(config, 128, 2, 15, held=32) == 2 * by_hand
