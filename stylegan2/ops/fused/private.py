# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that only this user can write, because code is loaded from them.

On Windows the user's cache folder belongs to the user already, and nothing is checked there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
from pathlib import Path

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_OF_OTHERS, _WRITES_OF_OTHERS = 0o077, 0o022


class UnsafeFolderError(OSError):
    """A folder that someone else can change; the message names it and says what to do."""


def private_folder(folder: Path, *, is_emptied: bool = True) -> Path:
    """Make a folder that only this user can read and write, or make sure that it is one.

    A folder of this user that was open to others is closed, and if they could write to it, it is
    emptied: they may have done so.

    Args:
        folder: The folder; missing ones above it are made in the same way.
        is_emptied: Whether a folder that others could write to is emptied; otherwise its content
            has to be checked by the caller.

    Returns:
        Its path without links.

    Raises:
        UnsafeFolderError: The folder is a link or belongs to someone else, or one above it can be
            changed by others.
        OSError: The folder cannot be made.
    """
    above = folder.absolute().parent
    if not os.path.lexists(above):
        private_folder(above)
    above = above.resolve()
    folder = above / folder.name
    for one in (above, *above.parents):
        _check_above(one)
    try:
        folder.mkdir(_FOLDER_MODE)
    except FileExistsError:
        _close(folder, is_emptied=is_emptied)
    return folder


def _check_above(folder: Path) -> None:
    """Refuse a folder in which others can replace the folder that is ours."""
    if sys.platform == "win32":
        return
    found = folder.lstat()
    is_free_for_all = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
    if is_free_for_all or found.st_uid not in (0, os.geteuid()):
        raise UnsafeFolderError(
            f"other users can change the folder {folder}; take their right to write away, or set "
            "XDG_CACHE_HOME to a folder that is yours alone"
        )


def _close(folder: Path, *, is_emptied: bool) -> None:
    if sys.platform == "win32":
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        what = "belongs to someone else" if stat.S_ISDIR(found.st_mode) else "is not a plain folder"
        raise UnsafeFolderError(f"the folder {folder} {what}; remove it")
    if found.st_mode & _OF_OTHERS:
        folder.chmod(_FOLDER_MODE)
    if found.st_mode & _WRITES_OF_OTHERS and is_emptied:
        empty(folder)


def close_content(folder: Path) -> None:
    """Take the rights of others away from what is in a folder, whatever the umask was."""
    if sys.platform == "win32":
        return
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & (_OF_OTHERS | stat.S_IXUSR):
            path.chmod(_FOLDER_MODE if stat.S_ISDIR(mode) else _FILE_MODE)


def empty(folder: Path) -> None:
    """Remove everything in a folder; links in it are removed and not followed."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file of this user alone, which is on the disk when it has its name.

    Any number of processes may write the same file at once: the last rename wins.

    Raises:
        OSError: The file cannot be written; no other file is left.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(part, flags, _FILE_MODE), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_plain(path: Path) -> bytes | None:
    """Return the content of a plain file of this user; None if it is missing or something else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    is_ours = sys.platform == "win32" or found.st_uid == os.geteuid()
    return path.read_bytes() if stat.S_ISREG(found.st_mode) and is_ours else None
