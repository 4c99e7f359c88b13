# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of the StyleGAN2-ADA and StyleGAN3 repositories, and those of other networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylegan2 import (
    Generator,
    GeneratorConfig,
    ModelError,
    ModelErrorKind,
    inspect_checkpoint,
    load_generator,
)

from ..golden import golden_path
from ..making import random_generator, random_ws, tiny_config
from ..pickles import (
    EasyDict,
    Network,
    Persistent,
    RawStorage,
    RawTensor,
    dump,
    legacy_storage,
    persistent_generator,
    snapshot,
)


def refusal_of(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_generator(path)
    return caught.value


def refusal_of_root(root: object, tmp_path: Path) -> ModelError:
    path = tmp_path / "other.pkl"
    path.write_bytes(dump({"G_ema": root}))
    return refusal_of(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("c_dim", [0, 3])
def test_snapshots_of_every_protocol_load(tmp_path: Path, protocol: int, c_dim: int) -> None:
    generator = random_generator(tiny_config(c_dim=c_dim))
    path = tmp_path / "snapshot.pkl"
    path.write_bytes(snapshot(generator, protocol))
    loaded = load_generator(path)
    assert loaded.config == generator.config
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    weights = generator.state_dict()
    assert loaded.state_dict().keys() == weights.keys()
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, weights[key]), key


@pytest.mark.parametrize(
    "change",
    [
        {"conv_clamp": 256.0},
        {"conv_clamp": None},
        {"lr_multiplier": 0.1},
        {"use_noise": False},
        {"start_shape": (4, 2)},
        {"img_channels": 4},
        {"num_layers": 1},
        {"mapping_features": 7},
        {"c_dim": 2, "embed_features": 5},
    ],
    ids=str,
)
def test_every_property_of_a_model_is_read(tmp_path: Path, change: dict[str, Any]) -> None:
    sizes: dict[str, Any] = {
        "img_resolution": 8,
        "channels": (6, 5),
        "w_dim": 8,
        "z_dim": 9,
        "num_layers": 3,
    }
    generator = random_generator(GeneratorConfig(**(sizes | change)))
    path = tmp_path / "model.pkl"
    path.write_bytes(snapshot(generator))
    loaded = load_generator(path)
    assert loaded.config == generator.config
    ws = random_ws(generator)
    torch.testing.assert_close(loaded.synthesis(ws), generator.synthesis(ws))


def test_ordered_dictionaries_and_numpy_clamps_are_read(
    trainable: Generator, tmp_path: Path
) -> None:
    root = persistent_generator(trainable)
    conv = root.children["synthesis"].children["b8"].children["conv0"]
    conv.parameters = OrderedDict(conv.parameters)
    conv.children = EasyDict(conv.children)
    path = tmp_path / "model.pkl"
    path.write_bytes(dump(OrderedDict(G_ema=root)))
    assert load_generator(path).config == trainable.config


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (torch.HalfStorage, "<f2"),
        (torch.FloatStorage, "<f4"),
        (torch.DoubleStorage, "<f8"),
        (torch.BFloat16Storage, "<u2"),
    ],
)
def test_every_floating_point_type_is_read(
    trainable: Generator, tmp_path: Path, kind: object, dtype: str
) -> None:
    values = np.array([1.5, -2.0, 0.25, 3.0, 0.5, -0.125, 8.0, 1.0], dtype=np.float32)
    stored = values.view(np.uint32) >> 16 if dtype == "<u2" else values
    data = legacy_storage(stored.astype(dtype).tobytes(), numel=8, kind=kind)
    root = persistent_generator(trainable)
    root.children["mapping"].buffers["w_avg"] = RawTensor(RawStorage(data), (8,), (1,))
    path = tmp_path / "model.pkl"
    path.write_bytes(dump({"G_ema": root}))
    assert load_generator(path).mapping.w_avg.tolist() == values.tolist()


def test_strided_tensors_are_read(trainable: Generator, tmp_path: Path) -> None:
    weight = torch.arange(80, dtype=torch.float32)
    storage = RawStorage(legacy_storage(weight.numpy().tobytes(), numel=80))
    root = persistent_generator(trainable)
    # 8 x 8, transposed, and not from the beginning of the storage
    root.children["mapping"].children["fc1"].parameters["weight"] = RawTensor(
        storage, (8, 8), (1, 8), 5
    )
    path = tmp_path / "model.pkl"
    path.write_bytes(dump({"G_ema": root}))
    expected = weight[5:69].reshape(8, 8).t()
    assert torch.equal(load_generator(path).mapping.get_parameter("fc1.weight"), expected)


