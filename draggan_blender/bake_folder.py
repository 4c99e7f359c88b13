# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a bake's folder, as a worker of a farm sees them: edit, track, numbered images.

Several processes may be at work in one folder. So nothing here is taken for granted between two
looks, and what is written appears complete under its name.
"""

from __future__ import annotations

import contextlib
import io
import os
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from . import bakes, folders
from .errors import EditError
from .protocol.timeline import Edit

TRACK_FILE = "track.npz"
JOURNAL_FILE = "solve.journal"

#: What numpy raises on bytes that are no ``.npz`` of plain arrays, or not with the wanted ones.
_READ_ERRORS = (
    *(ValueError, LookupError, OSError, EOFError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


def folder_of(plane: Any, base: Path) -> Path:
    """The one folder of an image under the base folder of a farm's job."""
    return base / f"{folders.stem_of(plane)}-{plane.draggan.uuid[:8]}"


def make_folder(plane: Any, base: Path) -> Path:
    """:func:`folder_of`, made if need be.

    Raises:
        EditError: it cannot be made.
    """
    folder = folder_of(plane, base)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EditError(
            f"The folder {folder} cannot be made ({error.strerror or error}); choose another"
        ) from None
    return folder


def frame_path(folder: Path, stem: str, number: int) -> Path:
    """The file of a frame."""
    return folder / f"{stem}_{number:04d}.png"


def missing(folder: Path, stem: str, span: range) -> int:
    """How many of these frames have no file."""
    there = {path.name for path in folder.glob(f"{stem}_*.png")}
    return sum(frame_path(folder, stem, number).name not in there for number in span)


def has_track(folder: Path) -> bool:
    """Whether frames in the folder are those of a track."""
    with contextlib.suppress(OSError):
        return (folder / TRACK_FILE).is_file()
    return False


def is_solved(folder: Path) -> bool:
    """Whether a bake in the folder has been solved, with its edit beside the track."""
    with contextlib.suppress(OSError):
        return has_track(folder) and (folder / folders.EDIT_FILE).is_file()
    return False


def newest_solved(plane: Any) -> Path | None:
    """The newest of the panel's own folders with a solved bake of the image."""
    return next((folder for folder in folders.bakes_of(plane) if is_solved(folder)), None)


def read_edit(folder: Path) -> Edit:
    """The edit that was solved.

    Raises:
        EditError: there is none, or it is damaged.
    """
    found = bakes.read_edit(folder)
    if found is None:
        raise EditError(
            f"{folder / folders.EDIT_FILE} is missing or damaged; run --only solve again"
        )
    return found


def read_track(folder: Path) -> bytes:
    """The bytes of the solved track.

    Raises:
        EditError: there is none.
    """
    try:
        return (folder / TRACK_FILE).read_bytes()
    except OSError as error:
        raise EditError(
            f"The track {folder / TRACK_FILE} cannot be read ({error.strerror or error}); "
            "run --only solve first"
        ) from None


def frames_of(track: bytes, folder: Path) -> range:
    """The frames that the track of a folder has.

    Args:
        track: the bytes of its ``track.npz``.
        folder: has the edit, which says where it begins if the track does not.

    Raises:
        EditError: the bytes are no track.
    """
    try:
        with np.load(io.BytesIO(track), allow_pickle=False) as arrays:
            count = len(arrays["edited"])
            first = int(arrays["first_number"]) if "first_number" in arrays else None
    except _READ_ERRORS as error:
        raise EditError(f"The track cannot be read ({error}); solve the bake again") from None
    if first is None:
        first = read_edit(folder).first_number
    return range(first, first + count)


def forget_solved(folder: Path) -> None:
    """Have the next bake in the folder solve everything anew; images stay until they are renewed.

    Raises:
        EditError: a file resists.
    """
    for name in (TRACK_FILE, JOURNAL_FILE):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise EditError(
                f"{folder / name} cannot be removed ({error.strerror or error}); choose another "
                "folder, or go on with --resume"
            ) from None


def write_file(path: Path, data: bytes) -> None:
    """Write a file that nobody ever sees half written.

    Raises:
        OSError: it cannot be written.
    """
    temporary = _temporary_beside(path)
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def place_file(path: Path, source: Path) -> None:
    """Give a file that does not change any more a second name, or a copy where that is not to be.

    A file that is there already stays.

    Raises:
        OSError: neither is possible.
    """
    if path.exists():
        return
    try:
        os.link(source, path)
    except FileExistsError:
        return
    except (OSError, NotImplementedError):  # another disk, or a file system without links
        write_file(path, source.read_bytes())


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:16]}.part")
