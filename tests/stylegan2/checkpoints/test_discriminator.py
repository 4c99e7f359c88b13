# SPDX-License-Identifier: GPL-3.0-or-later
"""Discriminators in checkpoints, compared with a plain computation of their definition in numpy."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylegan2 import ModelError, load_discriminator, load_generator, save_generator
from tests.stylegan2.golden import golden_path

Array = np.ndarray[Any, np.dtype[np.float64]]


def _correlated(x: Array, weight: Array) -> Array:
    """Return the correlation of ``C x H x W`` with ``O x C x k x k``, where the kernel fits."""
    size = weight.shape[-1]
    height, width = (n - size + 1 for n in x.shape[1:])
    y = np.zeros((len(weight), height, width))
    for row in range(size):
        for column in range(size):
            part = x[:, row : row + height, column : column + width]
            y += np.tensordot(weight[:, :, row, column], part, axes=1)
    return y


def _layer(x: Array, state: dict[str, Array], key: str, *, down: bool = False) -> Array:
    weight, bias = state[f"{key}.weight"], state.get(f"{key}.bias")
    size = weight.shape[-1]
    weight = weight / math.sqrt(weight[0].size)
    if down:
        # Upfirdn2d of the paper's code: padding, the normalised filter, and every second pixel.
        taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
        each = np.eye(len(x))[:, :, None, None] * taps
        around = (size + 1) // 2
        x = _correlated(np.pad(x, ((0, 0), (around, around), (around, around))), each)
        y = _correlated(x, weight)[:, ::2, ::2]
    else:
        y = _correlated(np.pad(x, ((0, 0), *[(size // 2, size // 2)] * 2)), weight)
    if bias is None:
        return y
    y = y + bias[:, None, None]
    return np.where(y > 0, y, 0.2 * y) * math.sqrt(2)


def _plain(state: dict[str, Array], image: Array) -> list[Array]:
    found = [_layer(image, state, "from_rgb")]
    number = 0
    while f"blocks.{number}.conv0.weight" in state:
        key, x = f"blocks.{number}", found[-1]
        y = _layer(_layer(x, state, f"{key}.conv0"), state, f"{key}.conv1", down=True)
        found.append((y + _layer(x, state, f"{key}.skip", down=True)) / math.sqrt(2))
        number += 1
    return found


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("ada_r64", (4, 8, 8, 8, 8)),
        ("ada_cond_r32", (8, 8, 8, 8)),
        ("sg3repo_r32", (8, 8, 8, 8)),
        ("ros_train_r32", (16, 16, 16, 16)),
    ],
)
def test_the_features_are_those_of_the_definition(name: str, channels: tuple[int, ...]) -> None:
    network = load_discriminator(golden_path(name))
    size = network.resolution
    random = torch.Generator().manual_seed(2)
    image = torch.rand(1, 3, size, size, generator=random) * 2 - 1
    found = network.features(image)
    assert tuple(each.shape[1] for each in found) == channels
    state = {key: value.double().numpy() for key, value in network.state_dict().items()}
    for ours, expected in zip(found, _plain(state, image[0].double().numpy()), strict=True):
        error = np.abs(ours[0].numpy() - expected).max() / np.abs(expected).max()
        assert error < 2e-5


def test_the_tensors_are_those_of_the_file() -> None:
    path = golden_path("ros_train_r32")
    with torch.serialization.safe_globals([argparse.Namespace]):
        state = torch.load(path, weights_only=True)["d"]
    found = load_discriminator(path).state_dict()
    assert torch.equal(found["from_rgb.weight"], state["convs.0.0.weight"])
    assert torch.equal(found["blocks.1.conv0.bias"], state["convs.2.conv1.1.bias"])
    assert torch.equal(found["blocks.2.conv1.weight"], state["convs.3.conv2.1.weight"])
    assert torch.equal(found["blocks.2.skip.weight"], state["convs.3.skip.1.weight"])


def test_activations_are_clamped_as_the_file_says() -> None:
    clamped, free = (load_discriminator(golden_path(n)) for n in ("sg3repo_r32", "ada_cond_r32"))
    image = torch.full((1, 3, 32, 32), 1e5)
    # Both ways through a block are added; only that of the skip is not clamped.
    assert float(clamped.features(image)[0].abs().max()) == 256.0
    assert float(free.features(image)[0].abs().max()) > 256.0
    assert (
        float(
            clamped.get_submodule("blocks.0.conv0")(image[:, :1].expand(-1, 8, -1, -1)).abs().max()
        )
        == 256.0
    )


def test_the_network_is_frozen() -> None:
    network = load_discriminator(golden_path("ada_r64"))
    assert not network.training
    assert not any(weight.requires_grad for weight in network.parameters())


@pytest.mark.parametrize("name", ["ada_grey_r32", "human_r64", "tf_r32", "ros_convert_r64"])
def test_a_file_without_one_is_a_sentence(name: str) -> None:
    with pytest.raises(ModelError, match="holds no discriminator that can be read; choose another"):
        load_discriminator(golden_path(name))


def test_a_converted_model_has_none(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_generator(load_generator(golden_path("ada_r64")), path)
    with pytest.raises(ModelError, match="is a safetensors file, which holds no discriminator"):
        load_discriminator(path)


def _state() -> dict[str, Any]:
    path = golden_path("ros_train_r32")
    with torch.serialization.safe_globals([argparse.Namespace]):
        state: dict[str, Any] = torch.load(path, weights_only=True)["d"]
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"convs.2.conv1.0.weight": torch.zeros(16, 9, 3, 3)}, "layers do not fit together"),
        ({"convs.2.conv2.1.weight": torch.zeros(16, 16, 3)}, "layers do not fit together"),
        ({"convs.0.0.weight": torch.zeros(16, 3)}, "without the layers of StyleGAN2"),
        ({"convs.1.conv2.0.kernel": torch.ones(4, 4) / 16}, "resampling filter other than"),
        ({"convs.1.conv2.2.bias": None}, "something other than a tensor"),
        ({"convs.1.conv2.2.bias": torch.full((16,), math.nan)}, "infinite or NaN"),
        ({"convs.1.conv1.0.weight": None}, "without the layers of StyleGAN2"),
    ],
)
def test_a_damaged_one_is_a_sentence(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "train.pt"
    state = {key: value for key, value in {**_state(), **change}.items() if value is not None}
    torch.save({"d": state}, path)
    with pytest.raises(ModelError, match=message):
        load_discriminator(path)


def test_tensors_that_share_their_data_are_refused(tmp_path: Path) -> None:
    state = _state()
    one = torch.zeros(16, 16, 3, 3)
    for number in range(1, 4):
        state[f"convs.{number}.conv1.0.weight"] = one
        state[f"convs.{number}.conv2.1.weight"] = one
    path = tmp_path / "train.pt"
    torch.save({"d": {k: v for k, v in state.items() if "final" not in k}}, path)
    with pytest.raises(ModelError, match="share their data"):
        load_discriminator(path)


def test_nothing_in_the_file_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    torch.save({"d": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match="nothing in it was run"):
        load_discriminator(tmp_path / "evil.pt")
