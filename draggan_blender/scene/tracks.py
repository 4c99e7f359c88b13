# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a ``track.npz``: pictures and handle positions, one row per image of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EditError
from ..properties.stored import to_bytes
from ..protocol.file_names import GREATEST_FRAME
from ..protocol.pictures import Picture, PictureLayer, encode_picture
from ..protocol.plain_arrays import read_arrays

_OF_PICTURES = {
    "start",
    "edited",
    "layer_entries",
    "layer_masks",
    "layer_softness",
    "layer_latents",
    "layer_clipped",
}
# What reading a track raises: the bytes are not one, or lack an array or a row.
READ_ERRORS = (EditError, ValueError, LookupError, TypeError, OverflowError)


def handles_px(track: str) -> NDArray[np.float32]:
    """Return where the handles are in each image of a sequence, ``T x P x 2`` image pixels.

    Args:
        track: The sequence's ``track.npz`` as base64 text.

    Raises:
        EditError: The track cannot be read.
    """
    try:
        arrays = read_arrays(to_bytes(track), {"handles_px"})
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
    arrays = read_arrays(to_bytes(track), {"turns"})
    return np.asarray(arrays["turns"], dtype=np.float32) if "turns" in arrays else None


def pictures_of(track: bytes, rows: Sequence[int]) -> list[bytes]:
    """Return what some rows of a track are made of, in the format of ``protocol.pictures``.

    The file stores the layers of a latent that never change only once, and each mask once.

    Args:
        track: The bytes of a ``track.npz``.
        rows: The rows, counted from 0.

    Raises:
        Exception: One of ``READ_ERRORS``: the bytes are not a track, or lack a row.
    """
    arrays = read_arrays(track, _OF_PICTURES)
    start, edited = np.asarray(arrays["start"], dtype="<f4"), arrays["edited"]
    layers = _layers(arrays, start, rows) if "layer_entries" in arrays else [()] * len(rows)
    return [
        encode_picture(Picture(latent=_whole(edited[row], start), layers=over))
        for row, over in zip(rows, layers, strict=True)
    ]


def _whole(edited: NDArray[np.float32], start: NDArray[np.float32]) -> bytes:
    """Return the bytes of a latent whose first rows are ``edited`` and the others ``start``'s."""
    whole = np.concatenate([np.asarray(edited, "<f4"), start[len(edited) :]])
    return bytes(whole.tobytes())


def _layers(
    arrays: Mapping[str, NDArray[Any]], start: NDArray[np.float32], rows: Sequence[int]
) -> list[tuple[PictureLayer, ...]]:
    """Return the masked layers of some rows of a track that has any."""
    entries, masks = arrays["layer_entries"], arrays["layer_masks"]
    softness, latents = arrays["layer_softness"], arrays["layer_latents"]
    clipped = arrays["layer_clipped"]
    _, height, width = masks.shape
    return [
        tuple(
            PictureLayer(
                width=width,
                height=height,
                mask=masks[mask].tobytes(),
                softness=float(softness[mask]),
                clipped=bool(clipped[mask]),
                latent=_whole(latents[latent], start),
            )
            for _, mask, latent in entries[entries[:, 0] == row].tolist()
        )
        for row in rows
    ]


def frames_of(track: bytes) -> tuple[int | None, int]:
    """Return the scene frame of a track's first row, and how many rows it has.

    The first frame is None if the file does not store it.

    Args:
        track: The bytes of a ``track.npz``.

    Raises:
        Exception: One of ``READ_ERRORS``: the bytes are not a track.
    """
    arrays = read_arrays(track, {"first_number", "edited"})
    first = int(arrays["first_number"]) if "first_number" in arrays else None
    count = len(arrays["edited"])
    if first is not None and not -GREATEST_FRAME <= first <= GREATEST_FRAME - count + 1:
        raise ValueError(f"it has frames from {first} on, which Blender does not have")
    return first, count
