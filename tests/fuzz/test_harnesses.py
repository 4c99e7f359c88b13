# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fuzz harness runs for some seconds; ``python -m tests.fuzz`` runs one for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from .__main__ import fuzz
from .harnesses import HARNESSES

SECONDS = 2.0


@pytest.mark.parametrize("name", HARNESSES)
def test_no_input_does_what_no_input_may_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    harness = HARNESSES[name]
    for data in harness.seeds():
        harness.check(data)
    assert fuzz(name, SECONDS) > 0
