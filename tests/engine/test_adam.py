# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools

import pytest
import torch

from engine.adam import Adam


# The import of torch's compiler, which is the reason for an Adam of our own, warns on some systems.
@pytest.mark.filterwarnings("ignore")
def test_it_computes_what_torch_computes() -> None:
    torch.manual_seed(0)
    ours = torch.randn(3, 5, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    reference = torch.optim.Adam([theirs], lr=0.05)
    adam = Adam(ours, 0.05)
    for step in range(20):
        for parameter in (ours, theirs):
            ((parameter - step % 3) ** 4).sum().backward()
        adam.step()
        reference.step()
        reference.zero_grad()
        assert ours.grad is None
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_scale_lengthens_or_shortens_one_step_alone() -> None:
    ways = []
    for scale in (1.0, torch.tensor(0.25)):
        parameter = torch.tensor([1.0, -2.0], requires_grad=True)
        adam = Adam(parameter, 0.1)
        places = [parameter.detach().clone()]
        for part in (scale, 1.0):
            (parameter * torch.tensor([3.0, 5.0])).sum().backward()
            adam.step(part)
            places.append(parameter.detach().clone())
        ways.append([after - before for before, after in itertools.pairwise(places)])
    assert torch.allclose(ways[1][0], 0.25 * ways[0][0])
    assert torch.allclose(ways[1][1], ways[0][1])
