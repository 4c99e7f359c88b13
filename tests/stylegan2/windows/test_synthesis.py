# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows against the whole map: values and gradients at borders, at corners and elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import stylegan2.ops.convolution as convolution
import stylegan2.windows.layer_pass as layer_pass
from stylegan2 import (
    Canvas,
    Generator,
    GeneratorConfig,
    Matte,
    Overlay,
    WindowPlan,
    WindowSynthesis,
    plan_windows,
)
from stylegan2.windows.plan import side_below, whole_multiply_adds

from ..making import random_generator, random_ws

CONFIG = GeneratorConfig.standard(
    64, channel_base=768, channel_max=24, z_dim=8, w_dim=12, mapping_layers=2
)
SIDE = 9
# Allowed difference, relative to the largest magnitude.
CLOSE = 1e-5


class Whole:
    """The same windows, cut from the whole map, with autograd."""

    def __init__(
        self,
        generator: Generator,
        resolution: int,
        num_layers: int,
        canvas: Canvas | None = None,
    ) -> None:
        self._canvas = canvas
        self.ws = random_ws(generator, 1)[0]
        self.leaf = self.ws[:num_layers].clone().requires_grad_()
        self._latent = torch.cat([self.leaf, self.ws[num_layers:]])[None]
        self._generator = generator
        self.features = self.map_of(resolution)

    def map_of(self, resolution: int) -> Tensor:
        """Return the features of a block, ``H x W x C``."""
        where = self._generator if self._canvas is None else self._canvas
        return where.features(self._latent, resolution)[0].permute(1, 2, 0)

    def cut(self, origins: Tensor) -> Tensor:
        """Return the windows at ``origins``, ``P x SIDE x SIDE x C``."""
        return torch.stack([self.features[y : y + SIDE, x : x + SIDE] for x, y in origins.tolist()])


def everywhere(shape: tuple[int, int]) -> Tensor:
    """Return origins, ``P x 2``, of windows at corners, at borders and at random places."""
    height, width = shape
    right, bottom = width - SIDE, height - SIDE
    torch.manual_seed(3)
    corners = [(0, 0), (right, 0), (0, bottom), (right, bottom)]
    borders = [(7, 0), (0, 10), (right, 6), (4, bottom), (1, 1), (right - 1, bottom - 1)]
    random = torch.rand(8, 2) * torch.tensor([right, bottom])
    return torch.cat([torch.tensor(corners + borders), random.long()])


def assert_close(found: Tensor, expected: Tensor) -> None:
    error, largest = (found - expected).abs().max(), expected.abs().max()
    assert error <= CLOSE * largest, f"off by {error:.1e} where the largest magnitude is {largest}"


