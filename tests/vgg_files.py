# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files of VGG16 with random weights, in the names of torchvision and of LPIPS."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

POSITIONS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
CHANNELS = (4, 5, 6, 7, 8)


def vgg_state(*, is_lpips: bool = False, has_last: bool = False) -> dict[str, Tensor]:
    """Return a state dict with few channels.

    Args:
        is_lpips: Whether the names are those of LPIPS.
        has_last: Whether it has the last layers of LPIPS.
    """
    random = torch.Generator().manual_seed(11)
    state: dict[str, Tensor] = {}
    inputs = 3
    for block, positions in enumerate(POSITIONS):
        outputs = CHANNELS[block]
        prefix = f"net.slice{block + 1}" if is_lpips else "features"
        for number in positions:
            scale = (2 / (9 * inputs)) ** 0.5
            state[f"{prefix}.{number}.weight"] = scale * torch.randn(
                outputs, inputs, 3, 3, generator=random
            )
            state[f"{prefix}.{number}.bias"] = 0.1 * torch.randn(outputs, generator=random)
            inputs = outputs
        if has_last:
            state[f"lin{block}.model.1.weight"] = torch.rand(1, outputs, 1, 1, generator=random)
    # The classifier, which is not read.
    state["classifier.0.weight"] = torch.zeros(2, 2, dtype=torch.int64)
    return state


def write_vgg(path: Path, **kind: bool) -> Path:
    """Write a file of ``torch.save`` and return its path; the arguments are ``vgg_state``'s."""
    torch.save(vgg_state(**kind), path)
    return path
