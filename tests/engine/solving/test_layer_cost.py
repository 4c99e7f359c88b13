# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import torch

from engine.solving.layer_cost import LayerCost
from engine.solving.principal import decompose

LAYERS, WIDTH = 3, 8


@pytest.fixture
def cost() -> LayerCost:
    source = torch.Generator().manual_seed(3)
    # W lies in three of its eight dimensions.
    samples = torch.randn(500, 3, generator=source) @ torch.randn(3, WIDTH, generator=source)
    return LayerCost(decompose(samples), LAYERS)


def test_applying_it_undoes_inverting_it(cost: LayerCost) -> None:
    rows = torch.randn(4, LAYERS * WIDTH, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(cost.apply(cost.invert(rows)), rows, atol=1e-4)
    assert torch.allclose(cost.invert(cost.apply(rows[0])), rows[0], atol=1e-4)


def test_it_is_a_cost_of_each_layer_alone(cost: LayerCost) -> None:
    dense = cost.apply(torch.eye(LAYERS * WIDTH))
    assert torch.allclose(dense, dense.T, atol=1e-5)
    assert float(torch.linalg.eigvalsh(dense).min()) > 0
    block = dense[:WIDTH, :WIDTH]
    assert torch.allclose(dense, torch.kron(torch.eye(LAYERS), block), atol=1e-5)


def test_what_images_differ_in_is_cheaper_than_what_they_never_show() -> None:
    widths = torch.tensor([3.0, 1.0])
    samples = torch.zeros(4, WIDTH)
    samples[:2, 0], samples[2:, 1] = widths[0] * torch.tensor([1, -1]), torch.tensor([1.0, -1.0])
    cost = LayerCost(decompose(samples), 1)
    wide, narrow, unseen = (float(row @ cost.apply(row)) for row in torch.eye(WIDTH)[:3])
    assert wide < narrow < unseen
    # What images never show can be changed all the same.
    assert unseen == pytest.approx(2.0)
