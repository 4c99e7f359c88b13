# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole bake: an edit and a folder in, a track and its frames out, in two phases.

Solving goes along time and leaves a track; the frames are rendered from the track, all of them here
or parts of them by many workers.  Whatever ends a bake, doing the same again goes on where it was,
and what comes out is what would have come out at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from draggan_blender.protocol.atomic_files import write_atomically
from stylegan2 import fused_operators

from ..arrays import FloatArray
from ..inputs import device_of
from ..models import LoadedModel
from ..output.track import BakedRows, Track
from ..solving.result import STATUSES, DragStatus
from .animated_edit import AnimatedEdit
from .folder import BakeFolder
from .journal import Journal
from .row import SolvedRow
from .smoothing import frames_that_stay, smooth
from .solve import BakeReport, solve


@dataclass(frozen=True, kw_only=True)
class Baked:
    """What solving has given.

    Attributes:
        track: the rows, as they are in the folder.
        data: the bytes of its file.
        reached_count: rows whose handles have arrived.
        solved_count: rows that were not taken over.
        steps: made for these.
        seconds: of solving.
    """

    track: Track
    data: bytes
    reached_count: int
    solved_count: int
    steps: int
    seconds: float


class NothingSolvedError(Exception):
    """The bake was stopped before its first frame was solved: there is no result."""


def solve_into(
    folder: BakeFolder,
    edit: AnimatedEdit,
    edit_data: bytes,
    model: LoadedModel,
    report: BakeReport,
    *,
    row_count: int | None = None,
    earlier: BakeFolder | None = None,
    resume: bool = True,
) -> Baked:
    """Solve an edit; afterwards the folder has its edit, its track and no frame that is not of it.

    Args:
        edit_data: the bytes that the edit came from, for the edit's file.
        row_count: how many rows to solve, None for all; more that are there already stay.
        earlier: of another bake, whose rows and frames are taken over where they are the same.
        resume: whether the rows that are in the folder already are taken over.

    Raises:
        RequestError: the edit does not fit the model.
        OSError: a file cannot be read or written.
        NothingSolvedError: see there.
    """
    started = time.monotonic()
    shape = (model.generator.num_ws, model.generator.w_dim)
    points = len(edit.handles_px)
    keys = edit.keys(model.sha256)
    again = set() if resume else set(keys[:row_count])
    in_journal = _without(folder.journal_rows(shape, points), again)
    known = {} if earlier is None else earlier.rows(shape, points)
    known |= _without(folder.track_rows(shape, points), again) | in_journal
    ours = set(keys)
    in_journal = {key: row for key, row in in_journal.items() if key in ours}
    keys = _as_many_as_asked(keys, row_count, known)
    write_atomically(folder.edit_path, edit_data)
    with Journal(folder.journal_path, in_journal) as journal:
        steps: list[int] = []

        def on_row(index: int, row: SolvedRow, is_new: bool) -> None:
            if is_new:
                journal.append(keys[index], row)
                steps.append(row.steps)
            if report.on_row is not None:
                report.on_row(index, row, is_new)

        # Rows that were solved before must be what they would be now, to the last bit.
        fused_operators(device_of(model.generator), wait=True)
        rows = solve(model.generator, edit, keys, known, replace(report, on_row=on_row))
        if not rows:
            raise NothingSolvedError
        track = _track(edit, rows, keys, model)
        folder.remove_stale(track)
        data = track.to_bytes()
        write_atomically(folder.track_path, data)
        journal.remove()
    if earlier is not None:
        folder.take_frames(earlier, track)
    return Baked(
        track=track,
        data=data,
        reached_count=sum(row.status is DragStatus.REACHED for row in rows),
        solved_count=len(steps),
        steps=sum(steps),
        seconds=time.monotonic() - started,
    )


def _without(rows: dict[bytes, SolvedRow], keys: set[bytes]) -> dict[bytes, SolvedRow]:
    return {key: row for key, row in rows.items() if key not in keys}


def _as_many_as_asked(
    keys: list[bytes], row_count: int | None, known: Mapping[bytes, SolvedRow]
) -> list[bytes]:
    """The first keys, and those after them whose rows are there: they are not to get lost."""
    count = len(keys) if row_count is None else row_count
    while count < len(keys) and keys[count] in known:
        count += 1
    return keys[:count]


def _track(
    edit: AnimatedEdit,
    rows: list[SolvedRow],
    keys: list[bytes],
    model: LoadedModel,
) -> Track:
    """The rows as a track, smoothed if the edit wants it."""
    plain = Track.from_latents(
        np.stack([row.latent for row in rows]),
        model_name=model.path.name,
        model_sha256=model.sha256,
        first_number=edit.first_number,
        start=edit.latent,
    )
    handles_px = np.stack([row.handles_px for row in rows])
    edited, no_rows = plain.edited, slice(0, 0)
    smoothed = edited, handles_px
    if edit.smoothing > 0:
        smoothed = _smoothed(edited, handles_px, edit)
        no_rows = slice(None)
    baked = BakedRows(
        keys=np.frombuffer(b"".join(keys[: len(rows)]), np.uint8).reshape(-1, 32),
        steps=np.array([row.steps for row in rows], np.int64),
        statuses=np.array([STATUSES.index(row.status) for row in rows], np.uint8),
        solved=edited[no_rows],
        solved_handles_px=handles_px[no_rows],
    )
    return replace(
        plain,
        edited=smoothed[0],
        handles_px=smoothed[1],
        targets_px=edit.targets_px[len(rows) - 1],
        losses=np.array([row.loss for row in rows], np.float32),
        distances_px=np.array([row.distance_px for row in rows], np.float32),
        options=asdict(edit.inputs(0).options),
        status="done" if len(rows) == len(edit) else "stopped",
        baked=baked,
    )


def _smoothed(
    edited: FloatArray, handles_px: FloatArray, edit: AnimatedEdit
) -> tuple[FloatArray, FloatArray]:
    """Latents and handles, smoothed alike: where the latents stay, the handles do."""
    flat = edited.reshape(len(edited), -1)
    stay = frames_that_stay(flat, edit.poses)
    points = handles_px.reshape(len(edited), -1)
    return (
        smooth(flat, edit.smoothing, stay).reshape(edited.shape),
        smooth(points, edit.smoothing, stay).reshape(handles_px.shape),
    )
