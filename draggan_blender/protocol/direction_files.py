# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with directions of a model: ``.npz`` and ``.safetensors``. Pure numpy; nothing is executed.

Both have the same arrays: ``names`` (in safetensors a JSON list in the metadata), ``layers``
(``N x 2`` integers, the first and the last layer of each), and for each direction ``change_0``,
``change_1`` and so on, float32, ``1 x w_dim`` or ``num_ws x w_dim``.

Files of other programs can be read too. Without ``names``, each array of one of these shapes, or of
``w_dim`` alone, is a direction of its own name for all layers; and ``lat_comp`` with ``lat_stdev``,
which GANSpace writes, are its components in units of their standard deviation.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic_files import write_atomically
from .directions import Direction
from .plain_files import read_plain_file

SUFFIXES = (".npz", ".safetensors")

_LARGEST_BYTES = 1 << 28
_LONGEST_HEADER = 1 << 24
_MOST = 4096
_LAST = 10_000
_LONGEST_NAME = 60
# The floating-point types of safetensors that numpy has.
_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8"}
# What numpy raises for bytes that are not an archive of arrays.
_ERRORS = (
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
    EOFError,
    MemoryError,
    RuntimeError,
    RecursionError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

Arrays = Mapping[str, NDArray[Any]]


def write(path: Path, directions: Sequence[Direction]) -> None:
    """Write directions; the suffix of the path chooses the format.

    Raises:
        ValueError: The suffix is not in ``SUFFIXES``.
        OSError: The file cannot be written.
    """
    data = to_npz(directions) if _suffix(path) == ".npz" else to_safetensors(directions)
    write_atomically(path, data)


def read(path: Path, num_ws: int, w_dim: int) -> list[Direction]:
    """Read the directions of a file.

    Args:
        path: The file, with one of ``SUFFIXES``.
        num_ws: The number of layers of the model.
        w_dim: The size of its w.

    Raises:
        ValueError: The file is damaged, has another format, or belongs to another model; the text
            is a sentence.
        OSError: The file cannot be read, is too large, or is no plain file.
    """
    suffix = _suffix(path)
    data = read_plain_file(path, _LARGEST_BYTES)
    try:
        found = from_npz(data) if suffix == ".npz" else from_safetensors(data)
    except _ERRORS as error:
        raise ValueError(f"{path.name} cannot be read as directions ({error})") from None
    return _checked(found, num_ws, w_dim, path.name)


def from_bytes(data: bytes, num_ws: int, w_dim: int) -> list[Direction]:
    """Return the directions of the bytes of an ``.npz`` file, as ``read``.

    Raises:
        ValueError: The bytes are damaged, or belong to another model.
    """
    try:
        found = from_npz(data)
    except _ERRORS as error:
        raise ValueError(f"the directions cannot be read ({error})") from None
    return _checked(found, num_ws, w_dim, "the engine's answer")


def _checked(found: Arrays, num_ws: int, w_dim: int, name: str) -> list[Direction]:
    """Return the directions of a file's arrays, after all checks."""
    try:
        directions = _foreign(found, num_ws, w_dim) if "names" not in found else _ours(found)
    except _ERRORS as error:
        raise ValueError(f"{name} cannot be read as directions ({error})") from None
    for direction in directions:
        fits = direction.change.shape in ((1, w_dim), (num_ws, w_dim))
        if not fits:
            raise ValueError(
                f"{direction.name} in {name} has {_shape(direction.change)} numbers, but "
                f"this model needs 1 x {w_dim} or {num_ws} x {w_dim}; it belongs to another model"
            )
        if not np.isfinite(direction.change).all():
            raise ValueError(f"{direction.name} in {name} has numbers that are not finite")
    if not directions and "names" not in found:
        raise ValueError(
            f"{name} has no array of 1 x {w_dim} or {num_ws} x {w_dim} numbers; it has no "
            "direction of this model"
        )
    return directions


def to_npz(directions: Sequence[Direction]) -> bytes:
    """Return directions as the bytes of an ``.npz`` file."""
    arrays = _arrays(directions)
    arrays["names"] = np.array([direction.name for direction in directions], dtype=np.str_)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def to_safetensors(directions: Sequence[Direction]) -> bytes:
    """Return directions as the bytes of a ``.safetensors`` file."""
    names = json.dumps([direction.name for direction in directions])
    header: dict[str, Any] = {"__metadata__": {"format": "np", "names": names}}
    blobs, at = [], 0
    for key, array in _arrays(directions).items():
        kind = "I32" if array.dtype.kind == "i" else "F32"
        blob = array.astype(_TYPES[kind]).tobytes()
        header[key] = {"dtype": kind, "shape": array.shape, "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *blobs])


def from_npz(data: bytes) -> Arrays:
    """Return the arrays of an ``.npz`` file.

    Raises:
        Exception: The bytes are not one, or are over the limits.
    """
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) > _MOST + 2 or sum(one.file_size for one in members) > _LARGEST_BYTES:
            raise ValueError("it has more arrays, or larger ones, than the limit")
        for member in members:
            if member.filename.endswith(".npy"):
                found[member.filename[: -len(".npy")]] = _npy(archive.read(member))
    return found


def _npy(data: bytes) -> NDArray[Any]:
    """Return an array, after a check that it needs no more memory than its bytes."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array has the version {version}, not (1, 0)")
    shape, _, kind = np.lib.format.read_array_header_1_0(file)
    if kind.hasobject or math.prod(shape) * kind.itemsize != len(data) - file.tell():
        raise ValueError("an array has another size than its header says, or has objects")
    file.seek(0)
    array: NDArray[Any] = np.load(file, allow_pickle=False)
    return array


def from_safetensors(data: bytes) -> Arrays:
    """Return the arrays of a ``.safetensors`` file, and its ``names`` if it has them.

    Raises:
        Exception: The bytes are not one, or are over the limits.
    """
    (length,) = struct.unpack_from("<Q", data)
    if length > min(_LONGEST_HEADER, len(data) - 8):
        raise ValueError("its header is too long")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    if len(header) > _MOST + 1:
        raise ValueError(f"it has {len(header)} arrays")
    found: dict[str, NDArray[Any]] = {}
    for key, facts in header.items():
        kind = _TYPES.get(facts["dtype"])
        if kind is None:
            continue
        begin, end = facts["data_offsets"]
        if not 0 <= begin <= end <= len(data) - 8 - length:
            raise ValueError(f"{key} is outside the file")
        values = np.frombuffer(data[8 + length + begin : 8 + length + end], kind)
        found[str(key)] = values.reshape(tuple(facts["shape"]))
    if "names" in metadata:
        found["names"] = np.array(json.loads(metadata["names"]), dtype=np.str_)
    return found


def _arrays(directions: Sequence[Direction]) -> dict[str, NDArray[Any]]:
    layers = [(direction.first, direction.last) for direction in directions]
    changes = {
        f"change_{index}": np.asarray(direction.change, np.float32)
        for index, direction in enumerate(directions)
    }
    return {"layers": np.array(layers, np.int32).reshape(-1, 2), **changes}


def _ours(found: Arrays) -> list[Direction]:
    names, layers = found["names"], found["layers"]
    if (names.dtype.kind != "U" and len(names)) or layers.shape != (len(names), 2):
        raise ValueError(f"it has {len(names)} names for {len(layers)} pairs of layers")
    directions = []
    for index, (first, last) in enumerate(layers.astype(np.int64).tolist()):
        if not 0 <= first <= last:
            raise ValueError(f"the layers {first} to {last} are not a range")
        directions.append(
            Direction(
                name=_name(str(names[index])),
                change=_numbers(found[f"change_{index}"]),
                first=min(first, _LAST),
                last=min(last, _LAST),
            )
        )
    return directions


def _foreign(found: Arrays, num_ws: int, w_dim: int) -> list[Direction]:
    if "lat_comp" in found and "lat_stdev" in found:
        components = _numbers(found["lat_comp"]).reshape(-1, 1, w_dim)
        sigmas = _numbers(found["lat_stdev"]).reshape(-1, 1, 1)
        if len(components) != len(sigmas) or len(sigmas) > _MOST:
            raise ValueError(f"it has {len(components)} components, and {len(sigmas)} of lat_stdev")
        named = {f"GANSpace {i}": one for i, one in enumerate(components * sigmas, start=1)}
    else:
        fitting = ((w_dim,), (1, w_dim), (num_ws, w_dim))
        named = {
            key: _numbers(array).reshape(-1, w_dim)
            for key, array in found.items()
            if array.dtype.kind == "f" and array.shape in fitting
        }
    return [
        Direction(name=_name(key), change=change, first=0, last=_LAST)
        for key, change in named.items()
    ]


def _numbers(array: NDArray[Any]) -> NDArray[np.float32]:
    if array.dtype.kind != "f":
        raise ValueError(f"an array has the type {array.dtype}, not floating-point numbers")
    return np.array(array, dtype=np.float32)


def _name(text: str) -> str:
    """Return a name that a panel can show."""
    shown = "".join(character for character in text if character.isprintable())
    return shown[:_LONGEST_NAME].strip() or "Direction"


def _shape(change: NDArray[np.float32]) -> str:
    return " x ".join(map(str, change.shape))


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path.name} ends with neither .npz nor .safetensors; choose such a file")
    return suffix
