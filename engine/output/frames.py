# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the PNG files of frames in a background thread, so that rendering does not wait for disks.

A file is encoded in memory and written with ``protocol.atomic_files``: it is complete as soon as it
has its name.
"""

from __future__ import annotations

import contextlib
import io
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from draggan_blender.protocol.atomic_files import write_atomically
from draggan_blender.protocol.file_names import COLOUR_CHANNELS, channel_stem, frame_file

from ..arrays import ByteArray

# How many images may wait to be written. Then the caller waits, which limits the memory.
_CAPACITY = 16


def write_png(path: Path, image: ByteArray) -> None:
    """Write an image as an sRGB PNG, atomically.

    Args:
        path: The file; its folder is made if it is missing.
        image: ``H x W x C`` uint8, top row first; with C = 4 the file has alpha. ``H x W`` is grey,
            and so is C = 1.

    Raises:
        OSError: The file cannot be written; ``filename`` is ``path``.
    """
    encoded = io.BytesIO()
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    # Level 3 is fast; higher levels gain little, because the noise of an image hardly compresses.
    Image.fromarray(image).save(encoded, format="PNG", compress_level=3)
    write_atomically(path, encoded.getvalue())


def write_image(path: Path, image: ByteArray) -> list[Path]:
    """Write an image, and each channel after the fourth as a grey PNG beside it.

    Args:
        path: The file of the colours.
        image: ``H x W x C`` uint8, top row first; C is 3 or more.

    Returns:
        The paths of all files.

    Raises:
        OSError: A file cannot be written.
    """
    paths = [*channel_paths(path, image.shape[2]), path]
    for each, part in zip(paths, _parts(image), strict=True):
        write_png(each, part)
    return paths


def channel_paths(path: Path, channels: int) -> list[Path]:
    """Return the files of the further channels of an image.

    Args:
        path: The file of its colours, a single image.
        channels: How many channels the image has.
    """
    further = range(COLOUR_CHANNELS + 1, channels + 1)
    return [path.with_stem(channel_stem(path.stem, channel)) for channel in further]


def _parts(image: ByteArray) -> list[ByteArray]:
    """Return each further channel, ``H x W``, and the colours, ``H x W x C`` with C of 3 or 4.

    The colours come last: whoever sees their file has the others as well.
    """
    further = [image[..., channel] for channel in range(COLOUR_CHANNELS, image.shape[2])]
    return [np.ascontiguousarray(part) for part in (*further, image[..., :COLOUR_CHANNELS])]


@dataclass(frozen=True)
class FrameNames:
    """The names of a sequence's files, ``folder/stem_0001.png`` and so on.

    One more file, numbered ``first_number - 1``, repeats the first image. An image sequence in
    Blender shows it before its start, where a missing file would be magenta.

    Attributes:
        folder: The folder of the files.
        stem: What the names start with.
        first_number: The number of row 0, 1 or more.
        channels: How many channels the images have; each one after the fourth has files of its own,
            ``folder/stem-channel5_0001.png`` and so on.
    """

    folder: Path
    stem: str
    first_number: int = 1
    channels: int = 3

    def path(self, number: int) -> Path:
        """Return the path of the file with a number."""
        return self.folder / frame_file(self.stem, number)

    def paths(self, number: int) -> list[Path]:
        """Return the paths of all files with a number: those of further channels, and ``path``."""
        further = range(COLOUR_CHANNELS + 1, self.channels + 1)
        stems = [*(channel_stem(self.stem, channel) for channel in further), self.stem]
        return [self.folder / frame_file(stem, number) for stem in stems]

    def paths_of_row(self, row: int) -> list[Path]:
        """Return the paths of a row's files; row 0 has those of two numbers."""
        number = self.first_number + row
        numbers = (number - 1, number) if row == 0 else (number,)
        return [path for each in numbers for path in self.paths(each)]


class FrameWriter:
    """Writes the frames of one sequence in the background.

    A context manager: leaving it waits for the last file. An exception drops the images that are
    not written yet, and removes the written files unless ``keep`` is set.
    """

    def __init__(
        self,
        names: FrameNames,
        on_written: Callable[[int, Path], None] | None = None,
        *,
        keep: bool = False,
    ) -> None:
        """Start the writing thread.

        Args:
            names: The names of the files.
            on_written: Called from the writing thread with the number and the path of each file
                that is complete.
            keep: Whether the files that are written stay if the sequence is not finished.
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
        """Queue the image of a row; row 0 also becomes the file before the first.

        Args:
            image: ``H x W x C`` uint8, top row first; C is 1 (grey), 3 or more.
            index: The row.

        Raises:
            OSError: An earlier file could not be written.
        """
        if self._error is not None:
            raise self._error
        number = self._names.first_number + index
        if index == 0:
            self._queue.put((number - 1, image))
        self._queue.put((number, image))

    def close(self) -> list[Path]:
        """Wait until all files are written.

        Returns:
            The paths of the files, in the order of writing.

        Raises:
            OSError: A file could not be written. Files before it are removed unless ``keep`` is
                set.
        """
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            self._remove()
            raise self._error
        return self._written

    def discard(self) -> None:
        """Drop the images that wait, and remove the written files unless ``keep`` is set."""
        self._abandoned.set()
        self._queue.put(None)
        self._thread.join()
        self._remove()

    def _remove(self) -> None:
        if self._keep:
            return
        for path in self._written:
            # The sequence has failed already, so a file that cannot be removed is not reported.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is not None or self._abandoned.is_set():
                continue  # empty the queue, or the caller would wait forever
            number, image = item
            paths = replace(self._names, channels=image.shape[2]).paths(number)
            try:
                for path, part in zip(paths, _parts(image), strict=True):
                    write_png(path, part)
                    self._written.append(path)
                if self._on_written is not None:
                    self._on_written(number, paths[-1])
            except Exception as error:  # the root of a thread: raised in the caller's thread
                self._error = error
