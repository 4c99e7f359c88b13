# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import torch

from engine.solving.methods.line_search import choose_candidates, template_share, way_points


def test_a_template_takes_half_at_a_fifth_of_the_expected_loss_and_a_tenth_at_four_fifths() -> None:
    losses = torch.tensor([0.0, 0.06, 0.24, 3.0])
    shares = template_share(losses, torch.tensor(0.3)).tolist()
    assert shares[0] == pytest.approx(1 / (1 + 9 ** (-1 / 3)))  # 0.675, by hand from the formula
    assert shares[1:3] == pytest.approx([0.5, 0.1])
    assert shares[3] < 1e-4


def _points(
    handle: tuple[float, float], target: tuple[float, float], *, falls_back: bool
) -> torch.Tensor:
    handles, targets = torch.tensor([handle]), torch.tensor([target])
    points = way_points(
        handles, targets, torch.tensor([[0.6, 0.8]]), 2.0, torch.tensor([falls_back])
    )
    return points[0]


def test_a_search_point_goes_on_by_the_longest_step_or_to_the_target() -> None:
    far = _points((0.0, 0.0), (6.0, 8.0), falls_back=False)
    assert far.shape == (10, 2)
    assert far[0].tolist() == pytest.approx([0.12, 0.16])
    assert far[9].tolist() == pytest.approx([1.2, 1.6])
    near = _points((5.4, 7.2), (6.0, 8.0), falls_back=False)
    assert near[4].tolist() == pytest.approx([5.7, 7.6])
    assert near[9].tolist() == [6, 8]


def test_a_search_point_that_falls_back_looks_from_behind_itself_to_as_far_ahead() -> None:
    far = _points((3.0, 4.0), (6.0, 8.0), falls_back=True)
    assert far[0].tolist() == pytest.approx([3 - 1.2 + 0.24, 4 - 1.6 + 0.32])
    assert far[4].tolist() == pytest.approx([3.0, 4.0])
    assert far[9].tolist() == pytest.approx([4.2, 5.6])
    at_target = _points((6.0, 8.0), (6.0, 8.0), falls_back=True)
    assert at_target[0].tolist() == pytest.approx([6 - 1.08, 8 - 1.44])
    assert at_target[9].tolist() == [6, 8]


def test_the_candidate_nearest_to_what_is_wanted_is_chosen_and_of_equal_ones_the_first() -> None:
    points = torch.arange(6.0).reshape(1, 3, 2).repeat(3, 1, 1)
    differences = torch.tensor([[0.1, 0.25, 0.5], [0.4, 0.1, 0.9], [0.25, 0.75, 0.75]])
    found = choose_candidates(points, differences, torch.tensor([0.3, 0.0, 0.5]))
    assert found.tolist() == [[2, 3], [2, 3], [0, 1]]
