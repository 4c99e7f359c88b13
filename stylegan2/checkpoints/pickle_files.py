# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers of pickles, and of the containers of ``torch.save``, which have a pickle inside.

The container says where the data of tensors are; what the networks in it are is decided by the
value of the pickle alone, in the same way for all containers.
"""

from __future__ import annotations

from pathlib import Path

from .budget import Budget
from .byte_source import open_bytes
from .families import module_hint, name_top_level
from .globals import ALLOWED
from .inert_pickle import InertPickle
from .layout import Checkpoint
from .module_tree import is_module, read_generator
from .parts import Found
from .state_dicts import find_state, state_dicts
from .storages import NestedStorages, Storages
from .tensorflow import is_network, read_network
from .torch_file import read_legacy, read_zip

# The names under which whole modules are pickled, the one with averaged weights first.
_MODULES = ("G_ema", "g_ema", "generator_ema", "G", "generator")


def read_pickle(path: Path) -> Checkpoint:
    """Read the generator of a pickle.

    Raises:
        Refusal: The file is not a pickle of a StyleGAN2 generator, or asks for anything other than
            data.
        OSError: The file cannot be read.
    """
    with open_bytes(path) as source:
        budget = Budget(file_bytes=source.size)
        machine = InertPickle(source, allowed=ALLOWED, budget=budget, hint=module_hint)
        top, _ = machine.read()
        found = _find(top, NestedStorages(budget), budget, "NVIDIA pickle")
        return found.checkpoint(source.size)


def read_torch_zip(path: Path) -> Checkpoint:
    """Read the generator of a file of ``torch.save`` in the zip container.

    Errors are those of ``read_pickle``.
    """
    with open_bytes(path) as source:
        budget = Budget(file_bytes=source.size)
        top, storages = read_zip(source, budget)
        return _find(top, storages, budget, "PyTorch module").checkpoint(source.size)


def read_torch_legacy(path: Path) -> Checkpoint:
    """Read the generator of a file of ``torch.save`` of torch before 1.6.

    Errors are those of ``read_pickle``.
    """
    with open_bytes(path) as source:
        budget = Budget(file_bytes=source.size)
        top, storages = read_legacy(source, budget)
        return _find(top, storages, budget, "PyTorch module").checkpoint(source.size)


def _find(top: object, storages: Storages, budget: Budget, container: str) -> Found:
    """Return the generator in the value of a pickle.

    Raises:
        Refusal: There is none; the reason says what was found.
    """
    networks = top if isinstance(top, tuple | list) and len(top) <= 8 else (top,)
    if networks and all(is_network(network) for network in networks):
        # The averaged generator comes last; a file may hold only some of the three.
        return read_network(networks[-1], budget)
    if is_module(top):
        return read_generator(top, storages, container)
    for entries in state_dicts(top):
        for name in _MODULES:
            if is_module(entries.get(name)):
                return read_generator(entries[name], storages, container)
    found = find_state(top, storages)
    if found is None:
        raise name_top_level(top)
    if container == "NVIDIA pickle" and found.container == "PyTorch state dict":
        found.container = "pickled state dict"
    return found
