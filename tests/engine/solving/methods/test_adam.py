# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import torch

from engine.solving.methods.adam import Adam


# ``torch.optim`` imports torch's compiler, which ``adam.Adam`` avoids; it warns on some systems.
@pytest.mark.filterwarnings("ignore")
def test_it_computes_what_torch_computes() -> None:
    torch.manual_seed(0)
    ours = torch.randn(3, 5, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    reference = torch.optim.Adam([theirs], lr=0.05)
    adam = Adam(ours, 0.05)
    for step in range(20):
        for parameter in (ours, theirs):
            loss = ((parameter - step % 3) ** 4).sum()
            loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        reference.step()
        reference.zero_grad()
        assert ours.grad is None
    assert torch.allclose(ours, theirs, atol=1e-5)
