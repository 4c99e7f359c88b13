# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny generator for tests, with random weights from a fixed seed."""

from __future__ import annotations

from dataclasses import replace

import torch

from stylegan2 import Generator, GeneratorConfig


def tiny_generator(img_channels: int = 3) -> Generator:
    """Return a frozen generator of 32 px with at most 16 channels, ``z_dim`` and ``w_dim`` 16.

    Args:
        img_channels: How many channels its images have.
    """
    torch.manual_seed(7)
    config = GeneratorConfig.standard(
        32, channel_base=512, channel_max=16, z_dim=16, w_dim=16, mapping_layers=2
    )
    return Generator(replace(config, img_channels=img_channels)).freeze()
