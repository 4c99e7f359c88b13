# SPDX-License-Identifier: GPL-3.0-or-later
"""The state dict of GenForce's StyleGAN2.

Its tensors are those of the TensorFlow version with the axes in PyTorch's order: the kernels of
upsampling convolutions are mirrored, and the style biases lack the 1 that is stored here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from .parts import Change, Found, Part
from .pickled_tensor import read_tensor
from .refusal import printable, unsupported
from .storages import Storages

# A key that every one of these state dicts has, and no other.
MARK = "synthesis.early_layer.const"


def _first(tensor: Tensor) -> Tensor:
    return tensor[0]


def _mirrored(tensor: Tensor) -> Tensor:
    return tensor.flip(2, 3)


def _plus_one(tensor: Tensor) -> Tensor:
    return tensor + 1


def _transposed(tensor: Tensor) -> Tensor:
    return tensor.t()


_KINDS: dict[str, tuple[str, Change | None]] = {
    "weight": ("weight", None),
    "bias": ("bias", None),
    "style.weight": ("affine.weight", None),
    "style.bias": ("affine.bias", _plus_one),
    "noise": ("noise_const", lambda tensor: tensor[0, 0]),
    "noise_strength": ("noise_strength", lambda tensor: tensor.reshape(())),
}


def read_state(state: Mapping[str, object], storages: Storages) -> Found:
    """Return the generator of a state dict.

    Args:
        state: The tensors' nodes by GenForce's keys.
        storages: Where the file has the data of its tensors.

    Raises:
        Refusal: A tensor is damaged, or belongs to another network.
    """
    parts: dict[str, Part] = {}
    for key, value in state.items():
        if key.endswith(".kernel"):
            continue  # the resampling filter, which is always the same in this software
        target, change = _target(key)
        parts[target] = Part(read_tensor(value, printable(key), storages), change)
    return Found(container="GenForce", parts=parts)


def _target(key: str) -> tuple[str, Change | None]:
    """Return the key in the public state dict, and the change of the tensor."""
    named: dict[str, tuple[str, Change | None]] = {
        MARK: ("synthesis.b4.const", _first),
        "truncation.w_avg": ("mapping.w_avg", None),
        "mapping.label_weight": ("mapping.embed.weight", _transposed),
    }
    if key in named:
        return named[key]
    dense = re.fullmatch(r"mapping\.dense(\d{1,3})\.(weight|bias)", key)
    if dense:
        return f"mapping.fc{dense[1]}.{dense[2]}", None
    layer = re.fullmatch(r"synthesis\.(layer|output)(\d{1,3})\.(.+)", key)
    if layer and layer[3] in _KINDS:
        kind, change = _KINDS[layer[3]]
        index = int(layer[2])
        if layer[1] == "output":
            return f"synthesis.b{4 << index}.torgb.{kind}", change
        if kind == "weight" and index % 2:
            change = _mirrored
        name = f"b{4 << ((index + 1) // 2)}.conv{index % 2 ^ 1}"
        return f"synthesis.{name}.{kind}", change
    raise unsupported(
        f"has the tensor {printable(key)}, which no StyleGAN2 generator of GenForce's kind has, so "
        "it is another network"
    )
