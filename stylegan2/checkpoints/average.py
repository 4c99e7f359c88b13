# SPDX-License-Identifier: GPL-3.0-or-later
"""The average of w, for files that do not contain it: truncation moves latents towards it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.config import GeneratorConfig
from ..network.mapping import MappingNetwork

_SAMPLES = 10_000
_LEAST_SAMPLES = 64
_BATCH = 500
# Limits of the multiply-adds and of the values of a batch, for mapping networks of unusual size.
_MULTIPLY_ADDS = 40_000_000_000
_BATCH_VALUES = 4_000_000


@torch.no_grad()
def estimate_average(config: GeneratorConfig, tensors: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    """Return the mean of w over random z, and over random labels if there are any.

    The samples are always the same, so that a file gives the same images each time.

    Args:
        config: The configuration of the generator.
        tensors: Its state dict; only the mapping network is used, and ``mapping.w_avg`` may be
            missing.

    Returns:
        ``w_dim`` float32, and the number of samples.
    """
    prefix = "mapping."
    mapping = MappingNetwork(config)
    own = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
    mapping.load_state_dict({"w_avg": torch.zeros(config.w_dim), **own}, assign=True)
    values = sum(tensor.numel() for tensor in own.values())
    count = max(min(_SAMPLES, _MULTIPLY_ADDS // values), _LEAST_SAMPLES)
    widest = max(config.z_dim, config.w_dim, config.mapping_features or 0, config.c_dim)
    batch = max(min(_BATCH, _BATCH_VALUES // widest), 1)
    random = torch.Generator().manual_seed(0)
    total = torch.zeros(config.w_dim, dtype=torch.float64)
    for begin in range(0, count, batch):
        size = min(batch, count - begin)
        z = torch.randn(size, config.z_dim, generator=random)
        c = None
        if config.c_dim:
            labels = torch.randint(config.c_dim, (size,), generator=random)
            c = F.one_hot(labels, config.c_dim).float()
        total += mapping(z, c)[:, 0].cpu().double().sum(dim=0)
    return (total / count).float(), count
