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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic_files import write_atomically
from .directions import Direction
from .plain_arrays import read_arrays
from .plain_files import read_plain_file

SUFFIXES = (".npz", ".safetensors")

_LARGEST_BYTES = 1 << 28
_LONGEST_HEADER = 1 << 24
_MOST = 4096
_LAST = 10_000
_LONGEST_NAME = 60
_MOST_DIMENSIONS = 8
# The types of safetensors that are read.
_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8"}
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
        found = _from_npz(data) if suffix == ".npz" else _from_safetensors(data)
        return _checked(found, num_ws, w_dim)
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be read as directions: {error}") from None


def from_bytes(data: bytes, num_ws: int, w_dim: int) -> list[Direction]:
    """Return the directions of the bytes of an ``.npz`` file, as ``read``.

    Raises:
        ValueError: The bytes are damaged, or belong to another model.
    """
    try:
        return _checked(_from_npz(data), num_ws, w_dim)
    except ValueError as error:
        raise ValueError(f"the directions cannot be read: {error}") from None


def _checked(found: Arrays, num_ws: int, w_dim: int) -> list[Direction]:
    """Return the directions of a file's arrays, after all checks."""
    directions = _foreign(found, num_ws, w_dim) if "names" not in found else _ours(found)
    for direction in directions:
        fits = direction.change.shape in ((1, w_dim), (num_ws, w_dim))
        if not fits:
            raise ValueError(
                f"{direction.name} has {_shape(direction.change)} numbers, but this model needs "
                f"1 x {w_dim} or {num_ws} x {w_dim}; it belongs to another model"
            )
        if not np.isfinite(direction.change).all():
            raise ValueError(f"{direction.name} has numbers that are not finite")
    if not directions and "names" not in found:
        raise ValueError(
            f"it has no array of 1 x {w_dim} or {num_ws} x {w_dim} numbers, so it has no direction "
            "of this model"
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


def _from_npz(data: bytes) -> Arrays:
    """Return the arrays of an ``.npz`` file.

    Raises:
        ValueError: The bytes are not one, or are over the limits.
    """
    return read_arrays(data, most_members=_MOST + 2)


def _from_safetensors(data: bytes) -> Arrays:
    """Return the arrays of a ``.safetensors`` file, and its ``names`` if it has them.

    Raises:
        ValueError: The bytes are not one, or are over the limits.
    """
    length = int.from_bytes(data[:8], "little")
    start = 8 + length
    if length > _LONGEST_HEADER or start > len(data):
        raise ValueError("its header is longer than the limit, or its end is missing")
    header = _object(_json(data[8:start], "its header"), "its header")
    metadata = _object(header.pop("__metadata__", {}), "its metadata")
    if len(header) > _MOST + 1:
        raise ValueError(f"it has {len(header)} arrays, and at most {_MOST + 1} are expected")
    found: dict[str, NDArray[Any]] = {}
    for key, value in header.items():
        facts = _object(value, f"the description of {_name(key)}")
        kind = facts.get("dtype")
        if isinstance(kind, str) and kind in _TYPES:
            found[key] = _array(memoryview(data)[start:], facts, np.dtype(_TYPES[kind]), key)
    found.pop("names", None)
    if "names" in metadata:
        found["names"] = _texts(metadata["names"])
    return found


def _array(
    data: memoryview, facts: Mapping[str, Any], kind: np.dtype[Any], key: str
) -> NDArray[Any]:
    """Return an array of the data of a safetensors file, after a check that its bytes are there."""
    shape, offsets = _naturals(facts.get("shape")), _naturals(facts.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2:
        raise ValueError(f"the description of {_name(key)} is not as expected")
    begin, end = offsets
    if not begin <= end <= len(data):
        raise ValueError(f"{_name(key)} is outside the file")
    if end - begin != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{_name(key)} has another size than its description says")
    return np.frombuffer(data[begin:end], kind).reshape(shape)


def _naturals(value: object) -> tuple[int, ...] | None:
    """Return a list of JSON as a short tuple of whole numbers from 0; None if it is another."""
    if not isinstance(value, list) or len(value) > _MOST_DIMENSIONS:
        return None
    is_natural = all(type(number) is int and 0 <= number < 1 << 48 for number in value)
    return tuple(value) if is_natural else None


def _texts(value: object) -> NDArray[Any]:
    """Return the names in the metadata of a safetensors file."""
    found = _json(value, "its list of names") if isinstance(value, str) else None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError("its names are not a list of texts")
    # NumPy gives each text the room of the longest.
    return np.array([_name(text) for text in found], dtype=np.str_)


def _json(text: str | bytes, what: str) -> object:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{what} is not JSON that can be read") from None
    return found


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")
    return value


def _arrays(directions: Sequence[Direction]) -> dict[str, NDArray[Any]]:
    layers = [(direction.first, direction.last) for direction in directions]
    changes = {
        f"change_{index}": np.asarray(direction.change, np.float32)
        for index, direction in enumerate(directions)
    }
    return {"layers": np.array(layers, np.int32).reshape(-1, 2), **changes}


def _ours(found: Arrays) -> list[Direction]:
    names, layers = found["names"], found.get("layers", np.empty(0))
    if names.ndim != 1 or layers.shape != (len(names), 2) or layers.dtype.kind != "i":
        raise ValueError(
            f"it needs a list of names, and as layers two whole numbers for each; its names have "
            f"the shape {names.shape}, and its layers {layers.shape} as {layers.dtype}"
        )
    if names.dtype.kind != "U" and len(names):
        raise ValueError("its names are not texts")
    directions = []
    for index, (first, last) in enumerate(layers.astype(np.int64).tolist()):
        if not 0 <= first <= last:
            raise ValueError(f"the layers {first} to {last} are not a range")
        if f"change_{index}" not in found:
            raise ValueError(f"it has no array change_{index}")
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
        components, sigmas = _numbers(found["lat_comp"]), _numbers(found["lat_stdev"])
        if components.size != sigmas.size * w_dim or sigmas.size > _MOST:
            raise ValueError(
                f"its {sigmas.size} components have {components.size} numbers, but this model "
                f"needs {w_dim} for each; it belongs to another model"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
            changes = components.reshape(-1, 1, w_dim) * sigmas.reshape(-1, 1, 1)
        named = {f"GANSpace {i}": one for i, one in enumerate(changes, start=1)}
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
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is refused
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
