# SPDX-License-Identifier: GPL-3.0-or-later
"""The directions of a model that is linear, so that they are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.solving.directions import (
    MOST_FACTORISED,
    factorised,
    find_directions,
    layer_ranges,
    styles,
)
from engine.solving.principal import PrincipalComponents, principal_components
from stylegan2 import Generator, GeneratorConfig
from stylegan2.network.layers import FullyConnectedLayer
from tests.tiny_generator import tiny_generator

W_DIM = 8


def _orthogonal(seed: int) -> Tensor:
    """Return random orthonormal rows; the largest entry of each is positive."""
    source = torch.Generator().manual_seed(seed)
    rows: Tensor = torch.linalg.qr(torch.randn(W_DIM, W_DIM, generator=source)).Q
    return rows * rows.gather(1, rows.abs().argmax(dim=1, keepdim=True)).sign()


def _linear_generator(way: Tensor, sigmas: Tensor) -> Generator:
    """Return a generator whose w is ``sigmas * z`` along the rows of ``way``.

    The mapping network has one layer, and its leaky ReLU is kept from bending by a large bias.
    """
    torch.manual_seed(0)
    config = GeneratorConfig.standard(
        16, channel_base=256, channel_max=16, z_dim=W_DIM, w_dim=W_DIM, mapping_layers=1
    )
    generator = Generator(config)
    layer = generator.mapping.get_submodule("fc0")
    assert isinstance(layer, FullyConnectedLayer)
    with torch.no_grad():
        gain = 2**0.5
        layer.weight.copy_((sigmas[:, None] * way).T / layer.weight_gain / gain)
        layer.bias.copy_(torch.full((W_DIM,), 50.0) / layer.bias_gain)
    return generator.freeze()


def test_the_principal_directions_of_a_linear_mapping_are_those_of_its_matrix() -> None:
    way, sigmas = _orthogonal(1), torch.tensor([5.0, 3.0, 2.0, 1.2, 0.8, 0.5, 0.3, 0.2])
    generator = _linear_generator(way, sigmas)
    # The mapping network normalises z: each entry of it has a variance of 1, but is no Gaussian.
    found = find_directions(generator)[:W_DIM]
    for number, direction in enumerate(found):
        change = torch.from_numpy(direction.change[0])
        assert direction.name == f"Direction {number + 1}"
        assert (direction.first, direction.last) == (0, generator.num_ws - 1)
        assert change.norm().item() == pytest.approx(sigmas[number].item(), rel=0.03)
        along = torch.nn.functional.cosine_similarity(change, way[number], dim=0)
        assert along.item() > 0.99  # and not -0.99: the sign is that of the largest entry


def test_factorised_directions_are_the_axes_of_weights_that_are_known() -> None:
    way, sigmas = _orthogonal(2), torch.tensor([4.0, 3.0, 2.5, 2.0, 1.5, 1.0, 0.9, 0.8])
    generator = _linear_generator(torch.eye(W_DIM), sigmas)
    strong = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    with torch.no_grad():
        for size in generator.config.resolutions:
            block = generator.synthesis.block(size)
            for layer in [block.conv1] if block.is_first else [block.conv0, block.conv1]:
                # Each layer changes its styles by ``strong`` along the rows of ``way``.
                weight = torch.zeros_like(layer.affine.weight)
                weight[:W_DIM] = strong[:, None] * way / layer.affine.weight_gain
                layer.affine.weight.copy_(weight)
    exact = PrincipalComponents(torch.eye(W_DIM), sigmas, torch.zeros(W_DIM))
    found = factorised(generator, exact, 0, 2)
    # The strongest first, with the standard deviation of w along it.
    wanted = way.flip(0) * (way.flip(0) * sigmas).norm(dim=1, keepdim=True)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_factorised_directions_stay_where_w_extends() -> None:
    generator = tiny_generator()
    components = PrincipalComponents(
        torch.eye(16)[:3], torch.tensor([3.0, 2.0, 1.0]), torch.zeros(16)
    )
    found = factorised(generator, components, 0, 4)
    assert found.shape == (3, 16)
    assert not found[:, 3:].any()


def test_a_direction_has_the_layers_that_it_was_found_in(generator: Generator) -> None:
    assert layer_ranges(generator) == [("Coarse", 0, 2), ("Middle", 3, generator.num_ws - 1)]
    large = Generator(GeneratorConfig.standard(128, channel_base=256, z_dim=8, w_dim=8))
    assert layer_ranges(large) == [("Coarse", 0, 2), ("Middle", 3, 6), ("Fine", 7, 11)]
    assert [len(one) for one in styles(generator)][-1] == generator.config.channels_at(32)
    found = find_directions(generator)
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    (middle,) = (one for one in found if one.name == "Middle 1")
    assert (middle.first, middle.last) == (3, generator.num_ws - 1)
    count = sum(one.name.startswith("Coarse") for one in found)
    assert count == min(MOST_FACTORISED, len(principal_components(generator).sigmas))


def test_directions_are_found_again_to_the_bit() -> None:
    one, other = find_directions(tiny_generator()), find_directions(tiny_generator())
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.change, b.change)
