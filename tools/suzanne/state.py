# SPDX-License-Identifier: GPL-3.0-or-later
"""The training's state on disk: tensors and two counters, in a file that can hold nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

FILE_NAME = "training.safetensors"
_SYNTHESIS, _OPTIMIZER = "synthesis/", "optimizer/"


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Where a training stands.

    Attributes:
        synthesis: state dict of the synthesis network.
        optimizer: for each parameter, by its number, the tensors that the optimiser keeps.
        stage_index: the stage that is being trained.
        pictures_seen: in that stage.
    """

    synthesis: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    stage_index: int
    pictures_seen: int

    def save(self, folder: Path) -> None:
        """Write the state into `folder`, so that a reader never sees half of it."""
        tensors = {_SYNTHESIS + name: tensor for name, tensor in self.synthesis.items()}
        for number, kept in self.optimizer.items():
            tensors |= {f"{_OPTIMIZER}{number}/{name}": tensor for name, tensor in kept.items()}
        counters = {"stage_index": self.stage_index, "pictures_seen": self.pictures_seen}
        partial = folder / f"{FILE_NAME}.partial"
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, partial, {name: str(count) for name, count in counters.items()})
        os.replace(partial, folder / FILE_NAME)

    @classmethod
    def load(cls, folder: Path) -> TrainingState:
        """Read what `save` has written."""
        synthesis: dict[str, Tensor] = {}
        optimizer: dict[int, dict[str, Tensor]] = {}
        with safe_open(folder / FILE_NAME, framework="pt") as file:
            counters = file.metadata()
            for key in file.keys():  # noqa: SIM118  (the file is no mapping)
                if key.startswith(_SYNTHESIS):
                    synthesis[key.removeprefix(_SYNTHESIS)] = file.get_tensor(key)
                else:
                    number, name = key.removeprefix(_OPTIMIZER).split("/")
                    optimizer.setdefault(int(number), {})[name] = file.get_tensor(key)
        return cls(
            synthesis=synthesis,
            optimizer=optimizer,
            stage_index=int(counters["stage_index"]),
            pictures_seen=int(counters["pictures_seen"]),
        )
