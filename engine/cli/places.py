# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the place that a command is to write to, before the command begins its work."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import RequestError


def require_place(out: Path, *, is_folder: bool) -> None:
    """Refuse a place that cannot be written to; a drag or a search for it would be lost.

    Nothing is made, so that a command that is refused later leaves nothing behind.

    Args:
        out: The folder or the file that will be written.
        is_folder: Whether it is a folder.

    Raises:
        RequestError: It cannot be made, or cannot be written to.
        OSError: Its path cannot be looked at, as with a name that is too long.
    """
    path = out.absolute()
    if not is_folder and path.is_dir():
        raise RequestError(f"--out {out} is a folder, but a file is to be written; add its name")
    folder = path if is_folder else path.parent
    there = next((each for each in (folder, *folder.parents) if each.exists()), None)
    if there is None:
        return
    if not there.is_dir():
        raise RequestError(
            f"--out {out} cannot be written, because {there} is a file and not a folder; choose "
            "another"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise RequestError(
            f"--out {out} cannot be written, because the folder {there} is read-only for this "
            "account; choose another"
        )
