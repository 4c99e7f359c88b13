# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: the root folder, their models, and the memory of a process.

Torch is imported inside functions: a process that only starts measuring processes does not need it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# The root folder of the repository.
ROOT = Path(__file__).resolve().parents[2]


def make_generator(name: str, device: Any) -> Any:
    """Return the generator of a row.

    Args:
        name: A built-in model's name or a file; or a resolution in px (``"1024"``) for a full-size
            network (channel base 32768, ``w_dim`` 512) with random weights, which is as fast as a
            trained one.
        device: The ``torch.device`` to load it on.
    """
    import torch

    from engine.models import model_path
    from stylegan2 import Generator, GeneratorConfig, load_generator

    if not name.isdigit():
        return load_generator(model_path(name), device)
    torch.manual_seed(0)
    return Generator(GeneratorConfig.standard(int(name))).freeze().to(device)


def is_there(name: str) -> bool:
    """Return whether the generator of a row can be made: a built-in model's file may be missing."""
    return name.isdigit() or (ROOT / "stylegan2" / "models" / f"{name}.safetensors").is_file()


def peak_mb() -> float | None:
    """Return the largest resident memory of this process so far, in 10^6 bytes.

    Returns:
        None on systems that do not report it (Windows).
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The unit is bytes on macOS and KiB on other systems.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
