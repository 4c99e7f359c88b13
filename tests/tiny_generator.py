# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny generator for tests: random weights, always the same ones."""

from __future__ import annotations

import torch

from stylegan2 import Generator, GeneratorConfig


def tiny_generator() -> Generator:
    """32 px, at most 16 channels, z and w of 16; frozen."""
    torch.manual_seed(7)
    config = GeneratorConfig.standard(
        32, channel_base=512, channel_max=16, z_dim=16, w_dim=16, mapping_layers=2
    )
    return Generator(config).freeze()