CASES = {
    "usual": (CONFIG, 64, 5),
    "clamped": (replace(CONFIG, conv_clamp=1.0), 64, 5),
    "without noise": (replace(CONFIG, use_noise=False), 64, 5),
    "higher than wide": (replace(CONFIG, start_shape=(4, 2)), 64, 5),
    "a lower block": (CONFIG, 32, 3),
    "every layer may change": (CONFIG, 64, 10),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("alone", [True, False])
def test_windows_equal_the_whole_map_in_values_and_gradients(name: str, alone: bool) -> None:
    config, resolution, num_layers = CASES[name]
    generator = random_generator(config).freeze()
    num_layers = min(num_layers, config.layers_below(resolution))
    whole = Whole(generator, resolution, num_layers)
    origins = everywhere(config.block_shape(resolution))
    groups = torch.split(origins, 1) if alone else (origins,)
    crops = set()
    for group in groups:
        # Planned for at most two windows: for more, windows save nothing in such a small network.
        plan = plan_windows(config, resolution, SIDE, min(len(group), 2))
        crops.add(plan.crop)
        synthesis = WindowSynthesis(generator, resolution, plan, whole.ws, num_layers)
        found = synthesis.run(whole.ws, group)
        expected = whole.cut(group)
        assert_close(found.values, expected)
        directions = torch.randn(2, *expected.shape)
        derivatives = found.pull_back_each(directions)
        for row in range(2):
            for point in range(len(group)):
                product = (expected[point] * directions[row, point]).sum()
                (known,) = torch.autograd.grad(product, whole.leaf, retain_graph=True)
                assert_close(derivatives[row, point], known)
    assert max(crops) < resolution


def test_the_gradient_of_all_windows_and_of_whole_maps_together() -> None:
    generator = random_generator(CONFIG).freeze()
    whole = Whole(generator, 64, 5)
    origins = everywhere((64, 64))
    plan = plan_windows(CONFIG, 64, SIDE, 2, least_crop=16)
    assert plan.crop == 16
    found = WindowSynthesis(generator, 64, plan, whole.ws, 5).run(whole.ws, origins)
    directions = torch.randn_like(found.values)
    maps = {block: torch.randn_like(found.maps[block]) for block in (8, 16)}
    for windows, chosen in ((directions, maps), (None, maps), (directions, {})):
        products = [(whole.map_of(block) * maps[block][0]).sum() for block in chosen]
        if windows is not None:
            products.append((whole.cut(origins) * windows).sum())
        (known,) = torch.autograd.grad(
            sum(products, torch.zeros(())), whole.leaf, retain_graph=True
        )
        assert_close(found.pull_back(windows, chosen), known)


def test_windows_by_winograd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_MANY_CHANNELS", 1)
    monkeypatch.setattr(convolution, "_FEW_PIXELS", 0)
    for name in ("clamped", "higher than wide", "a lower block"):
        test_windows_equal_the_whole_map_in_values_and_gradients(name, False)


def test_windows_as_on_a_gpu_where_nobody_looks_whether_they_are_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layer_pass, "_are_all", lambda flags: False)
    test_windows_equal_the_whole_map_in_values_and_gradients("usual", False)
    # Without windows only whole maps are computed, as for the map that a mask holds.
    generator = random_generator(CONFIG).freeze()
    ws = random_ws(generator, 1)[0]
    plan = plan_windows(CONFIG, 16, 1, 0, least_crop=16)
    found = WindowSynthesis(generator, 16, plan, ws, 5).run(ws, torch.zeros(0, 2).long())
    assert found.values.shape == (0, 1, 1, CONFIG.channels_at(16))
    assert_close(found.maps[16][0].permute(2, 0, 1), generator.features(ws[None], 16)[0])


def test_prepared_layers_follow_loaded_weights() -> None:
    generator = random_generator(CONFIG).freeze()
    ws, origins = random_ws(generator, 1)[0], torch.tensor([[3, 4]])
    plan = plan_windows(CONFIG, 64, SIDE, 1)

    def values() -> Tensor:
        return WindowSynthesis(generator, 64, plan, ws, 5).run(ws, origins).values

    before = values()
    generator.load_state_dict(random_generator(CONFIG, seed=9).state_dict())
    expected = generator.features(ws[None], 64)[0].permute(1, 2, 0)[4 : 4 + SIDE, 3 : 3 + SIDE]
    assert_close(values()[0], expected)
    generator.freeze()
    assert_close(values()[0], expected)
    assert (before[0] - expected).abs().max() > 0.1


def test_layers_above_the_given_maps_have_no_gradient() -> None:
    generator = random_generator(CONFIG).freeze()
    ws = random_ws(generator, 1)[0]
    plan = plan_windows(CONFIG, 64, SIDE, 1, least_crop=16)
    found = WindowSynthesis(generator, 64, plan, ws, 9).run(ws, torch.zeros(1, 2).long())
    derivative = found.pull_back(None, {8: torch.ones_like(found.maps[8])})
    assert derivative.shape == (9, CONFIG.w_dim)
    assert derivative[:3].abs().min() > 0
    assert not derivative[3:].any()


