# SPDX-License-Identifier: GPL-3.0-or-later
"""The state dict of rosinality's StyleGAN2, which pSp, encoder4editing and others use as well.

Kernels have the same orientation as in the public PyTorch state dict; only names and leading axes
differ. The network has no labels, no clamp, and z and w of the same size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ..ops import filter_taps
from .parts import Change, Found, Part
from .pickled_tensor import read_tensor
from .refusal import damaged, printable, unsupported
from .storages import Storages

# A key that every one of these state dicts has, and no other.
MARK = "input.input"


def _first(tensor: Tensor) -> Tensor:
    return tensor[0]


def _first_plane(tensor: Tensor) -> Tensor:
    return tensor[0, 0]


def _flat(tensor: Tensor) -> Tensor:
    return tensor.flatten()


def _single(tensor: Tensor) -> Tensor:
    return tensor.reshape(())


_KINDS: dict[str, tuple[str, Change | None]] = {
    "conv.weight": ("weight", _first),
    "conv.modulation.weight": ("affine.weight", None),
    "conv.modulation.bias": ("affine.bias", None),
    "noise.weight": ("noise_strength", _single),
    "activate.bias": ("bias", None),
    "bias": ("bias", _flat),
}


def read_state(state: Mapping[str, object], average: object, storages: Storages) -> Found:
    """Return the generator of a state dict.

    Args:
        state: The tensors' nodes by rosinality's keys.
        average: The node of the average latent; None if the file has none.
        storages: Where the file has the data of its tensors.

    Raises:
        Refusal: A tensor is damaged, or belongs to another network.
    """
    parts: dict[str, Part] = {}
    for key, value in state.items():
        if key.endswith(".kernel"):
            check_filter(value, key, storages, gain=4)
            continue
        target, change = _target(key)
        parts[target] = Part(read_tensor(value, printable(key), storages), change)
    if average is not None:
        recipe = read_tensor(average, "latent_avg", storages)
        columns = recipe.size[-1] if recipe.size else 1
        parts["mapping.w_avg"] = Part(recipe, lambda tensor: tensor.reshape(-1, columns)[0])
    first = parts.get("mapping.fc0.weight")
    last = parts.get(f"mapping.fc{sum('.fc' in key for key in parts) // 2 - 1}.weight")
    if first and last and first.recipe.size[1:] != last.recipe.size[:1]:
        raise unsupported(
            "is a conditional model whose labels were lost when it was converted to rosinality's "
            "format; use the original file"
        )
    return Found(container="rosinality", parts=parts)


def _target(key: str) -> tuple[str, Change | None]:
    """Return the key in the public state dict, and the change of the tensor."""
    if key == MARK:
        return "synthesis.b4.const", _first
    style = re.fullmatch(r"style\.(\d{1,3})\.(weight|bias)", key)
    if style and int(style[1]) > 0:
        return f"mapping.fc{int(style[1]) - 1}.{style[2]}", None
    noise = re.fullmatch(r"noises\.noise_(\d{1,3})", key)
    if noise:
        return f"synthesis.{_layer(int(noise[1]))}.noise_const", _first_plane
    layer = re.fullmatch(r"(conv1|to_rgb1|convs\.(\d{1,3})|to_rgbs\.(\d{1,3}))\.(.+)", key)
    if layer and layer[4] in _KINDS:
        kind, change = _KINDS[layer[4]]
        if layer[1] == "conv1":
            name = "b4.conv1"
        elif layer[1] == "to_rgb1":
            name = "b4.torgb"
        elif layer[2] is not None:
            name = _layer(int(layer[2]) + 1)
        else:
            name = f"b{8 << int(layer[3])}.torgb"
        return f"synthesis.{name}.{kind}", change
    raise unsupported(
        f"has the tensor {printable(key)}, which no StyleGAN2 generator of rosinality's kind has, "
        "so it is another network"
    )


def _layer(index: int) -> str:
    """Return the name of a convolution by its index; 0 is that of block 4."""
    return f"b{4 << ((index + 1) // 2)}.conv{index % 2 ^ 1}"


def check_filter(value: object, key: str, storages: Storages, gain: float) -> None:
    """Raise ``Refusal`` unless a resampling filter is the usual one; it is not kept.

    Args:
        value: The node of the filter.
        key: Its name.
        storages: Where the file has the data of its tensors.
        gain: The sum of its values: 4 if it makes a picture larger, 1 if smaller.
    """
    recipe = read_tensor(value, printable(key), storages)
    taps = filter_taps() * gain
    if recipe.size != tuple(taps.shape):
        raise damaged(f"is damaged: {printable(key)} has an impossible shape")
    if not torch.allclose(recipe.tensor(printable(key)), taps):
        raise unsupported(
            f"has a resampling filter other than [1, 3, 3, 1] in {printable(key)}, "
            "which is not supported"
        )
