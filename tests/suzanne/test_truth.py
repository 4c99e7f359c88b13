# SPDX-License-Identifier: GPL-3.0-or-later
"""The factors of latents of the built-in model."""

from __future__ import annotations

import pytest
import torch

from engine.models import model_path
from stylegan2 import Generator, GeneratorConfig, load_generator
from tools.suzanne.factors import FACTORS, NUM_COARSE
from tools.suzanne.latents import COARSE_LATENTS
from tools.suzanne.truth import FactorMap


@pytest.fixture(scope="module")
def truth() -> FactorMap:
    return FactorMap(load_generator(model_path("suzanne")))


def test_factors_are_found_again_in_latents(truth: FactorMap) -> None:
    values = torch.linspace(-1, 1, 2 * len(FACTORS)).reshape(2, -1)
    torch.testing.assert_close(
        truth.factors(truth.latents(values))[:, 0], values, atol=0.02, rtol=0
    )


def test_a_twin_has_the_pose_of_the_one_and_the_colours_of_the_other(truth: FactorMap) -> None:
    now, before = truth.latents(torch.stack([torch.full((len(FACTORS),), x) for x in (0.5, -0.5)]))
    latent = torch.cat([now[:COARSE_LATENTS], before[COARSE_LATENTS:]])
    # If layers disagree about the pose, their mean counts.
    latent = latent.clone()
    latent[0], latent[1] = truth.latents(
        torch.full((2, len(FACTORS)), 0.5) * torch.tensor([[2.0], [0.0]])
    )[:, 0]
    twin = truth.twin(latent, before)
    found = truth.factors(twin)
    torch.testing.assert_close(
        found[:COARSE_LATENTS, :NUM_COARSE],
        torch.full((COARSE_LATENTS, NUM_COARSE), 0.5),
        atol=0.02,
        rtol=0,
    )
    assert float((found[:, NUM_COARSE:] + 0.5).abs().max()) < 0.02
    torch.testing.assert_close(twin[COARSE_LATENTS:], before[COARSE_LATENTS:])


def test_another_kind_of_model_is_refused() -> None:
    torch.manual_seed(0)
    config = GeneratorConfig.standard(32, channel_base=512, channel_max=16, z_dim=32, w_dim=16)
    with pytest.raises(ValueError, match="not a linear map"):
        FactorMap(Generator(config).freeze())
