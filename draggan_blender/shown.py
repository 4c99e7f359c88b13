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
from typing import Any

import numpy as np

from . import planes
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
    settings = plane.draggan
    last = settings.sequence.frame_count - 1
    row = max(planes.scene_of(plane).frame_current - settings.sequence.first_frame, 0)
    if settings.sequence.image is None or row >= last:
        return base64.b64decode(settings.latent)
    try:
        return _row_of(base64.b64decode(settings.track), row)
    except _READ_ERRORS as error:
        raise EditError(
            f"The latent of frame {settings.sequence.first_frame + row} cannot be read from the "
            f"track in this file ({error}); go to the sequence's last frame, or press Reset"
        ) from None


def _row_of(track: bytes, row: int) -> bytes:
    """A row's latent: the engine's track keeps the layers that no row changes once."""
    with np.load(io.BytesIO(track), allow_pickle=False) as arrays:
        start, edited = arrays["start"], arrays["edited"]
    whole = np.array(start, dtype="<f4")
    whole[: edited.shape[1]] = edited[row]
    return whole.tobytes()
