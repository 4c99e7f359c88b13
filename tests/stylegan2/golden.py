# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden files: small checkpoints in the public formats, and the results of the public software."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "data" / "golden"
NAMES = ("ada_r64", "ada_cond_r32", "sg3repo_r32", "sg3repo_cond_r64")


def golden_path(name: str) -> Path:
    """Return the path of the checkpoint of a name."""
    return FOLDER / f"{name}.pkl"


def golden_arrays(name: str) -> dict[str, Tensor]:
    """Return the inputs and outputs of the checkpoint of a name."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Return the greatest difference, relative to the greatest expected magnitude."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())
