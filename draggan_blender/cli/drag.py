# SPDX-License-Identifier: GPL-3.0-or-later
"""``drag``: move the handles of a GAN image to their targets."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import bpy

from ..jobs import drag as drag_job
from ..jobs import requests
from ..properties.owners import Plane
from ..scene import images, planes
from ..scene.frame_files import absolute
from .running import (
    DONE,
    HANDLE_LOST,
    Running,
    UsageError,
    add_common,
    add_model,
    add_save,
    named,
    save,
)


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "drag",
        help="drag the pairs of a GAN image",
        description="Move the handles of a GAN image to the places of their targets at one frame, "
        "and write the way there as a sequence of images.",
        epilog="The exit code is 5 if the drag has ended and its images are written, but a handle "
        "was lost: what it marked was not found again. Standard error names its pair.",
    )
    parser.add_argument(
        "--object", metavar="NAME", default="", help="the GAN image, if the file has several"
    )
    parser.add_argument(
        "--frame", type=int, help="the scene frame to start from; default: the current frame"
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="the folder in which a folder for the sequence is made; default: as in the panel",
    )
    add_model(parser)
    add_save(parser)
    add_common(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, running: Running) -> None:
    found = named([options.object] if options.object else [])
    if len(found) > 1:
        names = ", ".join(plane.name for plane in found)
        raise UsageError(f"the file has several GAN images, choose one with --object: {names}")
    running.each(found, lambda plane: _drag(plane, options, running))
    if options.save and running.exit_code() in (DONE, HANDLE_LOST):
        save(options.save)


def _drag(plane: Plane, options: argparse.Namespace, running: Running) -> dict[str, Any]:
    settings = plane.draggan
    source, folder = settings.source, settings.folder
    if options.out:
        settings.folder = str(absolute(options.out))
    kind, path = source.kind, source.path
    if options.model:
        source.kind, source.path = "FILE", str(Path(options.model).absolute())
    if options.frame is not None:
        planes.scene_of(plane).frame_set(options.frame)
    running.begin(max(planes.scene_of(plane).frame_current, 1))
    try:
        request_id = drag_job.start_drag(
            bpy.context, plane, previews=False, may_begin_earlier=False
        )
        requests.wait(request_id, math.inf)
    finally:
        # The file that is saved keeps its own paths, which differ from those on this machine.
        source.kind, source.path, settings.folder = kind, path, folder
    running.say(f"{plane.name}: {settings.status}")
    lost = [pair.name for pair in settings.pairs if pair.slot >= 0 and pair.state == "LOST"]
    if lost:
        running.lose(_lost_sentence(plane, lost))
    return {
        "status": settings.status,
        "lost": lost,
        "folder": str(images.sequence_folder(plane)),
        "first_frame": settings.sequence.first_frame,
        "frame_count": settings.sequence.frame_count,
    }


def _lost_sentence(plane: Plane, lost: list[str]) -> str:
    if len(lost) == 1:
        what, where = f"{lost[0]} was", "its target"
    else:
        what, where = f"{', '.join(lost[:-1])} and {lost[-1]} were", "their targets"
    return (
        f"{plane.name}: {what} lost: what was under the handle at the start was not found again; "
        f"drag in smaller moves, with {where} closer"
    )
