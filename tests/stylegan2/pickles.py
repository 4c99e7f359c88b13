# SPDX-License-Identifier: GPL-3.0-or-later
"""Pickles for the tests: snapshots as the public training software writes them, and hostile ones.

Python's pickle module writes the snapshots with stand-ins for the classes of that software. The
stand-ins can be imported while a snapshot is written, but not while one is read.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import sys
from collections import OrderedDict
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from stylegan2 import Generator
from stylegan2.network.layers import (
    FullyConnectedLayer,
    SkipLayer,
    SynthesisLayer,
    ToRGBLayer,
)
from stylegan2.network.synthesis import SynthesisBlock
from stylegan2.ops import filter_taps


def reconstruct(meta: dict[str, Any]) -> None:
    """Stand in for ``torch_utils.persistence._reconstruct_persistent_obj``; must not be called."""
    raise AssertionError("a reader called what a pickle named")


reconstruct.__module__ = "torch_utils.persistence"
reconstruct.__qualname__ = reconstruct.__name__ = "_reconstruct_persistent_obj"


class EasyDict(dict[str, Any]):
    """Stand-in for ``dnnlib.util.EasyDict``."""


EasyDict.__module__ = "dnnlib.util"


class Network:
    """Stand-in for ``dnnlib.tflib.network.Network`` of the TensorFlow software."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


Network.__module__ = "dnnlib.tflib.network"


class Persistent:
    """A module as the persistence mechanism pickles it, with attributes that a test can change."""

    def __init__(self, class_name: str, module: nn.Module | None = None, **attributes: Any) -> None:
        self.class_name = class_name
        self.version = 6
        self.parameters: dict[str, Any] = {}
        self.buffers: dict[str, Any] = {}
        self.children: dict[str, Any] = {}
        self.attributes = attributes
        if module is not None:
            self.parameters = dict(module.named_parameters(recurse=False))
            persistent = module.state_dict(keep_vars=True)
            self.buffers = {k: v for k, v in module.named_buffers(recurse=False) if k in persistent}

    def __reduce__(self) -> tuple[Any, ...]:
        state = {
            "training": False,
            "_parameters": self.parameters,
            "_buffers": self.buffers,
            "_non_persistent_buffers_set": {"a", "b"},
            "_modules": self.children,
            **self.attributes,
        }
        meta = {
            "type": "class",
            "version": self.version,
            "module_src": "raise SystemExit('the source text of a pickle was executed')",
            "class_name": self.class_name,
            "state": state,
        }
        return reconstruct, (meta,)


def _fully_connected(layer: FullyConnectedLayer) -> Persistent:
    return Persistent(
        "FullyConnectedLayer",
        layer,
        activation="lrelu" if layer.activate else "linear",
        weight_gain=np.float64(layer.weight_gain),
        bias_gain=layer.bias_gain,
    )


def _convolution(layer: SynthesisLayer) -> Persistent:
    module = Persistent(
        "SynthesisLayer",
        layer,
        up=1 if layer.up_taps is None else 2,
        use_noise=layer.use_noise,
        activation="lrelu",
        conv_clamp=layer.conv_clamp,
        act_gain=np.float64(math.sqrt(2)),
    )
    module.buffers["resample_filter"] = filter_taps()
    module.children["affine"] = _fully_connected(layer.affine)
    return module


def _block(block: SynthesisBlock) -> Persistent:
    module = Persistent("SynthesisBlock", block, architecture=block.architecture)
    module.buffers["resample_filter"] = filter_taps()
    for name, child in block.named_children():
        if isinstance(child, SynthesisLayer):
            module.children[name] = _convolution(child)
        if isinstance(child, ToRGBLayer):
            torgb = Persistent(
                "ToRGBLayer", child, conv_clamp=child.conv_clamp, weight_gain=child.style_gain
            )
            torgb.children["affine"] = _fully_connected(child.affine)
            module.children[name] = torgb
        if isinstance(child, SkipLayer):
            skip = Persistent(
                "Conv2dLayer", child, activation="linear", up=2, weight_gain=child.weight_gain
            )
            skip.attributes["conv_clamp"] = None
            skip.parameters["bias"] = None
            skip.buffers["resample_filter"] = filter_taps()
            module.children[name] = skip
    return module


def persistent_generator(generator: Generator) -> Persistent:
    """Return the form of a generator that is pickled."""
    root = Persistent("Generator")
    mapping = Persistent("MappingNetwork", generator.mapping)
    for name, layer in generator.mapping.named_children():
        assert isinstance(layer, FullyConnectedLayer)
        mapping.children[name] = _fully_connected(layer)
    synthesis = Persistent("SynthesisNetwork")
    for name, block in generator.synthesis.named_children():
        assert isinstance(block, SynthesisBlock)
        synthesis.children[name] = _block(block)
    root.children = {"synthesis": synthesis, "mapping": mapping}
    return root


def dump(value: object, protocol: int = 4) -> bytes:
    """Pickle a value that may contain the stand-ins."""
    modules: dict[str, ModuleType] = {}
    for stand_in in (reconstruct, EasyDict, Network):
        names = stand_in.__module__.split(".")
        for depth in range(1, len(names) + 1):
            name = ".".join(names[:depth])
            modules.setdefault(name, ModuleType(name))
        setattr(modules[stand_in.__module__], stand_in.__name__, stand_in)
    with mock.patch.dict(sys.modules, modules):
        return pickle.dumps(value, protocol)


def snapshot(generator: Generator, protocol: int = 4) -> bytes:
    """Return a training snapshot with a generator and the usual other entries."""
    value = {
        "training_set_kwargs": EasyDict(class_name="training.dataset.ImageFolderDataset"),
        "G": None,
        "D": Persistent("Discriminator"),
        "G_ema": persistent_generator(generator),
        "augment_pipe": None,
    }
    return dump(value, protocol)


class RawStorage:
    """A storage with bytes chosen by the test."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return torch.storage._load_from_bytes, (self.data,)


class RawTensor:
    """A tensor with a description that need not fit its storage."""

    def __init__(self, storage: object, size: object, stride: object, offset: object = 0) -> None:
        self.arguments: tuple[object, ...] = (storage, offset, size, stride, False, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v2, self.arguments


class _Reference:
    def __init__(self, value: tuple[Any, ...]) -> None:
        self.value = value


class _StoragePickler(pickle.Pickler):
    def persistent_id(self, value: object) -> object:
        return value.value if isinstance(value, _Reference) else None


def legacy_storage(
    data: bytes,
    *,
    numel: int,
    kind: Any = torch.FloatStorage,
    magic: int = 0x1950A86A20F9469CFC6C,
    little_endian: bool = True,
    view: object = None,
    keys: object = ("0",),
    stored_numel: int | None = None,
) -> bytes:
    """Return a storage in torch's older format, consistent unless the arguments say otherwise."""
    file = io.BytesIO()
    system = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {}}
    reference = _Reference(("storage", kind, "0", "cuda:0", numel, view))
    listed = list(keys) if isinstance(keys, tuple) else keys
    for value in (magic, 1001, system, reference, listed):
        _StoragePickler(file, 2).dump(value)
    file.write(struct.pack("<q", numel if stored_numel is None else stored_numel))
    return file.getvalue() + data
