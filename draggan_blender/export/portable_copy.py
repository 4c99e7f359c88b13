# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the file for somebody who has neither this extension nor our folders.

Blender cannot pack image sequences, so that they go into a folder beside the copy, named by paths
relative to it. Everything else that shows them is plain Blender already: the material's standard
nodes, packed stills, F-curves, and for a retimed image a custom property with drivers, which stays
animatable there. What this extension stores stays in the copy, too, so that who has it goes on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy

from ..errors import EditError, reason_of
from ..properties.owners import Plane
from ..scene import images, planes
from . import files as export_files


def bake_down(path: Path) -> Path:
    """Save a copy of the open file, with the sequences of all its GAN images beside it.

    The open file stays as it is.

    Args:
        path: of the copy, a ``.blend``.

    Returns:
        The folder of the sequences: ``NAME_images`` beside ``NAME.blend``.

    Raises:
        EditError: a GAN image is being worked on or misses files, or something cannot be written.
    """
    path = path.absolute()
    if bpy.data.filepath and path == Path(bpy.data.filepath):
        raise EditError("This is the open file itself; choose another name for the copy")
    folder = path.with_name(f"{path.stem}_images")
    found = [plane for plane in planes.everywhere() if plane.draggan.sequence.image is not None]
    for plane in found:
        if plane.draggan.request_id:
            raise EditError(f"{plane.name} is being worked on; wait, or press Stop")
    sources = {plane.name: _files(plane) for plane in found}
    moved: list[tuple[Any, Path]] = []
    for plane in found:
        place = folder / plane.draggan.uuid[:8]
        for source in sources[plane.name]:
            export_files.copy_file(source, place / source.name)
        image = plane.draggan.sequence.image
        moved.append((image, place / Path(bpy.path.abspath(image.filepath)).name))
    _save_copy(path, moved)
    return folder


def _files(plane: Plane) -> list[Path]:
    """All that Blender may show of a sequence, the hold before its start included."""
    sequence = plane.draggan.sequence
    first = sequence.first_frame
    return images.sequence_files(plane, range(first - 1, first + sequence.frame_count))


def _save_copy(path: Path, moved: list[tuple[Any, Path]]) -> None:
    """Save a copy in which some images are elsewhere."""
    before = [(image, image.filepath) for image, _ in moved]
    try:
        for image, place in moved:
            image.filepath = _as_saved(place)
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, relative_remap=True)
    except RuntimeError as error:
        raise EditError(
            f"{path} cannot be written: {reason_of(error)}; choose another place"
        ) from None
    finally:
        for image, filepath in before:
            image.filepath = filepath


def _as_saved(place: Path) -> str:
    """A path that the copy will have relative to itself.

    Saving elsewhere, Blender turns relative paths over to the new place, and leaves the others;
    in a file that was never saved it makes all of them relative.
    """
    if not bpy.data.filepath:
        return str(place)
    try:
        return str(bpy.path.relpath(os.fspath(place)))
    except ValueError:
        raise EditError(
            f"{place} is on another drive than the open file, and no path leads there from it; "
            "save the copy on the same drive, and move it with its folder then"
        ) from None
