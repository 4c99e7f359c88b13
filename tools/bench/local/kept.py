# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the ends of drags as files, so that they can be shown, and measured again, without solving.

An end depends on the drag, the row and the model, but not on the measures: a new measure costs no
new drags.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from draggan_blender.protocol.atomic_files import replacing
from engine.arrays import ByteArray

from ..rows import Outcome


@dataclass(frozen=True)
class Kept:
    """The start and the end of a drag.

    Attributes:
        before: ``H x W x 3`` uint8, the picture that it began with.
        after: The same for the picture that it ended with.
        outcome: How it ended.
    """

    before: ByteArray
    after: ByteArray
    outcome: Outcome


def save_end(path: Path, kept: Kept) -> None:
    """Write a file ``.npz``; its folder must exist."""
    outcome = kept.outcome
    handles = np.zeros((0, 2)) if outcome.handles_px is None else outcome.handles_px
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            before=kept.before,
            after=kept.after,
            latent=outcome.latent,
            handles_px=handles.astype(np.float32),
            numbers=np.array([outcome.reached, outcome.steps, outcome.seconds], dtype=np.float64),
        )


def load_end(path: Path) -> Kept | None:
    """Return the contents of a file of ``save_end``; None if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as found:
            reached, steps, seconds = found["numbers"].tolist()
            handles = found["handles_px"]
            outcome = Outcome(
                found["latent"],
                bool(reached),
                int(steps),
                seconds,
                handles if len(handles) else None,
            )
            return Kept(found["before"], found["after"], outcome)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None
