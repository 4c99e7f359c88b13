# SPDX-License-Identifier: GPL-3.0-or-later
"""The self-test that the installer runs: its figures, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.cli import selftest
from engine.cli.arguments import main


@pytest.mark.slow
def test_the_cpu_passes_and_the_last_line_has_the_figures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["selftest", "--device", "cpu"]) == 0
    facts = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert facts["device"] == "cpu"
    assert facts["device_name"].startswith("CPU, ")
    assert 0 < facts["step_ms"] < 60_000
    assert facts["torch"]


@pytest.mark.slow
def test_a_drag_that_does_not_arrive_fails_with_its_distance(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(selftest, "_TARGET_PX", (127.0, 10.0))
    assert main(["selftest", "--device", "cpu"]) == 1
    assert "px from its target" in capsys.readouterr().err


def test_a_device_that_is_not_there_fails_with_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["selftest", "--device", "cuda:9"]) == 1
    assert "the device cuda:9 was requested" in capsys.readouterr().err


def test_another_image_than_the_cpu_s_is_named() -> None:
    same = np.zeros((4, 4, 3), np.uint8)
    other = same.copy()
    other[1, 2] = 40
    assert selftest.difference(same, same) == 0
    assert selftest.difference(same, other) == 40
