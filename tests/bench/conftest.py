# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny generator with seeded random weights."""

from __future__ import annotations

import pytest
import torch

from stylegan2 import Generator, GeneratorConfig


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def generator() -> Generator:
    """32 px, at most 16 channels, z and w of 16."""
    torch.manual_seed(7)
    config = GeneratorConfig.standard(
        32, channel_base=512, channel_max=16, z_dim=16, w_dim=16, mapping_layers=2
    )
    return Generator(config).freeze()
