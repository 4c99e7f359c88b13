# SPDX-License-Identifier: GPL-3.0-or-later
"""Solves an edit into the folder of a bake, and continues a bake that was interrupted.

A bake has two phases. Solving goes through the frames in order and writes a track. The frames are
then rendered from the track (``output.sequence``), all in one process or parts of them by many
workers. However a bake ends, running it again continues where it was, and gives the same files as
a bake that was never interrupted.
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
from ..solving.regions import angle_and_scale
from ..solving.result import STATUSES, DragStatus
from .animated_edit import AnimatedEdit
from .folder import BakeFolder
from .journal import Journal
from .poses import joined, split
from .row import SolvedRow
from .smoothing import frames_that_stay, smooth
from .solve import BakeReport, solve


@dataclass(frozen=True, kw_only=True)
class Baked:
    """The result of solving a bake.

    Attributes:
        track: The track, as it is in the folder.
        data: The bytes of the track's file.
        reached_count: How many rows have all handles at their targets.
        solved_count: How many rows were solved and not reused.
        steps: How many steps were made for the rows that were solved.
        seconds: The time that solving took.
        turns: ``T x P x 2`` float32, the angles (radians, counter-clockwise as a person sees the
            image, without jumps of a full turn) and scales of regions, smoothed as the track; None
            if the edit has no regions.
    """

    track: Track
    data: bytes
    reached_count: int
    solved_count: int
    steps: int
    seconds: float
    turns: FloatArray | None = None


class NothingSolvedError(Exception):
    """The bake was stopped before its first frame was solved, and has no result."""


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
    """Solve an edit, and write its file and its track into a folder.

    Frames in the folder that do not belong to the new track are removed; none is rendered.

    Args:
        folder: The folder to write to.
        edit: The edit.
        edit_data: The bytes that the edit was decoded from, for the edit's file.
        model: The model of the edit.
        report: The callbacks.
        row_count: How many rows to solve, None for all. Rows right after them that were solved
            before are kept.
        earlier: The folder of another bake whose rows and frames are reused where they are the
            same, or None.
        resume: Whether rows that were solved into this folder before are reused.

    Raises:
        RequestError: The edit does not fit the model.
        OSError: A file cannot be read or written.
        NothingSolvedError: The bake was stopped before its first row was solved.
    """
    started = time.monotonic()
    shape = (model.generator.num_ws, model.generator.w_dim)
    points, has_regions = len(edit.handles_px), edit.has_regions
    keys = edit.keys(model.sha256)
    again = set() if resume else set(keys[:row_count])
    in_journal = _without(folder.journal_rows(shape, points, has_regions=has_regions), again)
    in_track = folder.track_rows(shape, points, has_regions=has_regions)
    known = {} if earlier is None else earlier.rows(shape, points, has_regions=has_regions)
    known |= _without(in_track, again) | in_journal
    ours = set(keys)
    in_journal = {key: row for key, row in in_journal.items() if key in ours}
    keys = _keys_to_solve(keys, row_count, known)
    write_atomically(folder.edit_path, edit_data)
    with Journal(folder.journal_path, in_journal) as journal:
        steps: list[int] = []

        def on_row(index: int, row: SolvedRow, is_new: bool) -> None:
            if is_new:
                journal.append(keys[index], row)
                steps.append(row.steps)
            if report.on_row is not None:
                report.on_row(index, row, is_new)

        # A row must be the same to the last bit whenever it is solved, so wait for the operators.
        fused_operators(device_of(model.generator), wait=True)
        rows = solve(model.generator, edit, keys, known, replace(report, on_row=on_row))
        if not rows:
            raise NothingSolvedError
        track, turns = _track(edit, rows, keys, model)
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
        turns=turns,
    )


def _without(rows: dict[bytes, SolvedRow], keys: set[bytes]) -> dict[bytes, SolvedRow]:
    return {key: row for key, row in rows.items() if key not in keys}


def _keys_to_solve(
    keys: list[bytes], row_count: int | None, known: Mapping[bytes, SolvedRow]
) -> list[bytes]:
    """Return the first keys, and those right after them whose rows are known and must be kept."""
    count = len(keys) if row_count is None else row_count
    while count < len(keys) and keys[count] in known:
        count += 1
    return keys[:count]


def _track(
    edit: AnimatedEdit,
    rows: list[SolvedRow],
    keys: list[bytes],
    model: LoadedModel,
) -> tuple[Track, FloatArray | None]:
    """Return the rows as a track and their turns, both smoothed if the edit asks for it."""
    opened = [edit.inputs(row).opened for row in range(len(rows))]
    solved = np.stack([row.latent for row in rows])
    handles_px = np.stack([row.handles_px for row in rows])
    solved_turns = turns = np.stack([row.turns for row in rows])
    smoothed, smoothed_px = solved, handles_px
    if edit.smoothing > 0:
        points = joined(handles_px, turns, edit.radii_px)
        changed = np.flatnonzero((solved != edit.latent).any(axis=(0, 2)))
        count = int(changed[-1]) + 1 if len(changed) else 0
        edited, points = _smoothed(solved[:, :count], points, edit)
        smoothed = np.concatenate([edited, solved[:, count:]], axis=1)
        smoothed_px, turns = split(points, edit.radii_px)
    plain = Track.from_pictures(
        [one.at(latent) for one, latent in zip(opened, smoothed, strict=True)],
        model_name=model.path.name,
        model_sha256=model.sha256,
        first_number=edit.first_number,
        start=edit.latent,
        solved=solved,
    )
    # With layers, the latents of the whole image are not those that were solved for.
    is_apart = edit.smoothing > 0 or plain.layers is not None
    apart = slice(None) if is_apart else slice(0, 0)
    baked = BakedRows(
        keys=np.frombuffer(b"".join(keys[: len(rows)]), np.uint8).reshape(-1, 32),
        steps=np.array([row.steps for row in rows], np.int64),
        statuses=np.array([STATUSES.index(row.status) for row in rows], np.uint8),
        solved=solved[apart, : plain.edited.shape[1]],
        solved_handles_px=handles_px[apart],
        turns=solved_turns,
    )
    track = replace(
        plain,
        handles_px=smoothed_px,
        targets_px=edit.targets_px[len(rows) - 1],
        losses=np.array([row.loss for row in rows], np.float32),
        distances_px=np.array([row.distance_px for row in rows], np.float32),
        options=asdict(edit.inputs(0).options),
        status="done" if len(rows) == len(edit) else "stopped",
        baked=baked,
    )
    return track, _unwrapped(turns) if edit.has_regions else None


def _unwrapped(turns: FloatArray) -> FloatArray:
    """Return the angles and scales of ``z``, ``T x P x 2``, with no jumps between rows."""
    found = angle_and_scale(turns)
    found[..., 0] = np.unwrap(found[..., 0], axis=0)
    return found


def _smoothed(
    edited: FloatArray, points_px: FloatArray, edit: AnimatedEdit
) -> tuple[FloatArray, FloatArray]:
    """Return the latents and the points of poses, smoothed with the same rows kept."""
    flat = edited.reshape(len(edited), -1)
    stay = frames_that_stay(flat, edit.poses)
    points = points_px.reshape(len(edited), -1)
    return (
        smooth(flat, edit.smoothing, stay).reshape(edited.shape),
        smooth(points, edit.smoothing, stay).reshape(points_px.shape),
    )
