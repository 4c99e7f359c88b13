# SPDX-License-Identifier: GPL-3.0-or-later
"""``render``: write sequences again from the tracks that the file stores, without solving."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import EditError
from ..jobs import bake_folder, folders
from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..protocol.messages import FrameTarget
from ..scene import images, models
from ..scene.frame_files import absolute
from . import frames as frame_ranges
from .rows import render_rows
from .running import Running, UsageError, add_common, add_model, model_of, named


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "render",
        help="write sequences again from the tracks in the file",
        description="Render the sequences of GAN images again from the tracks that the file "
        "stores, without solving: for a machine that has no copy of the images. Without "
        "--object: all GAN images that have a sequence.",
    )
    parser.add_argument(
        "--object", metavar="NAME", action="append", default=[], help="a GAN image; repeatable"
    )
    parser.add_argument(
        "--frames", metavar="A-B", type=frame_ranges.parse, help="only these scene frames"
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="the folder in which each image gets its own folder; default: where the file looks "
        "for the images",
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip the frames whose files exist already"
    )
    add_model(parser)
    add_common(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, running: Running) -> None:
    found = named(options.object)
    chosen = found if options.object else [plane for plane in found if _has_track(plane)]
    if not chosen:
        raise UsageError("no GAN image of the file has a sequence; drag or bake first")
    running.each(chosen, lambda plane: _render(plane, options, running))


def _has_track(plane: Plane) -> bool:
    return plane.draggan.sequence.image is not None and bool(plane.draggan.track)


def _render(plane: Plane, options: argparse.Namespace, running: Running) -> dict[str, Any]:
    settings, sequence = plane.draggan, plane.draggan.sequence
    if not _has_track(plane):
        raise EditError(f"{plane.name} has no track in the file; drag or bake it first")
    if options.out:
        folder = bake_folder.make_folder(plane, absolute(options.out))
    else:
        folder = images.sequence_folder(plane)
        if not folders.usable(folder):
            raise EditError(
                f"{folder} cannot be written on this machine; choose another folder with --out"
            )
    return render_rows(
        plane,
        running,
        model_path=model_of(plane, options, models.model_path),
        model_sha256=settings.model_sha256,
        track=to_bytes(settings.track),
        frames=range(sequence.first_frame, sequence.first_frame + sequence.frame_count),
        target=FrameTarget(
            folder=str(folder), stem=sequence.stem, first_number=sequence.first_frame
        ),
        wanted=options.frames,
        skip_existing=options.resume,
    )
