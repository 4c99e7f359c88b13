# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes frames of an earlier sequence over into the folder of the one that continues it.

Files are hard links where the disk has them, and copies elsewhere. No frame is ever written in
place, so neither sequence changes the other.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from .frames import FrameNames


@contextlib.contextmanager
def frames_taken_over(
    earlier: FrameNames, rows: Sequence[int], names: FrameNames
) -> Iterator[None]:
    """Take frames over; files that cannot be taken over are left out, so that they are rendered.

    Each channel after the fourth is taken from its own file.

    If the block raises an exception, the files are removed again.

    Args:
        earlier: The names of the earlier sequence's files.
        rows: For each first row of the new sequence, the row of the earlier one.
        names: The names of the new sequence's files.
    """
    taken: list[Path] = []
    names.folder.mkdir(parents=True, exist_ok=True)
    for row, source in enumerate(rows):
        sources = earlier.paths(earlier.first_number + source)
        # A row has as many files as its number, or, for row 0, as two numbers.
        for path, each in zip(names.paths_of_row(row), itertools.cycle(sources), strict=False):
            if _take(each, path):
                taken.append(path)
    try:
        yield
    except BaseException:
        for path in taken:
            with contextlib.suppress(OSError):
                path.unlink()
        raise


def _take(source: Path, path: Path) -> bool:
    """Make a file from another one, and return whether that was possible."""
    if not source.is_file() or path.exists():
        return False
    try:
        os.link(source, path)
    except OSError:
        try:
            shutil.copyfile(source, path)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            return False
    return True
