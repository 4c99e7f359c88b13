# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG files, written by a thread of their own so that nobody waits for a disk.

A file is complete from the moment it has its name: it is encoded in memory, written under a
temporary name in the same folder, and renamed.
"""

from __future__ import annotations

import contextlib
import io
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from PIL import Image

from draggan_blender.protocol.atomic_files import write_atomically
from draggan_blender.protocol.file_names import frame_file

from ..arrays import ByteArray

_CAPACITY = 16
"""Images that may wait; beyond that the caller waits, so that memory stays bounded."""


def write_png(path: Path, image: ByteArray) -> None:
    """Write `H x W x 3` uint8 as an sRGB PNG, atomically.

    Raises:
        OSError: as ``write_atomically``.
    """
    encoded = io.BytesIO()
    # Level 3: a sequence is written once and read often, and noise does not pack well anyway.
    Image.fromarray(image).save(encoded, format="PNG", compress_level=3)
    write_atomically(path, encoded.getvalue())


@dataclass(frozen=True)
class FrameNames:
    """The files of a sequence: `folder/stem_0001.png`, numbered from `first_number` (>= 1).

    One more, numbered `first_number - 1`, repeats the first image: an image sequence shows it
    before its start, where Blender paints a missing file magenta.
    """

    folder: Path
    stem: str
    first_number: int = 1

    def path(self, number: int) -> Path:
        """The file of a number."""
        return self.folder / frame_file(self.stem, number)

    def paths_of_row(self, row: int) -> list[Path]:
        """The files of a row; the first row has two."""
        number = self.first_number + row
        return [self.path(each) for each in ((number - 1, number) if row == 0 else (number,))]


class FrameWriter:
    """Writes the frames of one sequence in the background.

    A context manager: leaving it waits for the last file, or, on an exception, gives up what is
    not written yet and removes what is, unless that is to be kept.
    """

    def __init__(
        self,
        names: FrameNames,
        on_written: Callable[[int, Path], None] | None = None,
        *,
        keep: bool = False,
    ) -> None:
        """Start the thread.

        Args:
            on_written: called from the writer's thread when a file stands, with its number.
            keep: whether the files of a sequence that is given up stay.
        """
        self._names = names
        self._keep = keep
        self._on_written = on_written
        self._queue: queue.Queue[tuple[int, ByteArray] | None] = queue.Queue(_CAPACITY)
        self._written: list[Path] = []
        self._error: Exception | None = None
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="frame writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def add(self, image: ByteArray, index: int) -> None:
        """Hand over the image of row `index` (`H x W x 3` uint8); the first also is the hold file.

        Raises:
            OSError: an earlier file could not be written.
        """
        if self._error is not None:
            raise self._error
        number = self._names.first_number + index
        if index == 0:
            self._queue.put((number - 1, image))
        self._queue.put((number, image))

    def close(self) -> list[Path]:
        """Wait until everything is written.

        Returns:
            The files, in the order of writing.

        Raises:
            OSError: a file could not be written; those before it are removed, or kept.
        """
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            self._remove()
            raise self._error
        return self._written

    def discard(self) -> None:
        """Drop what waits, and remove what has been written."""
        self._abandoned.set()
        self._queue.put(None)
        self._thread.join()
        self._remove()

    def _remove(self) -> None:
        if self._keep:
            return
        for path in self._written:
            # The sequence is given up already; a file that resists does no harm.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is not None or self._abandoned.is_set():
                continue  # go on emptying the queue, or its other end would wait for ever
            number, image = item
            path = self._names.path(number)
            try:
                write_png(path, image)
                self._written.append(path)
                if self._on_written is not None:
                    self._on_written(number, path)
            except Exception as error:  # the root of a thread: raised again in the caller's
                self._error = error
