# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversion of messages to bytes and back, without I/O.

A frame on the wire is::

    u32 header length | u32 payload length | header (JSON, UTF-8) | payload

with both lengths big-endian. The header is an object with ``kind``, the message's plain fields, and
``blobs``: the length of each binary field in the order of the class. The payload is the bytes of
these fields, one after another. For any bytes that a peer sends, ``Decoder.feed`` yields messages
or raises ``RemoteProtocolError``, and raises no other exception.
"""

from __future__ import annotations

import json
import math
import struct
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from .agreement import AGREEMENT_MESSAGES
from .direction_messages import DIRECTION_MESSAGES
from .drag_messages import DRAG_MESSAGES
from .errors import LocalProtocolError, RemoteProtocolError
from .explore import EXPLORE_MESSAGES
from .health import HEALTH_MESSAGES
from .latent_file import LATENT_FILE_MESSAGES
from .library import LIBRARY_MESSAGES
from .live import LIVE_MESSAGES
from .lost_drag import LOST_DRAG_MESSAGES
from .many import MANY_MESSAGES
from .messages import MESSAGES, Message
from .own_picture import OWN_PICTURE_MESSAGES
from .parts import PART_MESSAGES
from .timeline import TIMELINE_MESSAGES

MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_PAYLOAD_BYTES = 512 * 1024 * 1024
# The size of a frame before the peer has proven the token; a hello has about 150 bytes.
MAX_UNPROVEN_BYTES = 1024

ALL_MESSAGES = (
    *MESSAGES,
    *AGREEMENT_MESSAGES,
    *DIRECTION_MESSAGES,
    *DRAG_MESSAGES,
    *EXPLORE_MESSAGES,
    *HEALTH_MESSAGES,
    *LATENT_FILE_MESSAGES,
    *LIBRARY_MESSAGES,
    *LIVE_MESSAGES,
    *LOST_DRAG_MESSAGES,
    *MANY_MESSAGES,
    *OWN_PICTURE_MESSAGES,
    *PART_MESSAGES,
    *TIMELINE_MESSAGES,
)

_PREFIX = struct.Struct(">II")
_CLASSES = {message.kind: message for message in ALL_MESSAGES}


def _resolve(cls: type) -> dict[str, Any]:
    """Return the resolved type hints of a dataclass's fields, in order."""
    hints = typing.get_type_hints(cls)
    return {item.name: hints[item.name] for item in fields(cls)}


_hints: Callable[[type], dict[str, Any]] = cache(_resolve)


