# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of contents of a zip archive, with limits.

The standard library makes an object for every entry before anybody can count them, so that a small
file can cost gigabytes. Only stored entries are read, the only kind that ``torch.save`` writes;
nothing is ever decompressed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .byte_source import ByteSource, Span
from .refusal import damaged, unsupported

MAX_ENTRIES = 16384
MAX_DIRECTORY_BYTES = 4 << 20

_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x06"
_LOCATOR_64 = b"PK\x06\x07"
_CENTRAL = b"PK\x01\x02"
_LOCAL = b"PK\x03\x04"
# The record at the end has 22 bytes and a comment of at most 65535.
_END_BYTES = 22 + 65535
_ALL_ONES_32 = 0xFFFFFFFF
_NOT_ZIP = "is a truncated or damaged zip archive"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in the archive.

    Attributes:
        header: Index of its local header.
        size: Its size in bytes.
        is_stored: Whether it is neither compressed nor encrypted.
    """

    header: int
    size: int
    is_stored: bool


def read_directory(source: ByteSource) -> dict[str, Entry]:
    """Return the entries of an archive by their names.

    Raises:
        Refusal: The archive is truncated or damaged, or has too many entries.
    """
    offset, size = _find_directory(source)
    if size > MAX_DIRECTORY_BYTES:
        raise damaged("is a zip archive with more entries than any StyleGAN2 checkpoint")
    if offset + size > source.size:
        raise damaged(_NOT_ZIP)
    data = source.read(offset, size)
    entries: dict[str, Entry] = {}
    position = 0
    while position < len(data):
        if len(data) - position < 46 or data[position : position + 4] != _CENTRAL:
            raise damaged(_NOT_ZIP)
        name, entry, position = _entry(data, position)
        entries[name] = entry
        if len(entries) > MAX_ENTRIES:
            raise damaged("is a zip archive with more entries than any StyleGAN2 checkpoint")
    return entries


def _find_directory(source: ByteSource) -> tuple[int, int]:
    """Return index and size of the central directory."""
    tail_size = min(source.size, _END_BYTES)
    tail_start = source.size - tail_size
    tail = source.read(tail_start, tail_size)
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < 22:
        raise damaged(_NOT_ZIP)
    size, offset = struct.unpack_from("<II", tail, end + 12)
    locator = tail_start + end - 20
    if locator >= 0 and source.read(locator, 4) == _LOCATOR_64:
        (record,) = struct.unpack("<Q", source.read(locator + 8, 8))
        if record > source.size - 56 or source.read(record, 4) != _END_64:
            raise damaged(_NOT_ZIP)
        size, offset = struct.unpack("<QQ", source.read(record + 40, 16))
    return int(offset), int(size)


def _entry(data: bytes, position: int) -> tuple[str, Entry, int]:
    """Return name and place of the entry at a position, and the position of the next one."""
    flags, method = struct.unpack_from("<HH", data, position + 8)
    packed, size, name_size, extra_size, comment_size = struct.unpack_from(
        "<IIHHH", data, position + 20
    )
    (header,) = struct.unpack_from("<I", data, position + 42)
    begin = position + 46
    following = begin + name_size + extra_size + comment_size
    if following > len(data):
        raise damaged(_NOT_ZIP)
    name = data[begin : begin + name_size].decode("utf-8", "replace")
    extra = data[begin + name_size : begin + name_size + extra_size]
    wide = _zip64_values(extra)
    # The values of the extra field stand for those that do not fit, in this order.
    if size == _ALL_ONES_32:
        size = _next(wide)
    if packed == _ALL_ONES_32:
        packed = _next(wide)
    if header == _ALL_ONES_32:
        header = _next(wide)
    is_stored = method == 0 and not flags & 1 and packed == size
    return name, Entry(header, size, is_stored), following


def _zip64_values(extra: bytes) -> list[int]:
    """Return the 64-bit values of an extra field, last first."""
    position = 0
    while len(extra) - position >= 4:
        kind, size = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            count = min(size, len(extra) - position - 4) // 8
            values = struct.unpack_from(f"<{min(count, 3)}Q", extra, position + 4)
            return list(reversed(values))
        position += 4 + size
    return []


def _next(values: list[int]) -> int:
    if not values:
        raise damaged(_NOT_ZIP)
    return values.pop()


def entry_bytes(source: ByteSource, name: str, entry: Entry) -> Span:
    """Return the bytes of an entry, still in the file.

    Args:
        source: The archive.
        name: Name of the entry for messages.
        entry: The entry.

    Raises:
        Refusal: The entry is compressed or encrypted, or outside the archive.
    """
    if not entry.is_stored:
        raise unsupported(
            "is a compressed zip archive, which torch.save never writes; unpack it, or save the "
            "model again"
        )
    if entry.header > source.size - 30 or source.read(entry.header, 4) != _LOCAL:
        raise damaged(_NOT_ZIP)
    name_size, extra_size = struct.unpack("<HH", source.read(entry.header + 26, 4))
    start = entry.header + 30 + name_size + extra_size
    if entry.size > source.size - start:
        raise damaged(_NOT_ZIP)
    return Span(source, start, entry.size)
