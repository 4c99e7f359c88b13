# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a training on disk: groups of tensors and some counters, in a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from draggan_blender.protocol.atomic_files import replacing

FILE_NAME = "training.safetensors"


def write_state(
    folder: Path, groups: Mapping[str, Mapping[str, Tensor]], counters: Mapping[str, int]
) -> None:
    """Write a state into a folder; no process ever sees a partial file.

    Args:
        folder: The folder; it is made if it is missing.
        groups: Tensors by name, in groups whose names contain no slash.
        counters: Numbers by name.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    tensors = {
        f"{group}/{name}": tensor.contiguous()
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    metadata = {name: str(count) for name, count in counters.items()}
    with replacing(folder / FILE_NAME) as temporary:
        save_file(tensors, temporary, metadata)


def read_state(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, int]]:
    """Return the groups and counters that ``write_state`` wrote into a folder.

    Raises:
        FileNotFoundError: The folder contains no state.
    """
    groups: dict[str, dict[str, Tensor]] = {}
    with safe_open(folder / FILE_NAME, framework="pt") as file:
        counters = {name: int(text) for name, text in file.metadata().items()}
        for key in file.keys():  # noqa: SIM118  (the file is not a mapping)
            group, name = key.split("/", maxsplit=1)
            groups.setdefault(group, {})[name] = file.get_tensor(key)
    return groups, counters


def optimizer_tensors(kept: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the state of an optimiser, by the parameter's number, as a group of tensors."""
    return {
        f"{number}/{name}": tensor
        for number, tensors in kept.items()
        for name, tensor in tensors.items()
    }


def optimizer_state(group: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Return the state of an optimiser that ``optimizer_tensors`` made a group of."""
    kept: dict[int, dict[str, Tensor]] = {}
    for key, tensor in group.items():
        number, name = key.split("/")
        kept.setdefault(int(number), {})[name] = tensor
    return kept


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """The state of a supervised training.

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
        """Write the state into a folder, as ``write_state`` does.

        Raises:
            OSError: The folder or the file cannot be written.
        """
        groups = {"synthesis": self.synthesis, "optimizer": optimizer_tensors(self.optimizer)}
        counters = {"stage_index": self.stage_index, "pictures_seen": self.pictures_seen}
        write_state(folder, groups, counters)

    @classmethod
    def load(cls, folder: Path) -> TrainingState:
        """Read the state that ``save`` wrote into a folder.

        Raises:
            FileNotFoundError: The folder contains no state.
        """
        groups, counters = read_state(folder)
        return cls(
            synthesis=groups["synthesis"],
            optimizer=optimizer_state(groups.get("optimizer", {})),
            stage_index=counters["stage_index"],
            pictures_seen=counters["pictures_seen"],
        )