def _plain(value: Any) -> Any:
    """Return a field's value as JSON types."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in _hints(type(value))}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def encode(message: Message) -> bytes:
    """Return the frame of a message.

    Raises:
        LocalProtocolError: The message is larger than ``MAX_HEADER_BYTES`` or
            ``MAX_PAYLOAD_BYTES`` allow, or a field has a value that JSON cannot represent: NaN,
            infinity, an object of another library.
    """
    header: dict[str, Any] = {"kind": message.kind}
    blobs: list[bytes] = []
    for name, hint in _hints(type(message)).items():
        value = getattr(message, name)
        if hint is bytes:
            blobs.append(bytes(value))
        else:
            header[name] = _plain(value)
    if blobs:
        header["blobs"] = [len(blob) for blob in blobs]
    try:
        text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(f"a {message.kind} message cannot be sent: {error}") from None
    size = sum(len(blob) for blob in blobs)
    if len(text) > MAX_HEADER_BYTES or size > MAX_PAYLOAD_BYTES:
        raise LocalProtocolError(
            f"a {message.kind} message of {len(text)} + {size} bytes is over the limit of "
            f"{MAX_HEADER_BYTES} + {MAX_PAYLOAD_BYTES}"
        )
    return b"".join((_PREFIX.pack(len(text), size), text, *blobs))


def _number(hint: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if hint is int:
        return isinstance(value, int)
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _build(hint: Any, value: Any, where: str) -> Any:
    """Convert a value from JSON to the type that ``hint`` names.

    Raises:
        RemoteProtocolError: The value does not fit; ``where`` names the field in the text.
    """
    if hint in (int, float):
        if _number(hint, value):
            return hint(value)
    elif hint in (str, bool):
        if isinstance(value, hint):
            return value
    elif is_dataclass(hint):
        return _build_dataclass(typing.cast("type", hint), value, where)
    elif typing.get_origin(hint) is tuple and isinstance(value, list):
        inner = typing.get_args(hint)
        if inner[-1] is Ellipsis:
            inner = (inner[0],) * len(value)
        if len(inner) == len(value):
            return tuple(_build(part, item, where) for part, item in zip(inner, value, strict=True))
    expected = hint.__name__ if isinstance(hint, type | types.GenericAlias) else str(hint)
    raise RemoteProtocolError(f"{where}: {expected} expected, {type(value).__name__} found")


def _build_dataclass(cls: type, value: Any, where: str) -> Any:
    """Build a dataclass; ``LATER`` of the class has the fields that older files may lack."""
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"{where}: an object expected, {type(value).__name__} found")
    hints = _hints(cls)
    value = getattr(cls, "LATER", {}) | value
    if set(value) != set(hints):
        # Quoted: a name is whatever the file or the peer says.
        names = sorted(set(value) ^ set(hints))
        listed = ", ".join(repr(name)[:80] for name in names[:5])
        raise RemoteProtocolError(f"{where}: missing or unknown fields {listed}")
    parts = {
        name: value[name] if hint is bytes else _build(hint, value[name], f"{where}.{name}")
        for name, hint in hints.items()
    }
    try:
        return cls(**parts)
    except LocalProtocolError as error:
        raise RemoteProtocolError(f"{where}: {error}") from None


def _parse(text: bytes, payload: bytes) -> Message:
    try:
        header = json.loads(text.decode())
    except (ValueError, RecursionError):
        raise RemoteProtocolError("the header of a frame is not JSON") from None
    kind = header.pop("kind", None) if isinstance(header, dict) else None
    cls = _CLASSES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise RemoteProtocolError(f"there is no message of the kind {str(kind)[:80]!r}")
    blob_names = [name for name, hint in _hints(cls).items() if hint is bytes]
    lengths = header.pop("blobs", [])
    fits = (
        isinstance(lengths, list)
        and len(lengths) == len(blob_names)
        and all(_number(int, length) and length >= 0 for length in lengths)
        and sum(lengths) == len(payload)
        and not set(blob_names) & set(header)
    )
    if not fits:
        raise RemoteProtocolError(f"{kind}: the payload does not fit the header")
    start = 0
    for name, length in zip(blob_names, lengths, strict=True):
        header[name] = payload[start : start + length]
        start += length
    return typing.cast("Message", _build_dataclass(cls, header, cls.kind))


class Decoder:
    """A decoder of one connection's bytes; it keeps the bytes of an incomplete frame.

    Before ``trust`` is called, a frame may have at most ``MAX_UNPROVEN_BYTES``, so that a peer
    that has not proven the token cannot use much memory.
    """

    def __init__(self, *, trusted: bool = False) -> None:
        self._buffer = bytearray()
        self._trusted = trusted

    def trust(self) -> None:
        """Accept frames up to ``MAX_HEADER_BYTES`` and ``MAX_PAYLOAD_BYTES`` from now on."""
        self._trusted = True

    @property
    def mid_frame(self) -> bool:
        """Whether the last bytes are the start of a frame that is not complete."""
        return bool(self._buffer)

    def feed(self, data: bytes | memoryview) -> Iterator[Message]:
        """Yield each message that is complete with these bytes.

        The messages are decoded one by one: if the caller calls ``trust`` after the first message,
        the larger limits already apply to the next one in the same bytes.

        Raises:
            RemoteProtocolError: The bytes are not a message; the decoder cannot be used any more.
        """
        self._buffer += data
        while len(self._buffer) >= _PREFIX.size:
            header_size, payload_size = _PREFIX.unpack_from(self._buffer)
            self._check_sizes(header_size, payload_size)
            payload_start = _PREFIX.size + header_size
            end = payload_start + payload_size
            if len(self._buffer) < end:
                return
            with memoryview(self._buffer) as view:
                text = bytes(view[_PREFIX.size : payload_start])
                payload = bytes(view[payload_start:end])
            del self._buffer[:end]
            yield _parse(text, payload)

    def _check_sizes(self, header_size: int, payload_size: int) -> None:
        fits = header_size <= MAX_HEADER_BYTES and payload_size <= MAX_PAYLOAD_BYTES
        if not self._trusted:
            fits = header_size + payload_size <= MAX_UNPROVEN_BYTES
        if not fits:
            raise RemoteProtocolError(
                f"a frame of {header_size} + {payload_size} bytes is over the limit"
            )
