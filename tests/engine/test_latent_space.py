# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import torch

from engine.drag_options import LATENT_SPACES
from engine.latent_space import LatentSpace, latent_space
from engine.principal import principal_components
from stylegan2 import Generator


def _start(generator: Generator) -> torch.Tensor:
    source = torch.Generator().manual_seed(2)
    return torch.randn(generator.num_ws, generator.w_dim, generator=source)


@pytest.mark.parametrize("name", LATENT_SPACES)
def test_coordinates_of_zero_are_the_start_to_the_bit(generator: Generator, name: str) -> None:
    start = _start(generator)
    assert torch.equal(latent_space(name, generator, start, 4).latent(), start)


@pytest.mark.parametrize("name", LATENT_SPACES)
def test_a_unit_is_how_far_an_entry_of_w_moves(generator: Generator, name: str) -> None:
    start = _start(generator)
    space = latent_space(name, generator, start, 4)
    source = torch.Generator().manual_seed(9)
    with torch.no_grad():
        signs = torch.randint(0, 2, space.coordinates.shape, generator=source) * 2.0 - 1
        space.coordinates.copy_(signs / space.unit)
    moved = space.latent() - start
    assert moved[:4].square().mean().sqrt().item() == pytest.approx(1.0, rel=1e-4)
    assert not moved[4:].any()


def test_principal_coordinates_are_standard_deviations_along_the_components(
    generator: Generator,
) -> None:
    start = _start(generator)
    components = principal_components(generator)
    space = latent_space("principal", generator, start, 3)
    with torch.no_grad():
        space.coordinates[1, 2] = 0.5
    change = space.latent() - start
    expected = 0.5 * components.sigmas[2] * components.directions[2]
    assert torch.allclose(change[1], expected, atol=1e-6)
    assert not change[[0, 2, 3]].any()


def test_the_mahalanobis_distance_by_hand() -> None:
    space = LatentSpace(torch.zeros(4, 3), 2, 2, torch.tensor([[1.0, 0, 0], [0, 5.0, 0]]))
    with torch.no_grad():
        space.coordinates.copy_(torch.tensor([[3.0, 0.0], [1.0, 2.0]]))
    assert space.mahalanobis().item() == pytest.approx((9 + 1 + 4) / 2)
    assert space.latent()[0].tolist() == [3, 0, 0] and space.latent()[1].tolist() == [1, 10, 0]
