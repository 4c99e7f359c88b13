# SPDX-License-Identifier: GPL-3.0-or-later
"""One installer at a time: a file that the system unlocks when its process ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .problems import InstallError


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold a lock while the block runs.

    Args:
        path: The file to lock; it is made with its folder, and stays.

    Raises:
        InstallError: Another process holds the lock.
        OSError: The file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(handle):
            raise InstallError("busy")
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
