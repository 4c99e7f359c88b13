# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import torch

from engine.features.full_map import cut_windows
from engine.solving.supervision import disc_offsets, motion_supervision, steps_to_targets


@pytest.mark.parametrize(("radius", "count"), [(0, 1), (0.7, 1), (1, 5), (2, 13), (3, 29)])
def test_the_disc_is_closed_symmetric_and_never_empty(radius: float, count: int) -> None:
    offsets = disc_offsets(radius)
    assert len(offsets) == count
    assert offsets.sum(0).tolist() == [0, 0]
    assert {(-x, y) for x, y in offsets.tolist()} == {(x, y) for x, y in offsets.tolist()}


def test_steps_have_the_step_length_or_the_rest_of_the_way() -> None:
    handles = torch.tensor([[0.0, 0.0], [0.0, 0.0], [5.0, 5.0]])
    targets = torch.tensor([[6.0, 8.0], [0.3, 0.4], [5.0, 5.0]])
    steps = steps_to_targets(handles, targets, 2.0)
    assert torch.allclose(steps, torch.tensor([[1.2, 1.6], [0.3, 0.4], [0.0, 0.0]]))


def _ramp(values: list[float]) -> torch.Tensor:
    return torch.tensor(values).expand(1, 9, -1).clone().requires_grad_()


def test_the_gradient_brings_the_content_forward_and_leaves_what_it_came_from() -> None:
    features = _ramp([0.0, 0, 0, 0, 5, 0, 0, 0, 0])
    windows = cut_windows(features, torch.tensor([[4.0, 4.0]]), 3)
    loss = motion_supervision(
        windows, torch.tensor([[4.0, 4.0]]), torch.tensor([[1.0, 0.0]]), disc_offsets(0)
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 5
    assert features.grad is not None
    gradient = features.grad[0, 4]
    # A step along -gradient raises pixel 5 towards the 5 of pixel 4, which itself is detached.
    assert gradient.tolist() == [0, 0, 0, 0, 0, -1, 0, 0, 0]


def test_each_handle_counts_the_same_whatever_the_radius_and_the_channels() -> None:
    features = torch.linspace(0, 8, 9).expand(6, 9, -1)
    windows = cut_windows(features, torch.tensor([[4.0, 4.0], [3.0, 4.0]]), 4)
    handles = torch.tensor([[4.0, 4.0], [3.0, 4.0]])
    steps = torch.tensor([[0.5, 0.0], [1.0, 0.0]])
    for radius in (0, 1, 2):
        loss = motion_supervision(windows, handles, steps, disc_offsets(radius))
        assert loss.item() == pytest.approx(1.5)


def test_a_step_of_zero_pulls_at_nothing() -> None:
    features = torch.randn(4, 9, 9, requires_grad=True)
    handle = torch.tensor([[4.3, 3.8]])
    loss = motion_supervision(
        cut_windows(features, handle, 4), handle, torch.zeros(1, 2), disc_offsets(2)
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert features.grad is not None and features.grad.abs().max().item() == 0
