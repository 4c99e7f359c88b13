# SPDX-License-Identifier: GPL-3.0-or-later
"""The arrays in a track's file: their names and types in each version, read and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from draggan_blender.protocol.plain_arrays import PlainArraysError, array_names, read_arrays

from ..errors import RequestError, printable
from .track_layers import LAYER_ARRAYS

# Increase this with every change of the file. 1: the first version. 2: the rows of a bake. 3: the
# turns of a bake with regions; tracks without them are written as version 2. 4: masked layers;
# tracks without them are written as before.
FORMAT_VERSION = 4

# The name of each array in the file, and its type; those of all tracks, and those of bakes.
TRACK_ARRAYS = {
    "start": np.float32,
    "edited": np.float32,
    "numbers": np.int64,
    "handles_px": np.float32,
    "targets_px": np.float32,
    "losses": np.float32,
    "distances_px": np.float32,
}
_TEXTS = ("model_name", "model_sha256", "options", "status")
BAKED_ARRAYS = {
    "keys": np.uint8,
    "steps": np.int64,
    "statuses": np.uint8,
    "solved": np.float32,
    "solved_handles_px": np.float32,
}
_FIRST_VERSION = {*TRACK_ARRAYS, *_TEXTS, "format_version"}
_SECOND_VERSION = {*_FIRST_VERSION, *BAKED_ARRAYS, "first_number"}
_THIRD_VERSION = {*_SECOND_VERSION, "turns"}


class TrackError(RequestError):
    """The bytes are not a track that this version can read; the message says what is wrong."""


def check_arrays(owner: object, expected: dict[str, tuple[int, ...]]) -> None:
    """Check shapes, and that latents and points are finite.

    Losses and distances may have any values, because no frame depends on them.

    Args:
        owner: A ``Track`` or its ``BakedRows``.
        expected: The shape of each of its arrays, by its name.

    Raises:
        TrackError: A shape is another one, or a value is not finite.
    """
    for name, shape in expected.items():
        array = getattr(owner, name)
        if array.shape != shape:
            raise TrackError(f"the track's {name} has shape {array.shape}, not {shape}")
        if name not in ("losses", "distances_px") and not np.isfinite(array).all():
            raise TrackError(f"the track's {name} holds values that are not finite")


def read_track_arrays(data: bytes) -> dict[str, Any]:
    """Return the members of a track's file by name, with checked types and texts as ``str``.

    Raises:
        TrackError: The bytes are no such file, are damaged, or lack a member.
    """
    try:
        found = set(array_names(data))
        if found > set(LAYER_ARRAYS):
            found -= set(LAYER_ARRAYS)
        if found not in (_FIRST_VERSION, _SECOND_VERSION, _THIRD_VERSION):
            names = ", ".join(sorted(_SECOND_VERSION ^ found)[:5])
            raise TrackError(
                f"this is an archive, but not a track: missing or unexpected are {printable(names)}"
            )
        return {name: _checked(name, array) for name, array in read_arrays(data).items()}
    except PlainArraysError as error:
        raise TrackError(f"this is not a track file, or it is damaged: {error}") from None


def _checked(name: str, array: npt.NDArray[Any]) -> Any:
    kinds = {**TRACK_ARRAYS, **BAKED_ARRAYS, **LAYER_ARRAYS, "turns": np.float32}
    if name in kinds:
        if array.dtype != kinds[name]:
            raise TrackError(f"the track's {name} is {array.dtype}, not {kinds[name].__name__}")
        return array
    kind = "U" if name in _TEXTS else "i"
    if array.shape != () or array.dtype.kind != kind:
        expected = "text" if name in _TEXTS else "whole number"
        raise TrackError(
            f"the track's {name} is {array.dtype} of shape {array.shape}, expected one {expected}"
        )
    return str(array) if name in _TEXTS else int(array)
