# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden files: small checkpoints in the public formats, and the results of the public software."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parents[1] / "data" / "golden"
# Name and file format for people, see ``ModelInfo.container``.
CONTAINERS = {
    "ada_r64": "NVIDIA pickle",
    "ada_cond_r32": "NVIDIA pickle",
    "ada_grey_r32": "NVIDIA pickle",
    "human_r64": "NVIDIA pickle",
    "sg3repo_r32": "NVIDIA pickle",
    "sg3repo_cond_r64": "NVIDIA pickle",
    "tf_r32": "TensorFlow pickle",
    "tf_cond_r64": "TensorFlow pickle",
    "pti_r32": "PyTorch module",
    "state_r64": "PyTorch state dict",
    "ros_convert_r64": "rosinality",
    "ros_train_r32": "rosinality",
    "e4e_r32": "rosinality",
}
NAMES = tuple(CONTAINERS)


def golden_path(name: str) -> Path:
    """Return the path of the checkpoint of a name."""
    (path,) = (path for path in FOLDER.glob(f"{name}.*") if path.suffix != ".npz")
    return path


def golden_arrays(name: str) -> dict[str, Tensor]:
    """Return the inputs and outputs of the checkpoint of a name."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Return the greatest difference, relative to the greatest expected magnitude."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())
