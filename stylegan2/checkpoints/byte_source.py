# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of a file, read when they are needed.

A training snapshot has three networks, and only one of them is used. So readers do not read a whole
file: large values stay in the file as a ``Span`` until somebody asks for their bytes. Files are
read and never mapped into memory, because a mapped file that another program shortens ends the
process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from .refusal import damaged


class ByteSource(Protocol):
    """Random access to a fixed number of bytes."""

    @property
    def size(self) -> int:
        """The number of bytes."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on.

        Raises:
            Refusal: The source does not have these bytes.
        """
        ...


class FileBytes:
    """The bytes of an open file, with the size that it had when it was opened."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self._size

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on.

        Raises:
            Refusal: The file ends before, or became shorter since it was opened.
            OSError: The file cannot be read.
        """
        if offset < 0 or size < 0 or size > self._size - offset:
            raise damaged("is truncated or damaged: it ends in the middle of a value")
        self._file.seek(offset)
        data = self._file.read(size)
        while len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        if len(data) != size:
            raise damaged("became shorter while it was read", "try again when it is complete")
        return data


class MemoryBytes:
    """Bytes that are in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self._data)

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on.

        Raises:
            Refusal: There are fewer bytes.
        """
        if offset < 0 or size < 0 or size > len(self._data) - offset:
            raise damaged("is truncated or damaged: it ends in the middle of a value")
        return self._data[offset : offset + size]


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """A part of a source; a source itself.

    Attributes:
        source: Where the bytes are.
        start: Index of the first byte.
        size: The number of bytes.
    """

    source: ByteSource
    start: int
    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on, counted from the start of the part.

        Raises:
            Refusal: The part does not have these bytes.
        """
        if offset < 0 or size < 0 or size > self.size - offset:
            raise damaged("is truncated or damaged: it ends in the middle of a value")
        return self.source.read(self.start + offset, size)

    def part(self, offset: int, size: int) -> Span:
        """Return a part of this part; reading it checks the range."""
        return Span(self, offset, size)


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[FileBytes]:
    """Open a file for reading; it is closed at the end of the block.

    Raises:
        OSError: The file cannot be opened.
    """
    with path.open("rb", buffering=0) as file:
        yield FileBytes(file)