Change = Callable[[Persistent], object]


def _of(path: str) -> Callable[[Persistent], Persistent]:
    def find(root: Persistent) -> Persistent:
        for name in path.split("."):
            root = root.children[name]
        return root

    return find


def attribute(path: str, **values: object) -> Change:
    return lambda root: _of(path)(root).attributes.update(values)


def parameter(path: str, **values: object) -> Change:
    return lambda root: _of(path)(root).parameters.update(values)


def test_other_arithmetic_is_refused_by_name(trainable: Generator, tmp_path: Path) -> None:
    changes: dict[str, Change] = {
        "no network module as synthesis.b8.skip": attribute("synthesis.b8", architecture="resnet"),
        "blocks of different architectures": attribute("synthesis.b4", architecture="orig"),
        "the unknown architecture 'fir'": attribute("synthesis.b4", architecture="fir"),
        "its architecture is orig, but has the layers of skip": lambda root: [
            attribute(f"synthesis.b{r}", architecture="orig")(root) for r in (4, 8, 16)
        ],
        "activation relu in synthesis.b8.conv1": attribute("synthesis.b8.conv1", activation="relu"),
        "activation linear in mapping.fc0": attribute("mapping.fc0", activation="linear"),
        "up 4 in synthesis.b16.conv0": attribute("synthesis.b16.conv0", up=4),
        "use_noise False in synthesis.b4.conv1": attribute("synthesis.b4.conv1", use_noise=False),
        "layers of different clamp": attribute("synthesis.b4.conv1", conv_clamp=9),
        "layers of different": attribute("mapping.fc0", bias_gain=1.0, weight_gain=10**-0.5),
        "weight gain of 3 in mapping.fc1": attribute("mapping.fc1", weight_gain=3.0),
        "weight gain of 2 in synthesis.b4.torgb": attribute("synthesis.b4.torgb", weight_gain=2.0),
        "activation gain of 1 in synthesis.b4.conv1": attribute("synthesis.b4.conv1", act_gain=1.0),
        "rate multiplier in synthesis.b8.torgb.affine": attribute(
            "synthesis.b8.torgb.affine", bias_gain=0.01, weight_gain=0.01 * 8**-0.5
        ),
        "than a number as synthesis.b4.conv1.conv_clamp": attribute(
            "synthesis.b4.conv1", conv_clamp="x"
        ),
        "not finite as synthesis.b4.conv1.conv_clamp": attribute(
            "synthesis.b4.conv1", conv_clamp=float("inf")
        ),
        "than [1, 3, 3, 1] in synthesis.b8.conv0": lambda root: _of("synthesis.b8.conv0")(
            root
        ).buffers.update(resample_filter=torch.ones(4, 4) / 16),
        "modules of version 7": lambda root: setattr(root, "version", 7),
        "impossible sizes: conv_clamp": lambda root: [
            attribute(f"synthesis.b{r}.{name}", conv_clamp=-1)(root)
            for r in (4, 8, 16)
            for name in ("conv0", "conv1", "torgb")
            if (r, name) != (4, "conv0")
        ],
    }
    for message, change in changes.items():
        root = persistent_generator(trainable)
        change(root)
        assert message in refusal_of_root(root, tmp_path).message


@pytest.mark.parametrize(
    "path",
    ["mapping", "mapping.fc0", "synthesis", "synthesis.b8", "synthesis.b8.conv0.affine"],
)
def test_a_part_that_would_be_left_out_is_refused(
    trainable: Generator, tmp_path: Path, path: str
) -> None:
    root = persistent_generator(trainable)
    _of(path)(root).children["attention"] = Persistent("SelfAttention")
    error = refusal_of_root(root, tmp_path)
    assert f"has the part attention in {path}," in error.message
    assert error.kind is ModelErrorKind.UNSUPPORTED


