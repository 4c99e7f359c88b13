# SPDX-License-Identifier: GPL-3.0-or-later
"""What people type: addresses, names of files, options of other methods, Ctrl-C, radii."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from draggan_blender.connection.launcher import as_meant
from engine.cli.arguments import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("model", ["https://example.com/m.pkl", "https:/example.com/m.pkl"])
def test_an_address_is_not_downloaded_and_that_is_said(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "--model", model, "--out", str(tmp_path / "a.png")]) == 1
    assert "is an address, and nothing is downloaded" in capsys.readouterr().err


def test_an_image_gets_the_name_of_a_png(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sample", "--out", str(tmp_path / "picture.jpg")])
    assert caught.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_option_of_another_method_is_noted(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["drag", "--model", str(checkpoint), "--pair", "12,14:13,14", "--max-steps", "1"]
    main([*arguments, "--step-size", "0.9", "--out", str(tmp_path)])
    assert "--step-size has no effect with the method linearised" in capsys.readouterr().out
    main([*arguments, "--out", str(tmp_path)])
    assert "has no effect" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["r1", "r2", "tracking-radius"])
def test_a_radius_beyond_the_model_is_refused_at_once(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    arguments = ["drag", "--model", str(checkpoint), "--pair", "12,14:13,14", "--max-steps", "1"]
    started = time.monotonic()
    assert main([*arguments, f"--{name}", "64", "--out", str(tmp_path)]) == 1
    assert time.monotonic() - started < 20
    said = capsys.readouterr().err
    assert "but the features of this model have 32 pixels; choose at most 16" in said


def test_the_engine_s_python_may_be_named_as_people_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = tmp_path / "my environment"
    (environment / "bin").mkdir(parents=True)
    python = environment / "bin" / "python"
    python.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for text in (
        str(python),
        f'"{python}"',
        f" '{python}' ",
        f"{python} ",
        "~/my environment/bin/python",
        str(environment),
        f'"{environment}"',
    ):
        assert as_meant(text) == python, text
