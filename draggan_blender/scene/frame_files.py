# SPDX-License-Identifier: GPL-3.0-or-later
"""The image files of a sequence on disk."""

from __future__ import annotations

import os
from pathlib import Path

from ..protocol.file_names import frame_file


def frame_path(folder: Path, stem: str, number: int) -> Path:
    """Return the path of a frame's file.

    Args:
        folder: The folder of the sequence.
        stem: What the names of the sequence start with.
        number: The scene frame, 0 or more.
    """
    return folder / frame_file(stem, number)


def missing(folder: Path, stem: str, span: range) -> int:
    """Return how many frames have no file in the folder; all, if the folder cannot be read.

    Args:
        folder: The folder of the sequence.
        stem: What the names of the sequence start with.
        span: The scene frames.
    """
    try:
        existing = set(os.listdir(folder))
    except OSError:
        existing = set()
    return sum(frame_file(stem, number) not in existing for number in span)
