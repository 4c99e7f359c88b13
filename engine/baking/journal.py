# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a bake that is running: each frame is in it as soon as it is solved.

A file of records of one size, each with the frame's key and a checksum.  A record that was not
written to its end (the process was killed, the power failed) ends the journal, and so does whatever
else is no record: what is lost is solved again.  What a record says is believed only for a frame of
the same key, so that a journal of another edit, or of two processes at once, does no harm.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from draggan_blender.protocol.atomic_files import write_atomically

from ..arrays import FloatArray
from ..solving.result import STATUSES
from .row import SolvedRow

_MAGIC = b"DragGAN bake journal 1\n"
_KEY_BYTES = 32
_NUMBERS = struct.Struct("<ffQB")
"""Distance, loss, steps, status."""
_CHECK = struct.Struct("<I")


class Journal:
    """The journal of a folder, open for appending; a context manager that closes it."""

    def __init__(self, path: Path, known: Mapping[bytes, SolvedRow]) -> None:
        """Begin, with what was in the journal before and is still of use.

        Raises:
            OSError: the file cannot be written.
        """
        data = b"".join(_record(key, row) for key, row in known.items())
        write_atomically(path, _MAGIC + data)
        self._path = path
        # Unbuffered: what is appended is the system's when `append` returns.
        self._file = path.open("ab", buffering=0)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, key: bytes, row: SolvedRow) -> None:
        """Write one frame.

        Raises:
            OSError: it cannot be written.
        """
        data = memoryview(_record(key, row))
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            error.filename = str(self._path)
            raise

    def remove(self) -> None:
        """Close the file and delete it: all that it holds stands elsewhere."""
        self._file.close()
        # One that somebody else has open stays on some systems, and does no harm.
        with contextlib.suppress(OSError):
            os.unlink(self._path)


def read_journal(path: Path, latent_shape: tuple[int, int], points: int) -> dict[bytes, SolvedRow]:
    """The frames of a journal by their keys; none where there is no journal.

    Args:
        latent_shape: num_ws and w_dim of the model.
        points: how many handles the edit has.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    rows: dict[bytes, SolvedRow] = {}
    if not data.startswith(_MAGIC):
        return rows
    floats = points * 2 + latent_shape[0] * latent_shape[1]
    size = _KEY_BYTES + _NUMBERS.size + floats * 4 + _CHECK.size
    for start in range(len(_MAGIC), len(data) - size + 1, size):
        record = data[start : start + size]
        (check,) = _CHECK.unpack_from(record, size - _CHECK.size)
        if zlib.crc32(record[: -_CHECK.size]) != check:
            break
        row = _row(record, latent_shape, points)
        if row is None:
            break
        rows[record[:_KEY_BYTES]] = row
    return rows


def _record(key: bytes, row: SolvedRow) -> bytes:
    numbers = _NUMBERS.pack(row.distance_px, row.loss, row.steps, STATUSES.index(row.status))
    data = b"".join((key, numbers, _floats(row.handles_px), _floats(row.latent)))
    return data + _CHECK.pack(zlib.crc32(data))


def _floats(values: FloatArray) -> bytes:
    return values.astype("<f4").tobytes()


def _row(record: bytes, latent_shape: tuple[int, int], points: int) -> SolvedRow | None:
    """What a whole record says; None if its numbers make no sense."""
    distance_px, loss, steps, status = _NUMBERS.unpack_from(record, _KEY_BYTES)
    values = np.frombuffer(record[_KEY_BYTES + _NUMBERS.size : -_CHECK.size], dtype="<f4")
    if status >= len(STATUSES) or not np.isfinite(values).all():
        return None
    values = values.astype(np.float32)
    return SolvedRow(
        latent=values[2 * points :].reshape(latent_shape),
        handles_px=values[: 2 * points].reshape(points, 2),
        distance_px=distance_px,
        loss=loss,
        steps=steps,
        status=STATUSES[status],
    )
