# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step costs and reverts, on a small generator."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from engine.features.source import FeatureGrid, FeatureSource
from engine.solving import latent_space as latent_spaces
from engine.solving import picture
from engine.solving.freedom import LOCAL, SURE, Metric, metric_of
from engine.solving.latent_space import LatentSpace, latent_space
from engine.solving.methods import DragProblem, price
from engine.solving.methods.price import RETURN, Price
from engine.solving.options import DragOptions
from engine.solving.picture import Away, seen_away, slopes_of_picture
from engine.solving.principal import principal_components
from stylegan2 import Generator

from ...synthetic import paths_of

LAYERS = 3


def _problem(generator: Generator, *handles_px: tuple[float, float]) -> DragProblem:
    """Return a drag of handles by two pixels, with the freedom that it chooses."""
    _, height, width = generator.img_shape
    grid = FeatureGrid((width, height), (width, height))
    start = generator.mapping.w_avg.expand(generator.num_ws, -1).clone()
    handles = torch.tensor(handles_px)
    targets = handles + torch.tensor([2.0, 0.0])
    return DragProblem(
        generator=generator,
        source=cast(FeatureSource, SimpleNamespace(grid=grid)),
        start=start,
        num_layers=LAYERS,
        handles=handles,
        targets=targets,
        options=DragOptions(),
        paths=paths_of(handles, targets),
        home=start,
    )


def _opened(problem: DragProblem) -> tuple[Price, LatentSpace]:
    space = latent_space("automatic", problem.generator, problem.start, LAYERS, problem.origin)
    opened = Price(problem, space)
    opened.choose(problem, is_masked=False, is_only=False)
    return opened, space


def _with_freedom(problem: DragProblem, space: LatentSpace, freedom: float) -> Metric:
    assert space.basis is not None
    slopes = slopes_of_picture(problem.generator, problem.home, space.basis, LAYERS)
    away = seen_away(slopes, problem.source.grid, problem.paths, len(space.basis))
    return metric_of(torch.tensor(freedom), space.mixing, away.seen)


@pytest.mark.parametrize(
    ("handles_px", "share"), [(((2.0, 2.0),), 0.4), (((2.0, 2.0), (3.0, 3.0)), 1.0)]
)
def test_a_second_attempt_is_less_free_if_there_is_one_handle(
    generator: Generator, handles_px: tuple[tuple[float, float], ...], share: float
) -> None:
    # On an image of so few pixels every way is a long one: none is made shorter here.
    problem = _problem(generator, *handles_px)
    opened, space = _opened(problem)
    change = torch.randn(space.coordinates.numel(), generator=torch.Generator().manual_seed(2))
    first = opened.metric
    assert first is not None
    freedom = _found_freedom(first, problem, space, change)
    opened.forget(is_second=True)
    opened.choose(problem, is_masked=False, is_only=False)
    assert opened.metric is not None
    again = _with_freedom(problem, space, share * freedom)
    assert torch.allclose(opened.metric.apply(change), again.apply(change), rtol=1e-4)


def test_a_drag_that_is_not_tried_again_is_less_free(generator: Generator) -> None:
    problem = _problem(generator, (2.0, 2.0))
    opened, space = _opened(problem)
    change = torch.randn(space.coordinates.numel(), generator=torch.Generator().manual_seed(2))
    assert opened.metric is not None
    freedom = _found_freedom(opened.metric, problem, space, change)
    opened.forget()
    opened.choose(problem, is_masked=False, is_only=True)
    assert opened.metric is not None
    sure = _with_freedom(problem, space, SURE / LOCAL * freedom)
    assert torch.allclose(opened.metric.apply(change), sure.apply(change), rtol=1e-4)


