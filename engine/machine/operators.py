# SPDX-License-Identifier: GPL-3.0-or-later
"""The fused operators of this process, and where they are kept once they are compiled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from stylegan2 import fused_operators, start_fused_operators


def start_operators(device: torch.device) -> None:
    """Have them compiled, in the background; see `stylegan2.fused_operators`."""
    start_fused_operators(_folder(), device)


def await_operators(device: torch.device) -> bool:
    """Have them compiled, and wait: what comes then does not depend on when the compiler is done.

    Returns:
        Whether there are any.
    """
    start_operators(device)
    return fused_operators(device, wait=True) is not None


def _folder() -> Path:
    """In the system's folder for the user's caches."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "draggan" / "operators"
