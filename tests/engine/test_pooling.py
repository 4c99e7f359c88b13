# SPDX-License-Identifier: GPL-3.0-or-later
"""Squares around pixels: the same as torch's, without reading each square whole."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from engine.pooling import max_around, mean_around, reduced


@pytest.mark.parametrize("radius", [1, 3, 9])
def test_squares_are_those_of_torch(radius: int) -> None:
    x = torch.rand(2, 3, 21, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    side = 2 * radius + 1
    mean = F.avg_pool2d(x, side, 1, radius, count_include_pad=False)
    torch.testing.assert_close(mean_around(x, radius), mean)
    assert torch.equal(max_around(x, radius), F.max_pool2d(x, side, 1, radius))


def test_a_large_square_is_not_read_whole_for_each_pixel() -> None:
    """Its rows and its columns are, one after the other."""
    with mock.patch.object(F, "avg_pool2d", wraps=F.avg_pool2d) as pool:
        mean_around(torch.rand(1, 1, 256, 256), 32)
    assert [call.args[1] for call in pool.call_args_list] == [(1, 65), (65, 1)]


@pytest.mark.parametrize("size", [(7, 10), (8, 13), (21, 30), (1, 1)])
def test_a_smaller_image_has_the_means_of_what_its_pixels_cover(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, 21, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = reduced(x, size)
    assert found.shape == (2, 3, *size)
    rows, columns = (
        [slice(n * length // wanted, -((n + 1) * length // -wanted)) for n in range(wanted)]
        for length, wanted in zip((21, 30), size, strict=True)
    )
    for row, high in enumerate(rows):
        for column, wide in enumerate(columns):
            expected = x[:, :, high, wide].mean(dim=(2, 3))
            torch.testing.assert_close(found[:, :, row, column], expected)
