# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch

from engine.solving.principal import decompose, principal_components
from stylegan2 import Generator, GeneratorConfig


def _cloud(sigmas: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 20,000 samples with given widths along random orthogonal directions, and those."""
    source = torch.Generator().manual_seed(1)
    size = len(sigmas)
    directions = torch.linalg.qr(torch.randn(size, size, generator=source)).Q
    scales = torch.tensor(sigmas)
    return torch.randn(20_000, size, generator=source) * scales @ directions + 3.0, directions


def test_it_finds_the_directions_and_widths_of_a_known_cloud() -> None:
    samples, directions = _cloud([2.0, 1.0, 0.5, 0.3])
    found = decompose(samples)
    assert torch.allclose(found.sigmas, torch.tensor([2.0, 1.0, 0.5, 0.3]), rtol=0.03)
    alike = (found.directions @ directions.T).abs()
    assert torch.allclose(alike, torch.eye(4), atol=0.05)
    assert torch.allclose(found.directions @ found.directions.T, torch.eye(4), atol=1e-5)
    assert torch.allclose(found.scaled().norm(dim=1), found.sigmas)


@pytest.mark.parametrize(
    ("sigmas", "kept"),
    [
        ([1.0, 1.0, 0.5, 0.02, 0.02], 3),  # the last two hold 0.0004 of the variance
        ([1.0, 1.0, 0.5, 0.04, 0.04], 4),  # with one of them, 0.9993 is held
        ([1.0, 1e-7], 1),
    ],
)
def test_the_tail_is_cut_by_its_share_of_the_variance(sigmas: list[float], kept: int) -> None:
    assert len(decompose(_cloud(sigmas)[0]).sigmas) == kept


def test_what_is_far_narrower_than_the_widest_is_cut_whatever_its_share() -> None:
    # Very many narrow directions together hold more than the share that may be dropped.
    sigmas = torch.tensor([1.0] + [0.9e-3] * 2000)
    ws = torch.cat([torch.diag(sigmas), -torch.diag(sigmas)])
    assert len(decompose(ws).sigmas) == 1


def test_the_components_of_a_generator_are_those_of_its_mapping(generator: Generator) -> None:
    found = principal_components(generator)
    source = torch.Generator().manual_seed(4)
    ws = generator.mapping(torch.randn(4000, 16, generator=source))[:, 0]
    coordinates = (ws - ws.mean(dim=0)) @ found.directions.T / found.sigmas
    assert torch.allclose(coordinates.T.cov(), torch.eye(len(found.sigmas)), atol=0.1)
    outside = ws - ws.mean(dim=0) - coordinates @ found.scaled()
    assert outside.var(dim=0).sum() <= 0.002 * ws.var(dim=0).sum()


def test_they_are_computed_once_the_same_each_time_and_forgotten_with_the_generator(
    generator: Generator,
) -> None:
    first = principal_components(generator)
    assert principal_components(generator) is first
    twin = copy.deepcopy(generator)
    second = principal_components(twin)
    assert second is not first and torch.equal(second.directions, first.directions)
    alive = weakref.ref(twin)
    del twin
    gc.collect()
    assert alive() is None


def test_a_model_with_labels_is_sampled_over_its_classes() -> None:
    torch.manual_seed(3)
    config = GeneratorConfig.standard(
        8, channel_base=64, channel_max=8, z_dim=8, w_dim=8, c_dim=3, mapping_layers=2
    )
    labelled = Generator(config).freeze()
    found = principal_components(labelled)
    ws = torch.cat(
        [
            labelled.mapping(torch.randn(2000, 8), torch.eye(3)[index].expand(2000, 3))[:, 0]
            for index in range(3)
        ]
    )
    widths = ((ws - ws.mean(dim=0)) @ found.directions.T).std(dim=0)
    assert torch.allclose(widths, found.sigmas, rtol=0.1)
