# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of files that are complete as soon as they have their name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from draggan_blender.protocol.atomic_files import (
    PART_SUFFIX,
    link_or_copy,
    replacing,
    temporary_beside,
    write_atomically,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_replaces_the_one_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "track.npz"
    write_atomically(path, b"first")
    write_atomically(path, b"second", durable=False)
    assert path.read_bytes() == b"second"
    assert names(path.parent) == ["track.npz"]


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), replacing(path, keep_suffix=True) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["clip.mp4"]


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "inside.png"
    with pytest.raises(OSError) as caught:
        write_atomically(path, b"")
    assert (caught.value.filename, caught.value.filename2) == (str(path), None)


def test_a_process_that_ends_in_the_middle_leaves_no_temporary_file(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, threading\n"
        "from draggan_blender.protocol.atomic_files import remove_unfinished, replacing\n"
        "begun = threading.Event()\n"
        "def write():\n"
        "    with replacing(pathlib.Path('image.png')) as temporary:\n"
        "        temporary.write_bytes(b'half')\n"
        "        begun.set()\n"
        "        threading.Event().wait()\n"
        "threading.Thread(target=write).start()\n"
        "assert begun.wait(30) and len(os.listdir()) == 1\n"
        "remove_unfinished()\n"
        "os._exit(3)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    assert done.returncode == 3 and names(tmp_path) == []


def test_temporary_names_are_hidden_unique_and_keep_the_suffix_on_request() -> None:
    path = Path("folder/shot_0001.png")
    plain, other = temporary_beside(path), temporary_beside(path)
    assert plain != other and plain.parent == path.parent
    assert plain.name.startswith(".shot_0001.png.") and plain.name.endswith(PART_SUFFIX)
    assert temporary_beside(path, keep_suffix=True).suffix == ".png"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_second_name_replaces_a_file_or_keeps_it(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:

        def refuse(*_arguments: object) -> None:
            raise OSError("no links here")

        monkeypatch.setattr(os, "link", refuse)
    source, path = tmp_path / "source", tmp_path / "path"
    source.write_bytes(b"content")
    link_or_copy(source, path, replace=False)
    assert path.read_bytes() == b"content"
    assert os.path.samefile(source, path) is has_links
    path.unlink()
    path.write_bytes(b"another")
    link_or_copy(source, path)
    assert path.read_bytes() == b"content"
    assert names(tmp_path) == ["path", "source"]


def test_an_existing_file_stays_where_it_is_not_to_be_replaced(tmp_path: Path) -> None:
    source, path = tmp_path / "source", tmp_path / "path"
    source.write_bytes(b"content")
    path.write_bytes(b"existing")
    link_or_copy(source, path, replace=False)
    assert path.read_bytes() == b"existing"
