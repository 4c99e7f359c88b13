# SPDX-License-Identifier: GPL-3.0-or-later
"""Squares around pixels: the same as torch's, and fast for large ones."""

from __future__ import annotations

import time

import pytest
import torch
import torch.nn.functional as F

from engine.pooling import max_around, mean_around


@pytest.mark.parametrize("radius", [1, 3, 9])
def test_squares_are_those_of_torch(radius: int) -> None:
    x = torch.rand(2, 3, 21, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    side = 2 * radius + 1
    mean = F.avg_pool2d(x, side, 1, radius, count_include_pad=False)
    torch.testing.assert_close(mean_around(x, radius), mean)
    assert torch.equal(max_around(x, radius), F.max_pool2d(x, side, 1, radius))


def test_a_large_square_takes_time_in_proportion_to_its_side() -> None:
    """Four times the side: 16 times the work if each square were read whole."""
    x = torch.rand(1, 1, 512, 512)

    def seconds(radius: int) -> float:
        tries = []
        for _ in range(3):
            began = time.process_time()
            mean_around(x, radius)
            tries.append(time.process_time() - began)
        return min(tries)

    assert seconds(64) < 10 * seconds(16)
