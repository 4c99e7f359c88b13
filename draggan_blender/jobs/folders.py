# SPDX-License-Identifier: GPL-3.0-or-later
"""Where results are written: a folder for each image, and in it one for each drag, bake or still.

A drag never overwrites the files of another: undo brings an older sequence back, and its files must
still exist. A bake continues only in the folder of the same edit.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path

import bpy

from .. import preferences
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.atomic_files import PART_SUFFIX
from ..protocol.file_names import (
    DRAG_JOURNAL_FILE,
    EDIT_FILE,
    GREATEST_FRAME,
    TRACK_FILE,
    channel_stem,
    frame_file,
)
from ..scene import images, planes
from ..scene.frame_files import absolute

# Folders that results were made in during this session.
_allowed: set[Path] = set()
# The longest path that Blender stores of an image.
_MOST_PATH_BYTES = 1023


def stem_of(plane: Plane) -> str:
    """Return the plane's name as a file name of 1 to 48 ASCII letters, digits, ``-`` and ``_``."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", plane.name).strip("-_")
    return plain[:48].strip("-_") or "image"


def new_drag(plane: Plane) -> Path:
    """Make a new, empty folder for the sequence of a drag.

    Raises:
        EditError: The folder cannot be made.
    """
    return _new(plane, "drag")


def agreed() -> tuple[str, ...]:
    """Return the folders below which the engine may write."""
    found = {Path(tempfile.gettempdir()), preferences.cache_folder(), preferences.models_folder()}
    found |= _allowed
    for plane in planes.everywhere():
        found.add(_base(plane))
        for sequence in (plane.draggan.sequence, plane.draggan.bake.under):
            if sequence.image is not None and sequence.image.filepath:
                found.add(images.folder_of(sequence))
    return tuple(sorted(str(absolute(folder)) for folder in found))


def allow(folder: Path) -> None:
    """Let the engine write below a folder that a person has chosen, until Blender ends."""
    _allowed.add(folder)


def require_frames(first: int, count: int = 1) -> None:
    """Refuse a sequence whose frames Blender does not have, before it is made.

    Args:
        first: The first scene frame.
        count: How many frames there are, or may be.

    Raises:
        EditError: The last one is beyond Blender's last frame.
    """
    if first + count - 1 > GREATEST_FRAME:
        raise EditError(
            f"A sequence from frame {first} on could end after Blender's last frame, "
            f"{GREATEST_FRAME}; begin at frame {GREATEST_FRAME - count + 1} or earlier"
        )


def new_bake(plane: Plane) -> Path:
    """Make a new, empty folder for a bake.

    Raises:
        EditError: The folder cannot be made.
    """
    return _new(plane, "bake")


def bakes_of(plane: Plane) -> list[Path]:
    """Return the folders of the plane's bakes that contain an edit, the newest first.

    Bakes from before the file was first saved are in the cache folder, which is searched, too.
    """
    name = _parent(plane).name
    parents = {base / name for base in (_base(plane), preferences.cache_folder())}
    found = [path.parent for parent in parents for path in parent.glob(f"bake-*/{EDIT_FILE}")]
    return sorted(found, key=lambda folder: folder.name, reverse=True)


def is_current(plane: Plane, folder: Path) -> bool:
    """Return whether a new result of the plane would get the same parent folder."""
    return folder.parent == _parent(plane)


def new_still(plane: Plane) -> Path:
    """Make a new folder for the image of a seed and return the path of the PNG to write in it.

    Raises:
        EditError: The folder cannot be made.
    """
    return _new(plane, "image") / f"{stem_of(plane)}.png"


def usable(folder: Path) -> bool:
    """Return whether the folder of an older result exists or can be made on this machine."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    allow(folder)
    return True


def remove_unfinished(folder: Path, stem: str) -> None:
    """Remove the folder of a sequence without a result, with the frames already written.

    The engine does so itself, unless it was killed. Other files in the folder stay.
    """
    with contextlib.suppress(OSError):
        further = channel_stem(stem, "*")
        for pattern in (f"{stem}_*.png", f"{further}_*.png", TRACK_FILE, DRAG_JOURNAL_FILE):
            for path in folder.glob(pattern):
                path.unlink()
    remove_parts(folder)
    remove_empty(folder)


def remove_parts(folder: Path) -> None:
    """Remove files that an engine had not completed when it was killed."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f".*{PART_SUFFIX}"):
            path.unlink()


def remove_empty(folder: Path) -> None:
    """Remove a folder if it is empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _base(plane: Plane) -> Path:
    """Return the chosen folder, else ``draggan`` in the folder of the .blend, else the cache."""
    chosen = plane.draggan.folder
    saved = bool(bpy.data.filepath)
    if chosen and (saved or not chosen.startswith("//")):
        base = absolute(chosen)
    elif saved:
        base = absolute("//draggan")
    else:
        base = preferences.cache_folder()
    return base


def _parent(plane: Plane) -> Path:
    return _base(plane) / f"{stem_of(plane)}-{plane.draggan.uuid[:8]}"


def _new(plane: Plane, kind: str) -> Path:
    parent = _parent(plane)
    longest = parent / f"{kind}-00000" / frame_file(stem_of(plane), GREATEST_FRAME)
    if len(os.fsencode(longest)) > _MOST_PATH_BYTES:
        raise EditError(
            f"The folder {parent} has too long a path: Blender opens images at paths of up to "
            f"{_MOST_PATH_BYTES} bytes; choose another under Settings, Folder"
        )
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            folder = parent / f"{kind}-{number:04d}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
                continue
            allow(parent)
            return folder
    except OSError as error:
        raise EditError(
            f"The folder {parent} cannot be written ({error.strerror or error}); choose another "
            "under Settings, Folder"
        ) from None
