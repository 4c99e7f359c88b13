# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents to the files of a sequence: all rows, or the part of them that one worker has.

Each file depends on its own latent alone, so that any number of workers can share a sequence, and
one that is there already need not be made again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stylegan2 import Generator

from ..arrays import FloatArray
from .frames import FrameNames, FrameWriter
from .render import images_at_once, render_frames


def write_sequence(
    generator: Generator,
    latent_of: Callable[[int], FloatArray],
    rows: range,
    names: FrameNames,
    *,
    skip_existing: bool = False,
    keep: bool = False,
    on_written: Callable[[int, Path], None] | None = None,
    on_rendered: Callable[[int], None] | None = None,
) -> None:
    """Render rows and write them; never more than some images are in memory.

    Args:
        latent_of: gives the latent of a row, `num_ws x w_dim` float32.
        rows: which to write.
        skip_existing: leave out rows whose files are there.
        keep: whether the files written so far stay when this is given up.
        on_written: called with the number and the path of each file that stands, from a thread.
        on_rendered: called after each row that was rendered or left out, with how many of `rows`
            are done; what it raises gives the rest up.

    Raises:
        OSError: a file cannot be written.
    """
    at_once = images_at_once(generator)
    batch: list[int] = []
    with FrameWriter(names, on_written, keep=keep) as writer:
        for count, row in enumerate(rows, start=1):
            if not (skip_existing and all(path.exists() for path in names.paths_of_row(row))):
                batch.append(row)
            if batch and (len(batch) == at_once or count == len(rows)):
                latents = np.stack([latent_of(wanted) for wanted in batch])
                for wanted, image in zip(batch, render_frames(generator, latents), strict=True):
                    writer.add(image, wanted)
                batch.clear()
            if on_rendered is not None:
                on_rendered(count)
