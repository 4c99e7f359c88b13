# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader for the weights of other networks than generators: tensors by name, and nothing else.

A file of ``torch.save`` holds a state dict, or a dictionary with one; a safetensors file holds the
tensors themselves. Nothing in it is executed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from ..errors import ModelErrorKind
from .budget import Budget
from .byte_source import ByteSource, open_bytes
from .pickled_tensor import TensorRecipe, is_tensor, read_tensor
from .refusal import Refusal, damaged, printable, refusals_about
from .safetensors_header import read_header
from .sniff import Container, sniff
from .state_dicts import state_dicts
from .torch_file import read_legacy, read_zip

_TORCH = {Container.TORCH_ZIP: read_zip, Container.TORCH_LEGACY: read_legacy}


def read_weights(
    path: str | os.PathLike[str], is_wanted: Callable[[str], bool]
) -> dict[str, Tensor]:
    """Read tensors of a file.

    Args:
        path: A file of ``torch.save``, in either container, or a safetensors file.
        is_wanted: Whether a tensor is read, by its name; the others stay in the file.

    Returns:
        The tensors by name, float32; empty if the file has no tensor that is wanted.

    Raises:
        ModelError: The file cannot be read, is damaged, or has a wanted tensor of whole numbers.
    """
    file_path = Path(path)
    with refusals_about(file_path):
        container = sniff(file_path)
        with open_bytes(file_path) as source:
            if container is Container.SAFETENSORS:
                _, found = read_header(source)
                recipes = {name: found[name] for name in found if is_wanted(name)}
            elif container in _TORCH:
                recipes = _of_torch(source, container, is_wanted)
            else:
                raise Refusal(
                    ModelErrorKind.UNSUPPORTED,
                    "is a plain pickle, but a file of torch.save or a safetensors file is expected",
                )
            if sum(recipe.nbytes for recipe in recipes.values()) > source.size:
                raise damaged("is damaged: its tensors share their data")
            return {name: recipe.tensor(printable(name)) for name, recipe in recipes.items()}


def _of_torch(
    source: ByteSource, container: Container, is_wanted: Callable[[str], bool]
) -> dict[str, TensorRecipe]:
    """Return the wanted tensors of the first dictionary of a file that has any."""
    top, storages = _TORCH[container](source, Budget(file_bytes=source.size))
    for entries in state_dicts(top):
        recipes = {
            name: read_tensor(value, printable(name), storages)
            for name, value in entries.items()
            if isinstance(name, str) and is_tensor(value) and is_wanted(name)
        }
        if recipes:
            return recipes
    return {}
