# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.solving.principal import principal_components
from engine.solving.strain import Strain
from stylegan2 import Generator

LAYERS = 3
MIXING = torch.cat([torch.ones(LAYERS, 1), 0.3 * torch.eye(LAYERS)], dim=1)


def _strain(generator: Generator, common: float = 0.0) -> tuple[Strain, int]:
    components = principal_components(generator)
    start = (components.mean + common * components.scaled()[0]).expand(generator.num_ws, -1)
    strain = Strain(components.mean, start, MIXING, components.scaled())
    return strain, len(components.sigmas)


def _rows(width: int, *entries: tuple[int, float]) -> Tensor:
    """Return coordinates along the first component: the row and the value of each entry."""
    rows = torch.zeros(1 + LAYERS, width)
    for row, value in entries:
        rows[row, 0] = value
    return rows


def test_a_common_change_ends_where_random_latents_do(generator: Generator) -> None:
    strain, width = _strain(generator)
    none, free = _rows(width), torch.tensor(0.5)

    def of_any(coordinates: Tensor, change: Tensor) -> Tensor:
        return strain.share_of_any(coordinates, change, free)

    for limit, share in ((1.35, strain.share_of_local), (2.0, of_any)):
        end = limit * math.sqrt(width)
        for length, expected in ((0.5 * end, 1.0), (2 * end, 0.5), (-4 * end, 0.25)):
            change = _rows(width, (0, length))
            assert float(share(none, change)) == pytest.approx(expected, rel=1e-3)
        there = _rows(width, (0, end))
        assert float(share(there, _rows(width, (0, 1.0)))) < 1e-3
        assert float(share(there, _rows(width, (0, -1.0)))) == 1


def test_layers_may_go_farther_apart_with_more_freedom(generator: Generator) -> None:
    strain, width = _strain(generator)
    none = _rows(width)
    apart = _rows(width, (1, 10.0), (2, -10.0))
    shares = [
        float(strain.share_of_any(none, apart, torch.tensor(free))) for free in (0.0, 0.4, 1.0)
    ]
    # Two of three layers are 3 standard deviations off.
    rms = 3 * math.sqrt(2 / 3)
    assert shares == pytest.approx([1.0 / rms, 1.5 / rms, 2.25 / rms], rel=1e-3)
    assert float(strain.share_of_local(none, apart)) == 1


def test_a_latent_that_begins_beyond_the_limit_may_stay_there(generator: Generator) -> None:
    width = _strain(generator)[1]
    strain, _ = _strain(generator, 3 * math.sqrt(width))
    none, free = _rows(width), torch.tensor(0.5)
    assert float(strain.share_of_any(none, _rows(width, (0, -1.0)), free)) == 1
    assert float(strain.share_of_any(none, _rows(width, (0, 1.0)), free)) < 1e-3
