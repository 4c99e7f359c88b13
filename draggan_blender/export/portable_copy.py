# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the file for somebody who has neither this extension nor the folders of the sequences.

Blender cannot pack image sequences, so they are copied into a folder next to the copy and referred
to by relative paths. All other parts are plain Blender already: the material's standard nodes,
packed stills, F-curves, and for a retimed image a custom property with drivers, which can still be
animated. The properties of this extension stay in the copy, so that somebody who has the extension
can continue to work in it.
"""

from __future__ import annotations

import os
from pathlib import Path

import bpy

from ..errors import EditError, reason_of
from ..properties.owners import Plane
from ..scene import channels, images, planes
from ..scene.frame_files import all_of
from . import files as export_files


def bake_down(path: Path) -> Path:
    """Save a copy of the open file, with the sequences of all its GAN images next to it.

    The open file does not change.

    Args:
        path: The copy, a ``.blend``.

    Returns:
        The folder of the sequences: ``NAME_images`` next to ``NAME.blend``.

    Raises:
        EditError: ``path`` is the open file, a GAN image is being worked on or misses files, or
            something cannot be written.
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
    moved: list[tuple[bpy.types.Image, Path]] = []
    for plane in found:
        place = folder / plane.draggan.uuid[:8]
        for source in sources[plane.name]:
            export_files.copy_file(source, place / source.name)
        shown = plane.draggan.sequence.image
        for image in (shown, *channels.of(shown).values(), *images.copies(plane)):
            moved.append((image, place / Path(bpy.path.abspath(image.filepath)).name))
    moved += _copy_blended(folder)
    _save_copy(path, moved)
    return folder


def _copy_blended(folder: Path) -> list[tuple[bpy.types.Image, Path]]:
    """Copy the sequences of edits that were blended back onto pictures, and of their mattes.

    Args:
        folder: The folder of the sequences.

    Returns:
        The images that show them, each with the path that it has in the copy. A sequence whose
        files are gone is left out: the open file does not show it either.

    Raises:
        EditError: A file cannot be read or written.
    """
    moved = []
    for plane in planes.everywhere():
        place = folder / f"{plane.draggan.uuid[:8]}-blended"
        for image in (plane.draggan.own.blended, plane.draggan.own.matte):
            if image is None or image.source != "SEQUENCE" or image.library is not None:
                continue
            first = Path(bpy.path.abspath(image.filepath))
            sources = all_of(first)
            for source in sources:
                export_files.copy_file(source, place / source.name)
            if first in sources:
                moved.append((image, place / first.name))
    return moved


def _files(plane: Plane) -> list[Path]:
    """Return all files of a sequence that Blender may show, also the one for the frames before."""
    sequence = plane.draggan.sequence
    first = sequence.first_frame
    numbers = range(first - 1, first + sequence.frame_count)
    return [
        path
        for stem in channels.stems(sequence.image, sequence.stem)
        for path in images.sequence_files(plane, numbers, stem)
    ]


def _save_copy(path: Path, moved: list[tuple[bpy.types.Image, Path]]) -> None:
    """Save a copy of the open file in which some images have other paths."""
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
    """Return the path to set so that the copy has a path relative to itself.

    If a file is saved elsewhere, Blender adapts relative paths to the new folder and keeps absolute
    ones. In a file that was never saved it makes all paths relative.
    """
    if not bpy.data.filepath:
        return str(place)
    try:
        return str(bpy.path.relpath(os.fspath(place)))
    except ValueError:
        raise EditError(
            f"{place} is on another drive than the open file, so no relative path leads to it; "
            "save the copy on the same drive, then move it together with its folder"
        ) from None
