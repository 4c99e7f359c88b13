# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of model in every container that has it: ``docs/formats.md`` lists the same.

Each file is written by Python's pickle or by torch, and the loaded generator must compute what the
generator computes that it was made from.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from stylegan2 import (
    Generator,
    GeneratorConfig,
    ModelError,
    ModelErrorKind,
    convert_checkpoint,
    inspect_checkpoint,
    load_generator,
)

from ..formats import (
    defined_image,
    genforce_state,
    nvidia_state,
    prefixed,
    tensorflow_network,
    torch_file,
)
from ..making import random_generator, random_ws
from ..pickles import EasyDict, Network, Persistent, dump, persistent_generator, snapshot

SIZES: dict[str, Any] = {"img_resolution": 16, "channels": (9, 6, 5), "w_dim": 8, "z_dim": 10}
SIZES |= {"num_layers": 3}
KINDS: dict[str, dict[str, Any]] = {
    "skip": {},
    "orig": {"architecture": "orig"},
    "resnet": {"architecture": "resnet"},
    "labels": {"c_dim": 3},
    "grey": {"img_channels": 1},
    "rgba": {"img_channels": 4},
    "7 channels": {"img_channels": 7},
    "portrait": {"start_shape": (4, 2)},
    "landscape": {"start_shape": (3, 5)},
    "no noise": {"use_noise": False},
    "1024 channels": {"channels": (1024, 8, 5)},
    "other multiplier": {"lr_multiplier": 0.1},
}
# Older conditional networks for TensorFlow; GenForce has the same.
CONCAT: dict[str, Any] = {"c_dim": 3, "embed_features": 10, "label_mode": "concat"}


def made(**change: Any) -> Generator:
    return random_generator(GeneratorConfig(**(SIZES | change)))


def check_same(path: Path, generator: Generator) -> None:
    """Assert that a file gives the same latents and images as a generator."""
    loaded, config = load_generator(path), generator.config
    assert loaded.config == config
    z = torch.randn(2, config.z_dim)
    c = torch.eye(config.c_dim)[:2] if config.c_dim else None
    for psi in (1.0, 0.6):
        torch.testing.assert_close(
            loaded.mapping(z, c, truncation_psi=psi), generator.mapping(z, c, truncation_psi=psi)
        )
    ws = random_ws(generator)
    found, expected = loaded.synthesis(ws), defined_image(generator, ws)
    assert found.shape == (2, *config.img_shape)
    assert float((found - expected).abs().max()) < 2e-5 * float(expected.abs().max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("container", ["pkl", "pt", "safetensors"])
def test_every_kind_of_network_loads_and_converts(
    kind: str, container: str, tmp_path: Path
) -> None:
    generator = made(**KINDS[kind])
    path = tmp_path / "model"
    if container == "pkl":
        path.write_bytes(snapshot(generator))
    elif container == "pt" and kind == "other multiplier":
        pytest.skip("a state dict does not contain the multiplier")
    elif container == "pt":
        path.write_bytes(torch_file({"G_ema": nvidia_state(generator)}))
    else:
        source = tmp_path / "source"
        source.write_bytes(snapshot(generator))
        convert_checkpoint(source, path)
    check_same(path, generator)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("kind", [*KINDS, "concat"])
def test_networks_for_tensorflow_load(kind: str, protocol: int, tmp_path: Path) -> None:
    generator = made(**KINDS.get(kind, CONCAT))
    network = tensorflow_network(generator, 4 if kind == "concat" else 5)
    path = tmp_path / "model.pkl"
    path.write_bytes(dump((Network(variables=[]), Network(variables=[]), network), protocol))
    check_same(path, generator)
    converted = tmp_path / "model.safetensors"
    convert_checkpoint(path, converted)
    check_same(converted, generator)


def test_arguments_of_forks_do_not_matter(tmp_path: Path) -> None:
    """DiffAugment adds ``impl``, aydao's fork ``resolution_h`` and so on."""
    generator = made()
    forks: dict[str, Any] = {
        "impl": "ref",
        "resolution_h": 16,
        "resolution_w": 16,
        "randomize_noise": True,
    }
    network = tensorflow_network(generator, dlatent_avg_beta=0.99, own=EasyDict(x=[1]), **forks)
    path = tmp_path / "model.pkl"
    for value in (network, (network,), (network, network), [network]):
        path.write_bytes(dump(value))
        check_same(path, generator)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("normalize_latents", False),
        ("nonlinearity", "relu"),
        ("mapping_nonlinearity", "linear"),
        ("resample_kernel", [1, 2, 1]),
    ],
)
def test_arguments_that_change_the_arithmetic_are_refused(
    argument: str, value: object, tmp_path: Path
) -> None:
    path = tmp_path / "model.pkl"
    arguments: dict[str, Any] = {argument: value}
    path.write_bytes(dump(tensorflow_network(made(), **arguments)))
    with pytest.raises(ModelError, match="not supported") as caught:
        load_generator(path)
    assert caught.value.kind is ModelErrorKind.UNSUPPORTED


