# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.features.full_map import FullMapSource, cut_windows
from engine.features.source import FeatureGrid, Windows, feature_block, spread_of
from stylegan2 import Generator

from ..synthetic import ShiftGenerator, as_generator

# The name of the only block of ``ShiftGenerator``, 24 x 16 px.
BLOCK = 4


def test_pixel_centres_of_the_image_become_indices_of_the_map() -> None:
    grid = FeatureGrid(image_size=(64, 32), feature_size=(64, 32))
    assert grid.to_feature(torch.tensor([[0.5, 31.5]])).tolist() == [[0.0, 31.0]]


def test_the_axes_of_a_non_square_image_have_their_own_scale() -> None:
    grid = FeatureGrid(image_size=(64, 30), feature_size=(16, 15))
    positions = grid.to_feature(torch.tensor([[64.0, 30.0], [2.0, 1.0]]))
    assert positions.tolist() == [[15.5, 14.5], [0.0, 0.0]]
    assert grid.to_image(positions).tolist() == [[64.0, 30.0], [2.0, 1.0]]


def test_clamping_keeps_positions_between_the_outer_edges() -> None:
    grid = FeatureGrid(image_size=(8, 4), feature_size=(8, 4))
    clamped = grid.clamp(torch.tensor([[-3.0, 9.0], [2.25, 1.5]]))
    assert clamped.tolist() == [[-0.5, 3.5], [2.25, 1.5]]


def test_samples_at_pixels_are_the_pixels_and_between_them_bilinear() -> None:
    features = torch.arange(20.0).reshape(1, 4, 5)
    windows = cut_windows(features, torch.tensor([[2.0, 2.0]]), 2)
    positions = torch.tensor([[[2.0, 1.0], [1.5, 1.0], [3.25, 2.5]]])
    assert windows.sample(positions)[0, :, 0].tolist() == [7.0, 6.5, 15.75]


def test_a_window_lies_around_the_pixel_next_to_its_centre() -> None:
    windows = cut_windows(torch.zeros(1, 9, 9), torch.tensor([[4.4, 4.6]]), 2)
    assert windows.origins.tolist() == [[2.0, 3.0]]
    assert windows.values.shape == (1, 5, 5, 1)


def test_positions_beyond_a_window_get_its_border() -> None:
    windows = cut_windows(torch.arange(81.0).reshape(1, 9, 9), torch.tensor([[4.0, 4.0]]), 1)
    corners = torch.tensor([[[9.0, 9.0], [-9.0, 3.5], [5.0, 5.0]]])
    assert windows.sample(corners)[0, :, 0].tolist() == [50.0, 34.5, 50.0]


@pytest.mark.parametrize("centre", [(0.0, 0.0), (-0.4, 3.4), (4.0, 3.0), (3.6, 0.2)])
def test_beyond_the_border_the_border_goes_on(centre: tuple[float, float]) -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 4, 5) + 10
    windows = cut_windows(features, torch.tensor([centre]), 4)
    positions = torch.tensor([centre]) + torch.rand(1, 40, 2) * 6 - 3
    # What ``grid_sample`` returns for the whole map with border padding, in its own coordinates.
    normal = (positions + 0.5) * 2 / torch.tensor([5.0, 4.0]) - 1
    expected = torch.nn.functional.grid_sample(
        features[None], normal[:, None], padding_mode="border", align_corners=False
    )
    found = windows.sample(positions)
    assert torch.allclose(found[0].T, expected[0, :, 0], atol=1e-5)


def test_gradients_reach_every_pixel_that_overlapping_windows_share() -> None:
    features = torch.zeros(1, 6, 6, requires_grad=True)
    windows = cut_windows(features, torch.tensor([[2.0, 2.0], [3.0, 2.0]]), 2)
    total = windows.sample(torch.tensor([[[3.0, 3.0]], [[3.0, 3.0]]])).sum()
    total.backward()  # type: ignore[no-untyped-call]
    expected = torch.zeros(1, 6, 6)
    expected[0, 3, 3] = 2
    assert features.grad is not None and torch.equal(features.grad, expected)


def test_the_change_of_the_fixed_area_does_not_depend_on_how_large_it_is() -> None:
    generator = ShiftGenerator()
    start, moved = torch.zeros(4, 8), torch.zeros(4, 8)
    moved[0, 0] = 0.1
    changes = []
    for columns in (32, 16):
        fixed = torch.zeros(48, 32)
        fixed[:, :columns] = 1
        source = FullMapSource(as_generator(generator), BLOCK, start, fixed)
        changes.append(source.observe(moved, torch.zeros(1, 2), 2).fixed_change().item())
    assert changes[0] == pytest.approx(changes[1], rel=0.2)
    assert changes[0] > 0.1


