# SPDX-License-Identifier: GPL-3.0-or-later
"""How far latents are from a mapping network whose outputs are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from engine.solving import manifold
from engine.solving.manifold import distance_from_outputs, finds_outputs, last_whole
from engine.solving.principal import principal_components
from engine.solving.stopping import StoppedError, leave_if
from stylegan2 import Generator, GeneratorConfig


def _output(generator: Generator, seed: int) -> Tensor:
    z = torch.randn(1, generator.z_dim, generator=torch.Generator().manual_seed(seed))
    w: Tensor = generator.mapping(z)[0, 0]
    return w


def _far(generator: Generator, deviations: float) -> Tensor:
    """Return a w at a distance from the mean of W along the first component."""
    components = principal_components(generator)
    return components.mean + deviations * components.scaled()[0]


def test_an_output_is_found_again_and_a_truncated_one_counts_as_one(generator: Generator) -> None:
    mean = principal_components(generator).mean
    for seed in range(4):
        w = _output(generator, seed)
        assert distance_from_outputs(generator, w) < 0.8
        assert distance_from_outputs(generator, mean + 0.6 * (w - mean)) < 0.8


def test_what_no_z_leads_to_is_as_far_as_it_was_taken(generator: Generator) -> None:
    near, far = (distance_from_outputs(generator, _far(generator, x)) for x in (12.0, 40.0))
    assert 3.5 < near < far
    assert far - near == pytest.approx(28, rel=0.2)


def test_the_rows_of_a_drag_end_before_the_first_that_is_too_far(generator: Generator) -> None:
    whole = [_output(generator, 0)[None].repeat(3, 1), _output(generator, 1)[None].repeat(3, 1)]
    torn = [_far(generator, x)[None].repeat(3, 1) for x in (20.0, 40.0)]
    assert last_whole(generator, whole) == 1
    assert last_whole(generator, [*whole, *torn]) == 1
    # The start counts as whole, and a drag may stay as far off as it begins.
    assert last_whole(generator, torn[1:]) == 0
    assert last_whole(generator, [torn[1], torn[1] * 1.001]) == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Make the first value of a latent its distance, and collect what is asked for."""
    asked: list[float] = []

    def distance(generator: Generator, w: Tensor, between: Callable[[], None]) -> float:
        between()
        asked.append(float(w[0]))
        return asked[-1]

    monkeypatch.setattr(manifold, "finds_outputs", lambda generator, between: True)
    monkeypatch.setattr(manifold, "distance_from_outputs", distance)
    return asked


def _rows(distances: Sequence[float]) -> list[Tensor]:
    return [torch.full((3, 4), float(distance)) for distance in distances]


@pytest.mark.parametrize("whole", [0, 1, 2, 7, 100, 254, 255, 256, 298, 299])
def test_the_last_whole_row_is_found_with_few_distances(
    generator: Generator, asked: list[float], whole: int
) -> None:
    rows = _rows([0.0] + [3.0 + 0.001 * row for row in range(1, whole + 1)])
    rows += _rows([5.0 + row for row in range(299 - whole)])
    assert last_whole(generator, rows) == whole
    assert len(asked) <= 2 + 2 * 9


def test_what_a_real_drag_has_is_found_as_by_looking_at_each_row(
    generator: Generator, asked: list[float]
) -> None:
    # Two drags of the built-in model to targets that it cannot reach; the first began anew.
    began_anew = """
        0.0 0.0 1.3 2.8 3.3 3.5 3.7 3.6 3.7 3.8 4.3 3.9 4.3 4.2 4.6 4.6 4.6 4.4 4.5 4.5 4.4 4.5
        4.5 4.5 4.5 4.5 4.5 4.5 4.5 4.5 4.5 4.5 4.5 4.5 4.5 4.5 4.5 0.0 0.1 1.0 0.9 2.3 3.4 3.5
        3.0 3.3 3.8 4.9 5.1 5.1 5.1 5.1 5.1 5.1 5.2 5.2 5.2 5.1 5.2 5.2 5.2 5.2 5.2"""
    came_back = """
        0.0 0.1 0.6 1.2 1.9 2.9 3.9 3.9 5.3 5.6 5.6 5.6 5.6 5.5 5.5 5.5 5.5 5.4 5.4 5.4 5.4 5.4
        5.4 5.4 5.4 5.3 5.2 5.3 5.3 5.2 5.2 5.1 5.2 5.2 5.1 5.1 5.0 5.0 5.0 5.0 5.0 4.9 4.8 4.9
        4.9 4.8 4.8 4.7 4.7"""
    for text, wanted in ((began_anew, 46), (came_back, 7)):
        distances = [float(word) for word in text.split()]
        last = max(row for row, distance in enumerate(distances) if distance <= 4.0)
        assert last_whole(generator, _rows(distances)) == last == wanted


def test_rows_of_an_attempt_that_was_given_up_are_not_found(
    generator: Generator, asked: list[float]
) -> None:
    torn = [9.0] * 40
    assert last_whole(generator, _rows([0.0, 1.0, 2.0, 3.0, 0.0, *torn])) == 4
    assert last_whole(generator, _rows([0.0, 1.0, *torn, 0.0])) == 42


def test_the_search_for_the_last_whole_row_can_be_left(
    generator: Generator, asked: list[float]
) -> None:
    with pytest.raises(StoppedError):
        last_whole(generator, _rows([0.0] + [9.0] * 200), leave_if(lambda: len(asked) >= 3))
    assert len(asked) == 3


def test_a_model_whose_outputs_are_not_found_again_says_nothing_of_its_drags() -> None:
    torch.manual_seed(2)
    sizes = {"img_resolution": 8, "channels": (1, 2), "z_dim": 512, "w_dim": 512}
    large = Generator(GeneratorConfig(**sizes)).requires_grad_(False)  # type: ignore[arg-type]
    assert distance_from_outputs(large, _output(large, 0)) > 2
    # With so many components that is known without a search, which would take seconds.
    assert not finds_outputs(large, leave_if(lambda: True))
    rows = [_output(large, 0)[None], _far(large, 40.0)[None], _far(large, 80.0)[None]]
    assert last_whole(large, rows) == 2


def test_outputs_are_found_if_most_of_a_few_are(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finds(distances: Sequence[float]) -> tuple[bool, int]:
        left = list(distances)
        monkeypatch.setattr(manifold, "distance_from_outputs", lambda *_: left.pop(0))
        monkeypatch.setattr(manifold, "_IS_FOUND", {})
        return finds_outputs(generator), len(distances) - len(left)

    # The distances of the curved twin of the benchmark, and of its adversarial model.
    assert finds([0.03, 0.5, 0.56, 0.0, 0.45]) == (True, 3)
    assert finds([1.35, 2.57, 0.84, 1.57, 1.79]) == (False, 4)
    assert finds([3.0, 0.1, 0.1, 3.0, 0.1]) == (True, 5)


def test_a_search_can_be_left(generator: Generator) -> None:
    with pytest.raises(StoppedError):
        distance_from_outputs(generator, _far(generator, 3.0), leave_if(lambda: True))
