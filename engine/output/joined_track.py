# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins the tracks of two drags, of which the second continues the sequence of the first."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from ..arrays import FloatArray
from ..errors import RequestError
from .track import Track, parts_of


def rows_before(track: Track, count: int) -> list[int]:
    """Return the rows of a track that come before a drag; the last row is repeated if needed.

    Args:
        track: The track of the sequence that the drag continues.
        count: How many images come before the drag.
    """
    return [min(index, len(track) - 1) for index in range(count)]


def joined_track(
    earlier: Track,
    count: int,
    later: Track,
    earlier_keys: Sequence[Hashable],
    later_keys: Sequence[Hashable],
) -> Track:
    """Return one track of the first images of a sequence and of the drag that continues it.

    The handles of the result are those of the drag, and then the handles that only the earlier
    sequence has; these stay where they are when the drag begins. A handle that only the drag has
    is where it begins, in the images before.

    Args:
        earlier: The track of the sequence that is continued.
        count: How many images come before the drag.
        later: The track of the drag.
        earlier_keys: The key of each handle of ``earlier``; 0 for a handle that is left out.
        later_keys: The key of each handle of ``later``.

    Returns:
        A track of ``count + len(later)`` rows. Fields that do not belong to rows are those of
        ``later``.

    Raises:
        RequestError: The tracks are those of different models, there is not a key for each handle,
            or the result is over the limits of a track.
    """
    if earlier.model_sha256 != later.model_sha256 or earlier.start.shape != later.start.shape:
        raise RequestError("the sequence that is continued was made with another model")
    if len(earlier_keys) != len(earlier.targets_px) or len(later_keys) != len(later.targets_px):
        raise RequestError("the handles of the sequence that is continued do not match its track")
    rows = rows_before(earlier, count)
    pictures = [earlier.picture(row) for row in rows]
    pictures += [later.picture(row) for row in range(len(later))]
    start, edited, layers = parts_of(pictures, earlier.start)
    columns = {key: column for column, key in enumerate(earlier_keys) if key}
    before = [
        earlier.handles_px[rows, columns[key]]
        if key in columns
        else np.repeat(later.handles_px[:1, column], count, axis=0)
        for column, key in enumerate(later_keys)
    ]
    handles_px = np.concatenate([_table(before, count), later.handles_px])
    left = [column for key, column in columns.items() if key not in later_keys]
    shown = min(count, len(earlier) - 1)
    stay = [*rows, *[shown] * len(later)]
    joined = replace(
        later,
        start=start,
        edited=edited,
        layers=layers,
        numbers=np.arange(len(pictures), dtype=np.int64),
        handles_px=np.concatenate([handles_px, earlier.handles_px[stay][:, left]], axis=1),
        targets_px=np.concatenate([later.targets_px, earlier.targets_px[left]]),
        losses=np.concatenate([earlier.losses[rows], later.losses]),
        distances_px=np.concatenate([earlier.distances_px[rows], later.distances_px]),
    )
    joined.check()
    return joined


def _table(columns: Sequence[FloatArray], count: int) -> FloatArray:
    """Return ``count x P x 2`` of P columns of ``count x 2``."""
    return np.stack(columns, axis=1) if columns else np.empty((count, 0, 2), np.float32)
