# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the files that both processes read and write in a result's folder."""

from __future__ import annotations

import re

# The last frame that Blender has.
GREATEST_FRAME = 1_048_574

# The solved track: latents and handle positions of every row.
TRACK_FILE = "track.npz"

# One encoded ``Edit`` message: what a bake solves.
EDIT_FILE = "edit.draggan"

# The rows that a bake has solved so far, while solving is not finished.
JOURNAL_FILE = "solve.journal"

# The steps of a drag so far, while it is not finished.
DRAG_JOURNAL_FILE = "drag.journal"


# Channels of a model's image that are in one file: colour and alpha. Each further one is a grey
# image of its own.
COLOUR_CHANNELS = 4


def channel_stem(stem: str, channel: int | str) -> str:
    """Return what the names of a further channel's images start with.

    Args:
        stem: What those of the colours start with.
        channel: The channel of the model, counted from 1, from ``COLOUR_CHANNELS + 1`` on; or ``*``
            for all, in a pattern.
    """
    return f"{stem}-channel{channel}"


def matte_stem(stem: str) -> str:
    """Return what the names of mattes start with: grey images of what was changed.

    Args:
        stem: What those of the colours start with.
    """
    return f"{stem}-matte"


def frame_number_of_any(stem: str, name: str) -> int | None:
    """Return the number of the file of a frame's colours, or of one of its further channels.

    Args:
        stem: What the names of the colours start with.
        name: The name of a file.
    """
    further = re.match(rf"{re.escape(stem)}-channel\d{{1,3}}(?=_)", name)
    return frame_number(stem if further is None else further[0], name)


def frame_number(stem: str, name: str) -> int | None:
    """Return the number of a frame's file; None for the name of another file.

    Args:
        stem: What the names of the sequence start with.
        name: The name of a file.
    """
    digits = name.removeprefix(f"{stem}_").removesuffix(".png")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        return None
    number = int(digits)
    return number if frame_file(stem, number) == name else None


def frame_file(stem: str, number: int) -> str:
    """Return the name of a frame's file.

    Args:
        stem: What the names of the sequence start with.
        number: The scene frame, 0 or more.
    """
    return f"{stem}_{number:04d}.png"
