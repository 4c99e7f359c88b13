# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader of ``.npz`` files that knows plain arrays only, and whose work is bounded.

NumPy's own reader parses headers as Python and follows whatever a zip file may contain. This one
reads what ``numpy.savez`` writes: members that are stored or deflated, of numbers or text. Any
bytes give arrays or a ``PlainArraysError``.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The most unpacked bytes: a compressed file may unpack to ``_MOST_RATIO`` times its size beyond
# ``_FREE_BYTES``, but never to more than ``MOST_BYTES``.
MOST_BYTES = 1 << 30
_FREE_BYTES = 192 << 20
_MOST_RATIO = 32

_MOST_MEMBERS = 64
_DIRECTORY_BYTES_EACH = 1 << 10
_MOST_TEXTS = 1 << 16
_MOST_DIMENSIONS = 8
_MOST_HEADER_BYTES = 4096
_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{'descr': '([<|](?:b1|[iu][1248]|f2|f4|f8|U\d{1,6}))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}(?:, ?|,?(?=\))))*)\), \} *\n?"
)
# The end record of a zip file: its signature, the number of entries, and the directory's size.
_END = struct.Struct("<4s6xHI")
_END_BYTES, _MOST_COMMENT = 22, 65535


class PlainArraysError(ValueError):
    """The bytes are not an ``.npz`` of plain arrays; the message is a clause that says why."""


def read_arrays(
    data: bytes, only: Collection[str] | None = None, *, most_members: int = _MOST_MEMBERS
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file by their names.

    Args:
        data: The content of the file.
        only: The names that are read; None for all.
        most_members: How many arrays the file may have.

    Raises:
        PlainArraysError: The bytes are something else, are damaged, or unpack to too much.
    """
    try:
        return _read(data, only, most_members)
    except PlainArraysError:
        raise
    except Exception as error:  # the border: zipfile and zlib raise many kinds for damaged bytes
        raise PlainArraysError(f"it is damaged ({_in_one_line(error)})") from None


def read_array(data: bytes) -> NDArray[Any]:
    """Return the array of an ``.npy`` file.

    Raises:
        PlainArraysError: As of ``read_arrays``.
    """
    try:
        return _array(data)
    except PlainArraysError:
        raise
    except Exception as error:  # the border, as above
        raise PlainArraysError(f"it is damaged ({_in_one_line(error)})") from None


def array_names(data: bytes) -> list[str]:
    """Return the names of the arrays in an ``.npz`` file, without unpacking any.

    Raises:
        PlainArraysError: As of ``read_arrays``.
    """
    return [name for name, _ in _members(data, _MOST_MEMBERS)]


def _read(data: bytes, only: Collection[str] | None, most_members: int) -> dict[str, NDArray[Any]]:
    members = _members(data, most_members)
    found: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name, info in members:
            if only is None or name in only:
                with archive.open(info) as member:
                    found[name] = _array(member.read(info.file_size + 1))
    return found


def _members(data: bytes, most: int) -> list[tuple[str, zipfile.ZipInfo]]:
    """Return the members of an archive by the names of their arrays, within the limits."""
    try:
        _check_directory(data, most)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except PlainArraysError:
        raise
    except Exception as error:  # the border, as above
        raise PlainArraysError(f"it is damaged ({_in_one_line(error)})") from None
    names = [info.filename for info in infos]
    if len(set(names)) != len(names) or not all(name.endswith(".npy") for name in names):
        raise PlainArraysError("it holds other things than arrays, or an array twice")
    for info in infos:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise PlainArraysError(f"it is compressed by method {info.compress_type}")
        if info.flag_bits & 1:
            raise PlainArraysError("it is encrypted")
    size = sum(info.file_size for info in infos)
    if size > min(MOST_BYTES, max(_FREE_BYTES, _MOST_RATIO * len(data))):
        raise PlainArraysError(f"it would unpack to {size >> 20} MiB, which is over the limit")
    return [(info.filename.removesuffix(".npy"), info) for info in infos]


def _check_directory(data: bytes, most: int) -> None:
    """Refuse an archive with too many entries before they are read."""
    start = max(0, len(data) - _END_BYTES - _MOST_COMMENT)
    at = data.rfind(b"PK\5\6", start)
    if at < 0 or len(data) < at + _END_BYTES:
        raise PlainArraysError("it is not an archive, or its end is missing")
    _, count, size = _END.unpack_from(data, at)
    if count > most or size > most * _DIRECTORY_BYTES_EACH:
        raise PlainArraysError(f"it has {count} entries, and at most {most} are expected")


def _array(member: bytes) -> NDArray[Any]:
    if not member.startswith(_MAGIC) or len(member) < 12:
        raise PlainArraysError("a member is not an array")
    is_long = member[6] >= 2
    (length,) = struct.unpack_from("<I" if is_long else "<H", member, 8)
    start = 12 if is_long else 10
    header = member[start : start + length] if length <= _MOST_HEADER_BYTES else b""
    found = _HEADER.fullmatch(header)
    if found is None:
        raise PlainArraysError("the header of an array is not one of plain numbers or text")
    kind, is_fortran = np.dtype(found[1].decode()), found[2] == b"True"
    shape = tuple(int(size) for size in re.findall(rb"\d+", found[3]))
    payload = memoryview(member)[start + length :]
    if len(shape) > _MOST_DIMENSIONS or math.prod(shape) * kind.itemsize != len(payload):
        raise PlainArraysError(f"an array of shape {shape[:_MOST_DIMENSIONS]} has another size")
    if kind.kind == "U":
        if len(shape) > 1:
            raise PlainArraysError(f"it holds texts in {len(shape)} dimensions")
        return _texts(payload, kind.itemsize, shape)
    values = np.frombuffer(payload, kind).copy()
    return values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)


def _texts(payload: memoryview, size: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return texts; NumPy would make some of code points that do not exist."""
    count = math.prod(shape)
    if count > _MOST_TEXTS:
        raise PlainArraysError(f"it holds a list of {count} texts")
    parts = (bytes(payload[at * size : (at + 1) * size]) for at in range(count))
    texts = [part.decode("utf-32-le").rstrip("\0") for part in parts]
    return np.array(texts, dtype=np.str_).reshape(shape)


def _in_one_line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:200]
