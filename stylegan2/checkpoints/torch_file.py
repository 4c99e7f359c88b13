# SPDX-License-Identifier: GPL-3.0-or-later
"""The two containers of ``torch.save``: a zip archive, and before torch 1.6 a row of pickles.

The zip archive has the pickle as ``NAME/data.pkl``, the byte order as ``NAME/byteorder`` and each
storage as ``NAME/data/KEY``. The older container has five parts: three pickles that identify it,
the pickle of the value, a pickled list of the storages' keys, and then each storage as its number
of elements and its data.
"""

from __future__ import annotations

import struct

from .budget import Budget
from .byte_source import ByteSource, Span
from .families import module_hint
from .globals import ALLOWED
from .inert_pickle import InertPickle
from .refusal import damaged, unsupported
from .storages import STORAGE_NAMES, OutsideStorages, check_header, item_bytes, read_reference
from .zip_directory import Entry, entry_bytes, read_directory

PICKLE_NAME = "data.pkl"
_NAMES = ALLOWED | STORAGE_NAMES
MAX_STORAGES = 16384


def find_pickle(entries: dict[str, Entry]) -> str | None:
    """Return the name of the pickle among the entries of a zip archive, or None."""
    found = [name for name in entries if name == PICKLE_NAME or name.endswith("/" + PICKLE_NAME)]
    return min(found, key=len) if found else None


def read_zip(source: ByteSource, budget: Budget) -> tuple[object, OutsideStorages]:
    """Read a file in the zip container.

    Args:
        source: The file.
        budget: Counters of the work.

    Returns:
        The value of its pickle, and where the data of its tensors are.

    Raises:
        Refusal: The file is damaged, or asks for anything other than data.
    """
    entries = read_directory(source)
    name = find_pickle(entries)
    if name is None:
        raise damaged("is a zip archive without a data.pkl")
    root = name.removesuffix(PICKLE_NAME)
    order = entries.get(root + "byteorder")
    if order is not None and order.size != len("little"):
        raise unsupported("was written on a big-endian machine, which is not supported")
    if root + "constants.pkl" in entries:
        raise unsupported(
            "is a TorchScript program (torch.jit.save), whose code would have to be run; save the "
            "state dict of the model instead"
        )
    pickle = entry_bytes(source, name, entries[name])
    machine = InertPickle(
        pickle, allowed=_NAMES, budget=budget, persistent_ids=True, hint=module_hint
    )
    top, _ = machine.read()
    prefix = root + "data/"
    return top, _Archive(source, entries, prefix).storages()


class _Archive:
    """The storages of a zip archive."""

    def __init__(self, source: ByteSource, entries: dict[str, Entry], prefix: str) -> None:
        self._source, self._entries, self._prefix = source, entries, prefix

    def storages(self) -> OutsideStorages:
        """Return the storages; the place of each one is looked up when it is needed."""
        return OutsideStorages(self.place)

    def place(self, key: str) -> Span | None:
        """Return where a storage is."""
        name = self._prefix + key
        entry = self._entries.get(name)
        return None if entry is None else entry_bytes(self._source, name, entry)


def read_legacy(source: ByteSource, budget: Budget) -> tuple[object, OutsideStorages]:
    """Read a file in the container of torch before 1.6.

    Arguments, result and errors are those of ``read_zip``.
    """
    machine = InertPickle(
        source, allowed=_NAMES, budget=budget, persistent_ids=True, hint=module_hint
    )
    magic, position = machine.read()
    version, position = machine.read(position)
    system, position = machine.read(position)
    check_header(magic, version, system)
    top, position = machine.read(position)
    keys, position = machine.read(position)
    sizes: dict[str, int] = {}
    for reference in machine.references:
        kind, name, elements = read_reference(reference, "a tensor")
        sizes[name] = elements * (item_bytes(kind) or 0)
    if not isinstance(keys, list) or len(keys) > MAX_STORAGES:
        raise damaged("is damaged: its list of data is missing")
    places: dict[str, Span] = {}
    for key in keys:
        size = sizes.get(key) if type(key) is str else None
        if size is None or source.size - position < 8:
            raise damaged("is truncated or damaged: the data of its tensors are missing")
        (count,) = struct.unpack("<q", source.read(position, 8))
        if count < 0 or size > source.size - position - 8:
            raise damaged("is truncated or damaged: the data of its tensors are missing")
        places[key] = Span(source, position + 8, size)
        position += 8 + size
    return top, OutsideStorages(places.get)
