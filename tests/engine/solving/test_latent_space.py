# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import torch

from draggan_blender.protocol.settings import values_of
from engine.solving import latent_space as spaces
from engine.solving.latent_space import LOOSENESS, latent_space
from engine.solving.principal import principal_components
from stylegan2 import Generator

LATENT_SPACES = values_of("latent_space")


def _start(generator: Generator) -> torch.Tensor:
    source = torch.Generator().manual_seed(2)
    return torch.randn(generator.num_ws, generator.w_dim, generator=source)


@pytest.mark.parametrize("name", LATENT_SPACES)
def test_coordinates_of_zero_are_the_start_to_the_bit(generator: Generator, name: str) -> None:
    start = _start(generator)
    assert torch.equal(latent_space(name, generator, start, 4).latent(), start)


@pytest.mark.parametrize(("name", "common_rows"), [("w+", 4), ("w", 1), ("principal", 1)])
def test_a_unit_is_how_far_an_entry_of_w_moves(
    generator: Generator, name: str, common_rows: int
) -> None:
    start = _start(generator)
    space = latent_space(name, generator, start, 4)
    source = torch.Generator().manual_seed(9)
    with torch.no_grad():
        signs = torch.randint(0, 2, space.coordinates.shape, generator=source) * 2.0 - 1
        space.coordinates[:common_rows] = signs[:common_rows] / space.unit
    moved = space.latent() - start
    assert moved[:4].square().mean().sqrt().item() == pytest.approx(1.0, rel=1e-4)
    assert not moved[4:].any()


@pytest.mark.parametrize("name", ["automatic", "by_hand"])
def test_components_count_by_their_widths_only_if_it_is_known_what_the_model_can_make(
    generator: Generator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    start, components = _start(generator), principal_components(generator)
    widths = []
    for is_known in (True, False):
        monkeypatch.setattr(spaces, "finds_outputs", lambda *_, found=is_known: found)
        basis = latent_space(name, generator, start, 4).basis
        assert basis is not None
        widths.append(basis.norm(dim=1))
        assert torch.allclose(basis / widths[-1][:, None], components.directions, atol=1e-5)
    assert torch.allclose(widths[0], components.sigmas)
    assert torch.allclose(widths[1], widths[1][0])
    # A usual latent is as far from the mean in both.
    assert torch.allclose(widths[1].square().sum(), components.sigmas.square().sum())
    principal = latent_space("principal", generator, start, 4).basis
    assert principal is not None
    assert torch.equal(principal, components.scaled())


def test_principal_coordinates_are_standard_deviations_along_the_components(
    generator: Generator,
) -> None:
    start = _start(generator)
    components = principal_components(generator)
    space = latent_space("principal", generator, start, 3)
    assert space.coordinates.shape == (1 + 3, len(components.sigmas))
    with torch.no_grad():
        space.coordinates[0, 2] = 0.5  # of all layers
        space.coordinates[1 + 1, 4] = 2.0  # of the second layer only
    change = space.latent() - start
    together = 0.5 * components.sigmas[2] * components.directions[2]
    alone = LOOSENESS * 2.0 * components.sigmas[4] * components.directions[4]
    assert torch.allclose(
        change[:3], torch.stack([together, together + alone, together]), atol=1e-6
    )
    assert not change[3:].any()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("w+", 1.0), ("w", 0.0), ("principal", LOOSENESS**2 / (1 + LOOSENESS**2))],
)
def test_how_far_a_layer_that_is_pulled_goes_its_own_way(
    generator: Generator, name: str, expected: float
) -> None:
    start = _start(generator)
    space = latent_space(name, generator, start, 4)
    way = principal_components(generator).scaled()[0]
    (pull,) = torch.autograd.grad((space.latent()[1] * way).sum(), space.coordinates)
    change = space.change_of_w(pull)
    assert change[1].any()
    own = (change[1] - change[0]).norm() / change[1].norm()
    assert own.item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", LATENT_SPACES)
def test_where_one_drag_has_ended_is_known_to_the_next_by_coordinates(
    generator: Generator, name: str
) -> None:
    origin = _start(generator)
    first = latent_space(name, generator, origin, 4)
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        first.coordinates.copy_(torch.randn(first.coordinates.shape, generator=source))
        start = first.latent()
    following = latent_space(name, generator, start, 4, origin)
    none = torch.zeros_like(following.coordinates)
    so_far = following.from_origin(none)
    assert torch.allclose(first.change_of_w(so_far), (start - origin)[:4], atol=1e-4)
    # Common and own changes of the layers can stand for the same change: the smallest is chosen.
    assert so_far.norm() <= first.coordinates.norm() + 1e-4
    assert torch.equal(latent_space(name, generator, start, 4).from_origin(none), none)
