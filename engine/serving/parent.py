# SPDX-License-Identifier: GPL-3.0-or-later
"""Detects the end of the parent process, by the end of a pipe that the parent holds open.

On Windows, a thread that waits in a read of standard input blocks every other access to it, and
the libraries below numpy and torch access it while they are loaded (numpy/numpy#24290): the engine
would never become ready. On Windows the pipe is therefore polled, which does not block it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

_CHUNK_BYTES = 4096
_INTERVAL_S = 0.25


def wait_for_end(descriptor: int) -> None:
    """Return when the other end of a pipe is closed; data that arrives before is discarded.

    Args:
        descriptor: The file descriptor of the end that can be read.

    Raises:
        OSError: The pipe cannot be read (not on Windows).
    """
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        handle = msvcrt.get_osfhandle(descriptor)
        poll_until_end(descriptor, lambda: int(_winapi.PeekNamedPipe(handle)[0]))
    else:
        while os.read(descriptor, _CHUNK_BYTES):
            pass


def poll_until_end(descriptor: int, available: Callable[[], int]) -> None:
    """Do the same as ``wait_for_end`` by polling, without ever waiting in a read.

    Args:
        descriptor: The file descriptor of the end that can be read.
        available: Returns the number of bytes that can be read without waiting, and raises
            ``OSError`` when the pipe has ended.
    """
    try:
        while True:
            if available():
                os.read(descriptor, _CHUNK_BYTES)
            else:
                time.sleep(_INTERVAL_S)
    except OSError:
        return
