# SPDX-License-Identifier: GPL-3.0-or-later
"""How much components change the picture away from the handles, where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest
import torch

from engine.features.source import FeatureGrid
from engine.solving.picture import (
    Paths,
    Slopes,
    coarse_picture,
    seen_away,
    slopes_of_picture,
)
from engine.solving.principal import principal_components
from engine.solving.stopping import StoppedError, leave_if
from stylegan2 import Generator

from ..synthetic import paths_of

GRID = FeatureGrid((128, 128), (64, 64))


def _stripes(*columns: int, strengths: Sequence[float] = (1.0, 1.0, 1.0)) -> Slopes:
    """Return slopes of a picture of 32 px: each component changes one column of it."""
    slopes = torch.zeros(len(columns), 1, 32, 32)
    for number, column in enumerate(columns):
        slopes[number, :, :, column] = strengths[number]
    return Slopes(picture=torch.zeros(1, 32, 32), along=slopes)


def _paths(home_px: tuple[float, float], target_px: tuple[float, float], radius_px: float) -> Paths:
    return Paths(
        homes_px=torch.tensor([home_px]),
        targets_px=torch.tensor([target_px]),
        radii_px=torch.tensor([radius_px]),
        rims_px=torch.zeros(1),
    )


def test_what_lies_along_the_way_of_a_handle_counts_less() -> None:
    slopes = _stripes(2, 16, 29)  # the middle of a column is at 4 x + 2 px
    down = seen_away(slopes, GRID, _paths((66, 2), (66, 126), 0.0), 3).seen.diagonal()
    assert down[1] == 0 and down[0] == down[2] > 0
    short = seen_away(slopes, GRID, _paths((66, 2), (66, 40), 0.0), 3).seen.diagonal()
    assert 0 < short[1] < short[0]


def test_the_disc_of_a_region_is_left_out() -> None:
    slopes = _stripes(2, 22)
    for radius_px, expected in ((0.0, False), (80.0, True)):
        seen = seen_away(slopes, GRID, _paths((66, 64), (66, 64), radius_px), 2).seen
        assert (seen[1, 1] == 0).item() is expected
        assert seen[0, 1] == 0


def test_a_pin_beside_a_handle_makes_no_room() -> None:
    slopes = _stripes(2, 22)
    handle, pin = (6.0, 64.0), (90.0, 64.0)
    homes = torch.tensor([handle, pin])
    moved = paths_of(homes, homes + torch.tensor([[0.0, 20.0], [0.0, 0.0]]))
    both = paths_of(homes, homes + torch.tensor([0.0, 20.0]))
    pinned, pulled = (seen_away(slopes, GRID, paths, 2).seen for paths in (moved, both))
    assert pinned[0, 0] < pinned[1, 1]
    assert pulled[1, 1] / pulled[0, 0] < pinned[1, 1] / pinned[0, 0]


def test_narrow_components_count_like_the_least_visible_that_was_measured() -> None:
    slopes = _stripes(2, 30, strengths=(1.0, 3.0))
    seen = seen_away(slopes, GRID, _paths((66, 64), (66, 64), 0.0), 4).seen
    assert torch.equal(seen.diagonal()[2:], seen.diagonal().min().expand(2))
    assert torch.equal(seen, seen.T)
    assert seen[:2, :2].diagonal().mean() == 1


def test_slopes_are_the_change_of_the_picture_by_a_change_of_the_layers(
    generator: Generator,
) -> None:
    latent = generator.mapping.w_avg.expand(generator.num_ws, -1).clone()
    components = principal_components(generator).scaled()
    slopes = slopes_of_picture(generator, latent, components, 3)
    assert len(slopes.along) <= len(components)
    moved = latent.clone()
    moved[:3] += 0.02 * components[1]
    block = min(32, generator.resolutions[-1])
    pictures = generator.synthesis(torch.stack([latent, moved]), resolution=block)
    change = (pictures[1] - pictures[0]) / 0.02
    assert (slopes.along[1] - change).norm() < 0.2 * change.norm()


def test_slopes_are_computed_once_and_can_be_given_up(generator: Generator) -> None:
    latent = torch.randn(
        generator.num_ws, generator.w_dim, generator=torch.Generator().manual_seed(8)
    )
    components = principal_components(generator).scaled()
    calls = count()
    with pytest.raises(StoppedError):
        slopes_of_picture(generator, latent, components, 2, leave_if(lambda: next(calls) >= 1))
    slopes = slopes_of_picture(generator, latent, components, 2)
    assert slopes_of_picture(generator, latent, components, 2, leave_if(lambda: True)) is slopes
    assert slopes_of_picture(generator, latent, components, 3) is not slopes


def test_a_handle_without_a_way_leaves_out_what_is_around_it() -> None:
    home = torch.tensor([[10.0, 64.0]])
    seen = seen_away(_stripes(2, 30), GRID, paths_of(home, home), 2).seen
    assert seen[0, 0] < seen[1, 1]


def test_the_change_of_the_picture_is_seen_again_where_it_counts(generator: Generator) -> None:
    latent = generator.mapping.w_avg.expand(generator.num_ws, -1).clone()
    components = principal_components(generator).scaled()
    layers, width = generator.num_ws, len(components)
    slopes = slopes_of_picture(generator, latent, components, layers)
    size = generator.img_shape[1]
    corner = torch.full((1, 2), 2.0)
    grid = FeatureGrid((size, size), (size, size))
    away = seen_away(slopes, grid, paths_of(corner, corner), width)
    before = coarse_picture(generator, latent)
    assert (slopes.picture - before).norm() < 1e-4
    change = torch.zeros(width)
    change[0] = 0.02
    of_picture = coarse_picture(generator, latent + change @ components) - before
    found = away.of_change(of_picture)
    expected = away.seen @ change
    assert (found - expected)[: len(slopes.along)].norm() < 0.2 * expected.norm()
    everywhere = torch.full((1, 2), size / 2)
    paths = paths_of(everywhere, everywhere)
    near = seen_away(slopes, grid, replace(paths, radii_px=torch.tensor([2.0 * size])), width)
    assert near.of_change(of_picture).norm() == 0