@pytest.mark.parametrize("kind", ["skip", "orig", "grey", "concat"])
@pytest.mark.parametrize("zipped", [True, False])
def test_genforce_files_load(kind: str, zipped: bool, tmp_path: Path) -> None:
    generator = made(**KINDS.get(kind, CONCAT))
    worse = {"mapping.dense0.weight": torch.zeros(1)}
    models = {"discriminator": worse, "generator": worse}
    models["generator_smooth"] = genforce_state(generator)
    path = tmp_path / "model.pth"
    path.write_bytes(torch_file({"models": models}, zipped=zipped))
    check_same(path, generator)
    assert inspect_checkpoint(path).container == "GenForce"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module.", "G.", "generator.module."])
@pytest.mark.parametrize("wrapper", [None, "g_ema", "state_dict", "params_ema"])
def test_wrappers_and_prefixes_are_understood(
    prefix: str, wrapper: str | None, zipped: bool, tmp_path: Path
) -> None:
    generator = made()
    value: object = prefixed(nvidia_state(generator), prefix)
    if prefix:
        assert isinstance(value, dict)
        value["D.b4.fc.weight"] = torch.zeros(1)
    path = tmp_path / "model.pt"
    path.write_bytes(torch_file(value if wrapper is None else {wrapper: value}, zipped=zipped))
    check_same(path, generator)


def test_the_averaged_generator_is_preferred(tmp_path: Path) -> None:
    worse, better = made(), random_generator(GeneratorConfig(**SIZES), seed=5)
    both = {"g": nvidia_state(worse), "g_ema": nvidia_state(better)}
    flat = prefixed(nvidia_state(worse), "G.") | prefixed(nvidia_state(better), "G_ema.")
    path = tmp_path / "model.pt"
    for value in (both, flat):
        path.write_bytes(torch_file(value))
        check_same(path, better)


@pytest.mark.parametrize("kind", ["skip", "labels", "concat"])
def test_a_missing_average_is_estimated_and_said(kind: str, tmp_path: Path) -> None:
    generator = made(**({} if kind == "skip" else CONCAT if kind == "concat" else {"c_dim": 3}))
    state = nvidia_state(generator)
    del state["mapping.w_avg"]
    path = tmp_path / "model.pt"
    path.write_bytes(torch_file(state))
    loaded = load_generator(path)
    z = torch.randn(20_000, 10, generator=torch.Generator().manual_seed(9))
    c = torch.eye(3).repeat(7000, 1)[: len(z)] if generator.c_dim else None
    w = generator.mapping(z, c)[:, 0].detach()
    assert float(((loaded.mapping.w_avg - w.mean(0)).abs() / w.std(0)).max()) < 0.05
    assert torch.equal(loaded.mapping.w_avg, load_generator(path).mapping.w_avg)
    assert any("no average latent" in note for note in inspect_checkpoint(path).notes)
    converted = tmp_path / "model.safetensors"
    convert_checkpoint(path, converted)
    assert inspect_checkpoint(converted).notes == inspect_checkpoint(path).notes


