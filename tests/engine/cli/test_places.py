# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the commands write: places that cannot be used are refused before the work."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli.arguments import main
from engine.cli.places import require_place
from engine.errors import RequestError

_DRAG = ["--pair", "12,14:13,14"]


@pytest.mark.parametrize(
    "command",
    [
        ["drag", *_DRAG],
        ["many", *_DRAG, "--to", "0-3"],
        ["invert", "nothing.png"],
        ["bake", "nothing.draggan"],
        ["render", "nothing.npz"],
        ["blend", "nothing.png", "--found", "nothing", "--latent", "nothing.npy"],
    ],
)
def test_a_file_in_the_place_of_the_folder_is_said_before_the_model_is_read(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"mine")
    for out in (there, there / "deeper"):
        assert main([*command, "--model", "no/such.pkl", "--out", str(out)]) == 1
        said = capsys.readouterr().err
        assert f"{there} is a file and not a folder; choose another" in said
    assert there.read_bytes() == b"mine"


@pytest.mark.parametrize("command", [["sample"], ["mix", "--style-seed", "2"]])
def test_a_folder_in_the_place_of_the_file_is_said(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert main([*command, "--model", "no/such.pkl", "--out", str(folder)]) == 1
    assert "is a folder, but a file is to be written" in capsys.readouterr().err


def test_a_folder_without_the_right_to_write_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    for out, is_folder in ((tmp_path / "new" / "er", True), (tmp_path / "a.png", False)):
        with pytest.raises(RequestError, match="is read-only for this account; choose another"):
            require_place(out, is_folder=is_folder)
    monkeypatch.undo()
    require_place(tmp_path / "new" / "er", is_folder=True)
    assert list(tmp_path.iterdir()) == []


def test_a_name_may_be_as_long_as_the_disk_allows(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ("\u00e4" * 125 + "a.png")
    assert main(["sample", "--model", str(checkpoint), "--out", str(path)]) == 0
    assert list(tmp_path.iterdir()) == [path]
    longer = str(tmp_path / f"{'a' * 260}.png")
    assert main(["sample", "--model", "no/such.pkl", "--out", longer]) == 1
    assert capsys.readouterr().err.endswith("; choose a shorter name\n")


def test_a_model_is_converted_into_a_new_folder_under_a_long_name(
    checkpoint: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "new" / f"{'m' * 243}.safetensors"
    assert main(["convert", str(checkpoint), str(copy)]) == 0
    assert list(copy.parent.iterdir()) == [copy]


def test_a_converted_model_gets_the_name_of_its_format(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["convert", str(checkpoint), str(tmp_path / "copy.pkl")])
    assert caught.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_built_in_model_is_converted_by_its_name(tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    assert main(["convert", "suzanne", str(copy)]) == 0
    assert copy.stat().st_size > 9_000_000


def test_a_search_without_tuning_leaves_no_tuned_model_of_an_earlier_one(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = tmp_path / "picture.png", tmp_path / "out"
    Image.fromarray(np.full((32, 32, 3), 90, dtype=np.uint8)).save(picture)
    search = ["invert", str(picture), "--model", str(checkpoint), "--out", str(out)]
    search += ["--steps", "10", "--keep-alignment"]
    assert main([*search, "--tune", "--seconds", "2"]) == 0
    assert "result.json and tuned.safetensors" in capsys.readouterr().out
    tuned = out / "tuned.safetensors"
    assert main(["convert", str(tuned), str(tmp_path / "c.safetensors")]) == 1
    assert "only what tuning changed in" in capsys.readouterr().err
    assert main(search) == 0
    assert "compare.png and result.json" in capsys.readouterr().out
    expected = ["compare.png", "latent.npy", "model.png", "result.json"]
    assert sorted(path.name for path in out.iterdir()) == expected
    assert json.loads((out / "result.json").read_text(encoding="utf-8"))["loss"] == "pixels"


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "track.npz", "--out", "out", "--first-number", "0"],
        ["render", "track.npz", "--out", "out", "--first-number", "-5"],
        ["render", "track.npz", "--out", "out", "--first-number", "1048575"],
        ["mix", "--style-seed", "1", "--out", "a.png", "--weight", "nan"],
        ["mix", "--style-seed", "1", "--out", "a.png", "--weight", "2.5"],
        ["blend", "a.png", "--found", "f", "--latent", "l.npy", "--out", "b.jpg"],
    ],
)
def test_values_that_make_no_usable_file_are_wrong_arguments(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
