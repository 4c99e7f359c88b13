# SPDX-License-Identifier: GPL-3.0-or-later
"""State dicts: tensors by name, in files of ``torch.save``.

Programs wrap them differently: in dictionaries called ``g_ema`` or ``state_dict``, and with
prefixes such as ``module.`` before every key. A generator is recognised by one key that all state
dicts of its software have; what comes before that key is the prefix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import torch

from ..ops import filter_taps
from . import genforce, rosinality
from .layout import RESAMPLE_FILTER
from .parts import Found, Part
from .pickled_tensor import is_tensor, read_tensor
from .refusal import damaged, printable, unsupported
from .storages import Storages
from .values import entries_of

# The largest training files have about 1,500 tensors in one dictionary.
MAX_ENTRIES = 8192
# Dictionaries that contain generators, the one with averaged weights first.
_WRAPPERS = (
    "G_ema",
    "g_ema",
    "ema",
    "generator_smooth",
    "generator_ema",
    "params_ema",
    "models",
    "state_dict",
    "model",
    "generator",
    "G",
    "g",
    "params",
)
_MAX_DEPTH = 3
_NVIDIA_MARK = "synthesis.b4.const"
_NVIDIA_TENSOR = re.compile(r"(mapping|synthesis)\.[\w.]+")


def find_state(top: object, storages: Storages) -> Found | None:
    """Return the generator of the first state dict of a known software in a value.

    Args:
        top: The value of the pickle.
        storages: Where the file has the data of its tensors.

    Returns:
        The generator; None if there is no state dict with one.

    Raises:
        Refusal: There is one, but its tensors are damaged, or belong to a variant.
    """
    root = entries_of(top) or {}
    for entries in state_dicts(top):
        for mark, read in _READERS.items():
            prefix = _prefix(entries, mark)
            if prefix is not None:
                state = {key[len(prefix) :]: v for key, v in _tensors(entries, prefix)}
                return read(state, root.get("latent_avg"), storages)
    return None


def state_dicts(top: object, depth: int = 0) -> Iterator[Mapping[object, object]]:
    """Yield the dictionaries in a value that may be state dicts, the best candidates first.

    Raises:
        Refusal: A dictionary has more entries than any checkpoint.
    """
    entries = entries_of(top)
    if entries is None:
        return
    if len(entries) > MAX_ENTRIES:
        raise damaged("has more entries than any StyleGAN2 checkpoint")
    if depth < _MAX_DEPTH:
        for name in _WRAPPERS:
            if name in entries:
                yield from state_dicts(entries[name], depth + 1)
    yield entries


def _prefix(entries: Mapping[object, object], mark: str) -> str | None:
    """Return what comes before the keys of a generator, or None if there is none."""
    found = [
        key[: -len(mark)]
        for key in entries
        if isinstance(key, str) and (key == mark or key.endswith("." + mark))
    ]
    # EG3D has a StyleGAN2 generator of feature planes inside.
    found = [prefix for prefix in found if not prefix.endswith("backbone.")]
    averaged = [prefix for prefix in found if "ema" in prefix.lower()]
    return next(iter(averaged or found), None)


def _tensors(entries: Mapping[object, object], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in entries.items():
        if isinstance(key, str) and key.startswith(prefix) and is_tensor(value):
            yield key, value


def _read_nvidia(state: Mapping[str, object], average: object, storages: Storages) -> Found:
    parts: dict[str, Part] = {}
    for key, value in state.items():
        name = printable(key)
        if not _NVIDIA_TENSOR.fullmatch(key):
            raise unsupported(
                f"has the tensor {name}, which no StyleGAN2 generator has, so it is another network"
            )
        recipe = read_tensor(value, name, storages)
        if not key.endswith("." + RESAMPLE_FILTER):
            parts[key] = Part(recipe)
            continue
        taps = filter_taps()
        if recipe.size != tuple(taps.shape) or not torch.allclose(recipe.tensor(name), taps):
            raise unsupported(
                f"has a resampling filter other than [1, 3, 3, 1] in {name}, which is not supported"
            )
    return Found(
        container="PyTorch state dict",
        parts=parts,
        notes=[
            "the file does not say whether activations are clamped, nor the learning-rate "
            "multiplier of the mapping network; no clamp and 0.01, the usual values, are assumed"
        ],
    )


def _read_genforce(state: Mapping[str, object], average: object, storages: Storages) -> Found:
    return genforce.read_state(state, storages)


_Reader = Callable[[Mapping[str, object], object, Storages], Found]
_READERS: Mapping[str, _Reader] = {
    _NVIDIA_MARK: _read_nvidia,
    rosinality.MARK: rosinality.read_state,
    genforce.MARK: _read_genforce,
}
