# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders pictures to the files of a sequence, all rows or the part of them that one worker has.

Each file depends only on its own picture. Any number of workers can share a sequence, and files
that exist already can be skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from stylegan2 import Generator

from ..arrays import FloatArray
from ..pictures import Picture
from .frames import FrameNames, FrameWriter
from .render import Canvases, images_at_once, render_frames


def write_sequence(
    generator: Generator,
    picture_of: Callable[[int], Picture | FloatArray],
    rows: range,
    names: FrameNames,
    *,
    skip_existing: bool = False,
    keep: bool = False,
    on_written: Callable[[int, Path], None] | None = None,
    on_rendered: Callable[[int], None] | None = None,
) -> None:
    """Render rows and write their files, with only a few images in memory at a time.

    Args:
        generator: The model.
        picture_of: Returns the picture of a row, or its latent, ``num_ws x w_dim`` float32.
        rows: The rows to write.
        names: The names of the files.
        skip_existing: Whether rows whose files exist are left out.
        keep: Whether the files that are written stay if an exception ends the sequence.
        on_written: Called with the number and the path of each complete file, from another thread.
        on_rendered: Called after each row that was queued for rendering, rendered or left out,
            with how many of ``rows`` that makes. An exception from it ends the sequence.

    Raises:
        OSError: A file cannot be written.
    """
    names = replace(names, channels=generator.img_shape[0])
    at_once = images_at_once(generator)
    batch: list[int] = []
    canvases = Canvases(generator)
    with FrameWriter(names, on_written, keep=keep) as writer:
        for count, row in enumerate(rows, start=1):
            if not (skip_existing and all(path.exists() for path in names.paths_of_row(row))):
                batch.append(row)
            if batch and (len(batch) == at_once or count == len(rows)):
                images = render_frames(
                    generator, map(picture_of, batch), canvases, every_channel=True
                )
                for wanted, image in zip(batch, images, strict=True):
                    writer.add(image, wanted)
                batch.clear()
            if on_rendered is not None:
                on_rendered(count)
