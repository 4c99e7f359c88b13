# SPDX-License-Identifier: GPL-3.0-or-later
"""Track files that a stranger has made: one error class, within bounds, and nothing waited for."""

from __future__ import annotations

import io
import os
import random
import struct
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from draggan_blender.protocol.plain_arrays import PlainArraysError, read_arrays
from engine.baking.folder import BakeFolder
from engine.output.frames import FrameNames
from engine.output.track import Track
from engine.output.track_arrays import TrackError

from .test_track import result, track

__all__ = ["result", "track"]


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _npy(header: str, payload: bytes = b"", version: int = 1) -> bytes:
    text = header.encode()
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes((version, 0)) + size + text + payload


def _deep(members: dict[str, bytes]) -> bytes:
    """Return a track with a header that is a Python expression of many parentheses."""
    depth = 30_000
    return _archive({**members, "start.npy": _npy("(" * depth + ")" * depth)})


def _lzma(members: dict[str, bytes]) -> bytes:
    return _archive(members, zipfile.ZIP_LZMA)


def _broken_lzma(members: dict[str, bytes]) -> bytes:
    data = bytearray(_archive(members, zipfile.ZIP_LZMA))
    for at in range(60, len(data) // 2, 7):
        data[at] ^= 0xFF
    return bytes(data)


def _no_code_points(members: dict[str, bytes]) -> bytes:
    header = "{'descr': '<U2', 'fortran_order': False, 'shape': (), }"
    return _archive({**members, "status.npy": _npy(header, b"\xff" * 8)})


def _attributes(members: dict[str, bytes]) -> bytes:
    header = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"
    return _archive({**members, "start.npy": _npy(header, bytes(4))})


def _objects(members: dict[str, bytes]) -> bytes:
    header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    return _archive({**members, "start.npy": _npy(header, b"cos\nsystem\n(S'touch x'\ntR.")})


def _huge_shape(members: dict[str, bytes]) -> bytes:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 1), }"
    return _archive({**members, "start.npy": _npy(header)})


def _many_entries(members: dict[str, bytes]) -> bytes:
    return _archive({f"{number}.npy": b"" for number in range(20_000)})


def _bomb(members: dict[str, bytes]) -> bytes:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (100000000, 1), }"
    return _archive({**members, "start.npy": _npy(header, bytes(400_000_000))})


def _deep_options(members: dict[str, bytes]) -> bytes:
    text = "[" * 100_000
    header = f"{{'descr': '<U{len(text)}', 'fortran_order': False, 'shape': (), }}"
    return _archive({**members, "options.npy": _npy(header, text.encode("utf-32-le"))})


def _twice(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO(_archive(members))
    with pytest.warns(UserWarning), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("start.npy", members["start.npy"])
    return buffer.getvalue()


HOSTILE = [
    _deep,
    _lzma,
    _broken_lzma,
    _no_code_points,
    _attributes,
    _objects,
    _huge_shape,
    _many_entries,
    _bomb,
    _deep_options,
    _twice,
]


@pytest.mark.parametrize("make", HOSTILE)
def test_a_hostile_track_is_refused_in_one_sentence_within_bounds(
    track: Track,
    make: Callable[[dict[str, bytes]], bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = make(_members(track.to_bytes()))
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(TrackError) as caught:
        Track.from_bytes(data)
    seconds = time.monotonic() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not list(tmp_path.iterdir()), "something in it was run"
    assert seconds < 2
    assert peak < 300 << 20
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_give_a_track_or_the_error(track: Track, seed: int) -> None:
    """Mutate the archive, and its members before they are packed, from a fixed seed."""
    chance, whole = random.Random(seed), track.to_bytes()
    members = _members(whole)
    for _ in range(300):
        name = chance.choice(sorted(members))
        damaged = _mutated(chance, members[name])
        for data in (_mutated(chance, whole), _archive({**members, name: damaged})):
            try:
                Track.from_bytes(data)
            except TrackError:
                continue
            except Exception as error:
                pytest.fail(f"{type(error).__name__}: {error}")


def _mutated(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(changed) or 1)
        kind = chance.randrange(4)
        if kind == 0:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            del changed[at : at + chance.randrange(1, 40)]
        elif kind == 2:
            changed[at:at] = chance.randbytes(chance.randrange(1, 40))
        else:
            changed[at : at + 8] = chance.choice((bytes(8), b"\xff" * 8, b"\0\0\0\0\0\0\0\x80"))
    return bytes(changed)


@pytest.mark.parametrize("first", [10**6 * 2, -(2**62), 2**62, 1_048_574])
def test_frames_that_blender_does_not_have_are_refused(track: Track, first: int) -> None:
    with pytest.raises(TrackError, match="Blender's are from"):
        Track.from_bytes(replace(track, first_number=first).to_bytes())


@pytest.mark.parametrize("first", [1, 0, -1000, 1_040_000])
def test_frames_that_blender_has_are_read(track: Track, first: int) -> None:
    assert Track.from_bytes(replace(track, first_number=first).to_bytes()).first_number == first


def test_numbers_that_do_not_rise_are_refused(track: Track) -> None:
    numbers = np.zeros(len(track), np.int64)
    with pytest.raises(TrackError, match="do not rise"):
        Track.from_bytes(replace(track, numbers=numbers).to_bytes())


def test_stale_frames_are_found_in_the_folder_and_not_by_counting(
    track: Track, tmp_path: Path
) -> None:
    folder = BakeFolder(FrameNames(tmp_path, "bake"))
    replace(track, first_number=1_000_000).save(folder.track_path)
    for name in ("bake_0002.png", "bake_1000001.png", "other_0002.png", "bake_2.png", "bake_x.png"):
        (tmp_path / name).touch()
    started = time.process_time()
    folder.remove_stale(track)
    assert time.process_time() - started < 1
    left = {path.name for path in tmp_path.glob("*.png")}
    assert left == {"other_0002.png", "bake_2.png", "bake_x.png"}


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
def test_a_pipe_in_place_of_a_track_or_a_journal_is_not_waited_for(tmp_path: Path) -> None:
    folder = BakeFolder(FrameNames(tmp_path, "bake"))
    for path in (folder.track_path, folder.journal_path):
        os.mkfifo(path)
    for read in (folder.track, lambda: folder.journal_rows((2, 2), 1)):
        with pytest.raises(OSError, match="not a file, but a pipe"):
            read()


def test_a_text_and_numbers_are_read_as_numpy_reads_them() -> None:
    arrays = {
        "text": np.array("hé"),
        "empty": np.array(""),
        "one": np.array(3),
        "none": np.zeros((2, 0, 2), np.float32),
        "turned": np.arange(6).reshape(2, 3).T,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    for data in (buffer.getvalue(), _archive(_members(buffer.getvalue()))):
        found = read_arrays(data)
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert np.array_equal(found[name], array)
    with pytest.raises(PlainArraysError):
        read_arrays(b"")
