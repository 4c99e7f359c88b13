# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading files that may have been put there by somebody else, or be something else than files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_plain_file(path: Path, most_bytes: int) -> bytes:
    """Return the content of a regular file.

    Anything else is refused before it is opened: a pipe could be waited for without an end, and a
    device need not have an end.

    Args:
        path: The file.
        most_bytes: How large it may be.

    Raises:
        OSError: The file is missing, cannot be read, is too large or is not a regular file; its
            ``strerror`` says which.
    """
    _require_regular(os.stat(path), path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        _require_regular(found, path)
        if found.st_size > most_bytes:
            text = f"it has {found.st_size >> 20} MiB, and at most {most_bytes >> 20} are expected"
            raise OSError(errno.EFBIG, text, str(path))
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:  # it has grown in the meantime
        raise OSError(errno.EFBIG, "it grows while it is read", str(path))
    return data


def _require_regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a file, but a pipe, a socket or a device", str(path))
