# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages to bytes and back, without any I/O.

A frame on the wire is::

    u32 header length | u32 payload length | header (JSON, UTF-8) | payload

both lengths big-endian. The header is an object with ``kind``, the message's plain fields, and
``blobs``: the length of each binary field in the order of the class; their bytes follow each
other in the payload. Whatever a peer sends, :meth:`Decoder.feed` answers with messages or with
:class:`RemoteProtocolError`, and with nothing else.
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

from .errors import LocalProtocolError, RemoteProtocolError
from .messages import MESSAGES, Message
from .timeline import TIMELINE_MESSAGES

MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_PAYLOAD_BYTES = 512 * 1024 * 1024
#: What a peer may send before its token is proven: a hello is about 150 bytes.
MAX_UNPROVEN_BYTES = 1024

ALL_MESSAGES = (*MESSAGES, *TIMELINE_MESSAGES)

_PREFIX = struct.Struct(">II")
_CLASSES = {message.kind: message for message in ALL_MESSAGES}


def _resolve(cls: type) -> dict[str, Any]:
    """The resolved annotations of a dataclass's fields, in order."""
    hints = typing.get_type_hints(cls)
    return {item.name: hints[item.name] for item in fields(cls)}


_hints: Callable[[type], dict[str, Any]] = cache(_resolve)


def _plain(value: Any) -> Any:
    """A field's value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in _hints(type(value))}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def encode(message: Message) -> bytes:
    """One frame for one message.

    Raises:
        LocalProtocolError: the message is larger than the protocol allows, or a field holds
            what JSON does not: NaN, infinity, an object of another library.
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
    """``value`` as JSON gave it, turned into what ``hint`` names, or RemoteProtocolError."""
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
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"{where}: an object expected, {type(value).__name__} found")
    hints = _hints(cls)
    if set(value) != set(hints):
        names = sorted(set(value) ^ set(hints))
        listed = ", ".join(names)[:200]
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
        raise RemoteProtocolError("a frame's header is not JSON") from None
    kind = header.pop("kind", None) if isinstance(header, dict) else None
    cls = _CLASSES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise RemoteProtocolError(f"no message is called {str(kind)[:80]!r}")
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
    """Bytes in, messages out; keeps what is not complete yet.

    A new decoder accepts :data:`MAX_UNPROVEN_BYTES` a frame, so that a stranger cannot make us
    hold memory; :meth:`trust` lifts that once the peer has proven the token.
    """

    def __init__(self, *, trusted: bool = False) -> None:
        self._buffer = bytearray()
        self._trusted = trusted

    def trust(self) -> None:
        """Accept frames up to the protocol's own limits from now on."""
        self._trusted = True

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun and not ended: a close now would be a cut."""
        return bool(self._buffer)

    def feed(self, data: bytes | memoryview) -> Iterator[Message]:
        """Yield each message that ``data`` completes.

        A generator: a caller that calls :meth:`trust` on the first message changes the limits
        for those that follow it in the same bytes.

        Raises:
            RemoteProtocolError: the bytes are not a message; the decoder is of no use after it.
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
