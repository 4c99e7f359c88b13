# SPDX-License-Identifier: GPL-3.0-or-later
"""How far latents are from a mapping network whose outputs are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

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


def test_a_model_whose_outputs_are_not_found_again_says_nothing_of_its_drags() -> None:
    torch.manual_seed(2)
    sizes = {"img_resolution": 8, "channels": (1, 2), "z_dim": 512, "w_dim": 512}
    large = Generator(GeneratorConfig(**sizes)).requires_grad_(False)  # type: ignore[arg-type]
    assert distance_from_outputs(large, _output(large, 0)) > 2
    assert not finds_outputs(large)
    rows = [_output(large, 0)[None], _far(large, 40.0)[None], _far(large, 80.0)[None]]
    assert last_whole(large, rows) == 2


def test_a_search_can_be_left(generator: Generator) -> None:
    with pytest.raises(StoppedError):
        distance_from_outputs(generator, _far(generator, 3.0), leave_if(lambda: True))
