# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import json
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
    with pytest.raises(ValueError, match="not one of plain numbers or text"):
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
    with pytest.raises(ValueError, match="has another size"):
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


def _safetensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


_AGE = {"dtype": "F32", "shape": [W_DIM], "data_offsets": [0, 4 * W_DIM]}
_NO_NAMES = {"dtype": "I32", "shape": [1, 2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "its header is not a JSON object"),
        ([1], "its header is not a JSON object"),
        ({"__metadata__": None}, "its metadata is not a JSON object"),
        ({"age": None}, "the description of age is not a JSON object"),
        ({"age": {**_AGE, "shape": None}}, "the description of age is not as expected"),
        ({"age": {**_AGE, "data_offsets": [0]}}, "the description of age is not as expected"),
        ({"age": {**_AGE, "data_offsets": [0, 9**9]}}, "age is outside the file"),
        ({"age": {**_AGE, "shape": [W_DIM + 1]}}, "age has another size"),
        ({"age": {**_AGE, "dtype": ["F32"]}}, "no array of 1 x 8"),
        ({"age": {**_AGE, "dtype": "F8_E4M3"}}, "no array of 1 x 8"),
        ({"__metadata__": {"names": "5"}}, "its names are not a list of texts"),
        ({"__metadata__": {"names": "[" * 9999}}, "its list of names is not JSON"),
        ({"__metadata__": {"names": '["a"]'}}, "as layers two whole numbers for each"),
        ({"__metadata__": {"names": '["a"]'}, "layers": _NO_NAMES}, "it has no array change_0"),
    ],
)
def test_a_header_of_something_else_is_a_sentence(
    tmp_path: Path, header: object, message: str
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(_safetensors(header, bytes(4 * W_DIM)))
    with pytest.raises(
        ValueError, match=f"a.safetensors cannot be read as directions: .*{message}"
    ):
        direction_files.read(path, NUM_WS, W_DIM)


def test_a_long_name_does_not_take_its_length_for_each(tmp_path: Path) -> None:
    names = json.dumps(["x" * 10_000_000] + ["y"] * 999)
    path = tmp_path / "a.safetensors"
    path.write_bytes(_safetensors({"__metadata__": {"names": names}}))
    with pytest.raises(ValueError, match="as layers two whole numbers for each"):
        direction_files.read(path, NUM_WS, W_DIM)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", age=np.full(W_DIM, 1e300))
    with pytest.raises(ValueError, match="age has numbers that are not finite"):
        direction_files.read(tmp_path / "a.npz", NUM_WS, W_DIM)


@pytest.mark.parametrize("suffix", direction_files.SUFFIXES)
def test_any_number_of_directions_is_read_again(tmp_path: Path, suffix: str) -> None:
    for count in (0, 300):
        path, written = tmp_path / f"many{suffix}", (_directions() * 150)[:count]
        direction_files.write(path, written)
        found = direction_files.read(path, NUM_WS, W_DIM)
        assert [one.name for one in found] == [one.name for one in written]


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither \.npz nor \.safetensors"):
        direction_files.write(tmp_path / "a.pkl", _directions())
