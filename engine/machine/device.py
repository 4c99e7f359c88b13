# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processor computes: one wish in words becomes one ``torch.device`` that is ready."""

from __future__ import annotations

import platform
import re

import torch

from ..errors import RequestError

_WISH = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def choose_device(wish: str = "auto") -> torch.device:
    """The device that ``wish`` names.

    Args:
        wish: ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto`` for the fastest one present.

    Raises:
        RequestError: the wish is not one of these, or this machine has no such device.
    """
    if not _WISH.fullmatch(wish):
        raise RequestError(f"the device must be auto, cpu, cuda, cuda:N or mps, not {wish!r}")
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    if wish == "mps" and not _has_mps():
        raise RequestError(_absent("mps", "finds no Apple GPU"))
    if wish.startswith("cuda"):
        return _choose_cuda(wish)
    return torch.device(wish)


def _choose_cuda(wish: str) -> torch.device:
    if not torch.cuda.is_available():
        raise RequestError(_absent(wish, "finds no CUDA GPU"))
    index = int(wish.partition(":")[2] or 0)
    count = torch.cuda.device_count()
    if index >= count:
        raise RequestError(_absent(wish, f"finds only {count} CUDA GPUs, numbered from 0"))
    return torch.device("cuda", index)


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _absent(wish: str, finding: str) -> str:
    return f"the device {wish} was asked for, but PyTorch {torch.__version__} {finding}; choose cpu"


def describe_device(device: torch.device) -> str:
    """A name for people, such as ``NVIDIA RTX 4090`` or ``CPU, 8 threads``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    return f"CPU, {torch.get_num_threads()} threads"


def open_device(wish: str = "auto", threads: int = 0) -> torch.device:
    """Get torch ready to compute: the device, its precision, the CPU's threads.

    float32 is the reference, so convolutions on CUDA do not round to TF32 as they do by default.

    Args:
        wish: as for `choose_device`.
        threads: as for `use_threads`.

    Raises:
        RequestError: there is no such device, or no such number of threads.
    """
    use_threads(threads)
    device = choose_device(wish)
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return device


def use_threads(count: int) -> None:
    """Let torch use ``count`` CPU threads; 0 leaves its own choice, one per core.

    Raises:
        RequestError: the count is negative.
    """
    if count < 0:
        raise RequestError(f"the number of threads must be 0 or more, not {count}")
    if count:
        torch.set_num_threads(count)
