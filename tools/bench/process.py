# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurements of speed share: their models, and the memory of a process.

Nothing here imports torch before it is needed: who starts processes that measure needs none.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def make_generator(name: str, device: Any) -> Any:
    """The generator of a row: a model by its name, or random weights by their resolution.

    The latter are full-size networks (channel base 32768, 512 numbers a w), whose speed is that of
    trained ones.
    """
    import torch

    from engine.models import model_path
    from stylegan2 import Generator, GeneratorConfig, load_generator

    if not name.isdigit():
        return load_generator(model_path(name), device)
    torch.manual_seed(0)
    return Generator(GeneratorConfig.standard(int(name))).freeze().to(device)


def is_there(name: str) -> bool:
    """Whether a model can be made: the built-in one is trained, not written, and may be missing."""
    return name.isdigit() or (ROOT / "stylegan2" / "models" / f"{name}.safetensors").is_file()


def peak_mb() -> float | None:
    """The largest resident memory of this process so far, in 10^6 bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The unit is bytes on macOS and KiB on the others.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
