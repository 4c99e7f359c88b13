# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of this project: written files are read, and other safetensors are refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from stylegan2 import (
    Generator,
    GeneratorConfig,
    ModelError,
    ModelErrorKind,
    convert_checkpoint,
    inspect_checkpoint,
    load_generator,
    save_generator,
    sha256_of,
)
from stylegan2.checkpoints.layout import config_from_shapes
from stylegan2.checkpoints.refusal import Refusal

from ..golden import NAMES, golden_arrays, golden_path
from ..making import random_generator, random_ws, tiny_config


@pytest.mark.parametrize("name", NAMES)
def test_a_converted_model_computes_exactly_the_same(name: str, tmp_path: Path) -> None:
    source, converted = golden_path(name), tmp_path / "model.safetensors"
    convert_checkpoint(source, converted)
    before, after, arrays = load_generator(source), load_generator(converted), golden_arrays(name)
    assert after.config == before.config
    assert torch.equal(
        after.mapping(arrays["z"], arrays["c"], 0.7), before.mapping(arrays["z"], arrays["c"], 0.7)
    )
    assert torch.equal(after.synthesis(arrays["ws"]), before.synthesis(arrays["ws"]))
    info = inspect_checkpoint(converted)
    assert info.container == "safetensors"
    assert info.source_sha256 == sha256_of(source)
    assert info.parameters == inspect_checkpoint(source).parameters


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    first, second, again = (tmp_path / f"{n}.safetensors" for n in ("first", "second", "again"))
    convert_checkpoint(golden_path("ada_r64"), first)
    convert_checkpoint(golden_path("ada_r64"), second)
    convert_checkpoint(first, again)
    assert sha256_of(first) == sha256_of(second) == sha256_of(again)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"conv_clamp": 256.0, "lr_multiplier": 0.1},
        {"use_noise": False, "img_channels": 1},
        {"start_shape": (4, 2), "num_layers": 1},
        {"c_dim": 2, "embed_features": 5, "mapping_features": 7},
        {"c_dim": 2, "embed_features": 5, "label_mode": "concat"},
        {"architecture": "orig", "img_channels": 4},
        {"architecture": "resnet", "use_noise": False},
    ],
    ids=str,
)
def test_a_trained_model_is_saved_whole(tmp_path: Path, change: dict[str, Any]) -> None:
    sizes: dict[str, Any] = {
        "img_resolution": 8,
        "channels": (6, 5),
        "w_dim": 8,
        "z_dim": 9,
        "num_layers": 3,
    }
    generator = random_generator(GeneratorConfig(**(sizes | change)))
    path = tmp_path / "model.safetensors"
    save_generator(generator, path, license_note="CC0")
    loaded = load_generator(path)
    assert loaded.config == generator.config
    assert not loaded.training
    ws = random_ws(generator)
    torch.testing.assert_close(loaded.synthesis(ws), generator.synthesis(ws))
    assert inspect_checkpoint(path).license_note == "CC0"


