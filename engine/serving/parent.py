# SPDX-License-Identifier: GPL-3.0-or-later
"""How the engine learns that its parent is gone: the parent's end of a pipe closes.

On Windows a read that waits on the pipe of standard input blocks every other look at it, and the
libraries below numpy and torch look at it while they are loaded (numpy/numpy#24290): the engine
would never get ready.  There the pipe is asked from time to time instead, which leaves it free.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

_CHUNK_BYTES = 4096
_INTERVAL_S = 0.25


def wait_for_end(descriptor: int) -> None:
    """Return when the other end of a pipe is closed; what comes through until then is dropped."""
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        handle = msvcrt.get_osfhandle(descriptor)
        poll_until_end(descriptor, lambda: int(_winapi.PeekNamedPipe(handle)[0]))
    else:
        while os.read(descriptor, _CHUNK_BYTES):
            pass


def poll_until_end(descriptor: int, available: Callable[[], int]) -> None:
    """`wait_for_end` without ever waiting in a read.

    Args:
        available: how many bytes can be read at once; raises `OSError` when the pipe has ended.
    """
    try:
        while True:
            if available():
                os.read(descriptor, _CHUNK_BYTES)
            else:
                time.sleep(_INTERVAL_S)
    except OSError:
        return