def _found_freedom(found: Any, problem: DragProblem, space: LatentSpace, change: Tensor) -> float:
    """Return the freedom of a metric among those that a short and a long way have."""
    for freedom in (LOCAL, 0.4 * LOCAL):
        if torch.allclose(
            found.apply(change), _with_freedom(problem, space, freedom).apply(change), rtol=1e-4
        ):
            return freedom
    raise AssertionError("the freedom is neither that of a short way nor that of a long one")


def test_the_picture_is_measured_along_the_coordinates_of_the_drag(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_spaces, "finds_outputs", lambda *_: False)
    # Slopes are kept for a generator, whose coordinates are always the same.
    monkeypatch.setattr(picture, "_SLOPES", {})
    problem = _problem(generator, (2.0, 2.0))
    opened, space = _opened(problem)
    monkeypatch.setattr(picture, "_SLOPES", {})
    change = torch.randn(space.coordinates.numel(), generator=torch.Generator().manual_seed(2))
    _found_freedom(opened.metric, problem, space, change)  # raises if the metric is another one


def test_the_limits_of_a_change_are_in_the_coordinates_of_the_drag(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_spaces, "finds_outputs", lambda *_: False)
    monkeypatch.setattr(picture, "_SLOPES", {})
    components = principal_components(generator)
    usual = math.sqrt(len(components.sigmas))
    # Along the narrowest component, this start would be beyond the limit in deviations of W.
    w = components.mean + usual * components.alike()[-1]
    start = w.expand(generator.num_ws, -1).clone()
    problem = replace(_problem(generator, (2.0, 2.0)), start=start, home=start)
    opened, space = _opened(problem)
    here = torch.zeros_like(space.coordinates)
    for distance, is_whole in ((0.3 * usual, True), (0.4 * usual, False)):
        change = torch.zeros_like(here)
        change[0, -1] = distance
        rows = change.flatten()[None]
        held = opened.held_together(change.flatten(), here, rows, torch.ones(1))
        assert torch.allclose(held, change.flatten()) == is_whole


def test_what_has_changed_as_expected_is_reverted_like_the_rest(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price, "_RETURN_SEEN", RETURN)
    problem = _problem(generator, (2.0, 2.0))
    opened, space = _opened(problem)
    coordinates = torch.zeros_like(space.coordinates)
    # As long as the difference that the derivative was taken by.
    coordinates[0, 1] = 0.1
    found = opened.part_to_revert(problem, coordinates, by_picture=True)
    expected = RETURN * coordinates.flatten()
    assert (found - expected).norm() < 0.01 * expected.norm()
    assert torch.equal(opened.part_to_revert(problem, coordinates, by_picture=False), expected)


@pytest.mark.parametrize("goes_on", [False, True])
def test_what_had_changed_before_the_drag_began_is_not_reverted(
    generator: Generator, *, goes_on: bool
) -> None:
    """A frame of a bake begins with what sliders and truncation change of the image."""
    problem = _problem(generator, (2.0, 2.0))
    moved = problem.home + principal_components(generator).scaled()[0]
    problem = replace(problem, start=moved, origin=moved if goes_on else None)
    opened, space = _opened(problem)
    coordinates = torch.zeros_like(space.coordinates)
    coordinates[0, 1] = 1e-3
    # The drag has changed hardly anything.
    assert opened.part_to_revert(problem, coordinates, by_picture=True).norm() < 0.01


def test_the_picture_is_looked_at_only_where_a_step_has_time_for_it(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def of_change(away: Away, _change: Tensor) -> Tensor:
        looks.append(away)
        return away.seen.new_zeros(len(away.seen))

    monkeypatch.setattr(Away, "of_change", of_change)
    problem = _problem(generator, (2.0, 2.0))
    opened, space = _opened(problem)
    start = torch.zeros_like(space.coordinates)
    opened.part_to_revert(problem, start + 0.1, by_picture=False)
    # At the start nothing has changed yet.
    assert not opened.part_to_revert(problem, start, by_picture=True).any()
    assert not looks
    opened.part_to_revert(problem, start + 0.1, by_picture=True)
    assert len(looks) == 1
