# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a bake, with its edit, its track and its images; and choosing the folder to use.

On a farm several processes work in one folder, so a file that exists at one look may be gone or
changed at the next.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from ..protocol import Decoder, RemoteProtocolError
from ..protocol.file_names import EDIT_FILE, JOURNAL_FILE, TRACK_FILE
from ..protocol.plain_arrays import MOST_BYTES
from ..protocol.plain_files import read_plain_file
from ..protocol.timeline import Edit
from ..scene import tracks
from . import folders

# Only this many of the newest folders are searched for the edit.
_MAX_FOLDERS = 16

# A stored edit that is larger is not read, because the person waits meanwhile.
_MAX_EDIT_BYTES = 64 << 20


def folder_of(plane: Plane, base: Path) -> Path:
    """Return the one folder of an image in the base folder of a farm's job; it may be missing."""
    return base / f"{folders.stem_of(plane)}-{plane.draggan.uuid[:8]}"


def make_folder(plane: Plane, base: Path) -> Path:
    """Return ``folder_of``, and make the folder if it is missing.

    Raises:
        EditError: The folder cannot be made.
    """
    folder = folder_of(plane, base)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EditError(
            f"The folder {folder} cannot be made ({error.strerror or error}); choose another"
        ) from None
    folders.allow(folder)
    return folder


def has_track(folder: Path) -> bool:
    """Return whether the folder has a track, which the frames in it then belong to."""
    with contextlib.suppress(OSError):
        return (folder / TRACK_FILE).is_file()
    return False


def is_solved(folder: Path) -> bool:
    """Return whether a bake in the folder is solved: both its track and its edit exist."""
    with contextlib.suppress(OSError):
        return has_track(folder) and (folder / EDIT_FILE).is_file()
    return False


def newest_solved(plane: Plane) -> Path | None:
    """Return the newest folder with a solved bake among those that the panel's *Bake* has made."""
    return next((folder for folder in folders.bakes_of(plane) if is_solved(folder)), None)


def read_edit(folder: Path) -> Edit:
    """Return the edit of a folder whose bake is solved.

    Raises:
        EditError: The edit file is missing or damaged.
    """
    found = find_edit(folder)
    if found is None:
        raise EditError(f"{folder / EDIT_FILE} is missing or damaged; run --only solve again")
    return found


def read_track(folder: Path) -> bytes:
    """Return the bytes of the track of a folder whose bake is solved.

    Raises:
        EditError: The track cannot be read.
    """
    try:
        return read_plain_file(folder / TRACK_FILE, MOST_BYTES)
    except OSError as error:
        raise EditError(
            f"The track {folder / TRACK_FILE} cannot be read ({error.strerror or error}); "
            "run --only solve first"
        ) from None


def frames_of(track: bytes, folder: Path) -> range:
    """Return the scene frames of a folder's track.

    Args:
        track: The bytes of the ``track.npz``.
        folder: Its edit is read for the first frame if the track does not store it.

    Raises:
        EditError: The bytes are not a track, or the edit is needed and cannot be read.
    """
    try:
        first, count = tracks.frames_of(track)
    except tracks.READ_ERRORS as error:
        raise EditError(f"The track cannot be read ({error}); solve the bake again") from None
    if first is None:
        first = read_edit(folder).first_number
    return range(first, first + count)


def forget_solved(folder: Path) -> None:
    """Remove the solved rows, so that the next bake in the folder solves all frames again.

    The images stay until they are written again.

    Raises:
        EditError: A file cannot be removed.
    """
    for name in (TRACK_FILE, JOURNAL_FILE):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise EditError(
                f"{folder / name} cannot be removed ({error.strerror or error}); choose another "
                "folder, or continue the bake with --resume"
            ) from None


def find_edit(folder: Path) -> Edit | None:
    """Return the edit of a bake's folder, or None if it is missing, damaged or very large."""
    return _decoded(_stored_edit(folder))


def _decoded(stored: bytes) -> Edit | None:
    try:
        found = next(iter(Decoder(trusted=True).feed(stored)), None)
    except RemoteProtocolError:
        return None
    return found if isinstance(found, Edit) else None


def folders_for(plane: Plane, wanted: Edit, data: bytes) -> tuple[Path, Path | None]:
    """Choose the folder to bake into.

    Args:
        plane: The GAN image.
        wanted: The edit to bake.
        data: The bytes of ``wanted``.

    Returns:
        The folder of an interrupted or finished bake of the same edit, or a new one; and the
        folder of the earlier bake that has the most frames in common, or None.

    Raises:
        EditError: The new folder cannot be made.
    """
    same: Path | None = None
    earlier: Path | None = None
    most = 0
    for folder in folders.bakes_of(plane)[:_MAX_FOLDERS]:
        stored = _stored_edit(folder)
        if stored == data and same is None and folders.is_current(plane, folder):
            same = folder
        elif stored:
            rows = _rows_in_common(wanted, stored, folder)
            if rows > most:
                earlier, most = folder, rows
    return same or folders.new_bake(plane), earlier


def _stored_edit(folder: Path) -> bytes:
    """Return the bytes of the edit in a bake's folder; empty if it is missing or very large."""
    path = folder / EDIT_FILE
    with contextlib.suppress(OSError):
        return read_plain_file(path, _MAX_EDIT_BYTES)
    return b""


def _rows_in_common(wanted: Edit, stored: bytes, folder: Path) -> int:
    """Estimate how many frames of another edit's bake can be taken over."""
    found = _decoded(stored)
    if found is None or any(
        getattr(found, name) != getattr(wanted, name)
        for name in (
            "model_sha256",
            "latent",
            "handles_px",
            "radii_px",
            "refined_track",
            "locked",
            "held_to",
        )
    ):
        return 0
    count = min(found.frame_count, wanted.frame_count)
    size = 8 * len(wanted.handles_px)
    differs = np.zeros(count, dtype=bool)
    for name in ("targets_px", "turns") if wanted.turns else ("targets_px",):
        rows = [
            np.frombuffer(getattr(one, name)[: count * size], np.uint8).reshape(count, size)
            for one in (found, wanted)
        ]
        differs |= (rows[0] != rows[1]).any(axis=1)
    differing = np.flatnonzero(differs)
    equal = int(differing[0]) if len(differing) else count
    if not (folder / TRACK_FILE).exists():
        equal = min(equal, sum(1 for _ in folder.glob("*.png")))
    return equal
