# SPDX-License-Identifier: GPL-3.0-or-later
"""The distance between sets of pictures, and how alike directions of W are."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tools.bench.landmarks import LandmarkNet
from tools.suzanne.card import agreement_of_directions
from tools.suzanne.feature_distance import feature_distance, features, frechet_distance


def test_the_distance_of_normal_distributions_is_the_known_one() -> None:
    source = torch.Generator().manual_seed(0)
    first = torch.randn(200_000, 2, generator=source, dtype=torch.float64)
    scales = torch.tensor([2.0, 0.5], dtype=torch.float64)
    second = first.flip(0) * scales + torch.tensor([3.0, 0.0], dtype=torch.float64)
    # Means 3 apart, and standard deviations 1 and 2, 1 and 0.5.
    assert frechet_distance(first, second) == pytest.approx(9.0 + 1.0 + 0.25, rel=0.02)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-6)


def test_pictures_of_another_kind_are_farther_away() -> None:
    torch.manual_seed(0)
    network = LandmarkNet().eval()
    pictures = torch.rand(60, 3, 64, 64) * 2.0 - 1.0
    assert features(network, pictures).shape == (60, 128)
    assert feature_distance(network, pictures, pictures) == pytest.approx(0.0, abs=1e-4)
    near = feature_distance(network, pictures[:30], pictures[30:])
    assert feature_distance(network, pictures[:30] * 0.5, pictures[30:]) > near


@pytest.mark.parametrize(("bend", "low", "high"), [(0.0, 0.999, 1.001), (3.0, -0.5, 0.8)])
def test_directions_agree_in_a_linear_model_and_not_in_a_bent_one(
    bend: float, low: float, high: float
) -> None:
    torch.manual_seed(1)
    matrix = torch.randn(6, 3 * 4 * 4)

    def synthesis(ws: Tensor) -> Tensor:
        w = ws[:, 0]
        return ((w + bend * w.flip(1).square()) @ matrix).reshape(-1, 3, 4, 4)

    def mapping(z: Tensor) -> Tensor:
        return z[:, None]

    generator = SimpleNamespace(z_dim=6, num_ws=1, mapping=mapping, synthesis=synthesis)
    components = SimpleNamespace(scaled=lambda: torch.eye(6))
    found = agreement_of_directions(generator, components)  # type: ignore[arg-type]
    assert low < found < high
