# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.features.source import FeatureGrid
from engine.solving.freedom import COMMON, LOCAL, Metric, breadth_px, chosen_freedom, metric_of
from engine.solving.picture import Paths

from ..synthetic import paths_of

GRID = FeatureGrid((128, 128), (128, 128))
FACE = torch.tensor([[30.0, 60.0], [98.0, 60.0], [64.0, 110.0]])


def _seen(count: int) -> Tensor:
    source = torch.Generator().manual_seed(4)
    rows = torch.randn(count, 3 * count, generator=source)
    return rows @ rows.T / (3 * count)


def test_the_metric_and_its_inverse_are_those_of_the_dense_matrix() -> None:
    prior = torch.tensor([1.0, 4.0, 4.0])
    shares = torch.tensor([1.0, 0.15, 0.15])
    seen = 30 * _seen(5)
    metric = Metric(prior, shares, seen)
    dense = torch.kron(torch.diag(1 / prior), torch.eye(5))
    dense = dense + torch.kron(torch.outer(shares, shares), seen)
    rows = torch.randn(2, 15, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(metric.apply(rows), rows @ dense, rtol=1e-4, atol=1e-4)
    expected = torch.linalg.solve(dense.double(), rows.double().T).T.float()
    assert torch.allclose(metric.invert(rows), expected, rtol=1e-3, atol=1e-4)
    assert torch.allclose(metric.invert(metric.apply(rows[0])), rows[0], atol=1e-3)


@pytest.mark.parametrize(("count", "measured"), [(200, 12), (200, 80), (512, 18), (30, 12)])
def test_what_counts_alike_is_not_solved_for_together(count: int, measured: int) -> None:
    """Few are measured; then it is the same to the last bit, and so is the result of a drag."""
    seen = 0.3 * torch.eye(count)
    seen[:measured, :measured] = _seen(measured) + 0.3 * torch.eye(measured)
    prior, shares = torch.tensor([1.0, 4.0, 4.0]), torch.tensor([1.0, 0.15, 0.15])
    whole, part = Metric(prior, shares, 30 * seen), Metric(prior, shares, 30 * seen, measured)
    rows = torch.randn(2, 3 * count, generator=torch.Generator().manual_seed(1))
    for found, expected in (
        (part.invert(rows), whole.invert(rows)),
        (part.apply(rows), whole.apply(rows)),
        (part.invert(part.apply(rows)), rows),
    ):
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3)
    # Other libraries than the one that torch has for Intel's processors may sum in another order.
    if measured < 32 and torch._C.has_mkl:
        assert torch.equal(part.invert(rows), whole.invert(rows))


def test_what_is_undone_is_the_part_that_a_cheapest_change_would_revert() -> None:
    prior, shares = torch.tensor([1.0, 4.0, 4.0]), torch.tensor([1.0, 0.15, 0.15])
    seen = 30 * _seen(5)
    metric = Metric(prior, shares, seen)
    so_far = torch.randn(15, generator=torch.Generator().manual_seed(6))
    common = torch.einsum("r,rk->k", shares, so_far.reshape(3, 5))
    as_expected = metric.undo(so_far, 0.1, 0.1 * common @ seen)
    assert torch.allclose(as_expected, 0.1 * so_far, atol=1e-4)
    # What is seen more strongly than expected is undone by more, so that less of it is left.
    more = metric.undo(so_far, 0.1, 0.3 * common @ seen).reshape(3, 5)
    left = common - torch.einsum("r,rk->k", shares, more)
    less_left = common - torch.einsum("r,rk->k", shares, as_expected.reshape(3, 5))
    assert left @ seen @ left < less_left @ seen @ less_left


def test_more_freedom_makes_what_is_seen_dearer_and_the_layers_looser() -> None:
    mixing = torch.cat([torch.ones(2, 1), 0.3 * torch.eye(2)], dim=1)
    seen = _seen(4)
    common = torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    # The two layers go opposite ways: their mean, which is what is seen, stays.
    apart = torch.tensor([0.0, 0, 0, 0, 1, 0, 0, 0, -1, 0, 0, 0])
    costs = [
        (float(common @ metric.apply(common)), float(apart @ metric.apply(apart)))
        for metric in (metric_of(torch.tensor(f), mixing, seen) for f in (0.0, 0.3, 0.7, 1.0))
    ]
    assert costs[0] == pytest.approx((1.0, 2.0))
    assert sorted(costs) == costs
    assert sorted((cost for _, cost in costs), reverse=True) == [cost for _, cost in costs]


@pytest.mark.parametrize(
    ("homes", "ways", "expected"),
    [
        (FACE, torch.tensor([[6.0, 1.0]]).expand(3, 2), COMMON),
        (FACE, torch.tensor([[6.0, 1.0], [0, 0], [0, 0]]), LOCAL),  # two of them are pins
        (FACE * 0.1, torch.tensor([[6.0, 1.0]]).expand(3, 2), LOCAL),  # close together
        (FACE[:1], torch.tensor([[6.0, 1.0]]), LOCAL),
        (FACE, torch.zeros(3, 2), LOCAL),
    ],
)
def test_handles_that_move_all_over_the_picture_ask_for_a_pose(
    homes: Tensor, ways: Tensor, expected: float
) -> None:
    for share in (1.0, 0.01):
        freedom = chosen_freedom(paths_of(homes, homes + share * ways), GRID)
        assert float(freedom) == pytest.approx(expected)


def test_between_a_part_and_a_pose_is_a_middle() -> None:
    pair = torch.tensor([[49.0, 60.0], [79.0, 60.0]])
    paths = paths_of(pair, pair + torch.tensor([[6.0, 1.0]]))
    assert float(breadth_px(paths)) == pytest.approx(15.0)
    assert float(chosen_freedom(paths, GRID)) == pytest.approx((LOCAL + COMMON) / 2)


def test_a_long_way_needs_more_of_the_picture() -> None:
    home = torch.tensor([[64.0, 64.0]])
    found = [
        float(chosen_freedom(paths_of(home, home + torch.tensor([[length, 0.0]])), GRID))
        for length in (8.0, 20.0, 28.0, 60.0)
    ]
    assert found[0] == pytest.approx(LOCAL)
    assert found[0] > found[1] > found[2] == pytest.approx(found[3])
    assert found[3] > COMMON


def test_a_smaller_picture_has_shorter_lengths() -> None:
    way = torch.tensor([[6.0, 1.0]]).expand(3, 2)
    small = FeatureGrid((32, 32), (32, 32))
    assert float(chosen_freedom(paths_of(FACE / 4, FACE / 4 + way), small)) == COMMON


@pytest.mark.parametrize(("radius_px", "expected"), [(8.0, LOCAL), (40.0, COMMON)])
def test_a_region_that_turns_is_as_broad_as_it_is(radius_px: float, expected: float) -> None:
    home = torch.tensor([[64.0, 64.0]])
    region = Paths(
        homes_px=home,
        targets_px=home,
        radii_px=torch.tensor([radius_px]),
        rims_px=torch.tensor([0.1 * radius_px]),
    )
    assert float(breadth_px(region)) == pytest.approx(radius_px / 2**0.5)
    assert float(chosen_freedom(region, GRID)) == pytest.approx(expected)
