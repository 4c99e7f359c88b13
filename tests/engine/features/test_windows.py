# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares windows computed alone with windows cut from whole maps, as a drag uses them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.arrays import ByteArray
from engine.features import windows as windows_module
from engine.features.choice import open_source
from engine.features.full_map import FullMapSource
from engine.features.seam import seam_band
from engine.features.source import FeatureSource, FeatureView, FixedArea, held_block
from engine.features.windows import WindowSource, WindowView
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from stylegan2 import Canvas, Generator, GeneratorConfig, ImagePass, Matte, Overlay
from stylegan2.ops.fused import FusedOperators, build
from stylegan2.windows import fused_pass

CPU = torch.device("cpu")
BLOCK = 64
NUM_LAYERS = 5
HELD = 16


@pytest.fixture(scope="module")
def generator() -> Generator:
    """Return a generator of 64 px with random weights and noise; features have the image's size."""
    torch.manual_seed(11)
    config = GeneratorConfig.standard(
        64, channel_base=768, channel_max=24, z_dim=12, w_dim=12, mapping_layers=2
    )
    made = Generator(config)
    with torch.no_grad():
        for key, tensor in made.state_dict().items():
            if key.endswith(("bias", "noise_strength")):
                tensor.add_(torch.randn_like(tensor) * 0.2)
    return made.freeze()


def _latents(generator: Generator) -> tuple[Tensor, Tensor]:
    """Return a start, and a latent that differs from it in the first rows."""
    torch.manual_seed(2)
    start = torch.randn(generator.num_ws, generator.w_dim)
    moved = start.clone()
    moved[:NUM_LAYERS] += 0.2 * torch.randn(NUM_LAYERS, generator.w_dim)
    return start, moved


def _centres() -> Tensor:
    """Return ``P x 2`` centres at corners, on and outside borders, and between pixels."""
    edge = [(-0.5, -0.5), (63.5, -0.2), (0.3, 63.4), (63.5, 63.5), (31.0, 0.0), (0.0, 17.6)]
    torch.manual_seed(4)
    return torch.cat([torch.tensor(edge), torch.rand(6, 2) * 63])


def _both(generator: Generator, fixed: Tensor | None = None) -> tuple[FeatureSource, FeatureSource]:
    start, _ = _latents(generator)
    whole = FullMapSource(generator, BLOCK, start, fixed, HELD)
    return whole, WindowSource(generator, BLOCK, start, NUM_LAYERS, start, fixed, HELD)


def _looks(generator: Generator) -> list[tuple[Tensor, FeatureView]]:
    """Return the leaf and the view of each source, that of whole maps first."""
    _, moved = _latents(generator)
    looks = []
    for source in _both(generator):
        leaf = moved.clone().requires_grad_()
        looks.append((leaf, source.observe(leaf, _centres(), 5)))
    return looks


def _assert_close(found: Tensor, expected: Tensor, share: float = 1e-5) -> None:
    assert (found - expected).abs().max() < share * expected.abs().max()


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def _difference(view: FeatureView) -> Tensor:
    difference = view.fixed_difference()
    assert difference is not None
    return difference


def test_samples_and_their_gradients_are_those_of_the_whole_map(generator: Generator) -> None:
    positions = _centres()[:, None] + torch.rand(12, 40, 2) * 9 - 4.5
    (known_leaf, known), (leaf, found) = _looks(generator)
    samples = [look.windows.sample(positions) for look in (known, found)]
    _assert_close(samples[1], samples[0])
    weights = torch.randn_like(samples[0])
    for sample in samples:
        (sample * weights).sum().backward()  # type: ignore[no-untyped-call]
    _assert_close(_gradient(leaf)[:NUM_LAYERS], _gradient(known_leaf)[:NUM_LAYERS])
    assert not _gradient(leaf)[NUM_LAYERS:].any()


def test_each_window_s_dependence_on_the_latent_is_that_of_the_whole_map(
    generator: Generator,
) -> None:
    positions = _centres()[:, None] + torch.tensor([[0.3, 0.1], [-1.2, 2.0]])
    rows = []
    for _, view in _looks(generator):
        values = view.windows.values.detach().requires_grad_()
        windows = type(view.windows)(values, view.windows.origins)
        samples = windows.sample(positions)
        torch.manual_seed(0)
        directions = [
            torch.autograd.grad(samples, values, torch.randn_like(samples), retain_graph=True)[0]
            for _ in range(2)
        ]
        rows.append(view.pull_back_each(torch.stack(directions))[:, :, :NUM_LAYERS])
    assert rows[0].shape == (2, 12, NUM_LAYERS, 12)
    _assert_close(rows[1], rows[0])


