# SPDX-License-Identifier: GPL-3.0-or-later
"""The curved map of the twin: its mapping network, its curvature, and its inverse."""

from __future__ import annotations

import pytest
import torch

from stylegan2 import Generator
from tools.suzanne.curved import CurvedMap
from tools.suzanne.factors import FACTORS, NUM_COARSE
from tools.suzanne.latents import COARSE_LATENTS, W_DIM
from tools.suzanne.train import MAPPING_FEATURES
from tools.suzanne.truth import CurvedFactorMap, FactorMap, truth_of
from tools.suzanne.twin import CurvedSampler, make_twin
from tools.suzanne.uniform import factors_of


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return make_twin().freeze()


@pytest.fixture(scope="module")
def curve() -> CurvedMap:
    return CurvedMap.random(MAPPING_FEATURES, W_DIM)


def _random_factors(count: int) -> torch.Tensor:
    source = torch.Generator().manual_seed(3)
    return torch.rand(count, len(FACTORS), generator=source) * 2.0 - 1.0


def test_the_mapping_network_is_the_curved_map_of_the_factors_of_z(
    generator: Generator, curve: CurvedMap
) -> None:
    z = torch.randn(2000, W_DIM, generator=torch.Generator().manual_seed(1))
    wanted = curve(factors_of(z))
    off = (generator.mapping(z)[:, 0] - wanted).square().mean() / wanted.var(dim=0).mean()
    assert float(off.sqrt()) < 0.02


def test_the_map_is_read_again_from_the_mapping_network(
    generator: Generator, curve: CurvedMap
) -> None:
    values = _random_factors(50)
    torch.testing.assert_close(CurvedMap.of(generator)(values), curve(values), atol=1e-4, rtol=0)


def test_much_of_the_spread_of_w_is_not_linear_in_the_factors(curve: CurvedMap) -> None:
    values = _random_factors(4000)
    w = curve(values)
    design = torch.cat([values, torch.ones(len(values), 1)], dim=1)
    left = design @ torch.linalg.lstsq(design, w).solution - w
    share = float((left.square().sum() / (w - w.mean(dim=0)).square().sum()).sqrt())
    assert 0.35 < share < 0.5


def test_factors_are_found_again_and_beside_the_map_the_nearest_ones(curve: CurvedMap) -> None:
    values = _random_factors(8)
    w = curve(values)
    torch.testing.assert_close(curve.factors(w), values, atol=1e-4, rtol=0)
    beside = w + 0.1 * torch.randn(w.shape, generator=torch.Generator().manual_seed(4))
    found = curve.factors(beside)
    assert bool(((curve(found) - beside).norm(dim=1) <= (w - beside).norm(dim=1)).all())
    assert float((found - values).abs().max()) < 0.5


def test_training_and_truth_use_the_same_latents(generator: Generator) -> None:
    truth = truth_of(generator)
    assert isinstance(truth, CurvedFactorMap) and truth.residue < 0.02
    values = _random_factors(5)
    trained = CurvedSampler().mixed(values, generator.num_ws)
    torch.testing.assert_close(truth.latents(values), trained, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="not a linear map"):
        FactorMap(generator)


def test_a_twin_has_the_pose_of_the_one_and_the_colours_of_the_other(generator: Generator) -> None:
    truth = CurvedFactorMap(generator)
    values = _random_factors(2) * 0.5
    now, before = truth.latents(values)
    latent = torch.cat([now[:COARSE_LATENTS], before[COARSE_LATENTS:]])
    found = truth.factors(truth.twin(latent, before))
    wanted = torch.cat([values[0, :NUM_COARSE], values[1, NUM_COARSE:]])
    torch.testing.assert_close(found, wanted.expand_as(found), atol=1e-3, rtol=0)