def test_the_plan_is_the_one_with_the_fewest_multiply_adds() -> None:
    config = GeneratorConfig.standard(1024)
    crops = [plan_windows(config, 128, 15, count).crop for count in (1, 8, 20, 200)]
    assert crops == [8, 16, 32, 128]
    whole = sum(whole_multiply_adds(config, block) for block in config.resolutions[:6])
    few, many = plan_windows(config, 128, 15, 1), plan_windows(config, 128, 15, 200)
    assert few.multiply_adds < whole / 15
    assert (many.blocks, many.cut_side, many.multiply_adds) == ((), 15, whole)


def test_with_many_windows_backward_passes_of_each_begin_at_a_lower_block() -> None:
    config = GeneratorConfig.standard(1024)
    forward, both = (plan_windows(config, 128, 13, 68, directions=count) for count in (0, 2))
    assert (forward.crop, both.crop) == (128, 8)

    def all_of(plan: WindowPlan) -> int:
        return plan.multiply_adds + 2 * 68 * plan.multiply_adds_back

    assert all_of(both) < all_of(forward) / 10
    five = plan_windows(config, 128, 13, 5, directions=2)
    assert all_of(both) < 68 / 5 * (five.multiply_adds + 2 * 5 * five.multiply_adds_back)


def test_a_block_reads_as_much_of_the_one_below_as_the_definition_says() -> None:
    for side in range(1, 20):
        widest = 0
        for first in range(20):
            # List the inputs: the neighbours of a pixel, the four rows of the filter, and the three
            # rows of the kernel.
            results = range(first - 1, first + side + 1)
            rows = {o + step for o in results for step in (-1, 0, 1, 2)}
            inputs = {(t - k) // 2 for t in rows for k in (0, 1, 2) if (t - k) % 2 == 0}
            assert (first - 3) // 2 <= min(inputs)
            widest = max(widest, max(inputs) - (first - 3) // 2 + 1)
        assert side_below(side) == widest


def test_multiply_adds_of_a_map_are_counted_as_its_convolutions_make_them() -> None:
    config = GeneratorConfig(img_resolution=8, channels=(6, 5))
    assert whole_multiply_adds(config, 4) == 4 * 4 * 6 * 6 * 9
    assert whole_multiply_adds(config, 8) == 4 * 4 * 6 * 5 * 9 + 8 * 8 * 5 * 5 * 9


@pytest.mark.parametrize("name", CASES)
def test_windows_of_a_canvas_equal_its_whole_map_in_values_and_gradients(name: str) -> None:
    config, resolution, num_layers = CASES[name]
    generator = random_generator(config).freeze()
    num_layers = min(num_layers, config.layers_below(resolution))
    base, start = random_ws(generator, 2, seed=9)
    mask = torch.rand(config.img_shape[1:])
    mask[:, : mask.shape[1] // 3] = 0
    matte = Matte(config, mask, 4.0)
    canvas = Canvas(generator, base, [Overlay(start, matte)], 1)
    whole = Whole(generator, resolution, num_layers, canvas)
    crops = set()
    for group in torch.split(everywhere(config.block_shape(resolution)), 6):
        plan = plan_windows(config, resolution, SIDE, 1)
        crops.add(plan.crop)
        synthesis = WindowSynthesis(
            generator, resolution, plan, whole.ws, num_layers, canvas=canvas
        )
        found = synthesis.run(whole.ws, group)
        expected = whole.cut(group)
        assert_close(found.values, expected)
        directions = torch.randn(2, *expected.shape)
        derivatives = found.pull_back_each(directions)
        for window in range(0, len(group), 2):
            (gradient,) = torch.autograd.grad(
                expected[window], whole.leaf, directions[1, window], retain_graph=True
            )
            assert_close(derivatives[1, window], gradient)
        weights = torch.randn_like(expected)
        (gradient,) = torch.autograd.grad(expected, whole.leaf, weights, retain_graph=True)
        assert_close(found.pull_back(weights, {}), gradient)
    assert min(crops) < resolution, "windows were computed, not whole maps"
