# SPDX-License-Identifier: GPL-3.0-or-later
"""Convolutions whose factors are rounded: what changes, and what does not."""

from __future__ import annotations

import pytest
import torch

from stylegan2 import WindowSynthesis, plan_windows
from stylegan2.ops import precision

from ..making import random_generator, random_ws, tiny_config


def test_only_these_values_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(precision.SWITCH, raising=False)
    assert precision.reduced() is None
    monkeypatch.setenv(precision.SWITCH, "bfloat16")
    assert precision.reduced() is torch.bfloat16
    monkeypatch.setenv(precision.SWITCH, "half")
    with pytest.raises(ValueError, match="must be float32, float16 or bfloat16, not 'half'"):
        precision.reduced()


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_images_windows_and_gradients_stay_close(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random_generator(tiny_config(32)).freeze()
    ws = random_ws(generator, 1)
    origins = torch.tensor([[3, 5], [20, 0]])
    plan = plan_windows(generator.config, 32, 7, 2)
    directions = torch.randn(2, 2, 7, 7, generator.config.channels_at(32))

    def compute() -> list[torch.Tensor]:
        found = WindowSynthesis(generator, 32, plan, ws[0], 4).run(ws[0], origins)
        return [generator.synthesis(ws), found.values, found.pull_back_each(directions)]

    monkeypatch.delenv(precision.SWITCH, raising=False)
    exact = compute()
    monkeypatch.setenv(precision.SWITCH, kind)
    for rounded, expected in zip(compute(), exact, strict=True):
        assert rounded.dtype == torch.float32
        difference = (rounded - expected).abs().max() / expected.abs().max()
        assert 1e-5 < difference < (0.01 if kind == "float16" else 0.1)
