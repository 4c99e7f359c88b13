# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import os
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from draggan_blender.protocol import direction_files
from draggan_blender.protocol.directions import Direction

NUM_WS, W_DIM = 6, 8


def _directions() -> list[Direction]:
    source = np.random.default_rng(1)
    return [
        Direction(
            name="Licht / 光",
            change=source.normal(size=(1, W_DIM)).astype(np.float32),
            first=0,
            last=3,
        ),
        Direction(
            name="smile",
            change=source.normal(size=(NUM_WS, W_DIM)).astype(np.float32),
            first=2,
            last=5,
        ),
    ]


@pytest.mark.parametrize("suffix", direction_files.SUFFIXES)
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str) -> None:
    path, written = tmp_path / f"of a model{suffix}", _directions()
    direction_files.write(path, written)
    found = direction_files.read(path, NUM_WS, W_DIM)
    assert [(one.name, one.first, one.last) for one in found] == [
        (one.name, one.first, one.last) for one in written
    ]
    for one, other in zip(found, written, strict=True):
        np.testing.assert_array_equal(one.change, other.change)


def test_the_safetensors_library_reads_our_file(tmp_path: Path) -> None:
    path, written = tmp_path / "a.safetensors", _directions()
    direction_files.write(path, written)
    found = safetensors.numpy.load_file(path)
    np.testing.assert_array_equal(found["change_1"], written[1].change)
    np.testing.assert_array_equal(found["layers"], [[0, 3], [2, 5]])


def test_files_of_other_programs_are_read(tmp_path: Path) -> None:
    source = np.random.default_rng(2)
    components = source.normal(size=(3, 1, W_DIM)).astype(np.float32)
    np.savez(tmp_path / "g.npz", lat_comp=components, lat_stdev=np.array([3, 2, 1], np.float32))
    (first, second, _) = direction_files.read(tmp_path / "g.npz", NUM_WS, W_DIM)
    assert (first.name, first.first) == ("GANSpace 1", 0)
    np.testing.assert_allclose(second.change, 2 * components[1], rtol=1e-6)

    age = source.normal(size=W_DIM)
    safetensors.numpy.save_file(
        {"age": age, "other": np.zeros((3, 3), np.float32)}, tmp_path / "age.safetensors"
    )
    (one,) = direction_files.read(tmp_path / "age.safetensors", NUM_WS, W_DIM)
    assert one.name == "age"
    np.testing.assert_allclose(one.change, age[None], rtol=1e-6)


def test_directions_of_another_model_are_refused(tmp_path: Path) -> None:
    direction_files.write(tmp_path / "a.npz", _directions())
    with pytest.raises(ValueError, match="belongs to another model"):
        direction_files.read(tmp_path / "a.npz", NUM_WS, W_DIM + 1)
    np.savez(tmp_path / "b.npz", picture=np.zeros((30, 30), np.float32))
    with pytest.raises(ValueError, match="no direction of this model"):
        direction_files.read(tmp_path / "b.npz", NUM_WS, W_DIM)


class _Trap:
    """An object whose pickle makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return self._path.touch, ()


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    np.savez(tmp_path / "a.npz", age=np.array([_Trap(trap)], dtype=object))
    with pytest.raises(ValueError, match="or has objects"):
        direction_files.read(tmp_path / "a.npz", NUM_WS, W_DIM)
    assert not trap.exists()
    np.load(tmp_path / "a.npz", allow_pickle=True)["age"]
    assert trap.exists(), "an ordinary reader would have run it"


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(OSError, match="a pipe"):
        direction_files.read(tmp_path / "a.npz", NUM_WS, W_DIM)


def test_a_header_that_claims_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(W_DIM, np.float32))
    damaged = file.getvalue().replace(b"(8,), }", b"(99999999999,), }")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("age.npy", damaged)
    with pytest.raises(ValueError, match="another size than its header says"):
        direction_files.read(tmp_path / "a.npz", NUM_WS, W_DIM)


@pytest.mark.parametrize("suffix", direction_files.SUFFIXES)
def test_damaged_files_are_refused_with_a_sentence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    direction_files.write(path, _directions())
    whole = path.read_bytes()
    source = np.random.default_rng(3)
    for length in source.integers(0, len(whole) - 1, 60):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cannot be read"):
            direction_files.read(path, NUM_WS, W_DIM)
    for _ in range(200):
        changed = bytearray(whole)
        changed[source.integers(0, len(whole))] = source.integers(0, 256)
        path.write_bytes(changed)
        try:
            found = direction_files.read(path, NUM_WS, W_DIM)
        except ValueError:
            continue
        assert all(one.change.shape[1] == W_DIM for one in found)
    path.write_bytes(struct.pack("<Q", 2**63))
    with pytest.raises(ValueError, match="cannot be read"):
        direction_files.read(path, NUM_WS, W_DIM)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither \.npz nor \.safetensors"):
        direction_files.write(tmp_path / "a.pkl", _directions())
