# SPDX-License-Identifier: GPL-3.0-or-later
"""A note beside a compiled library while it is loaded and tried, in case that ends the process.

The process that writes the note holds a lock on it and removes it afterwards. If the process
crashes, Python's fault handler writes the traceback into the note: one with a text that nobody
holds is of a crash, and the library is not loaded again. One without a text is of a process that
was killed, by a person or for want of memory, which says nothing of the library.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from .locking import try_to_lock
from .private import read_plain, write_private

_HELD: dict[Path, int] = {}
_LOCK = threading.Lock()
# Of a traceback.
_MOST_BYTES = 1 << 16


class CrashedBeforeError(Exception):
    """An earlier process crashed while it loaded this library; the message names what to remove."""


@contextlib.contextmanager
def noted(library: Path) -> Iterator[None]:
    """Load and try a library in the block.

    Raises:
        CrashedBeforeError: An earlier process crashed in such a block with the same library.
        OSError: The note cannot be written.
    """
    crashed = library.with_suffix(".crashed")
    for note in library.parent.glob(f"{library.stem}.*.loading"):
        traceback = _left_in(note)
        if traceback:
            write_private(crashed, traceback)
        if traceback is not None:
            note.unlink(missing_ok=True)
    if read_plain(crashed):
        raise CrashedBeforeError(
            f"an earlier start crashed while it loaded {library}; remove {crashed} to try it again"
        )
    note = library.with_suffix(f".{os.getpid()}.loading")
    write_private(note, b"")
    descriptor = os.open(note, os.O_RDWR)
    try_to_lock(descriptor)
    with _LOCK:
        _HELD[note] = descriptor
        _write_faults_to(descriptor)
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
        _write_faults_to(next(iter(_HELD.values()), None))
    if os.name == "nt":  # an open file cannot be removed there
        os.close(descriptor)
    with contextlib.suppress(OSError):
        note.unlink(missing_ok=True)
    if os.name != "nt":
        os.close(descriptor)


def _write_faults_to(descriptor: int | None) -> None:
    """Have the traceback of a crash written to a note, or to the process's log again."""
    faulthandler.disable()
    if descriptor is not None:
        faulthandler.enable(descriptor)
    elif sys.__stderr__ is not None:
        with contextlib.suppress(OSError, ValueError):  # it was closed, or is no file
            faulthandler.enable(sys.__stderr__)


def _left_in(note: Path) -> bytes | None:
    """Return what a process that has ended left in its note; None if a running one holds it."""
    if note in _HELD:
        return None
    try:
        descriptor = os.open(note, os.O_RDWR)
    except OSError:
        return None  # removed in the meantime
    try:
        return os.read(descriptor, _MOST_BYTES) if try_to_lock(descriptor) else None
    finally:
        os.close(descriptor)
