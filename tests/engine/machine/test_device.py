# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing the threads of torch."""

from __future__ import annotations

import os

import pytest
import torch

from engine.machine.device import one_core_left


def test_a_core_is_left_while_a_person_waits_and_given_back_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: counts[-1] if counts else 4)
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    with one_core_left(torch.device("cpu")):
        assert counts == [3]
    assert counts == [3, 4]
    with one_core_left(torch.device("meta")):
        assert counts == [3, 4]
    # Torch leaves cores free already.
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    with one_core_left(torch.device("cpu")):
        assert counts == [3, 4]