def test_the_spread_is_that_of_the_whole_map(generator: Generator) -> None:
    (_, known), (_, found) = _looks(generator)
    assert found.spread().item() == pytest.approx(known.spread().item(), rel=1e-5)


def test_a_mask_holds_the_first_block_that_depends_on_all_that_varies(
    generator: Generator,
) -> None:
    blocks = [held_block(generator, BLOCK, count) for count in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
    assert blocks == [4, 8, 8, 16, 16, 32, 32, 64, 64]
    assert held_block(generator, 16, 9) == 16
    assert held_block(generator, BLOCK, 6, wanted=8) == 8
    with pytest.raises(
        ValueError, match="no block of 32 px up to the feature block, only 4, 8, 16"
    ):
        held_block(generator, 16, 6, wanted=32)


def test_what_a_mask_holds_is_the_mean_over_the_fixed_area_of_that_block(
    generator: Generator,
) -> None:
    fixed = torch.zeros(64, 64)
    fixed[:, :32] = 1
    start, moved = _latents(generator)
    leaf = moved.clone().requires_grad_()
    before, after = (generator.features(ws[None], HELD)[0, :, :, :8] for ws in (start, leaf))
    change = (after - before).abs().mean()
    (known,) = torch.autograd.grad(change, leaf)
    for source in _both(generator, fixed):
        view = source.observe(leaf, _centres()[:2], 5)
        _assert_close(view.fixed_change(), change)
        _assert_close(_difference(view).square().sum(), (after - before).square().mean())
        (found,) = torch.autograd.grad(view.fixed_change(), leaf, retain_graph=True)
        _assert_close(found[:NUM_LAYERS], known[:NUM_LAYERS])
        # Without points, only the held map is computed.
        alone = source.observe(moved, torch.zeros(0, 2), 0)
        _assert_close(_difference(alone), _difference(view))
        spread = view.fixed_spread().item()
        assert alone.fixed_spread().item() == pytest.approx(spread, rel=1e-5)


def test_the_gradient_of_windows_and_of_what_a_mask_holds_is_that_of_both(
    generator: Generator,
) -> None:
    fixed = torch.zeros(64, 64)
    fixed[20:] = 1
    gradients = []
    for source in _both(generator, fixed):
        leaf = _latents(generator)[1].clone().requires_grad_()
        view = source.observe(leaf, _centres(), 5)
        samples = view.windows.sample(_centres()[:, None])
        loss = view.fixed_change() + samples.square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients.append(_gradient(leaf)[:NUM_LAYERS])
    _assert_close(gradients[1], gradients[0])


def test_without_a_fixed_area_there_is_none(generator: Generator) -> None:
    _, source = _both(generator, torch.zeros(64, 64))
    view = source.observe(_latents(generator)[1], _centres(), 3)
    assert view.fixed_difference() is None and view.fixed_change().item() == 0


def test_windows_larger_than_the_map_are_cut_from_it(generator: Generator) -> None:
    _, moved = _latents(generator)
    whole, source = _both(generator)
    found, known = (each.observe(moved, _centres(), 40).windows for each in (source, whole))
    assert torch.equal(found.values, known.values)


def test_windows_are_taken_where_they_are_cheaper(generator: Generator) -> None:
    start, _ = _latents(generator)

    def kind(**choice: Any) -> type:
        source = open_source(
            generator, BLOCK, start, **{"num_layers": NUM_LAYERS, "points": 1, **choice}
        )
        return type(source)

    assert kind() is WindowSource
    assert kind(points=100) is FullMapSource
    assert kind(points=100, windows=True) is WindowSource
    assert kind(windows=False) is FullMapSource


@pytest.mark.parametrize("masked", [False, True])
def test_many_windows_are_differentiated_in_groups(generator: Generator, masked: bool) -> None:
    start, moved = _latents(generator)
    fixed = torch.from_numpy(_mask()) / 255 if masked else None
    torch.manual_seed(5)
    centres = torch.rand(40, 2) * 63
    directions = torch.randn(2, 40, 11, 11, 12)
    looks = []
    for windows in (False, True):
        leaf = moved.clone().requires_grad_()
        source = open_source(
            generator,
            BLOCK,
            start,
            num_layers=NUM_LAYERS,
            points=40,
            fixed=fixed,
            held=HELD,
            windows=windows,
            directions=2,
        )
        view = source.observe(leaf, centres, 5)
        rows = view.pull_back_each(directions)[:, :, :NUM_LAYERS]
        positions = centres[:, None]
        loss = view.fixed_change() + view.windows.sample(positions).sin().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        looks.append((view, rows, _gradient(leaf)[:NUM_LAYERS]))
    (whole, rows, gradient), (view, found, found_gradient) = looks
    _assert_close(found_gradient, gradient)
    assert isinstance(view, WindowView)
    # At the border, windows of a map repeat it, and others are moved back.
    places = (whole.windows.origins == view.windows.origins).all(dim=1)
    assert places.sum() > 10
    _assert_close(view.windows.values[places], whole.windows.values[places])
    _assert_close(found[:, places], rows[:, places])
    assert (view.fixed_difference() is None) is not masked
    if masked:
        _assert_close(_difference(view), _difference(whole))


@pytest.fixture
def fused(operators_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make windows use fused operators; return the list that their calls are appended to."""
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        pytest.skip("needs a C++ compiler")
    operators, calls = FusedOperators(build(operators_folder, CPU), CPU), list[str]()
    right = operators.outputs_back

    def counted(*arguments: Any) -> None:
        calls.append("outputs_back")
        right(*arguments)

    monkeypatch.setattr(operators, "outputs_back", counted)
    monkeypatch.setattr(windows_module, "fused_operators", lambda device: operators)
    # Operators are not used for layers as small as this generator's.
    monkeypatch.setattr(fused_pass, "_FEW_CHANNELS", 1)
    return calls


@pytest.mark.parametrize("method, steps", [("draggan", 50), ("linearised", 4)])
def test_after_many_steps_windows_and_whole_maps_still_agree(
    generator: Generator, method: str, steps: int
) -> None:
    assert_agreement_after(steps, method, generator)


def test_after_many_steps_under_an_exact_mask_windows_and_whole_maps_still_agree(
    generator: Generator,
) -> None:
    assert_agreement_after(4, "linearised", generator, _mask())


def test_after_many_steps_under_an_exact_mask_fused_windows_and_whole_maps_still_agree(
    generator: Generator, fused: list[str]
) -> None:
    assert_agreement_after(4, "linearised", generator, _mask())
    assert len(fused) >= 4


def test_under_an_exact_mask_what_is_held_is_that_of_the_whole_map(generator: Generator) -> None:
    start, moved = _latents(generator)
    mask = torch.from_numpy(_mask()) / 255
    matte = Matte(generator.config, mask, 4.0)
    canvas = Canvas(generator, start, [Overlay(start, matte)], 1)
    band = seam_band(matte.full)
    positions = _centres()[:, None] + torch.rand(12, 40, 2) * 9 - 4.5
    looks = []
    for windows in (False, True):
        leaf = moved.clone().requires_grad_()
        source = open_source(
            generator,
            BLOCK,
            start,
            num_layers=NUM_LAYERS,
            points=12,
            fixed=band,
            held=HELD,
            windows=windows,
            canvas=canvas,
        )
        view = source.observe(leaf, _centres(), 5)
        (view.fixed_change() + view.windows.sample(positions).sin().sum()).backward()  # type: ignore[no-untyped-call]
        looks.append((view, _gradient(leaf)))
    assert isinstance(looks[1][0], WindowView)
    _assert_close(_difference(looks[1][0]), _difference(looks[0][0]))
    _assert_close(looks[1][1][:NUM_LAYERS], looks[0][1][:NUM_LAYERS])
    plain = generator.features(moved[None], HELD) - generator.features(start[None], HELD)
    expected = FixedArea(torch.zeros_like(plain[0]), band).difference(plain[0])
    _assert_close(_difference(looks[0][0]), expected)


def test_several_open_latents_are_computed_on_whole_maps(generator: Generator) -> None:
    start, _ = _latents(generator)
    matte = Matte(generator.config, torch.from_numpy(_mask()) / 255)
    for first, kind in ((0, FullMapSource), (1, FullMapSource), (2, WindowSource)):
        overlays = [Overlay(start, matte), Overlay(start, matte)]
        canvas = Canvas(generator, start, overlays, first)
        source = open_source(
            generator, BLOCK, start, num_layers=NUM_LAYERS, points=2, canvas=canvas, windows=True
        )
        assert type(source) is kind


def _mask() -> ByteArray:
    mask = np.zeros((64, 64), np.uint8)
    mask[8:52, 10:50] = 255
    return mask


@pytest.mark.parametrize("method, steps", [("draggan", 50), ("linearised", 4)])
def test_after_many_steps_fused_windows_and_whole_maps_still_agree(
    generator: Generator, fused: list[str], method: str, steps: int
) -> None:
    assert_agreement_after(steps, method, generator)
    assert len(fused) >= steps


def assert_agreement_after(
    steps: int, method: str, generator: Generator, mask: ByteArray | None = None
) -> None:
    latent = _latents(generator)[0].numpy()
    handles = np.array([[20.0, 24.0], [40.0, 33.0]], dtype=np.float32)
    # The drag does not arrive. Least squares makes few steps, because its decisions between steps
    # would depend on rounding in the long run.
    options = DragOptions(
        method=method,
        latent_space="w+",
        num_layers=NUM_LAYERS,
        step_size=1e-3,
        tolerance_px=0.0,
        patience=0,
        max_steps=steps,
        # Least squares measure this term by small differences, in which rounding shows.
        mask_weight=0.0 if method == "linearised" else 20.0,
    )
    results = [
        drag(generator, latent, handles, handles + 8, options, windows=windows, mask=mask)
        for windows in (False, True)
    ]
    known, found = results
    assert known.steps == found.steps == steps
    share = np.abs(known.latents).max() * 1e-4
    np.testing.assert_allclose(found.latents, known.latents, atol=share, rtol=0)
    np.testing.assert_allclose(found.handles_px, known.handles_px, atol=64e-4, rtol=0)
    assert np.abs(known.latents[-1] - latent).max() > 10 * share


def test_windows_are_cut_from_an_image_that_is_shown(
    generator: Generator,
) -> None:
    start, _ = _latents(generator)
    asked: list[tuple[int, ImagePass]] = []

    def image_of(ws: Tensor, num_layers: int, between: Callable[[], None]) -> ImagePass | None:
        if len(asked) == 3:
            return None
        made = ImagePass(generator, ws, 64, num_layers, between=between)
        asked.append((num_layers, made))
        return made

    handles = np.array([[20.0, 30.0], [41.0, 22.0]], np.float32)
    options = DragOptions(max_steps=4, patience=4, num_layers=NUM_LAYERS)
    latent, targets = start.numpy(), handles + np.float32(2.0)
    stepped: list[Tensor] = []
    alone = drag(generator, latent, handles, targets, options, windows=True)
    shown = drag(
        generator,
        latent,
        handles,
        targets,
        options,
        windows=True,
        image_of=image_of,
        on_step=lambda step: stepped.append(step.latent),
    )
    assert [layers for layers, _ in asked] == [NUM_LAYERS] * 3
    assert shown.steps == alone.steps
    assert np.abs(shown.latents - alone.latents).max() < 1e-4 * np.abs(alone.latents).max()
    assert all(torch.equal(made.ws, row) for (_, made), row in zip(asked, stepped, strict=False))


def test_nobody_is_asked_for_an_image_where_windows_are_not_those_of_one_latent(
    generator: Generator,
) -> None:
    start, moved = _latents(generator)

    def image_of(ws: Tensor, num_layers: int, between: Callable[[], None]) -> ImagePass | None:
        raise AssertionError("asked")

    free = torch.zeros(64, 64)
    free[20:40, 20:40] = 1
    matte = Matte(generator.config, free)
    canvas = Canvas(generator, start, [Overlay(start, matte)], 1)
    for fixed, blended in ((1 - free, None), (None, canvas)):
        source = WindowSource(
            generator, BLOCK, start, NUM_LAYERS, start, fixed, HELD, blended, image_of=image_of
        )
        source.observe(moved, _centres(), 5)
