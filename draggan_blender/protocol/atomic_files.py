# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing files that are complete as soon as they have their name.

A file is written under a temporary name in the same folder, made durable, and renamed. Any number
of processes, on any number of machines, may write the same file at once: the last rename wins.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

# Appended to the name of a file that is still being written, which also starts with a dot.
PART_SUFFIX = ".part"

# The most bytes of a file's name, on nearly every file system.
_MOST_NAME_BYTES = 255

# The temporary files that this process is writing now.
_WRITTEN_NOW: set[Path] = set()


def temporary_beside(path: Path, *, keep_suffix: bool = False) -> Path:
    """Return a name in the same folder that no other process uses, on this or another machine.

    Args:
        path: The file that is to be written.
        keep_suffix: Whether the name ends with the suffix of ``path``, for writers that choose
            the format by it.
    """
    suffix = path.suffix if keep_suffix else ""
    ending = f".{secrets.token_hex(8)}{PART_SUFFIX}{suffix}"
    # A name that is as long as it may be would become too long: its beginning will do.
    room = _MOST_NAME_BYTES - len(os.fsencode(ending)) - 1
    name = os.fsencode(path.name)[:room].decode(errors="ignore")
    return path.with_name(f".{name}{ending}")


@contextlib.contextmanager
def replacing(path: Path, *, keep_suffix: bool = False, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to ``path`` if the block succeeds.

    The folder is made if it is missing.

    Args:
        path: The file.
        keep_suffix: As of ``temporary_beside``.
        durable: Whether the content is on the disk before the rename, so that a name that exists
            after a power cut belongs to a whole file.

    Raises:
        OSError: The folder or the file cannot be written; no temporary file is left. Its
            ``filename`` is ``path``.
    """
    temporary = temporary_beside(path, keep_suffix=keep_suffix)
    _WRITTEN_NOW.add(temporary)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # the name that the caller knows
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        _WRITTEN_NOW.discard(temporary)


def remove_unfinished() -> None:
    """Remove what other threads are writing; only for a process that ends at once afterwards."""
    for temporary in tuple(_WRITTEN_NOW):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file so that no process ever sees it half written.

    Args:
        path: The file.
        data: Its content.
        durable: As of ``replacing``.

    Raises:
        OSError: The folder or the file cannot be written; see ``replacing``.
    """
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def link_or_copy(source: Path, path: Path, *, replace: bool = True) -> None:
    """Give a file that will not change a second name, or copy it where links are not possible.

    Args:
        source: The existing file.
        path: The second name.
        replace: Whether an existing ``path`` is replaced; otherwise it stays as it is.

    Raises:
        OSError: Neither is possible.
    """
    linked = temporary_beside(path) if replace else path
    try:
        os.link(source, linked)
    except FileExistsError:
        return
    except (OSError, NotImplementedError):  # another disk, or a file system without links
        with replacing(path) as temporary:
            shutil.copyfile(source, temporary)
        return
    if replace:
        try:
            os.replace(linked, path)
        finally:
            # Renaming a link to the file that it links to leaves both names.
            linked.unlink(missing_ok=True)
