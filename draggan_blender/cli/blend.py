# SPDX-License-Identifier: GPL-3.0-or-later
"""``blend``: put the edits of GAN images back onto their pictures."""

from __future__ import annotations

import argparse
import math
import shutil
from pathlib import Path
from typing import Any

import bpy

from ..errors import EditError
from ..jobs import own_picture, requests
from ..jobs.bake_folder import folder_of
from ..properties.owners import Plane
from ..scene.frame_files import frame_path
from .running import DONE, Running, UsageError, add_common, add_save, named, save


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "blend",
        help="put the edits of images from pictures back onto the pictures",
        description="Put what the edits have changed onto the picture that a GAN image was made "
        "from, in its full size: one image, or a sequence if there is one. Without --object: all "
        "GAN images that were made from a picture.",
    )
    parser.add_argument(
        "--object", metavar="NAME", action="append", default=[], help="a GAN image; repeatable"
    )
    parser.add_argument(
        "--matte",
        action="store_true",
        help="also make a grey image of how far each pixel was changed",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="a folder to copy the images to, in one for each object"
    )
    add_save(parser)
    add_common(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, running: Running) -> None:
    chosen = [plane for plane in named(options.object) if options.object or _has_picture(plane)]
    if not chosen:
        raise UsageError("no GAN image of the file was made from a picture; use invert")
    running.each(chosen, lambda plane: _blend(plane, options, running))
    if options.save and running.exit_code() == DONE:
        save(options.save)


def _has_picture(plane: Plane) -> bool:
    return plane.draggan.own.picture is not None


def _blend(plane: Plane, options: argparse.Namespace, running: Running) -> dict[str, Any]:
    settings, own = plane.draggan, plane.draggan.own
    if not _has_picture(plane):
        raise EditError(f"{plane.name} was not made from a picture")
    running.begin(settings.sequence.first_frame if settings.sequence.image else 1)
    matte = own.with_matte or options.matte
    requests.wait(own_picture.blend_back(plane, matte=matte), math.inf)
    running.say(f"{plane.name}: {settings.status}")
    entry: dict[str, Any] = {"status": settings.status, "blended": own.blended.name}
    if own.matte is not None:
        entry["matte"] = own.matte.name
    if options.out:
        entry["files"] = _copied(plane, folder_of(plane, Path(options.out).absolute()))
    return entry


def _copied(plane: Plane, folder: Path) -> list[str]:
    """Copy the files of the images, and return the paths of the copies.

    Raises:
        EditError: One cannot be copied.
    """
    sequence, own = plane.draggan.sequence, plane.draggan.own
    copies = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for image in (own.blended, own.matte):
            if image is None:
                continue
            path = Path(bpy.path.abspath(image.filepath))
            paths = [path]
            if image.source == "SEQUENCE":
                first, stem = sequence.first_frame, path.stem.rpartition("_")[0]
                numbers = range(first, first + sequence.frame_count)
                paths = [frame_path(path.parent, stem, number) for number in numbers]
            copies += [str(shutil.copy2(one, folder / one.name)) for one in paths]
    except OSError as error:
        raise EditError(f"The images cannot be copied to {folder}: {error.strerror}") from None
    return copies