def test_missing_noise_maps_are_drawn_and_said(tmp_path: Path) -> None:
    state = {k: v for k, v in nvidia_state(made()).items() if not k.endswith("noise_const")}
    path = tmp_path / "model.pt"
    path.write_bytes(torch_file(state))
    loaded = load_generator(path)
    assert loaded.config.use_noise
    noise = [v for k, v in loaded.state_dict().items() if k.endswith("noise_const")]
    assert 0.9 < float(torch.cat([one.flatten() for one in noise]).std()) < 1.1
    assert any("no noise maps" in note for note in inspect_checkpoint(path).notes)


def test_what_a_state_dict_does_not_say_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(torch_file(nvidia_state(made())))
    assert any("whether activations are clamped" in n for n in inspect_checkpoint(path).notes)
    path.write_bytes(snapshot(made()))
    assert inspect_checkpoint(path).notes == ()


def test_networks_are_named_in_inspection(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(snapshot(made(architecture="resnet", c_dim=3)))
    assert inspect_checkpoint(path).architecture == "StyleGAN2, resnet architecture, 3 labels"


LATENT = torch.zeros(1, 18, 512)
OTHERS: dict[str, Any] = {
    "StyleGAN3": {"synthesis.input.weight": LATENT, "synthesis.L0_36_512.weight": LATENT},
    "EG3D": {"backbone.synthesis.b4.const": LATENT, "superresolution.block0.conv0.weight": LATENT},
    "lucidrains": {"GAN": {"S.net.0.weight": LATENT, "G.initial_block": LATENT}, "version": "1.8"},
    "discriminator": {"convs.0.0.weight": LATENT, "final_linear.0.weight": LATENT},
    "discriminator only": {"D": {"b4.fc.weight": LATENT, "b4.out.weight": LATENT}},
    "StyleGAN1": {"g_synthesis.blocks.4x4.const": LATENT},
    "StyleGAN1 model": {"generator": {"generator.progression.0.conv1.conv.weight": LATENT}},
    "saved latent": LATENT,
    "saved latent or tensor of 1 x 18 x 512 values": {"latent": LATENT},
    "saved latent or tensor": {"face.png": {"img": LATENT, "latent": LATENT, "noise": [LATENT]}},
    "saved latent or": {"w_plus": LATENT},
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("zipped", [True, False])
def test_other_files_of_torch_are_named(name: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(torch_file(OTHERS[name], zipped=zipped))
    with pytest.raises(ModelError) as caught:
        load_generator(path)
    assert name in caught.value.message
    assert caught.value.message.count(". ") == 0
    latent = ModelErrorKind.NOT_A_MODEL
    assert caught.value.kind is (latent if "latent" in name else ModelErrorKind.UNSUPPORTED)


def test_labels_that_were_lost_are_named(tmp_path: Path) -> None:
    state = {"input.input": torch.zeros(1, 4, 4, 4)}
    state |= {"style.1.weight": torch.zeros(8, 16), "style.1.bias": torch.zeros(8)}
    path = tmp_path / "model.pt"
    path.write_bytes(torch_file({"g_ema": state}))
    with pytest.raises(ModelError, match="labels were lost"):
        load_generator(path)


def test_torchscript_and_repacked_archives_are_named(tmp_path: Path) -> None:
    path, packed = tmp_path / "model.pt", tmp_path / "packed.pt"
    path.write_bytes(torch_file(nvidia_state(made())))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ModelError, match="compressed zip archive, which"):
        load_generator(packed)
    with zipfile.ZipFile(packed, "w") as new:
        new.writestr("a/constants.pkl", b"")
        new.writestr("a/data.pkl", b"\x80\x02}.")
    with pytest.raises(ModelError, match="TorchScript"):
        load_generator(packed)


def test_a_module_in_a_torch_file_needs_no_dictionary(tmp_path: Path) -> None:
    """Pivotal tuning saves the generator itself; ``test_golden`` has such a file by torch."""
    generator = made()
    path = tmp_path / "model.pkl"
    root = persistent_generator(generator)
    for value in (root, {"G": root, "D": Persistent("Discriminator")}):
        path.write_bytes(dump(value))
        check_same(path, generator)
