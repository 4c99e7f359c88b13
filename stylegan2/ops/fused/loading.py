# SPDX-License-Identifier: GPL-3.0-or-later
"""A note beside a compiled library while it is loaded and tried, in case that ends the process.

The process that writes the note holds a lock on it and removes it afterwards. A note that nobody
holds is of a process that ended while it loaded the library: it is not loaded again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from .locking import try_to_lock
from .private import write_private

_HELD: dict[Path, int] = {}
_LOCK = threading.Lock()


class CrashedBeforeError(Exception):
    """An earlier process ended while it loaded this library; the message says how to try again."""


@contextlib.contextmanager
def noted(library: Path) -> Iterator[None]:
    """Load and try a library in the block.

    Raises:
        CrashedBeforeError: An earlier process ended in such a block with the same library.
        OSError: The note cannot be written.
    """
    crashed = library.with_suffix(".crashed")
    for note in library.parent.glob(f"{library.stem}.*.loading"):
        if _is_left(note):
            write_private(crashed, b"")
            note.unlink(missing_ok=True)
    if crashed.exists():
        raise CrashedBeforeError(
            f"an earlier start ended while it loaded {library}; remove {crashed} to try it again"
        )
    note = library.with_suffix(f".{os.getpid()}.loading")
    write_private(note, b"")
    descriptor = os.open(note, os.O_RDWR)
    try_to_lock(descriptor)
    with _LOCK:
        _HELD[note] = descriptor
    try:
        yield
    finally:
        _forget(note)


def end_loading() -> None:
    """Remove this process's notes: it ends because it was asked to, and not by a library."""
    for note in list(_HELD):
        _forget(note)


def _forget(note: Path) -> None:
    with _LOCK:
        descriptor = _HELD.pop(note, None)
    if descriptor is None:
        return
    if os.name == "nt":  # an open file cannot be removed there
        os.close(descriptor)
    with contextlib.suppress(OSError):
        note.unlink(missing_ok=True)
    if os.name != "nt":
        os.close(descriptor)


def _is_left(note: Path) -> bool:
    """Return whether no running process holds a note."""
    if note in _HELD:
        return False
    try:
        descriptor = os.open(note, os.O_RDWR)
    except OSError:
        return False  # removed in the meantime
    try:
        return try_to_lock(descriptor)
    finally:
        os.close(descriptor)
