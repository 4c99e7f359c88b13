# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices compute windows as CUDA graphs, and the recorded passes of each generator."""

from __future__ import annotations

import hashlib
import os
import platform
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import torch

from ..network.generator import Generator
from ..ops.fused import noted, private_folder
from .function_graphs import FunctionGraphs
from .graphs import WindowGraphs
from .recorded import GraphUse
from .recorder import CudaRecorder

T = TypeVar("T")

# The environment variable that turns CUDA graphs off if its value is 0.
SWITCH = "DRAGGAN_GRAPHS"

_USES: dict[torch.device, GraphUse] = {}
_GRAPHS: weakref.WeakKeyDictionary[Generator, WindowGraphs] = weakref.WeakKeyDictionary()
_FUNCTIONS: weakref.WeakKeyDictionary[Generator, FunctionGraphs] = weakref.WeakKeyDictionary()


def start_graphs(folder: Path, device: torch.device) -> None:
    """Let passes of windows be recorded on a device, if it is a GPU that can.

    Args:
        folder: Folder of this user, for a note while a pass is recorded: if that ends the process,
            later ones do not try it again with the same versions of PyTorch and of the driver.
        device: The device; nothing is recorded on others than CUDA GPUs.
    """
    if device.type == "cuda" and os.environ.get(SWITCH) != "0" and device not in _USES:
        _USES[device] = GraphUse(CudaRecorder(device), lambda: _guard(folder, device))


def window_graphs(generator: Generator, device: torch.device) -> WindowGraphs | None:
    """Return the recorded passes of a generator, which are freed with it.

    Args:
        generator: Frozen, on the device.
        device: Where it computes.

    Returns:
        None if nothing is recorded on this device, or not any more.
    """
    return _of(_GRAPHS, WindowGraphs, generator, device)


def function_graphs(generator: Generator, device: torch.device) -> FunctionGraphs | None:
    """Return the recorded functions that drags of a generator use; see ``window_graphs``."""
    return _of(_FUNCTIONS, FunctionGraphs, generator, device)


def _of(
    kept: weakref.WeakKeyDictionary[Generator, T],
    make: Callable[[GraphUse], T],
    generator: Generator,
    device: torch.device,
) -> T | None:
    use = _USES.get(device)
    if use is None or use.problem is not None:
        return None
    found = kept.get(generator)
    if found is None:
        kept[generator] = found = make(use)
    return found


def why_no_graphs(device: torch.device) -> str:
    """Return why nothing is recorded on a device; empty if passes are recorded."""
    use = _USES.get(device)
    if use is None:
        return f"they are off, or {device.type} has none"
    return use.problem or ""


def _guard(folder: Path, device: torch.device) -> AbstractContextManager[None]:
    private_folder(folder.parent, is_emptied=False)
    private_folder(folder)
    facts = (platform.platform(), torch.__version__, torch.cuda.get_device_name(device))
    name = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return noted(folder / f"graphs-{name}")