def test_a_mask_that_is_nearly_white_holds_nearly_nothing() -> None:
    generator = ShiftGenerator()
    start, moved = torch.zeros(4, 8), torch.zeros(4, 8)
    moved[0, 0] = 0.1
    changes = []
    for strength in (1.0, 1 / 255):
        source = FullMapSource(
            as_generator(generator), BLOCK, start, torch.full((48, 32), strength)
        )
        changes.append(source.observe(moved, torch.zeros(1, 2), 2).fixed_change().item())
    assert changes[1] == pytest.approx(changes[0] / 255, rel=1e-4)


def test_only_the_fixed_area_counts_as_change() -> None:
    generator = ShiftGenerator()
    start, moved = torch.zeros(4, 8), torch.zeros(4, 8)
    moved[0, 0] = 0.1
    fixed = torch.zeros(48, 32)
    fixed[:4, :6] = 1
    view = FullMapSource(as_generator(generator), BLOCK, start, fixed).observe(
        moved, torch.zeros(1, 2), 2
    )
    before, after = (generator.features(ws[None], BLOCK)[0] for ws in (start, moved))
    expected = (after - before)[:, :2, :3].abs().mean()
    assert view.fixed_change().item() == pytest.approx(expected.item(), rel=1e-5)


def test_without_a_fixed_area_nothing_counts_and_no_reference_is_computed() -> None:
    generator = ShiftGenerator()
    source = FullMapSource(as_generator(generator), BLOCK, torch.zeros(4, 8), torch.zeros(48, 32))
    assert generator.calls == 0
    moved = torch.ones(4, 8)
    assert source.observe(moved, torch.zeros(1, 2), 2).fixed_change().item() == 0


def test_the_spread_is_of_the_places_and_not_of_the_channels() -> None:
    features = torch.zeros(2, 4, 6)
    features[0, :, ::2] = 3.0  # 1.5 from the mean everywhere
    features[1] = 100.0
    assert spread_of(features).item() == pytest.approx((1.5**2 / 2) ** 0.5)


def test_the_usual_block_is_128_px_or_the_last() -> None:
    def sized(*resolutions: int) -> Generator:
        return as_generator(SimpleNamespace(resolutions=resolutions))

    assert feature_block(sized(4, 8, 16, 32)) == 32
    assert feature_block(sized(4, 8, 16, 32, 64, 128, 256)) == 128
    assert feature_block(sized(4, 8, 16), 8) == 8
    with pytest.raises(ValueError, match="no block of 64 px, only 4, 8, 16"):
        feature_block(sized(4, 8, 16), 64)


@pytest.mark.parametrize("side", [1, 2, 9])
def test_factors_of_samples_become_factors_of_values_by_the_adjoint_of_sampling(side: int) -> None:
    torch.manual_seed(6)
    values = torch.randn(3, side, side, 5, dtype=torch.float64, requires_grad=True)
    origins = torch.tensor([[0.0, 0.0], [4.0, 7.0], [30.0, 2.0]], dtype=torch.float64)
    # Some are on pixels, and some beyond the window.
    positions = origins[:, None] + torch.rand(3, 20, 2, dtype=torch.float64) * (side + 2) - 1.5
    positions[:, :4] = origins[:, None] + torch.randint(side, (3, 4, 2))
    windows = Windows(values, origins)
    factors = torch.randn(2, 3, 20, 5, dtype=torch.float64)
    samples = windows.sample(positions)
    found = windows.of_samples(positions, factors)
    for row in range(2):
        (known,) = torch.autograd.grad(samples, values, factors[row], retain_graph=True)
        torch.testing.assert_close(found[row], known)


def test_the_adjoint_of_sampling_needs_no_more_memory_than_what_it_is_given_and_returns() -> None:
    """A disc of the largest radius has as many samples as the window has pixels."""
    side, samples, channels = 60, 2000, 8
    windows = Windows(torch.randn(2, side, side, channels), torch.zeros(2, 2))
    positions = torch.rand(2, samples, 2) * (side - 1)
    largest = _Largest()
    with largest:
        windows.of_samples(positions, torch.randn(2, 2, samples, channels))
    assert largest.numel == 2 * 2 * side * side * channels


class _Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes how many entries the largest tensor has that is made while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.numel = max(self.numel, result.numel())
        return result
