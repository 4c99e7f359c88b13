# SPDX-License-Identifier: GPL-3.0-or-later
"""``bake``: solve animated edits and write their frames, or only one of the two.

Solving goes from frame to frame and writes small files: the sampled edit and its track. Each frame
can then be rendered from the track independently. So on a farm one task solves (``--only solve``),
and then any number of tasks render (``--only frames --frames A-B``), all with the same ``--out``.
No task damages the work of another: a frame is written under a temporary name and then renamed,
and every task writes the same bytes for the same frame.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from ..connection import pump
from ..errors import EditError
from ..export import farm
from ..jobs import bake as bake_job
from ..jobs import bake_folder, folders, recovery, requests
from ..properties.owners import Plane
from ..protocol.messages import FrameTarget
from ..protocol.timeline import Bake, BakeFinished, Edit
from ..scene import handle_paths, images, models, points, sampling
from ..scene.frame_files import absolute
from . import frames as frame_ranges
from .rows import render_rows
from .running import Running, UsageError, add_common, add_model, add_save, model_of, named, save


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bake",
        help="solve animated edits and write their frames",
        description="Solve the animated edits of GAN images over a range of frames and write one "
        "image for each frame. Without --object: all GAN images whose edit is animated.",
    )
    parser.add_argument(
        "--object", metavar="NAME", action="append", default=[], help="a GAN image; repeatable"
    )
    parser.add_argument(
        "--frames",
        metavar="A-B",
        type=frame_ranges.parse,
        help="with --only frames the frames to write, otherwise the frames to solve, instead of "
        "each image's own range",
    )
    parser.add_argument(
        "--only",
        choices=("solve", "frames"),
        help="solve: write the track and no images; frames: write the images, from the track",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="the folder in which each image gets its own folder, the same for all tasks of a "
        "farm; default: the folders that Bake in the panel uses",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep what earlier runs have solved and written, if it is still valid",
    )
    add_model(parser)
    add_save(parser)
    add_common(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, running: Running) -> None:
    if options.only and options.save:
        raise UsageError("--save needs the whole bake; leave --only out")
    if options.only != "frames" and options.frames and len(options.frames) > 1:
        raise UsageError("frames are solved in order; give --frames as one range like 1-48")
    work = {None: _bake, "solve": _solve, "frames": _write_frames}[options.only]
    running.each(_chosen(options), lambda plane: work(plane, options, running))
    if options.save:
        save(options.save)


def _chosen(options: argparse.Namespace) -> list[Plane]:
    """Return the named images, or all that are animated (with ``--only frames``: solved).

    Raises:
        EditError: No image is animated or solved.
        UsageError: A name is unknown, or the file has no GAN image.
    """
    found = named(options.object)
    if options.object:
        return found
    if options.only == "frames":
        chosen = [plane for plane in found if solved_folder(plane, options.out) is not None]
        lacking = "none is solved; run the command with --only solve first"
    else:
        chosen = [
            plane
            for plane in found
            if any(pair.enabled for pair in plane.draggan.pairs) and sampling.is_animated(plane)
        ]
        lacking = "none has an animated edit; to bake one anyway, name it with --object"
    if not chosen:
        names = ", ".join(plane.name for plane in found)
        raise EditError(f"Of the GAN images ({names}) {lacking}")
    return chosen


def base_of(plane: Plane, out: str | None) -> Path | None:
    """Return the base folder of a farm's bakes of an image.

    Args:
        plane: The GAN image.
        out: The value of ``--out``, or None.

    Returns:
        ``out``, else the folder that the file was prepared for; None if there is neither.
    """
    return absolute(out) if out else farm.prepared_base(plane)


def solved_folder(plane: Plane, out: str | None) -> Path | None:
    """Return the folder with the solved bake of an image, or None.

    It is looked for in ``base_of``; without one it is the newest of the panel's folders.
    """
    base = base_of(plane, out)
    if base is None:
        return bake_folder.newest_solved(plane)
    folder = bake_folder.folder_of(plane, base)
    return folder if bake_folder.is_solved(folder) else None


def _bake(plane: Plane, options: argparse.Namespace, running: Running) -> dict[str, Any]:
    """Solve and render, and write the result into the scene, so that it can be saved."""
    sampled, request = _request(plane, options, write_frames=True)
    running.begin(sampled.first_number)
    handle_paths.begin(points.enabled_pairs(plane), plane)
    plane.draggan.baking = True
    requests.wait(requests.submit(plane, request, f"Bake {plane.name}"), math.inf)
    running.say_skipped(
        request.frames, range(sampled.first_number, sampled.first_number + sampled.frame_count)
    )
    running.say(f"{plane.name}: {plane.draggan.status}")
    return {
        "status": plane.draggan.status,
        "folder": str(images.sequence_folder(plane)),
        "first_frame": plane.draggan.sequence.first_frame,
        "frame_count": plane.draggan.sequence.frame_count,
    }


def _solve(plane: Plane, options: argparse.Namespace, running: Running) -> dict[str, Any]:
    sampled, request = _request(plane, options, write_frames=False)
    running.begin(sampled.first_number, counts_solved=True)
    finished = running.do(plane, request, f"Solve {plane.name}").get(BakeFinished)
    if finished is None:
        raise EditError(f"The engine ended the bake of {plane.name} without a result; see its log")
    first = sampled.first_number
    running.say_taken_over(range(first, first + finished.frame_count))
    running.say(
        f"{plane.name}: solved {finished.solved_count} of {finished.frame_count} frames in "
        f"{finished.steps} steps, {finished.seconds:.1f} s; the track is in {request.frames.folder}"
    )
    return {
        "status": finished.status,
        "folder": request.frames.folder,
        "first_frame": first,
        "frame_count": finished.frame_count,
        "solved_count": finished.solved_count,
        "reached_count": finished.reached_count,
        "steps": finished.steps,
        "seconds": finished.seconds,
    }


def _write_frames(plane: Plane, options: argparse.Namespace, running: Running) -> dict[str, Any]:
    folder = solved_folder(plane, options.out)
    if folder is None:
        base = base_of(plane, options.out)
        where = "yet" if base is None else f"in {bake_folder.folder_of(plane, base)}"
        raise EditError(
            f"There is no solved bake of {plane.name} {where}; run the command with --only solve "
            "first"
        )
    folders.allow(folder)
    track = bake_folder.read_track(folder)
    frames = bake_folder.frames_of(track, folder)
    return render_rows(
        plane,
        running,
        model_path=model_of(plane, options, models.model_path),
        model_sha256=plane.draggan.model_sha256,
        track=track,
        frames=frames,
        target=FrameTarget(
            folder=str(folder), stem=folders.stem_of(plane), first_number=frames.start
        ),
        wanted=options.frames,
        skip_existing=options.resume,
    )


def _request(plane: Plane, options: argparse.Namespace, *, write_frames: bool) -> tuple[Edit, Bake]:
    """Return the present edit, and the request to bake it into the chosen folder."""
    recovery.require_ready(plane)
    span = options.frames[0] if options.frames else bake_job.frames_of(plane)
    sampled = bake_job.make_edit(plane, span)
    data = bake_job.encoded(sampled)
    folder, earlier = _folders(plane, options, sampled, data)
    request = Bake(
        request_id=pump.new_request_id(),
        model_path=model_of(plane, options, models.model_path),
        model_sha256=plane.draggan.model_sha256,
        edit=data,
        frames=FrameTarget(
            folder=str(folder), stem=folders.stem_of(plane), first_number=sampled.first_number
        ),
        earlier_folder="" if earlier is None else str(earlier),
        write_frames=write_frames,
        previews=False,
    )
    return sampled, request


def _folders(
    plane: Plane, options: argparse.Namespace, sampled: Edit, data: bytes
) -> tuple[Path, Path | None]:
    """Return the folder to bake into, and a folder whose rows and files may be taken over."""
    base = base_of(plane, options.out)
    if base is None:
        if options.resume:
            return bake_folder.folders_for(plane, sampled, data)
        return folders.new_bake(plane), None
    folder = bake_folder.make_folder(plane, base)
    if not options.resume:
        bake_folder.forget_solved(folder)
        return folder, None
    found = bake_folder.newest_solved(plane)
    return folder, found if found != folder else None
