# SPDX-License-Identifier: GPL-3.0-or-later
"""Which latent belongs to the image that a plane shows at the current frame.

A person who moves the playhead back sees an earlier image, with the handles where they were in it.
The next drag starts from that image and not from the last one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import EditError
from ..properties.owners import Plane
from ..properties.stored import to_bytes
from . import timing, tracks


def latent(plane: Plane) -> bytes:
    """Return what the image at the current frame is made of.

    Returns:
        A latent or a picture with layers, in the format of ``protocol.pictures``.

    Raises:
        EditError: The frame shows an earlier image of the last drag, and the track cannot be read.
    """
    settings, sequence = plane.draggan, plane.draggan.sequence
    row = timing.shown_row(plane) if sequence.image is not None else 0
    # Without a track, the files shown are placeholders for a bake that is still to be made.
    if (
        sequence.image is None
        or not settings.track
        or (sequence.kind == "DRAG" and row == sequence.frame_count - 1)
    ):
        return to_bytes(settings.latent)
    return rows(plane, [row])[0]


def rows(plane: Plane, numbers: Sequence[int]) -> list[bytes]:
    """Return what some rows of the plane's sequence are made of, as ``latent``.

    Args:
        plane: The GAN image, which has a track.
        numbers: The rows, counted from 0; at least one.

    Raises:
        EditError: The track cannot be read.
    """
    settings = plane.draggan
    try:
        return tracks.pictures_of(to_bytes(settings.track), numbers)
    except tracks.READ_ERRORS as error:
        raise EditError(
            f"The latent of frame {settings.sequence.first_frame + numbers[0]} cannot be read from "
            f"the track in this file ({error}); press Reset, and drag or bake again"
        ) from None
