# SPDX-License-Identifier: GPL-3.0-or-later
"""The construction of the mapping network and the lengths of W, without training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from stylegan2 import Generator, GeneratorConfig
from tools.suzanne.distill import build_mapping, path_lengths, stretch_w
from tools.suzanne.factors import FACTORS
from tools.suzanne.latents import W_DIM, factor_directions
from tools.suzanne.train import make_generator
from tools.suzanne.uniform import factors_of


def test_the_mapping_is_the_map_from_uniform_factors_to_w() -> None:
    torch.manual_seed(0)
    generator, directions = make_generator(), factor_directions()
    error = build_mapping(generator, directions)
    z = torch.randn(2000, W_DIM)
    values = factors_of(z)
    assert values.abs().max() <= 1
    # Uniform on [-1, 1]: a mean of 0 and a variance of 1/3.
    assert values.mean(dim=0).abs().max() < 0.06
    assert (values.var(dim=0) - 1 / 3).abs().max() < 0.03
    with torch.no_grad():
        off = generator.mapping(z)[:, 0] - values @ directions
    left = float(off.square().mean() / (values @ directions).square().mean()) ** 0.5
    assert left == pytest.approx(error, rel=0.1) and left < 0.05


def test_path_lengths_are_how_fast_each_factor_changes_the_picture() -> None:
    source = torch.Generator().manual_seed(1)
    picture_of_w = torch.randn(5, 3 * 4 * 4, generator=source)
    directions = torch.diag(torch.tensor([1.0, 3.0, 0.5, 2.0, 1.0]))[:4]

    def synthesis(ws: Tensor, _noise: str) -> Tensor:
        return (ws[:, 1] @ picture_of_w).reshape(-1, 3, 4, 4)

    found = path_lengths(SimpleNamespace(num_ws=2, synthesis=synthesis), directions)  # type: ignore[arg-type]
    expected = (directions @ picture_of_w).square().mean(dim=1).sqrt()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


def test_stretching_w_changes_its_lengths_and_no_picture() -> None:
    torch.manual_seed(2)
    config = GeneratorConfig.standard(16, channel_base=128, channel_max=8, z_dim=W_DIM, w_dim=W_DIM)
    generator = Generator(config)
    lengths = torch.linspace(0.5, 3.0, len(FACTORS)).tolist()
    old, new = factor_directions(), factor_directions(dict(zip(FACTORS, lengths, strict=True)))
    values = torch.rand(3, len(FACTORS)) * 2 - 1

    def pictures(directions: Tensor) -> Tensor:
        ws = (values @ directions)[:, None].expand(-1, generator.num_ws, -1)
        with torch.no_grad():
            images: Tensor = generator.synthesis(ws, "none")
        return images

    before = pictures(old)
    assert not torch.allclose(pictures(new), before, atol=1e-2)
    stretch_w(generator, old, new)
    torch.testing.assert_close(pictures(new), before, atol=1e-3, rtol=1e-3)
