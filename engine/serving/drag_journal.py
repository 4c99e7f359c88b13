# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a running drag: keeps each step on the disk, in case that the engine is lost.

The file consists of records: the length and the CRC-32 of an encoded message of
``protocol.lost_drag``, and the message. Reading ends at the first record that is incomplete (the
process was killed while it wrote) or invalid.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from draggan_blender.protocol import LocalProtocolError, RemoteProtocolError
from draggan_blender.protocol.codec import Decoder, encode
from draggan_blender.protocol.lost_drag import KeptEnd, KeptStep
from draggan_blender.protocol.plain_files import read_plain_file

_LOG = logging.getLogger(__name__)

_MAGIC = b"DragGAN drag journal 1\n"
_HEAD = struct.Struct("<II")
# A drag that is held open for hours keeps this much of it.
MOST_BYTES = 1 << 30


class DragJournal:
    """A journal file that is open for appending.

    It is there for a fault that is rare: whatever fails here is logged, and the drag goes on
    without a journal.
    """

    def __init__(self, path: Path) -> None:
        """Begin a new file; an existing one is replaced, and a missing folder is made."""
        self._path = path
        self._size = 0
        self._file: FileIO | None = None
        self._has_made_folder = not path.parent.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Never through what is there: it could be a link.
            path.unlink(missing_ok=True)
            # Unbuffered: a record survives the end of this process once ``append`` returns.
            self._file = FileIO(path, "xb")
            self._write(_MAGIC)
        except OSError as error:
            self._give_up(error)

    def append(self, record: KeptStep | KeptEnd) -> None:
        """Write one record, if the file is not full."""
        if self._file is None or self._size >= MOST_BYTES:
            return
        try:
            data = encode(record)
            self._write(_HEAD.pack(len(data), zlib.crc32(data)) + data)
        except (OSError, LocalProtocolError) as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file; it stays."""
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """Close the file and delete it, because the drag has ended.

        A folder that was made for it and has no other files goes, too.
        """
        self._delete()
        if self._has_made_folder:
            with contextlib.suppress(OSError):
                self._path.parent.rmdir()

    def _delete(self) -> None:
        if self._file is not None:
            self.close()
            self._file = None
            # Some systems cannot delete a file that another process has open; it does no harm.
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._size += len(data)

    def _give_up(self, error: Exception) -> None:
        _LOG.warning("the steps of the drag are not kept on the disk: %s", error)
        self._delete()


def read_steps(path: Path) -> list[KeptStep]:
    """Return the steps of a journal, up to the first record that is not complete.

    Args:
        path: The file.

    Returns:
        The steps of the drag's result, if the drag had ended, else all; the first one has pairs.
        Empty if the file is not a journal.

    Raises:
        OSError: The file cannot be read.
    """
    data = read_plain_file(path, MOST_BYTES + (MOST_BYTES >> 2))
    steps: list[KeptStep] = []
    for record in _records(data):
        if isinstance(record, KeptEnd):
            return steps[: record.steps]
        if not (steps or record.pairs):
            break
        steps.append(record)
    return steps


def _records(data: bytes) -> Iterator[KeptStep | KeptEnd]:
    start = len(_MAGIC)
    if not data.startswith(_MAGIC):
        return
    while start + _HEAD.size <= len(data):
        size, check = _HEAD.unpack_from(data, start)
        start += _HEAD.size
        record = data[start : start + size]
        start += size
        if len(record) != size or zlib.crc32(record) != check:
            return
        try:
            messages = list(Decoder(trusted=True).feed(record))
        except RemoteProtocolError:
            return
        if len(messages) != 1 or not isinstance(messages[0], KeptStep | KeptEnd):
            return
        yield messages[0]
