# SPDX-License-Identifier: GPL-3.0-or-later
"""All harnesses at once: what is run, and that a find fails and is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import every


def test_named_harnesses_run_in_folders_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert every.main(["codec", "edit", "--seconds", "0", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == [f"{name}: 0 inputs, nothing found" for name in ("codec", "edit")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codec", "edit"]


def test_a_harness_that_fails_is_shown_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(every, "HARNESSES", {"gone": None, "edit": None})
    assert every.main(["--seconds", "0", "--out", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert f"gone: a find, or it could not run; see {tmp_path / 'gone'}" in shown
    assert "invalid choice: 'gone'" in shown and "edit: 0 inputs" in shown


def test_an_unknown_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        every.main(["codecs", "--out", str(tmp_path)])
    assert "there is no codecs; there are inert_pickle, " in capsys.readouterr().err
