# SPDX-License-Identifier: GPL-3.0-or-later
"""Generators in the formats of other programs, and the definition of what they compute.

``test_golden`` compares with the numbers of those programs. The writers here make what no golden
file has: other architectures, labels in the older way, wrappers and prefixes.
"""

from __future__ import annotations

import io
import math
import re
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator
from stylegan2.ops import filter_taps, reference

from .pickles import EasyDict, Network

State = dict[str, Tensor]
_TF_LAYERS = {"conv0": "Conv0_up", "torgb": "ToRGB", "skip": "Skip"}


def nvidia_state(generator: Generator) -> State:
    """Return the state dict as the public software saves it, with its resampling filters."""
    state = dict(generator.state_dict())
    for resolution in generator.resolutions:
        state[f"synthesis.b{resolution}.resample_filter"] = filter_taps()
    return state


def tensorflow_network(generator: Generator, version: int = 5, **kwargs: object) -> Network:
    """Return the network for TensorFlow that computes what a generator computes."""
    config = generator.config
    arguments = EasyDict(
        num_channels=config.img_channels,
        resolution=config.img_resolution,
        label_size=config.c_dim,
        mapping_lrmul=config.lr_multiplier,
        truncation_psi=0.5,
        **kwargs,
    )
    mapping: list[tuple[str, Any]] = []
    synthesis: list[tuple[str, Any]] = []
    own: list[tuple[str, Any]] = [("lod", np.float32(0))]
    height, width = config.start_shape
    for key, tensor in generator.state_dict().items():
        part, _, rest = key.partition(".")
        if key == "mapping.w_avg":
            own.append(("dlatent_avg", tensor.numpy()))
        elif part == "mapping":
            layer, kind = rest.split(".")
            label = "LabelConcat" if config.label_mode == "concat" else "LabelEmbed"
            name = label if layer == "embed" else f"Dense{layer[2:]}"
            array = tensor.t() if kind == "weight" else tensor
            mapping.append((f"{name}/{kind}", array.contiguous().numpy()))
        else:
            block, _, last = rest.partition(".")
            scale = int(block[1:]) // 4
            scope = f"{height * scale}x{width * scale}"
            synthesis.append(_tensorflow_variable(scope, scale, last, tensor))
    components = {
        "mapping": Network(version=version, variables=mapping),
        "synthesis": Network(version=version, variables=synthesis),
    }
    return Network(
        version=version,
        name="Gs",
        static_kwargs=arguments,
        components=EasyDict(**components),
        build_module_src="raise SystemExit('the source text of a pickle was executed')",
        variables=own,
    )


def _tensorflow_variable(scope: str, scale: int, last: str, tensor: Tensor) -> tuple[str, Any]:
    if last == "const":
        return f"{scope}/Const/const", tensor[None].numpy()
    layer, _, kind = last.partition(".")
    if kind == "noise_const":
        index = 2 * (scale.bit_length() - 1) - (layer == "conv0")
        return f"noise{index}", tensor[None, None].numpy()
    name = _TF_LAYERS.get(layer, "Conv" if scale == 1 else "Conv1")
    array = tensor
    if kind == "weight":
        if layer in ("conv0", "skip"):
            array = tensor.flip(2, 3)
        array = array.permute(2, 3, 1, 0)
    elif kind == "affine.weight":
        kind, array = "mod_weight", tensor.t()
    elif kind == "affine.bias":
        kind, array = "mod_bias", tensor - 1
    elif kind == "noise_strength":
        return f"{scope}/{name}/{kind}", np.float32(tensor)
    return f"{scope}/{name}/{kind}", array.contiguous().numpy()


