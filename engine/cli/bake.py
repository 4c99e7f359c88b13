# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands ``bake`` and ``render``, which a render farm can run with files alone.

Solving is one task. The frames can be divided among any number of tasks, each of which needs the
model and either the edit file and its solved folder, or the track.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..baking.animated_edit import AnimatedEdit
from ..baking.folder import BakeFolder
from ..baking.row import SolvedRow
from ..baking.run import solve_into
from ..baking.solve import BakeReport
from ..errors import RequestError
from ..inputs import check_latent, device_of
from ..machine.operators import start_operators
from ..models import LoadedModel
from ..output.frames import FrameNames
from ..output.sequence import write_sequence
from ..output.track import Track
from ..serving.edit_file import animated_edit, decode_edit, read_edit_file
from .output import Output


def bake(parsed: argparse.Namespace, model: LoadedModel, output: Output) -> None:
    """Solve an edit file, render its frames, or both.

    Raises:
        RequestError: The edit cannot be solved, or some of the frames are not in the track.
        OSError: A file cannot be read or written.
    """
    data = read_edit_file(parsed.edit)
    edit = animated_edit(decode_edit(data, parsed.edit.name), model)
    first_number = edit.first_number
    wanted = _wanted(parsed, first_number, len(edit))
    names = FrameNames(parsed.out, parsed.stem, first_number, model.generator.img_shape[0])
    folder = BakeFolder(names)
    if parsed.only != "frames":
        _solve(parsed, edit, data, folder, model, output, wanted)
    if parsed.only != "solve":
        track = _solved_track(edit, folder, model)
        _write(track, wanted, names, parsed.resume, model, output)


def render(parsed: argparse.Namespace, model: LoadedModel, output: Output) -> None:
    """Render frames of a track file.

    Raises:
        RequestError: The file is not a track, is of another model, or lacks some of the frames.
        OSError: A file cannot be read or written.
    """
    track = Track.load(parsed.track)
    model.require(track.model_sha256)
    check_latent(model.generator, track.start)
    given = parsed.first_number
    first_number = track.first_number if given is None else given
    names = FrameNames(parsed.out, parsed.stem, first_number, model.generator.img_shape[0])
    wanted = _wanted(parsed, first_number, len(track))
    _write(track, wanted, names, parsed.resume, model, output)


def _wanted(parsed: argparse.Namespace, first: int, count: int) -> range:
    """Return the rows of the frames that were asked for; the last ones may not exist.

    Raises:
        RequestError: The first of the frames does not exist.
    """
    begin, end = parsed.frames or (first, first + count - 1)
    last = first + count - 1
    if begin < first or begin > last:
        raise RequestError(
            f"frames {begin}-{end} were asked for, but there are only {first}-{last}; "
            "choose from these"
        )
    return range(begin - first, end - first + 1)


def _solve(
    parsed: argparse.Namespace,
    edit: AnimatedEdit,
    data: bytes,
    folder: BakeFolder,
    model: LoadedModel,
    output: Output,
    wanted: range,
) -> None:
    def on_row(row: int, solved: SolvedRow, is_new: bool) -> None:
        output.count(row + 1)
        if is_new:
            output.solved(edit.first_number + row, solved.steps, solved.distance_px)

    earlier = None
    if parsed.earlier is not None:
        earlier = BakeFolder(replace(folder.names, folder=parsed.earlier))
    start_operators(device_of(model.generator))
    baked = solve_into(
        folder,
        edit,
        data,
        model,
        BakeReport(on_row=on_row),
        row_count=min(wanted.stop, len(edit)),
        earlier=earlier,
        resume=parsed.resume,
    )
    rows = len(baked.track)
    output.finished(
        f"{baked.solved_count} of {rows} frames solved in {baked.seconds:.1f} s, {baked.steps} "
        f"steps; the handles reached their targets in {baked.reached_count}",
        phase="solve",
        frames=rows,
        solved=baked.solved_count,
        reached=baked.reached_count,
        steps=baked.steps,
        seconds=round(baked.seconds, 3),
        track=str(folder.track_path.absolute()),
    )


def _solved_track(edit: AnimatedEdit, folder: BakeFolder, model: LoadedModel) -> Track:
    """Return the track in the folder, which must belong to the edit.

    Raises:
        RequestError: The folder has no track, or the track of another edit.
    """
    track = folder.track()
    where = f"in {folder.names.folder}"
    if track is None:
        raise RequestError(f"there is no track {where}; solve the edit first, with --only solve")
    keys = b"".join(edit.keys(model.sha256)[: len(track)])
    if track.baked is None or track.baked.keys.tobytes() != keys:
        raise RequestError(
            f"the track {where} belongs to another edit; solve this edit with --only solve"
        )
    return track


def _write(
    track: Track,
    wanted: range,
    names: FrameNames,
    skip_existing: bool,
    model: LoadedModel,
    output: Output,
) -> None:
    """Render those of the wanted rows that the track has.

    Raises:
        RequestError: The track does not have all of them; the others are written.
        OSError: A file cannot be written; files before it stay.
    """
    rows = range(wanted.start, min(wanted.stop, len(track)))
    output.begin_frames()
    if rows:
        write_sequence(
            model.generator,
            track.picture,
            rows,
            names,
            skip_existing=skip_existing,
            keep=True,
            on_written=output.saved,
            on_rendered=output.count,
        )
    if wanted.stop > len(track):
        begin = names.first_number + max(wanted.start, len(track))
        end = names.first_number + wanted.stop - 1
        raise RequestError(
            f"frames {begin}-{end} are not in the track, which ends at frame "
            f"{names.first_number + len(track) - 1}; solve them first, if the edit has them"
        )
    output.finished(
        f"{len(rows)} frames are in {Path(names.folder).absolute()}",
        phase="frames",
        frames=len(rows),
        folder=str(Path(names.folder).absolute()),
    )
