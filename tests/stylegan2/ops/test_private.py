# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the build folder that several processes write at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stylegan2.ops.fused.private import write_private


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_two_writers_of_a_file_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, contents, sync = tmp_path / "fused.cubin", [b"second", b"third"], os.fsync

    def interrupted(descriptor: int) -> None:
        """Let another process write the whole file while this one is half done."""
        sync(descriptor)
        if contents:
            write_private(path, contents.pop())
            assert path.read_bytes() != b"first"

    monkeypatch.setattr(os, "fsync", interrupted)
    write_private(path, b"first")
    assert path.read_bytes() == b"first"
    assert _names(tmp_path) == [path.name]


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(tmp_path / "fused.cubin", b"content")
    assert not _names(tmp_path)
