# SPDX-License-Identifier: GPL-3.0-or-later
"""Selects the device to compute on and prepares torch for it."""

from __future__ import annotations

import platform
import re

import torch

from ..errors import RequestError

_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device that a name stands for.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto`` for the first available of
            ``cuda``, ``mps`` and ``cpu``.

    Raises:
        RequestError: The name is not one of these, or this computer has no such device.
    """
    if not _NAME.fullmatch(name):
        raise RequestError(f"the device must be auto, cpu, cuda, cuda:N or mps, not {name!r}")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    if name == "mps" and not _has_mps():
        raise RequestError(_absent("mps", "finds no Apple GPU"))
    if name.startswith("cuda"):
        return _choose_cuda(name)
    return torch.device(name)


def _choose_cuda(name: str) -> torch.device:
    if not torch.cuda.is_available():
        raise RequestError(_absent(name, "finds no CUDA GPU"))
    index = int(name.partition(":")[2] or 0)
    count = torch.cuda.device_count()
    if index >= count:
        raise RequestError(_absent(name, f"finds only {count} CUDA GPUs, numbered from 0"))
    return torch.device("cuda", index)


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _absent(name: str, finding: str) -> str:
    return f"the device {name} was requested, but PyTorch {torch.__version__} {finding}; choose cpu"


def describe_device(device: torch.device) -> str:
    """Return a readable name of a device, such as ``NVIDIA RTX 4090`` or ``CPU, 8 threads``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    return f"CPU, {torch.get_num_threads()} threads"


def open_device(name: str = "auto", threads: int = 0) -> torch.device:
    """Choose a device and set torch's precision and number of CPU threads.

    float32 is the reference: convolutions on CUDA do not round to TF32, as they do by default.

    Args:
        name: The device, as for ``choose_device``.
        threads: The number of CPU threads, as for ``use_threads``.

    Raises:
        RequestError: There is no such device, or the number of threads is negative.
    """
    use_threads(threads)
    device = choose_device(name)
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return device


def use_threads(count: int) -> None:
    """Set the number of CPU threads that torch uses.

    Args:
        count: The number of threads; 0 keeps torch's default, one per core.

    Raises:
        RequestError: The count is negative.
    """
    if count < 0:
        raise RequestError(f"the number of threads must be 0 or more, not {count}")
    if count:
        torch.set_num_threads(count)
