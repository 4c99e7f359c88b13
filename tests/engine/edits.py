# SPDX-License-Identifier: GPL-3.0-or-later
"""Small animated edits of the tiny generator, baked without a socket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from draggan_blender.protocol import encode
from draggan_blender.protocol.settings import DragSettings
from draggan_blender.protocol.timeline import Edit, SettingsFrom
from engine.arrays import FloatArray
from engine.baking.folder import BakeFolder
from engine.baking.run import Baked, solve_into
from engine.baking.solve import BakeReport
from engine.models import LoadedModel
from engine.output.frames import FrameNames
from engine.output.sequence import write_sequence
from engine.serving.edit_file import animated_edit

FIRST = 11
HOME = (12.5, 14.0)
QUICK = DragSettings(max_steps=6, tolerance_px=0.5)


def moves(*distances_px: float) -> bytes:
    """Return the targets of the handle at ``HOME``: per frame, a distance to the right of it."""
    points = [[(HOME[0] + distance, HOME[1])] for distance in distances_px]
    return np.array(points, dtype="<f4").tobytes()


def small_edit(latent: FloatArray, /, **changes: Any) -> Edit:
    """Return an edit of eight frames: 1.5 px to the right, a hold of four, and half of it back.

    Args:
        latent: The latent of every frame.
        **changes: Fields of the ``Edit`` to replace.
    """
    edit = Edit(
        model_name="tiny",
        model_sha256="",
        first_number=FIRST,
        latent=latent.astype("<f4").tobytes(),
        handles_px=(HOME,),
        targets_px=moves(0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.0, 0.75),
        settings=(SettingsFrom(number=FIRST, settings=QUICK),),
    )
    return replace(edit, **changes)


def folder_of(path: Path, stem: str = "bake") -> BakeFolder:
    """Return a bake folder for the frames of ``small_edit``."""
    return BakeFolder(FrameNames(path, stem, FIRST))


def bake(
    model: LoadedModel,
    edit: Edit,
    path: Path,
    *,
    report: BakeReport | None = None,
    frames: bool = True,
    **options: Any,
) -> Baked:
    """Solve an edit into a folder and write its frames, as a bake job does."""
    folder = folder_of(path)
    baked = solve_into(
        folder,
        animated_edit(edit, model),
        encode(edit),
        model,
        report or BakeReport(),
        **options,
    )
    if frames:
        track = baked.track
        rows = range(len(track))
        write_sequence(model.generator, track.picture, rows, folder.names, skip_existing=True)
    return baked


def contents(path: Path) -> dict[str, bytes]:
    """Return the bytes of every file in a folder, by name."""
    return {entry.name: entry.read_bytes() for entry in sorted(path.iterdir())}
