# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of tensors: in the pickle itself, or beside it in the containers of ``torch.save``.

A plain pickle of tensors has the storage as the call ``_load_from_bytes(b)``, where ``b`` is a
complete file in the older format of ``torch.save``: five pickles in a row (a magic number, the
version of the format, facts about the machine that wrote it, a reference to the only storage, a
list with its key), the number of elements, and the elements. ``InertPickle`` reads those pickles
too.

In a file of ``torch.save`` a storage is a persistent id, which names a place outside the pickle.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

import numpy as np

from .budget import Budget
from .byte_source import ByteSource, MemoryBytes, Span
from .inert_pickle import GlobalName, InertPickle, LongText, Node, PersistentId
from .refusal import damaged, printable, unsupported

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
TORCH_FORMAT_VERSION = 1001

# numpy has no bfloat16; its 16 bits are the upper half of the bits of a float32.
_FLOATS = {"HalfStorage": "<f2", "FloatStorage": "<f4", "DoubleStorage": "<f8"}
_STORAGES = {**_FLOATS, "BFloat16Storage": "<u2"}
_ITEM_BYTES = {
    **{name: np.dtype(dtype).itemsize for name, dtype in _STORAGES.items()},
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
STORAGE_NAMES = frozenset(("torch", kind) for kind in _ITEM_BYTES)

# The pickles before the data of a nested storage have a few hundred bytes.
_NESTED_WINDOW = 1024


class Storages(Protocol):
    """Finds the data of the tensors of one file."""

    def find(self, storage: object, key: str) -> tuple[str, ByteSource]:
        """Return numpy's name of the element type, and the bytes of a storage.

        Args:
            storage: The value in the pickle.
            key: Name of the tensor for messages.

        Raises:
            Refusal: The storage is damaged, missing, or not of floating-point numbers.
        """
        ...


class NestedStorages:
    """Finds storages that are files in the older format of ``torch.save`` inside the pickle."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def find(self, storage: object, key: str) -> tuple[str, ByteSource]:
        """Return numpy's name of the element type, and the bytes of a storage.

        Raises:
            Refusal: The storage is damaged, or not of floating-point numbers.
        """
        is_nested = isinstance(storage, Node) and storage.callee == GlobalName(
            "torch.storage", "_load_from_bytes"
        )
        if not is_nested:
            raise damaged(f"is damaged: {key} has no data")
        assert isinstance(storage, Node)
        data = as_bytes(storage.arguments[0] if storage.arguments else None, key, self._budget)
        machine = InertPickle(
            data,
            allowed=STORAGE_NAMES,
            budget=self._budget,
            persistent_ids=True,
            window=_NESTED_WINDOW,
        )
        values: list[object] = []
        position = 0
        for _ in range(5):
            value, position = machine.read(position)
            values.append(value)
        magic, version, system, reference, keys = values
        check_header(magic, version, system)
        kind, name, elements = read_reference(reference, key)
        # Their types are checked: comparing values that a file nests deeply could exceed the stack.
        if not isinstance(keys, list) or len(keys) != 1 or type(keys[0]) is not str:
            raise damaged(f"is damaged: {key} is a view of other data")
        if keys[0] != name:
            raise damaged(f"is damaged: {key} is a view of other data")
        dtype = float_dtype(kind, key)
        if data.size - position < 8:
            raise damaged(f"is truncated: the data of {key} is missing")
        (stored,) = struct.unpack("<q", data.read(position, 8))
        size = data.size - position - 8
        if stored != elements or size != elements * np.dtype(dtype).itemsize:
            raise damaged(f"is damaged: the data of {key} does not have the declared size")
        return dtype, Span(data, position + 8, size)


class OutsideStorages:
    """Finds storages beside the pickle.

    Args:
        place: Returns where the data of a storage are, by its key; None if the file lacks them.
    """

    def __init__(self, place: Callable[[str], Span | None]) -> None:
        self._place = place

    def find(self, storage: object, key: str) -> tuple[str, ByteSource]:
        """Return numpy's name of the element type, and the bytes of a storage.

        Raises:
            Refusal: The storage is damaged, missing, or not of floating-point numbers.
        """
        kind, name, elements = read_reference(storage, key)
        dtype = float_dtype(kind, key)
        place = self._place(name)
        if place is None:
            raise damaged(f"is damaged: the data of {key} is missing")
        size = elements * np.dtype(dtype).itemsize
        if size > place.size:
            raise damaged(f"is damaged: the data of {key} does not have the declared size")
        return dtype, place.part(0, size)


def check_header(magic: object, version: object, system: object) -> None:
    """Raise ``Refusal`` unless the first pickles are those of the older format of ``torch.save``.

    Args:
        magic: The value of the first pickle.
        version: The value of the second.
        system: The value of the third.

    Raises:
        Refusal: They are not, or the file was written on a big-endian machine.
    """
    is_torch = type(magic) is int and magic == TORCH_MAGIC and type(version) is int
    if not is_torch or version != TORCH_FORMAT_VERSION or not isinstance(system, dict):
        raise damaged("is damaged: its data are not in torch's format")
    if system.get("little_endian") is not True:
        raise unsupported("was written on a big-endian machine, which is not supported")


def read_reference(reference: object, key: str) -> tuple[str, str, int]:
    """Return the type, the key and the number of elements of a storage.

    The reference is ``("storage", torch.FloatStorage, key, location, elements, view)``; the last
    part may be missing. The location, such as "cuda:0", does not matter.

    Args:
        reference: The value in the pickle.
        key: Name of the tensor for messages.

    Raises:
        Refusal: It is something else, or a view of another storage.
    """
    value = reference.value if isinstance(reference, PersistentId) else None
    if not isinstance(value, tuple) or len(value) not in (5, 6) or type(value[0]) is not str:
        raise damaged(f"is damaged: the data of {key} is not in torch's format")
    kind, name, elements = value[1], value[2], value[4]
    is_count = type(elements) is int and 0 <= elements < 1 << 48
    if value[0] != "storage" or not isinstance(kind, GlobalName) or not is_count:
        raise damaged(f"is damaged: the data of {key} is not in torch's format")
    if type(name) is not str or (len(value) == 6 and value[5] is not None):
        raise damaged(f"is damaged: {key} is a view of other data")
    assert type(elements) is int
    return kind.name, name, elements


def item_bytes(kind: str) -> int | None:
    """Return the bytes of an element of a kind of storage; None if the kind is unknown."""
    return _ITEM_BYTES.get(kind)


def float_dtype(kind: str, key: str) -> str:
    """Return numpy's name of the element type of a storage; "<u2" stands for bfloat16.

    Raises:
        Refusal: The elements are not floating-point numbers.
    """
    if kind not in _STORAGES:
        raise damaged(f"has {key} as {printable(kind)}, but floating-point numbers are expected")
    return _STORAGES[kind]


def as_bytes(value: object, key: str, budget: Budget | None) -> ByteSource:
    """Return the bytes that a value in a pickle stands for.

    Protocol 2 has no bytes type: they are written as text with one character per byte, as the call
    ``_codecs.encode(text, "latin1")``.

    Args:
        value: The value in the pickle.
        key: Name of the tensor for the message.
        budget: Counter of the text that is decoded; None allows only short texts.

    Raises:
        Refusal: The value is something else.
    """
    if isinstance(value, Span):
        return value
    if isinstance(value, bytes):
        return MemoryBytes(value)
    if isinstance(value, Node) and value.callee == GlobalName("_codecs", "encode"):
        text = value.arguments[0] if value.arguments else None
        if value.arguments[1:] == ("latin1",) and isinstance(text, str):
            return _encoded(text, key, budget)
        if value.arguments[1:] == ("latin1",) and isinstance(text, LongText) and budget:
            return _LatinText(text.span, key, budget)
    # Protocols 3 and later write empty bytes of protocol 2 as the call of ``bytes`` without values.
    raise damaged(f"is damaged: {key} has no data")


def _encoded(text: str, key: str, budget: Budget | None) -> MemoryBytes:
    if budget is not None:
        budget.spend_long_text(len(text))
    try:
        return MemoryBytes(text.encode("latin-1"))
    except UnicodeEncodeError:
        raise damaged(f"is damaged: {key} has no data") from None


class _LatinText:
    """The bytes of a long text in the file, decoded when they are read.

    The text is decoded twice, once to learn its length and once for its values, so that the memory
    is free between the two.
    """

    def __init__(self, span: Span, key: str, budget: Budget) -> None:
        self._span, self._key, self._budget = span, key, budget
        self._head = b""
        data = self._decode()
        self._size = len(data)
        self._head = data[:_NESTED_WINDOW]

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self._size

    def read(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on.

        Raises:
            Refusal: There are fewer bytes.
        """
        if offset < 0 or size < 0 or size > self._size - offset:
            raise damaged("is truncated or damaged: it ends in the middle of a value")
        if offset + size <= len(self._head):
            return self._head[offset : offset + size]
        return self._decode()[offset : offset + size]

    def _decode(self) -> bytes:
        self._budget.spend_long_text(self._span.size)
        try:
            return self._span.read(0, self._span.size).decode("utf-8").encode("latin-1")
        except UnicodeError:
            raise damaged(f"is damaged: {self._key} has no data") from None
