# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.features.full_map import cut_windows
from engine.solving.supervision import disc_offsets

from ...synthetic import Waves, motion_jacobian

SIZE = 40
OFFSETS = disc_offsets(3.0)
HANDLES = torch.tensor([[12.0, 20.0], [25.3, 9.6], [18.0, 30.5]])


def _shift(places: Tensor, change: Tensor) -> Tensor:
    """Return the displacement (x, y), ``... x 2``, of what is now at places from where it was.

    The four entries of ``change`` move the texture in x and in y, rotate it and stretch it in x,
    the last two around its centre.
    """
    x, y = (places - SIZE / 2).unbind(-1)
    right, down, turn, stretch = change
    return torch.stack([right - turn * y + stretch * x, down + turn * x], dim=-1)


def _texture(change: Tensor) -> Tensor:
    """Return ``C x 40 x 40``, with a gradient to the change."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    shift = _shift(torch.stack([x, y], dim=-1), change)
    return Waves().map(SIZE, SIZE, shift.movedim(-1, 0)[..., None, None])


def _place(handle: Tensor, change: Tensor) -> Tensor:
    """Return where the texture that was at a handle has moved to, by a fixed-point iteration."""
    place = handle
    for _ in range(50):
        place = handle + _shift(place, change)
    return place


def test_it_is_how_the_texture_at_each_handle_really_moves() -> None:
    change = torch.zeros(4, requires_grad=True)
    windows = cut_windows(_texture(change), HANDLES, 6)
    jacobian = motion_jacobian(windows, HANDLES, OFFSETS, change)
    assert jacobian.shape == (6, 4) and not jacobian.requires_grad
    size = 1e-2
    for column, unit in enumerate(torch.eye(4)):
        there, back = (_place(HANDLES, sign * size * unit) for sign in (1, -1))
        really = ((there - back) / (2 * size)).flatten()
        # Slopes over one pixel are slightly too small for waves of 7 px, so motions are too large.
        assert (jacobian[:, column] - really).abs().max().item() < 0.08 * really.abs().max().item()


def test_the_motion_along_an_edge_cannot_be_seen_and_counts_as_none() -> None:
    change = torch.zeros(2, requires_grad=True)
    x = torch.arange(SIZE) - change[0] - 0 * change[1]
    y = torch.arange(SIZE)[:, None] - change[1]
    edge = torch.tanh((x + y - 30) / 2)[None]  # the same along the diagonal
    handles = torch.tensor([[15.0, 15.0]])
    jacobian = motion_jacobian(cut_windows(edge, handles, 5), handles, OFFSETS, change)
    # A move by (1, 0) is (0.5, 0.5) across the edge and (0.5, -0.5) along it.
    assert torch.allclose(jacobian, torch.full((2, 2), 0.5), atol=0.02)


def test_where_nothing_is_to_be_seen_nothing_moves() -> None:
    change = torch.zeros(2, requires_grad=True)
    flat = (change.sum() * torch.ones(3, SIZE, SIZE)).requires_grad_()
    windows = cut_windows(flat, HANDLES, 6)
    assert not motion_jacobian(windows, HANDLES, OFFSETS, change).any()


@pytest.mark.parametrize("radius", [0.0, 1.0, 5.0])
def test_any_disc_will_do(radius: float) -> None:
    change = torch.zeros(4, requires_grad=True)
    windows = cut_windows(_texture(change), HANDLES, 8)
    jacobian = motion_jacobian(windows, HANDLES, disc_offsets(radius), change)
    moves = torch.eye(2).repeat(3, 1)
    assert torch.allclose(jacobian[:, :2], moves, atol=0.1)
