# SPDX-License-Identifier: GPL-3.0-or-later
"""The image files of a sequence on disk, and paths that a .blend or a person has given."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

import bpy

from ..protocol.file_names import frame_file


def absolute(path: str | Path) -> Path:
    """Return the absolute path that a path means, without parts that lead up.

    Blender makes the paths of images relative when a file is saved, and such a path may begin with
    ``//../``. The engine writes to no path with ``..`` in it.

    Args:
        path: A path; ``//`` at its start is the folder of the .blend.
    """
    return Path(os.path.abspath(bpy.path.abspath(str(path))))


def frame_path(folder: Path, stem: str, number: int) -> Path:
    """Return the path of a frame's file.

    Args:
        folder: The folder of the sequence.
        stem: What the names of the sequence start with.
        number: The scene frame, 0 or more.
    """
    return folder / frame_file(stem, number)


def all_of(path: Path) -> list[Path]:
    """Return the files of the sequence that a file belongs to, those that exist, sorted by name."""
    stem = path.stem.rpartition("_")[0]
    return sorted(path.parent.glob(f"{glob.escape(stem)}_*.png"))


def missing(folder: Path, stem: str, span: range, further: Sequence[str] = ()) -> int:
    """Return how many frames lack a file in the folder; all, if the folder cannot be read.

    Args:
        folder: The folder of the sequence.
        stem: What the names of the sequence start with.
        span: The scene frames.
        further: What the names of the other files of each frame start with, see ``channels``.
    """
    try:
        existing = set(os.listdir(folder))
    except OSError:
        existing = set()
    stems = (stem, *further)
    return sum(any(frame_file(each, number) not in existing for each in stems) for number in span)