def test_the_library_reads_what_is_written(frozen: Generator, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_generator(frozen, path)
    tensors = safetensors.torch.load_file(path)
    weights = frozen.state_dict()
    assert tensors.keys() == weights.keys()
    assert all(torch.equal(tensors[key], weights[key]) for key in weights)
    with safetensors.safe_open(path, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    assert config["img_h"] == config["img_w"] == 16
    assert config["label_mode"] == "none"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_are_read(
    frozen: Generator, tmp_path: Path, dtype: torch.dtype
) -> None:
    def to_dtype(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({key: tensor.to(dtype) for key, tensor in tensors.items()})

    loaded = load_generator(altered(frozen, tmp_path, to_dtype))
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, frozen.state_dict()[key].to(dtype).float()), key


Alter = Callable[[dict[str, Any], dict[str, torch.Tensor]], object]


def altered(generator: Generator, folder: Path, alter: Alter) -> Path:
    """Save a generator with altered config and tensors; the safetensors library writes it."""
    path = folder / "altered.safetensors"
    save_generator(generator, path)
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    config, tensors = json.loads(metadata["config"]), safetensors.torch.load_file(path)
    alter(config, tensors)
    metadata["config"] = json.dumps(config)
    safetensors.torch.save_file(tensors, path, config.pop("metadata", metadata))
    return path


def setting(**values: object) -> Alter:
    return lambda config, tensors: config.update(values)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (setting(img_w=8), "has img_w 8, but its tensors are for 16"),
        (setting(z_dim=11), "has z_dim 11, but its tensors are for 10"),
        (setting(num_layers=8), "has num_layers 8, but its tensors are for 2"),
        (setting(use_noise=False), "has use_noise False"),
        (setting(z_dim="10"), "unusable z_dim"),
        (setting(z_dim=True), "unusable z_dim"),
        (setting(lr_multiplier=None), "unusable lr_multiplier"),
        (setting(lr_multiplier=float("nan")), "unusable lr_multiplier"),
        (setting(lr_multiplier=-1), "impossible sizes: lr_multiplier"),
        (setting(conv_clamp=[1]), "unusable conv_clamp"),
        (setting(conv_clamp=0), "impossible sizes: conv_clamp"),
        (setting(notes=None), "notes that are not texts"),
        (setting(notes=7), "notes that are not texts"),
        (setting(notes="one"), "notes that are not texts"),
        (setting(notes=["one", None]), "notes that are not texts"),
        (setting(architecture="resnet"), "has architecture resnet, but its tensors are for skip"),
        (setting(architecture="fir"), "of a kind that a later version writes"),
        (setting(label_mode="concat"), "has label_mode concat, but its tensors are for none"),
        (setting(label_mode="film"), "of a kind that a later version writes"),
        (lambda config, tensors: config.pop("w_dim"), "lacks w_dim"),
        (setting(metadata={"format": "pt"}), "no architecture in its metadata"),
        (setting(metadata={"architecture": "flux"}), "with the architecture flux"),
        (setting(metadata={"architecture": "stylegan2"}), "is not a JSON object"),
        (
            setting(metadata={"architecture": "stylegan2", "config": "[" * 9000}),
            "not a JSON object",
        ),
        (
            setting(metadata={"architecture": "stylegan2", "config": " " * 70000}),
            "not a JSON object",
        ),
        (lambda config, tensors: tensors.pop("mapping.w_avg"), "lacks the tensor mapping.w_avg"),
        (setting(lr_multiplier=10**400), "unusable lr_multiplier"),
        (setting(conv_clamp=10**400), "unusable conv_clamp"),
        (
            lambda config, tensors: tensors.update(extra=torch.zeros(1)),
            "has the tensor extra, which no StyleGAN2",
        ),
        (
            lambda config, tensors: tensors.update({"mapping.fc1.bias": torch.zeros(9)}),
            "has mapping.fc1.bias of shape 9, but 8 is expected",
        ),
        (
            lambda config, tensors: tensors.update({"mapping.fc1.bias": torch.zeros(8).long()}),
            "has mapping.fc1.bias as I64",
        ),
        (
            lambda config, tensors: tensors["mapping.fc1.bias"].fill_(float("inf")),
            "mapping.fc1.bias has values that are infinite",
        ),
    ],
)
def test_inconsistent_files_are_refused(
    frozen: Generator, tmp_path: Path, alter: Alter, message: str
) -> None:
    with pytest.raises(ModelError) as caught:
        load_generator(altered(frozen, tmp_path, alter))
    assert message in caught.value.message
    assert caught.value.kind in (ModelErrorKind.DAMAGED, ModelErrorKind.UNSUPPORTED)


def test_a_header_that_points_outside_the_file_is_refused(tmp_path: Path) -> None:
    header = json.dumps(
        {"mapping.w_avg": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    ).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ModelError, match="is truncated or damaged") as caught:
        load_generator(path)
    assert caught.value.kind is ModelErrorKind.DAMAGED


def test_endless_block_names_are_refused() -> None:
    class Endless(dict[str, tuple[int, ...]]):
        """A mapping that contains every key; a real header would need tens of megabytes."""

        def __contains__(self, key: object) -> bool:
            return True

    with pytest.raises(Refusal, match="lacks the tensor"):
        config_from_shapes(Endless(), lr_multiplier=1.0, conv_clamp=None)


def test_writing_replaces_a_file_at_once_and_leaves_nothing_else(
    frozen: Generator, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    save_generator(frozen, path)
    load_generator(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_failed_write_leaves_the_old_file(
    frozen: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ModelError, match="cannot be written: No space left") as caught:
        save_generator(frozen, path)
    assert caught.value.kind is ModelErrorKind.WRITE
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_unusable_destinations_are_refused(frozen: Generator, tmp_path: Path) -> None:
    source = tmp_path / "source.safetensors"
    save_generator(frozen, source)
    for destination in (source / "model.safetensors", tmp_path, source):
        with pytest.raises(ModelError) as caught:
            convert_checkpoint(source, destination)
        assert caught.value.kind is ModelErrorKind.WRITE
        assert str(destination) in caught.value.message
    load_generator(source)


def test_processes_with_one_number_do_not_touch_what_the_other_writes(
    frozen: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    others: list[Path] = []

    def begin_another(descriptor: int) -> None:
        monkeypatch.undo()
        others.extend(tmp_path.iterdir())
        save_generator(frozen, path)
        assert all(other.exists() for other in others)

    monkeypatch.setattr("os.fsync", begin_another)
    save_generator(frozen, path)
    assert len(others) == 1
    load_generator(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_loading_leaves_the_random_state_alone(frozen: Generator, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_generator(frozen, path)
    torch.manual_seed(4)
    expected = torch.randn(3)
    torch.manual_seed(4)
    load_generator(path)
    assert torch.equal(torch.randn(3), expected)


def test_labels_survive(tmp_path: Path) -> None:
    generator = random_generator(tiny_config(c_dim=3))
    path = tmp_path / "model.safetensors"
    save_generator(generator, path)
    z, c = torch.randn(2, 10), torch.eye(3)[:2]
    assert torch.equal(load_generator(path).mapping(z, c), generator.mapping(z, c))
