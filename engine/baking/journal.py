# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a running bake: stores each row as soon as it is solved.

The file consists of records of equal size, each with the row's key and a checksum. Reading ends at
the first record that is incomplete (the process was killed, the power failed) or invalid; the rows
after it are solved again. A record is used only for a row with the same key, so a journal of
another edit, or one that two processes wrote, does no harm.
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from draggan_blender.protocol.atomic_files import write_atomically
from draggan_blender.protocol.plain_files import read_plain_file

from ..arrays import FloatArray
from ..solving.result import STATUSES
from .row import SolvedRow

_MAGIC = b"DragGAN bake journal 1\n"
_KEY_BYTES = 32
# Far beyond any bake; a larger file or number was not written here.
_MAX_BYTES = 1 << 30
_MAX_STEPS = 1 << 31
# Distance, loss, steps, status.
_NUMBERS = struct.Struct("<ffQB")
# CRC-32 of the rest of the record.
_CHECK = struct.Struct("<I")


class Journal:
    """A journal file that is open for appending; a context manager that closes it."""

    def __init__(self, path: Path, known: Mapping[bytes, SolvedRow]) -> None:
        """Write a new file with the rows that are known, and open it for appending.

        Args:
            path: The file; an existing one is replaced.
            known: Rows of the journal before that are still needed, by their keys.

        Raises:
            OSError: The file cannot be written.
        """
        data = b"".join(_record(key, row) for key, row in known.items())
        write_atomically(path, _MAGIC + data)
        self._path = path
        # Unbuffered: a record survives the end of this process once ``append`` returns.
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
        """Write one row.

        Args:
            key: The row's key, 32 bytes.
            row: The solved row.

        Raises:
            OSError: The row cannot be written; ``filename`` is the journal's path.
        """
        data = memoryview(_record(key, row))
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            error.filename = str(self._path)
            raise

    def remove(self) -> None:
        """Close the file and delete it; call it when its rows are in the track."""
        self._file.close()
        # Some systems cannot delete a file that another process has open; it does no harm.
        with contextlib.suppress(OSError):
            os.unlink(self._path)


def read_journal(
    path: Path, latent_shape: tuple[int, int], points: int, *, has_regions: bool = False
) -> dict[bytes, SolvedRow]:
    """Return the rows of a journal by their keys.

    Args:
        path: The file.
        latent_shape: ``num_ws`` and ``w_dim`` of the model.
        points: How many handles the edit has.
        has_regions: Whether the edit has regions, so that rows have turns.

    Returns:
        The rows up to the first invalid record; empty if the file is missing or not a journal.

    Raises:
        OSError: The file exists and cannot be read.
    """
    try:
        data = read_plain_file(path, _MAX_BYTES)
    except FileNotFoundError:
        return {}
    rows: dict[bytes, SolvedRow] = {}
    if not data.startswith(_MAGIC):
        return rows
    turns = points if has_regions else 0
    floats = (points + turns) * 2 + latent_shape[0] * latent_shape[1]
    size = _KEY_BYTES + _NUMBERS.size + floats * 4 + _CHECK.size
    for start in range(len(_MAGIC), len(data) - size + 1, size):
        record = data[start : start + size]
        (check,) = _CHECK.unpack_from(record, size - _CHECK.size)
        if zlib.crc32(record[: -_CHECK.size]) != check:
            break
        row = _row(record, latent_shape, points, turns)
        if row is None:
            break
        rows[record[:_KEY_BYTES]] = row
    return rows


def are_numbers_sound(distance_px: float, loss: float, steps: int) -> bool:
    """Return whether the numbers of a stored row are some that a solver may have written."""
    return math.isfinite(distance_px) and math.isfinite(loss) and 0 <= steps <= _MAX_STEPS


def _record(key: bytes, row: SolvedRow) -> bytes:
    numbers = _NUMBERS.pack(row.distance_px, row.loss, row.steps, STATUSES.index(row.status))
    points = _floats(row.handles_px) + _floats(row.turns)
    data = b"".join((key, numbers, points, _floats(row.latent)))
    return data + _CHECK.pack(zlib.crc32(data))


def _floats(values: FloatArray) -> bytes:
    return values.astype("<f4").tobytes()


def _row(record: bytes, latent_shape: tuple[int, int], points: int, turns: int) -> SolvedRow | None:
    """Return the row of a complete record; None if a value of it is invalid."""
    distance_px, loss, steps, status = _NUMBERS.unpack_from(record, _KEY_BYTES)
    values = np.frombuffer(record[_KEY_BYTES + _NUMBERS.size : -_CHECK.size], dtype="<f4")
    is_sound = status < len(STATUSES) and are_numbers_sound(distance_px, loss, steps)
    if not is_sound or not np.isfinite(values).all():
        return None
    values = values.astype(np.float32)
    places, turned, latent = np.split(values, [2 * points, 2 * (points + turns)])
    return SolvedRow(
        latent=latent.reshape(latent_shape),
        handles_px=places.reshape(points, 2),
        turns=turned.reshape(turns, 2),
        distance_px=distance_px,
        loss=loss,
        steps=steps,
        status=STATUSES[status],
    )
