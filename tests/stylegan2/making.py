# SPDX-License-Identifier: GPL-3.0-or-later
"""Small generators for the tests, with seeded random values in every parameter and buffer."""

from __future__ import annotations

import torch
from torch import Tensor

from stylegan2 import Generator, GeneratorConfig


def random_generator(config: GeneratorConfig, seed: int = 0) -> Generator:
    """Return a trainable generator with random parameters and buffers, also biases and noise."""
    torch.manual_seed(seed)
    generator = Generator(config)
    with torch.no_grad():
        for key, tensor in generator.state_dict().items():
            if key.endswith(("bias", "noise_strength", "w_avg")):
                tensor.add_(torch.randn_like(tensor) * 0.3)
    return generator


def tiny_config(resolution: int = 16, *, c_dim: int = 0) -> GeneratorConfig:
    """Return a configuration with few channels, different in each block, and z_dim != w_dim."""
    return GeneratorConfig.standard(
        resolution,
        channel_base=64,
        channel_max=12,
        z_dim=10,
        w_dim=8,
        c_dim=c_dim,
        mapping_layers=2,
    )


def random_ws(generator: Generator, count: int = 2, seed: int = 1) -> Tensor:
    """Return ``count x num_ws x w_dim`` latents that differ in every layer."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator.num_ws, generator.w_dim, generator=random)
