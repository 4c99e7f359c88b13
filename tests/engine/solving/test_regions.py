# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions: points to poses and back, exactly, and the way of a region to its target."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.solving.regions import (
    POINTS_OF_REGION,
    Regions,
    angle_and_scale,
    make_regions,
    ring_offsets,
    turn_of,
    weights_of,
)

_RADIUS = 10.0


def _regions(wanted: Tensor, seen: Tensor | None = None) -> Regions:
    """Return a plain handle and a region of radius 10."""
    offsets = torch.cat([torch.zeros(1, 2), torch.from_numpy(ring_offsets(_RADIUS))])
    count = len(offsets)
    return make_regions(
        torch.tensor([0] + [1] * POINTS_OF_REGION),
        offsets,
        torch.eye(2).repeat(count, 1, 1) if seen is None else seen,
        torch.tensor([0.0, _RADIUS]),
        wanted,
    )


def _pose(x: float, y: float, degrees: float = 0.0, scale: float = 1.0) -> Tensor:
    turn = turn_of(np.array([math.radians(degrees)]), np.array([scale]))[0]
    return torch.tensor([x, y, *turn.tolist()])


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (30, 1), (-90, 0.5), (170, 2)])
def test_poses_of_points_are_the_poses_that_the_points_were_made_from(
    degrees: float, scale: float
) -> None:
    poses = torch.stack([_pose(5, 6), _pose(40, 50, degrees, scale)])
    regions = _regions(poses)
    points = regions.points(poses)
    torch.testing.assert_close(points[0], torch.tensor([5.0, 6.0]))
    torch.testing.assert_close(regions.poses(points), poses, atol=1e-4, rtol=1e-4)
    assert regions.distances(poses).max() < 1e-3
    found = angle_and_scale(poses[1:, 2:].numpy())[0]
    assert found == pytest.approx([math.radians(degrees), scale], abs=1e-5)


def test_a_positive_angle_is_counter_clockwise_as_a_person_sees_it() -> None:
    regions = _regions(torch.stack([_pose(0, 0), _pose(0, 0, 90)]))
    right = int(regions.offsets[:, 0].argmax())
    x, y = regions.points(regions.wanted)[right].tolist()
    # What was on the right is on top, and y points down.
    assert abs(x) < 1e-4
    assert y == pytest.approx(-float(regions.offsets.max()))


def test_points_that_cannot_be_seen_do_not_count_and_are_carried_along() -> None:
    poses = torch.stack([_pose(5, 6), _pose(40, 50, 20, 1.1)])
    structure = torch.eye(2).repeat(1 + POINTS_OF_REGION, 1, 1)
    structure[3] = 0.0
    regions = _regions(poses, weights_of(structure))
    points = regions.points(poses)
    lost = points.clone()
    lost[3] += 5.0
    torch.testing.assert_close(regions.poses(lost), poses, atol=0.02, rtol=1e-3)
    assert (regions.points(regions.poses(lost))[3] - points[3]).norm() < 0.1


def test_a_point_on_an_outline_counts_across_it_only() -> None:
    poses = torch.stack([_pose(5, 6), _pose(40, 50)])
    structure = torch.eye(2).repeat(1 + POINTS_OF_REGION, 1, 1)
    structure[3, 1, 1] = 0.0
    regions = _regions(poses, weights_of(structure))
    moved = regions.points(poses)
    moved[3, 1] += 5.0
    along = (regions.poses(moved) - poses).norm()
    moved = regions.points(poses)
    moved[3, 0] += 5.0
    across = (regions.poses(moved) - poses).norm()
    assert along < 0.02 < 0.2 < across


def test_a_step_follows_the_arc_and_keeps_the_size() -> None:
    regions = _regions(torch.stack([_pose(0, 0), _pose(0, 0, 90)]))
    poses = torch.stack([_pose(0, 0), _pose(0, 0)])
    angles = []
    for _ in range(60):
        poses = regions.on_the_way(poses, torch.tensor(2.0))
        angles.append(math.degrees(float(angle_and_scale(poses[1, 2:].numpy())[0])))
        assert float(poses[1, 2:].norm()) == pytest.approx(1.0, abs=1e-4)
    assert angles[0] == pytest.approx(math.degrees(2 / _RADIUS), abs=0.01)
    assert angles[-1] == pytest.approx(90, abs=0.01)
    torch.testing.assert_close(poses, regions.wanted, atol=1e-4, rtol=1e-4)


def test_a_plain_handle_goes_straight_to_its_target() -> None:
    regions = _regions(torch.stack([_pose(30, 40), _pose(0, 0)]))
    poses = regions.on_the_way(torch.stack([_pose(0, 0), _pose(0, 0)]), torch.tensor(5.0))
    torch.testing.assert_close(poses[0], torch.tensor([3.0, 4.0, 1.0, 0.0]))


def test_rows_are_the_derivatives_of_poses_as_lengths() -> None:
    regions = _regions(torch.stack([_pose(0, 0), _pose(0, 0)]))
    unit = torch.eye(2 * len(regions.owner))
    rows = regions.rows(unit)
    change = torch.randn(len(regions.owner), 2, generator=torch.Generator().manual_seed(1))
    start = regions.points(torch.stack([_pose(3, 4), _pose(20, 30, 10)]))
    moved = regions.poses(start + change) - regions.poses(start)
    torch.testing.assert_close(
        rows @ change.flatten(), regions.lengths(moved), atol=1e-3, rtol=1e-3
    )
