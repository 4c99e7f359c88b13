# SPDX-License-Identifier: GPL-3.0-or-later
"""The models of a library as files: written, read, found by hash, named, removed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from draggan_blender.library import entries
from draggan_blender.library.entries import Entry
from stylegan2 import inspect_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def _model(folder: Path, name: str, **values: object) -> Entry:
    path = folder / f"{name}.safetensors"
    path.write_bytes(name.encode())
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    entry = dataclasses.replace(Entry(path=path, name=name, sha256=sha256), **values)  # type: ignore[arg-type]
    entries.write(entry)
    return entry


def test_what_is_written_is_read(tmp_path: Path) -> None:
    entry = _model(
        tmp_path,
        "Gesichter 你好",
        source_sha256="ab" * 32,
        origin="C:\\Modelle\\ä.pkl",
        added="2026-11-29",
        width=1024,
        height=512,
        labels=10,
        note="CC BY-NC 4.0\nasked on Monday",
        thumbnail="2x2:abc",
    )
    assert entries.read(entry.path) == entry
    assert entries.read_all(tmp_path) == [entry]
    assert entry.size_bytes == len("Gesichter 你好".encode())


def test_models_are_listed_by_name_and_other_files_are_not(tmp_path: Path) -> None:
    made = [_model(tmp_path, name) for name in ("b", "A", "c")]
    (tmp_path / "left over.safetensors").write_bytes(b"written, and not described")
    (tmp_path / "gone.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    assert [entry.name for entry in entries.read_all(tmp_path)] == ["A", "b", "c"]
    assert entries.read_all(tmp_path / "missing") == []
    entries.remove(made[0])
    assert [entry.name for entry in entries.read_all(tmp_path)] == ["A", "c"]
    assert not made[0].path.exists() and not made[0].description_path.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "name": "n", "sha256": "00"}',
        '{"version": 1, "name": "", "sha256": "00"}',
        '{"version": 1, "name": "n"}',
        '{"version": 1, "name": 3, "sha256": "00"}',
        '{"version": 1, "name": "n", "sha256": "00", "width": "wide"}',
        '{"version": 1, "name": "n", "sha256": "00", "width": -1}',
        '{"version": 1, "name": "n", "sha256": "00", "width": 99999999999}',
        '{"version": 1, "name": "\\ud800", "sha256": "00"}',
        "[" * 99999,
    ],
)
def test_a_description_that_cannot_be_used_is_left_out(text: str, tmp_path: Path) -> None:
    entry = _model(tmp_path, "face")
    entry.description_path.write_text(text)
    assert entries.read(entry.path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    entry = _model(tmp_path, "face")
    entry.description_path.unlink()
    os.mkfifo(entry.description_path)
    assert entries.read(entry.path) is None


def test_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    entry = _model(tmp_path, "face")
    known = json.loads(entry.description_path.read_text())
    entry.description_path.write_text(json.dumps({**known, "colour": "red"}))
    assert entries.read(entry.path) == entry


def test_a_model_is_found_by_its_hash_and_by_that_of_its_source(tmp_path: Path) -> None:
    face = _model(tmp_path, "face", source_sha256="cd" * 32)
    _model(tmp_path, "cat")
    found = entries.read_all(tmp_path)
    assert entries.with_hash(found, face.sha256) == face
    assert entries.with_hash(found, "CD" * 32) == face
    assert entries.with_hash(found, "ef" * 32) is None
    assert entries.with_hash(found, "") is None


def test_a_name_is_given_once(tmp_path: Path) -> None:
    made = [_model(tmp_path, name) for name in ("face", "face.001")]
    assert entries.free_name(made, "face") == "face.002"
    assert entries.free_name(made, "cat") == "cat"


def test_the_built_in_model_is_described() -> None:
    path = ROOT / "stylegan2" / "models" / "suzanne.safetensors"
    entry, info = entries.read(path), inspect_checkpoint(path)
    assert entry is not None
    size = info.config.img_resolution
    assert (entry.sha256, entry.width, entry.height) == (info.sha256, size, size)
    assert entry.labels == info.config.c_dim
    assert entry.thumbnail.startswith("64x64:")
