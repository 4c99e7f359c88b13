# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles the fused operators of this process and keeps them in the user's cache folder."""

from __future__ import annotations

import torch

from draggan_blender.protocol.cache_folder import cache_folder
from stylegan2 import end_fused_loading, fused_operators, start_fused_operators, start_graphs


def start_operators(device: torch.device) -> None:
    """Start to compile a device's fused operators in the background, and allow CUDA graphs.

    Further calls for the same device do nothing. See ``stylegan2.start_fused_operators`` and
    ``stylegan2.start_graphs``.
    """
    folder = cache_folder() / "operators"
    start_fused_operators(folder, device)
    start_graphs(folder, device)


def end_loading() -> None:
    """Say that this process ends because it was asked to, and not by loading the operators."""
    end_fused_loading()


def await_operators(device: torch.device) -> bool:
    """Compile a device's fused operators and wait until they are ready or have failed.

    Results computed afterwards do not depend on when the compiler finished.

    Returns:
        Whether the device has fused operators. If not, features are computed with torch's.
    """
    start_operators(device)
    return fused_operators(device, wait=True) is not None
