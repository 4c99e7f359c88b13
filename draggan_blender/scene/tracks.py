# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a ``track.npz``: latents and handle positions, one row per image of a sequence."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import EditError
from ..properties.stored import to_bytes

# What numpy raises for bytes that are not an ``.npz`` of plain arrays, or lack an array.
READ_ERRORS = (
    ValueError,
    LookupError,
    OSError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def handles_px(track: str) -> NDArray[np.float32]:
    """Return where the handles are in each image of a sequence, ``T x P x 2`` image pixels.

    Args:
        track: The sequence's ``track.npz`` as base64 text.

    Raises:
        EditError: The track cannot be read.
    """
    try:
        with np.load(io.BytesIO(to_bytes(track)), allow_pickle=False) as arrays:
            places = np.asarray(arrays["handles_px"], dtype=np.float32)
        return places.reshape(len(places), -1, 2)
    except READ_ERRORS as error:
        raise EditError(
            f"The handles' paths cannot be read from the track in this file ({error}); press Reset"
        ) from None


def turns(track: str) -> NDArray[np.float32] | None:
    """Return how the regions of a bake are turned and scaled in each image, before smoothing.

    Args:
        track: The sequence's ``track.npz`` as base64 text, which ``handles_px`` can read.

    Returns:
        ``T x P x 2``: the scale times the cosine of the angle, counter-clockwise in the image, and
        times its negative sine. None if the track has no regions.
    """
    with np.load(io.BytesIO(to_bytes(track)), allow_pickle=False) as arrays:
        return np.asarray(arrays["turns"], dtype=np.float32) if "turns" in arrays else None


def latents_of(track: bytes, rows: Sequence[int]) -> NDArray[np.float32]:
    """Return the latents of some rows of a track.

    The file stores the layers that never change only once.

    Args:
        track: The bytes of a ``track.npz``.
        rows: The rows, counted from 0.

    Returns:
        ``N x num_ws x w_dim`` float32.

    Raises:
        Exception: One of ``READ_ERRORS``: the bytes are not a track, or lack a row.
    """
    with np.load(io.BytesIO(track), allow_pickle=False) as arrays:
        start, edited = arrays["start"], arrays["edited"]
    whole = np.repeat(np.asarray(start, dtype="<f4")[None], len(rows), axis=0)
    whole[:, : edited.shape[1]] = edited[list(rows)]
    return whole


def frames_of(track: bytes) -> tuple[int | None, int]:
    """Return the scene frame of a track's first row, and how many rows it has.

    The first frame is None if the file does not store it.

    Args:
        track: The bytes of a ``track.npz``.

    Raises:
        Exception: One of ``READ_ERRORS``: the bytes are not a track.
    """
    with np.load(io.BytesIO(track), allow_pickle=False) as arrays:
        first = int(arrays["first_number"]) if "first_number" in arrays else None
        return first, len(arrays["edited"])
