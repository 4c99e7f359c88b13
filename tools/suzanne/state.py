# SPDX-License-Identifier: GPL-3.0-or-later
"""The training's state on disk: tensors and two counters, in a safetensors file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from draggan_blender.protocol.atomic_files import replacing

FILE_NAME = "training.safetensors"
_SYNTHESIS, _OPTIMIZER = "synthesis/", "optimizer/"


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """The state of a training.

    Attributes:
        synthesis: State dict of the synthesis network.
        optimizer: The tensors of the optimiser for each parameter, by the parameter's number.
        stage_index: Index of the current stage.
        pictures_seen: Number of pictures seen in the current stage.
    """

    synthesis: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    stage_index: int
    pictures_seen: int

    def save(self, folder: Path) -> None:
        """Write the state into a folder; no process ever sees a partial file.

        Raises:
            OSError: The folder or the file cannot be written.
        """
        tensors = {_SYNTHESIS + name: tensor for name, tensor in self.synthesis.items()}
        for number, kept in self.optimizer.items():
            tensors |= {f"{_OPTIMIZER}{number}/{name}": tensor for name, tensor in kept.items()}
        counters = {"stage_index": self.stage_index, "pictures_seen": self.pictures_seen}
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        metadata = {name: str(count) for name, count in counters.items()}
        with replacing(folder / FILE_NAME) as temporary:
            save_file(contiguous, temporary, metadata)

    @classmethod
    def load(cls, folder: Path) -> TrainingState:
        """Read the state that ``save`` wrote into a folder.

        Raises:
            FileNotFoundError: The folder contains no state.
        """
        synthesis: dict[str, Tensor] = {}
        optimizer: dict[int, dict[str, Tensor]] = {}
        with safe_open(folder / FILE_NAME, framework="pt") as file:
            counters = file.metadata()
            for key in file.keys():  # noqa: SIM118  (the file is not a mapping)
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
