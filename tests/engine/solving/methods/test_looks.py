# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.features.full_map import cut_windows
from engine.features.source import Windows
from engine.solving.methods.looks import looks_of, weights_of_looks
from engine.solving.supervision import disc_offsets

from ...synthetic import Waves

SIZE = 40
PATCH = disc_offsets(3.0)
HANDLES = torch.tensor([[12.0, 20.0], [25.3, 9.6]])


def _texture(shift: Tensor, contrast: Tensor) -> Tensor:
    """Return waves ``C x 40 x 40``, moved in x and with another contrast."""
    both = torch.stack([shift, torch.zeros(())])[:, None, None]
    return contrast * Waves().map(SIZE, SIZE, both.expand(2, SIZE, SIZE)[..., None, None])


def _windows(shift: float = 0.0, contrast: float = 1.0) -> Windows:
    return cut_windows(_texture(torch.tensor(shift), torch.tensor(contrast)), HANDLES, 6)


def _first() -> Tensor:
    return _windows().sample(HANDLES[:, None] + PATCH)


def _numbers(windows: Windows, first: Tensor) -> Tensor:
    return looks_of(windows, HANDLES, PATCH, first, torch.ones(()))[1]


def test_the_looks_of_the_start_have_not_changed() -> None:
    numbers = _numbers(_windows(), _first())
    assert numbers.shape == (2, 2)
    assert numbers.abs().max().item() < 1e-5


def test_what_fades_is_weaker_by_the_share_that_is_gone() -> None:
    windows, first = _windows(), _first()
    mean = first.mean(dim=1)[:, None, None]
    faded = Windows(mean + 0.6 * (windows.values - mean), windows.origins)
    weaker, new = _numbers(faded, first)
    # The part of a pattern that looks like a small shift is not told from one.
    assert weaker.min().item() > -0.4 and weaker.max().item() < -0.25
    assert new.max().item() < 0.01


def test_a_small_shift_is_no_change_of_looks_and_a_painted_disc_is_one() -> None:
    first = _first()
    moved = _numbers(_windows(shift=0.2), first).abs()
    painted = _windows()
    other = Windows(painted.values.flip(3), painted.origins)  # the channels in another order
    assert moved.max().item() < 0.1
    assert _numbers(other, first)[1].min().item() > 3 * moved.max().item()


def test_the_factors_are_the_derivatives_of_the_numbers() -> None:
    first = _first()
    shift, contrast = torch.zeros((), requires_grad=True), torch.tensor(0.8, requires_grad=True)
    windows = cut_windows(_texture(shift, contrast), HANDLES, 6)
    factors, before = looks_of(windows, HANDLES, PATCH, first, torch.ones(()))
    assert factors.shape == (2, *windows.values.shape)
    after = _numbers(_windows(contrast=0.81), first)
    for number in range(2):
        for handle in range(2):
            product = (factors[number, handle] * windows.values[handle]).sum()
            slopes = torch.autograd.grad(product, (shift, contrast), retain_graph=True)
            if number == 0:
                expected = float(after[0, handle] - before[0, handle]) / 0.01
                assert float(slopes[1]) == pytest.approx(expected, rel=0.05)
            assert abs(float(slopes[0])) < 0.1, "a shift changes no looks"


def test_noise_on_a_flat_place_is_no_change_of_looks() -> None:
    noise = torch.randn(5, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    flat = cut_windows(torch.zeros(5, SIZE, SIZE), HANDLES, 6)
    first = flat.sample(HANDLES[:, None] + PATCH)
    numbers = _numbers(cut_windows(0.001 * noise, HANDLES, 6), first)
    assert numbers.isfinite().all() and numbers.abs().max().item() < 0.02


def test_looks_count_more_on_a_long_way_and_not_at_the_end() -> None:
    weights = weights_of_looks(torch.tensor([0.0, 3.0, 12.0, 100.0]), 3.0)
    assert weights[0] == 0 and weights[1] < weights[2] == weights[3]
    late = weights_of_looks(torch.tensor([0.0, 3.0, 12.0, 100.0]), 3.0, fade=8.0)
    assert late[0] == 0 and (late[1:3] < weights[1:3]).all() and late[3] == weights[3]
