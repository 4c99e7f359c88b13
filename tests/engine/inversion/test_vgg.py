# SPDX-License-Identifier: GPL-3.0-or-later
"""VGG16 and LPIPS from a file, compared with a computation of their formulas in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.inversion.feature_loss import FeatureLoss, PerceptualDistance
from engine.inversion.loss import difference
from engine.inversion.loss_choice import LossChoice, make_loss
from engine.inversion.vgg import load_vgg
from tests.vgg_files import POSITIONS, vgg_state, write_vgg

CPU = torch.device("cpu")


def _image(seed: int, size: int = 32) -> Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _features(
    image: Tensor, state: dict[str, Tensor], prefix: str = "features"
) -> list[FloatArray]:
    """Return the features of the five blocks, ``C x h x w`` float64, by loops over the taps."""
    mean = np.array([0.485, 0.456, 0.406])[:, None, None]
    deviation = np.array([0.229, 0.224, 0.225])[:, None, None]
    x = ((image[0].double().numpy() + 1) / 2 - mean) / deviation
    features = []
    for block, positions in enumerate(POSITIONS):
        if block:
            x = x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).max(axis=(2, 4))
        for number in positions:
            name = prefix.format(block + 1)
            weight = state[f"{name}.{number}.weight"].double().numpy()
            bias = state[f"{name}.{number}.bias"].double().numpy()
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            height, width = x.shape[1:]
            y = np.zeros((len(weight), height, width))
            for row in range(3):
                for column in range(3):
                    part = padded[:, row : row + height, column : column + width]
                    y += np.tensordot(weight[:, :, row, column], part, axes=1)
            x = np.maximum(y + bias[:, None, None], 0)
        features.append(x)
    return features


def _distance(
    one: list[FloatArray], other: list[FloatArray], weights: list[FloatArray] | None
) -> float:
    layers = []
    for layer, (a, b) in enumerate(zip(one, other, strict=True)):
        units = [x / np.sqrt((x**2).sum(axis=0) + 1e-10) for x in (a, b)]
        far = (units[0] - units[1]) ** 2
        if weights is not None:
            far = far * weights[layer][:, None, None]
        layers.append(far.sum(axis=0).mean())
    return float(np.mean(layers) if weights is None else np.sum(layers))


def test_the_features_are_those_of_the_formulas(tmp_path: Path) -> None:
    network = load_vgg(write_vgg(tmp_path / "vgg.pth"), CPU)
    image = _image(1)
    found = network(image)
    for ours, expected in zip(found, _features(image, vgg_state()), strict=True):
        np.testing.assert_allclose(ours[0].numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("has_last", [False, True])
def test_the_distance_is_that_of_the_formula(has_last: bool, tmp_path: Path) -> None:
    path = write_vgg(tmp_path / "lpips.pt", is_lpips=True, has_last=has_last)
    network = load_vgg(path, CPU)
    one, other = _image(1), _image(2)
    state = vgg_state(is_lpips=True, has_last=has_last)
    weights = None
    if has_last:
        weights = [state[f"lin{n}.model.1.weight"].flatten().numpy() for n in range(5)]
    expected = _distance(
        _features(one, state, "net.slice{}"), _features(other, state, "net.slice{}"), weights
    )
    found = PerceptualDistance(network.channel_weights)(network(one), network(other))
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_the_names_of_the_two_programs_give_the_same_network(tmp_path: Path) -> None:
    ours = load_vgg(write_vgg(tmp_path / "a.pth"), CPU)(_image(3))
    theirs = load_vgg(write_vgg(tmp_path / "b.pth", is_lpips=True), CPU)(_image(3))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_a_safetensors_file_serves_as_well(tmp_path: Path) -> None:
    state = {key: value for key, value in vgg_state().items() if "classifier" not in key}
    save_file(state, tmp_path / "vgg.safetensors")
    ours = load_vgg(tmp_path / "vgg.safetensors", CPU)(_image(3))
    theirs = load_vgg(write_vgg(tmp_path / "vgg.pth"), CPU)(_image(3))
    assert torch.equal(ours[-1], theirs[-1])


def test_a_black_picture_has_a_gradient(tmp_path: Path) -> None:
    loss = make_loss(LossChoice("vgg", write_vgg(tmp_path / "vgg.pth")), Path("none"), CPU)
    image = torch.full((1, 3, 32, 32), -1.0, requires_grad=True)
    value = loss(image, torch.full_like(image, -1.0), torch.ones(1, 1, 32, 32))
    (gradient,) = torch.autograd.grad(value.sum(), image)
    assert bool(gradient.isfinite().all())


def test_pixels_without_weight_do_not_count(tmp_path: Path) -> None:
    loss = make_loss(LossChoice("vgg", write_vgg(tmp_path / "vgg.pth")), Path("none"), CPU)
    wanted, image = _image(1), _image(1)
    image[..., :16] = _image(2)[..., :16]
    weights = torch.zeros(1, 1, 32, 32)
    weights[..., 16:] = 1.0
    whole = loss(image, wanted, torch.ones_like(weights)) - difference(
        image, wanted, torch.ones_like(weights)
    )
    part = loss(image, wanted, weights) - difference(image, wanted, weights)
    assert whole.item() > 0.01
    assert abs(part.item()) < 1e-6


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 8), (4, 2)])
def test_images_below_16_px_have_features_too(height: int, width: int, tmp_path: Path) -> None:
    network = load_vgg(write_vgg(tmp_path / "vgg.pth"), CPU)
    features = network(torch.zeros(1, 3, height, width))
    halves = [(max(height >> n, 1), max(width >> n, 1)) for n in range(5)]
    assert [tuple(one.shape[2:]) for one in features] == halves


def test_large_images_are_made_smaller() -> None:
    seen: list[tuple[int, ...]] = []

    def network(images: Tensor) -> list[Tensor]:
        seen.append(tuple(images.shape))
        return [images]

    loss = FeatureLoss(network, PerceptualDistance(), 1.0, 16)
    loss(torch.zeros(1, 3, 70, 50), torch.zeros(1, 3, 70, 50), torch.ones(1, 1, 70, 50))
    loss(torch.zeros(1, 3, 24, 24), torch.zeros(1, 3, 24, 24), torch.ones(1, 1, 24, 24))
    assert set(seen) == {(1, 3, 23, 16), (1, 3, 24, 24)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.28.weight": None}, "has no VGG16 network; choose torchvision's vgg16"),
        ({"features.30.weight": torch.zeros(8, 8, 3, 3)}, "has no VGG16 network"),
        ({"features.0.weight": torch.zeros(4, 3, 5, 5)}, "other layers than VGG16"),
        ({"features.0.weight": torch.tensor(1.0)}, "other layers than VGG16"),
        (
            {"features.0.weight": None, "features.00.weight": torch.zeros(4, 3, 3, 3)},
            "has no VGG16 network",
        ),
        ({"features.2.bias": None}, "other layers than VGG16"),
        ({"lin0.model.1.weight": torch.zeros(1, 4, 1, 1)}, "other last layers than LPIPS"),
    ],
)
def test_other_networks_are_a_sentence(
    change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    state = {**vgg_state(), **change}
    path = tmp_path / "other.pth"
    torch.save({key: value for key, value in state.items() if value is not None}, path)
    with pytest.raises(RequestError, match=message):
        load_vgg(path, CPU)


def test_the_small_file_of_lpips_is_a_sentence(tmp_path: Path) -> None:
    state = {k: v for k, v in vgg_state(has_last=True).items() if k.startswith("lin")}
    torch.save(state, tmp_path / "vgg.pth")
    with pytest.raises(RequestError, match="only the last layers of LPIPS; choose"):
        load_vgg(tmp_path / "vgg.pth", CPU)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("run",)

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(RequestError, match="nothing in it was run"):
        load_vgg(tmp_path / "evil.pth", CPU)


def test_a_loss_without_its_file_is_a_sentence() -> None:
    with pytest.raises(RequestError, match="needs a file with the weights of VGG16"):
        make_loss(LossChoice("vgg"), Path("model.pkl"), CPU)
    with pytest.raises(RequestError, match="the loss must be one of pixels, discriminator"):
        LossChoice("lpips")
