# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a bake: its edit, its track and its images, and which folder a bake goes into.

Several processes may work in one folder, as on a farm, so nothing is assumed to stay the same
between two looks.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from ..protocol import Decoder, RemoteProtocolError
from ..protocol.file_names import EDIT_FILE, JOURNAL_FILE, TRACK_FILE
from ..protocol.timeline import Edit
from ..scene import tracks
from . import folders

# Only this many of the newest folders are searched for the edit.
_MAX_FOLDERS = 16

# A stored edit larger than this is not read while a person waits.
_MAX_EDIT_BYTES = 64 << 20


def folder_of(plane: Plane, base: Path) -> Path:
    """The one folder of an image under the base folder of a farm's job."""
    return base / f"{folders.stem_of(plane)}-{plane.draggan.uuid[:8]}"


def make_folder(plane: Plane, base: Path) -> Path:
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


def has_track(folder: Path) -> bool:
    """Whether frames in the folder are those of a track."""
    with contextlib.suppress(OSError):
        return (folder / TRACK_FILE).is_file()
    return False


def is_solved(folder: Path) -> bool:
    """Whether a bake in the folder has been solved, with its edit beside the track."""
    with contextlib.suppress(OSError):
        return has_track(folder) and (folder / EDIT_FILE).is_file()
    return False


def newest_solved(plane: Plane) -> Path | None:
    """The newest of the panel's own folders with a solved bake of the image."""
    return next((folder for folder in folders.bakes_of(plane) if is_solved(folder)), None)


def read_edit(folder: Path) -> Edit:
    """The edit that was solved.

    Raises:
        EditError: there is none, or it is damaged.
    """
    found = find_edit(folder)
    if found is None:
        raise EditError(f"{folder / EDIT_FILE} is missing or damaged; run --only solve again")
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
        first, count = tracks.frames_of(track)
    except tracks.READ_ERRORS as error:
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


def find_edit(folder: Path) -> Edit | None:
    """The edit of a bake's folder; None where there is none that could be read quickly."""
    return _decoded(_stored_edit(folder))


def _decoded(stored: bytes) -> Edit | None:
    try:
        found = next(iter(Decoder(trusted=True).feed(stored)), None)
    except RemoteProtocolError:
        return None
    return found if isinstance(found, Edit) else None


def folders_for(plane: Plane, wanted: Edit, data: bytes) -> tuple[Path, Path | None]:
    """The folder to bake into, and that of the earlier bake with the most frames in common."""
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
    """The edit of a bake's folder; empty where there is none that could be read quickly."""
    path = folder / EDIT_FILE
    with contextlib.suppress(OSError):
        if path.stat().st_size <= _MAX_EDIT_BYTES:
            return path.read_bytes()
    return b""


def _rows_in_common(wanted: Edit, stored: bytes, folder: Path) -> int:
    """How many frames of another edit's bake can be taken over: an estimate, to choose by."""
    found = _decoded(stored)
    if found is None or any(
        getattr(found, name) != getattr(wanted, name)
        for name in ("model_sha256", "latent", "handles_px", "refined_track")
    ):
        return 0
    count = min(found.frame_count, wanted.frame_count)
    size = 8 * len(wanted.handles_px)
    rows = [
        np.frombuffer(one.targets_px[: count * size], np.uint8).reshape(count, size)
        for one in (found, wanted)
    ]
    differing = np.flatnonzero((rows[0] != rows[1]).any(axis=1))
    equal = int(differing[0]) if len(differing) else count
    if not (folder / TRACK_FILE).exists():
        equal = min(equal, sum(1 for _ in folder.glob("*.png")))
    return equal
