# SPDX-License-Identifier: GPL-3.0-or-later
"""Which latent belongs to the image that a plane shows at the current frame.

A person who goes back in the timeline sees an earlier image, with the handles where they were in
it; the next drag has to start from that image and not from the last one.
"""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import timing
from .errors import EditError

#: What numpy raises on bytes that are no ``.npz`` of plain arrays, or not with the wanted ones.
_READ_ERRORS = (
    *(ValueError, LookupError, OSError, EOFError, MemoryError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


def latent(plane: Any) -> bytes:
    """The latent of the image at the current frame: ``num_ws x w_dim`` float32, little-endian.

    Raises:
        EditError: it is an earlier image of the last drag, and the track cannot be read.
    """
    settings, sequence = plane.draggan, plane.draggan.sequence
    row = timing.shown_row(plane) if sequence.image is not None else 0
    # Without a track, what is shown stands in for a bake to come.
    if (
        sequence.image is None
        or not settings.track
        or (sequence.kind == "DRAG" and row == sequence.frame_count - 1)
    ):
        return base64.b64decode(settings.latent)
    return rows(plane, [row]).tobytes()


def rows(plane: Any, numbers: Sequence[int]) -> NDArray[np.float32]:
    """The latents of some rows of the plane's sequence: `N x num_ws x w_dim` float32.

    Raises:
        EditError: the track cannot be read.
    """
    settings = plane.draggan
    try:
        return rows_of(base64.b64decode(settings.track), numbers)
    except _READ_ERRORS as error:
        raise EditError(
            f"The latent of frame {settings.sequence.first_frame + numbers[0]} cannot be read from "
            f"the track in this file ({error}); press Reset, and drag or bake again"
        ) from None


def handles_px(track: str) -> NDArray[np.float32]:
    """Where the handles are in each image of a sequence: `T x P x 2` px.

    Args:
        track: the sequence's ``track.npz``, as base64.

    Raises:
        EditError: the track cannot be read.
    """
    try:
        with np.load(io.BytesIO(base64.b64decode(track)), allow_pickle=False) as arrays:
            rows = np.asarray(arrays["handles_px"], dtype=np.float32)
        return rows.reshape(len(rows), -1, 2)
    except _READ_ERRORS as error:
        raise EditError(
            f"The handles' paths cannot be read from the track in this file ({error}); press Reset"
        ) from None


def rows_of(track: bytes, numbers: Sequence[int]) -> NDArray[np.float32]:
    """The latents of some rows of a ``track.npz``, which keeps layers that never change once.

    Raises:
        ValueError, LookupError, OSError, …: the bytes are no track; see ``_READ_ERRORS``.
    """
    with np.load(io.BytesIO(track), allow_pickle=False) as arrays:
        start, edited = arrays["start"], arrays["edited"]
    whole = np.repeat(np.asarray(start, dtype="<f4")[None], len(numbers), axis=0)
    whole[:, : edited.shape[1]] = edited[list(numbers)]
    return whole