def test_wrong_tensors_are_refused_by_name(trainable: Generator, tmp_path: Path) -> None:
    nan = trainable.mapping.get_parameter("fc1.weight").detach().clone()
    nan[0, 0] = float("nan")
    infinite = torch.zeros(8, dtype=torch.float64)
    infinite[1] = 1e300  # beyond float32
    changes: dict[str, Change] = {
        "has synthesis.b8.conv1.bias of shape 5, but 8": parameter(
            "synthesis.b8.conv1", bias=torch.zeros(5)
        ),
        "has synthesis.b4.const of shape 12 x 4, but rank 3": parameter(
            "synthesis.b4", const=torch.zeros(12, 4)
        ),
        "lacks the tensor synthesis.b4.conv1.bias": lambda root: _of("synthesis.b4.conv1")(
            root
        ).parameters.pop("bias"),
        "has the tensor synthesis.b8.extra": parameter("synthesis.b8", extra=torch.zeros(2)),
        "mapping.fc1.weight has values that are infinite": parameter("mapping.fc1", weight=nan),
        "mapping.fc0.bias has values that are infinite": parameter("mapping.fc0", bias=infinite),
        "something other than a tensor as mapping.fc0.bias": parameter("mapping.fc0", bias=3),
        "mapping.fc0.bias as LongStorage": parameter(
            "mapping.fc0", bias=torch.zeros(8, dtype=torch.int64)
        ),
        "no network module as synthesis.b8.conv1": lambda root: _of("synthesis.b8")(
            root
        ).children.pop("conv1"),
        "no layers in its mapping network": lambda root: _of("mapping")(root).children.clear(),
    }
    for message, change in changes.items():
        root = persistent_generator(trainable)
        change(root)
        assert message in refusal_of_root(root, tmp_path).message


def module_with(class_name: str, **children: object) -> Persistent:
    root = Persistent(class_name)
    root.children = children
    return root


def test_other_networks_are_named(trainable: Generator, tmp_path: Path) -> None:
    generator = persistent_generator(trainable)
    mapping = generator.children["mapping"]
    layers = {"input": Persistent("SynthesisInput"), "L0_36_512": Persistent("SynthesisLayer")}
    stylegan1 = Network(
        variables=[("G_synthesis/4x4/Const/StyleMod/weight", 0)], static_kwargs=EasyDict()
    )
    synthesis = Network(variables=[("4x4/Conv/mod_weight", 0)], static_kwargs=EasyDict())
    stylegan2_tf = Network(components=EasyDict(synthesis=synthesis), variables=[])
    networks: dict[str, object] = {
        "is a StyleGAN3 model": {
            "G_ema": module_with(
                "Generator", mapping=mapping, synthesis=module_with("SynthesisNetwork", **layers)
            )
        },
        "is an EG3D model": {
            "G_ema": module_with(
                "TriPlaneGenerator", backbone=generator, superresolution=Persistent("SR")
            )
        },
        "holds a discriminator only": {"D": module_with("Discriminator")},
        "holds a discriminator where": {
            "G_ema": module_with("Discriminator", b4=Persistent("DiscriminatorEpilogue"))
        },
        "holds the network Encoder, which is not a": {"G_ema": module_with("Encoder")},
        "without the block b4": {
            "G_ema": module_with("Generator", mapping=mapping, synthesis=module_with("Synthesis"))
        },
        "is a dictionary (epoch, weights) without": {"epoch": 3, "weights": [1.0]},
        "and without the state dict of one": {"G_ema": {"mapping.fc0.weight": 1}},
        "something other than an array as synthesis.b4.conv1": (None, None, stylegan2_tf)[2:],
        "other than an array": (stylegan2_tf, stylegan2_tf, stylegan2_tf),
        "is a StyleGAN1 model": (stylegan1, stylegan1, stylegan1),
        "is a network for TensorFlow, but not": Network(variables=[]),
        "is a Python pickle, but not": [1, 2, 3],
    }
    for index, (message, value) in enumerate(networks.items()):
        path = tmp_path / f"network{index}.pkl"
        path.write_bytes(dump(value))
        error = refusal_of(path)
        assert message in error.message
        assert error.message.startswith(path.name)
        assert error.kind in (ModelErrorKind.UNSUPPORTED, ModelErrorKind.DAMAGED) or (
            error.kind is ModelErrorKind.NOT_A_MODEL and isinstance(value, list)
        )


def test_inspection_tells_what_is_in_the_file() -> None:
    info = inspect_checkpoint(golden_path("ada_cond_r32"))
    assert info.container == "NVIDIA pickle"
    assert info.config.c_dim == 5
    assert info.config.conv_clamp == 256
    assert info.config.img_shape == (3, 32, 32)
    generator = load_generator(golden_path("ada_cond_r32"))
    assert info.parameters == sum(parameter.numel() for parameter in generator.parameters())
    assert len(info.sha256) == 64
    assert info.source_sha256 == ""
