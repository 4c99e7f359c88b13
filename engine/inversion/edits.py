# SPDX-License-Identifier: GPL-3.0-or-later
"""Composes edits of an image onto its picture: one edit, or the rows of a sequence.

Motion is followed through the images that the model makes between the picture and the edit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from draggan_blender.protocol.file_names import matte_stem
from stylegan2 import Generator

from ..arrays import ByteArray, FloatArray
from ..output.frames import FrameNames, FrameWriter, write_png
from ..output.render import render_frames, render_image
from ..pictures import Picture
from .alignment import Alignment
from .blending import BlendBack, Blended

# Motion is followed in steps of about this change of an image, a mean share of the range of values,
# but not in more steps than the second.
_STEP_CHANGE, _MOST_STEPS = 0.004, 8


def blended(
    generator: Generator,
    pixels: ByteArray,
    alignment: Alignment,
    base: FloatArray,
    edits: Sequence[Picture],
    before_each: Callable[[], object] = lambda: None,
) -> Iterator[Blended]:
    """Compose the images of a sequence, or a single one, onto a picture.

    Args:
        generator: The model of the picture, tuned or not.
        pixels: ``H x W x 3`` uint8, sRGB, top row first, the picture.
        alignment: The frame on it.
        base: ``num_ws x w_dim`` float32, the latent of the picture, before any edit.
        edits: The rows of a track in their order, or one picture.
        before_each: Called before each image that is looked at; may raise.

    Yields:
        The picture with each of them.

    Raises:
        RequestError: The frame is not on the picture.
    """
    alignment.check(pixels.shape[1], pixels.shape[0])
    last, last_image = Picture(base), render_image(generator, base)
    composer = BlendBack(pixels, alignment, last_image)
    for edit, image in zip(edits, render_frames(generator, edits), strict=True):
        for step in render_frames(generator, _between(last, edit, _steps(last_image, image))):
            before_each()
            composer.follow(step)
        before_each()
        yield composer.compose(image)
        last, last_image = edit, image


def write_single(one: Blended, path: Path, *, matte: bool) -> None:
    """Write one image; no matte of it is left if there is an error.

    Args:
        one: The picture with the edit.
        path: The PNG file.
        matte: Whether the matte is written beside it, see ``file_names.matte_stem``.

    Raises:
        OSError: A file cannot be written.
    """
    beside = path.with_stem(matte_stem(path.stem))
    try:
        if matte:
            write_png(beside, one.matte)
        write_png(path, one.image)
    except BaseException:
        if matte:
            beside.unlink(missing_ok=True)
        raise


def write_blended(
    composed: Iterable[Blended],
    names: FrameNames,
    *,
    matte: bool,
    on_written: Callable[[int, Path], None] | None = None,
    on_row: Callable[[int], None] | None = None,
) -> None:
    """Write the images of a sequence; no file of it is left if there is an error.

    Args:
        composed: The images, in the order of the rows.
        names: The names of their files.
        matte: Whether the mattes are written as well, see ``file_names.matte_stem``.
        on_written: See ``FrameWriter``; for images alone.
        on_row: Called with each row that was composed.

    Raises:
        OSError: A file cannot be written.
    """
    writers = [FrameWriter(names, on_written)]
    if matte:
        writers.append(FrameWriter(replace(names, stem=matte_stem(names.stem))))
    try:
        for row, one in enumerate(composed):
            for writer, image in zip(writers, (one.image, one.matte[..., None]), strict=False):
                writer.add(image, row)
            if on_row is not None:
                on_row(row)
        for writer in writers:
            writer.close()
    except BaseException:
        # Also what a writer has closed already: a sequence without its mattes is not finished.
        for writer in writers:
            writer.discard()
        raise


def _steps(before: ByteArray, after: ByteArray) -> int:
    change = float(np.abs(after.astype(np.float32) - before).mean()) / 255
    return min(_MOST_STEPS, math.ceil(change / _STEP_CHANGE))


def _between(before: Picture, after: Picture, steps: int) -> list[Picture]:
    """Return the pictures between two; layers that the first one does not have grow out of it."""
    if len(before.layers) == len(after.layers):
        firsts = before.latents
    else:
        firsts = [before.latent] * (1 + len(after.layers))

    def at(share: float) -> Picture:
        latents = [
            first + np.float32(share) * (last - first)
            for first, last in zip(firsts, after.latents, strict=True)
        ]
        layers = zip(after.layers, latents[1:], strict=True)
        return Picture(latents[0], tuple(replace(one, latent=latent) for one, latent in layers))

    return [at(step / steps) for step in range(1, steps)]