def genforce_state(generator: Generator) -> State:
    """Return the state dict in GenForce's names and orientations."""
    state: State = {"synthesis.upsample.kernel": filter_taps()[None, None] * 4}
    for key, tensor in generator.state_dict().items():
        if key == "mapping.w_avg":
            state["truncation.w_avg"] = tensor
        elif key == "mapping.embed.weight":
            state["mapping.label_weight"] = tensor.t()
        elif key.startswith("mapping."):
            state[key.replace(".fc", ".dense")] = tensor
        elif key == "synthesis.b4.const":
            state["synthesis.early_layer.const"] = tensor[None]
        else:
            block, layer, kind = key.removeprefix("synthesis.b").split(".", 2)
            level = int(block).bit_length() - 3
            index = 2 * level - (layer == "conv0")
            name = f"output{level}" if layer == "torgb" else f"layer{index}"
            kind = {"affine.weight": "style.weight", "affine.bias": "style.bias"}.get(kind, kind)
            if kind == "style.bias":
                tensor = tensor - 1
            if kind == "weight" and layer == "conv0":
                tensor = tensor.flip(2, 3)
            if kind == "noise_const":
                kind, tensor = "noise", tensor[None, None]
            state[f"synthesis.{name}.{kind}"] = tensor
    return state


def torch_file(value: object, *, zipped: bool = True) -> bytes:
    """Return the bytes that ``torch.save`` writes."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def prefixed(state: State, prefix: str) -> OrderedDict[str, Tensor]:
    """Return a state dict with a prefix before every key."""
    return OrderedDict((prefix + key, tensor) for key, tensor in state.items())


def defined_image(generator: Generator, ws: Tensor) -> Tensor:
    """Return the image by the definitions of the papers, for every architecture.

    Args:
        generator: The generator.
        ws: ``N x num_ws x w_dim`` float32.
    """
    state, config = generator.state_dict(), generator.config
    names = sorted({int(match[1]) for key in state if (match := re.search(r"\.b(\d+)\.", key))})
    image: Tensor | None = None
    x = state["synthesis.b4.const"].expand(len(ws), -1, -1, -1)
    index = 0

    def style(prefix: str, w: Tensor) -> Tensor:
        weight = state[f"{prefix}.affine.weight"]
        product = w @ weight.t() / math.sqrt(weight.shape[1])
        result: Tensor = product + state[f"{prefix}.affine.bias"]
        return result

    def convolution(x: Tensor, prefix: str, w: Tensor, *, up: bool) -> Tensor:
        y = reference.modulated_conv2d(
            x, state[f"{prefix}.weight"], style(prefix, w), filter_taps() if up else None
        )
        if config.use_noise:
            y = y + state[f"{prefix}.noise_strength"] * state[f"{prefix}.noise_const"]
        y = y + state[f"{prefix}.bias"][:, None, None]
        y = torch.where(y > 0, y, 0.2 * y) * 2**0.5
        clamp = config.conv_clamp
        result: Tensor = y if clamp is None else y.clamp(-clamp, clamp)
        return result

    for resolution in names:
        block = f"synthesis.b{resolution}"
        below = x
        if resolution > 4:
            x = convolution(x, f"{block}.conv0", ws[:, index], up=True)
            index += 1
        x = convolution(x, f"{block}.conv1", ws[:, index], up=False)
        index += 1
        if f"{block}.skip.weight" in state:
            weight = state[f"{block}.skip.weight"][:, :, 0, 0] / below.shape[1] ** 0.5
            mixed = torch.einsum("oi,nihw->nohw", weight, below)
            x = (x + reference.upsample2d(mixed, filter_taps())) / 2**0.5
        if image is not None:
            image = reference.upsample2d(image, filter_taps())
        if f"{block}.torgb.weight" in state:
            scale = style(f"{block}.torgb", ws[:, index]) / x.shape[1] ** 0.5
            kernel = state[f"{block}.torgb.weight"][:, :, 0, 0]
            colour = torch.einsum("oi,ni,nihw->nohw", kernel, scale, x)
            colour = colour + state[f"{block}.torgb.bias"][:, None, None]
            image = colour if image is None else image + colour
    assert image is not None
    return image
