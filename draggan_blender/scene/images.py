# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plane's texture shows: a still or a sequence at rest, a live image during a drag.

What is shown *at rest* is stored in the .blend (``still``, ``sequence``), so that it can be
restored after an undo and in a reopened file. The live image is not stored in the .blend: Blender
neither saves nor undoes pixels that Python writes. It is on the texture node only while a drag or a
bake runs, or while a preview of a frame is shown.

All images are 8-bit sRGB, so that the Standard view transform shows the generator's colours
unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..errors import EditError
from ..properties.bake import DRAGGAN_PG_sequence
from ..properties.owners import Plane
from . import planes, timing
from .frame_files import frame_path


def show_rest(plane: Plane) -> None:
    """Put the plane's sequence on the texture node, or its still if there is no sequence."""
    settings, node = plane.draggan, planes.texture_node(plane)
    sequence = settings.sequence
    if sequence.image is None:
        timing.forget_place(node)
        node.image = settings.still
        return
    node.image = sequence.image
    timing.place(plane)


def show_still(plane: Plane, path: Path) -> None:
    """Make a PNG file the plane's still image, packed into the .blend so that it is never missing.

    The plane takes the size of the image; its sequence is forgotten.

    Raises:
        EditError: The file cannot be read.
    """
    still = _load(path)
    width, height = still.size
    still.name = plane.name
    still.pack()
    settings = plane.draggan
    before, settings.still = settings.still, still
    clear_sequence(plane)
    planes.fit_to_size(plane, width, height)
    show_rest(plane)
    remove_unused(before)


def show_sequence(
    plane: Plane, folder: Path, stem: str, first_frame: int, frame_count: int, kind: str = "DRAG"
) -> None:
    """Make a sequence of files the plane's image, mapped onto the timeline by its files' numbers.

    Args:
        plane: The GAN image.
        folder: The folder of the files.
        stem: What the files' names start with, as in ``stem_0001.png``.
        first_frame: The scene frame of the first image. One more file, numbered
            ``first_frame - 1``, is shown at all frames before it.
        frame_count: How many frames the sequence has, not counting that file.
        kind: What made it: ``DRAG``, ``BAKE`` or ``LATENTS``.

    Raises:
        EditError: The first file cannot be read.
    """
    image = _load(frame_path(folder, stem, first_frame))
    image.name = f"{plane.name} {kind.title()}"
    image.source = "SEQUENCE"
    sequence = plane.draggan.sequence
    before, sequence.image = sequence.image, image
    sequence.stem, sequence.kind = stem, kind
    sequence.first_frame, sequence.frame_count = first_frame, frame_count
    show_rest(plane)
    remove_unused(before)
    if kind != "BAKE":
        _forget_covered(plane)


def shows_bake(plane: Plane) -> bool:
    """Return whether the plane's sequence is a bake."""
    sequence = plane.draggan.sequence
    return sequence.image is not None and sequence.kind == "BAKE"


def clear_sequence(plane: Plane) -> None:
    """Forget the sequence and the one that a bake has replaced; their files stay."""
    sequence = plane.draggan.sequence
    before, sequence.image = sequence.image, None
    sequence.kind = "DRAG"
    sequence.first_frame = sequence.frame_count = 0
    show_rest(plane)
    remove_unused(before)
    _forget_covered(plane)


def cover(plane: Plane) -> None:
    """Store the sequence and its track in the bake's settings, before a bake replaces them."""
    settings = plane.draggan
    copy_sequence(settings.sequence, settings.bake.under)
    settings.bake.under_track = settings.track


def uncover(plane: Plane) -> None:
    """Show the sequence again that the bake has replaced."""
    settings = plane.draggan
    before = settings.sequence.image
    copy_sequence(settings.bake.under, settings.sequence)
    show_rest(plane)
    remove_unused(before)
    _forget_covered(plane)


def copy_sequence(sequence: DRAGGAN_PG_sequence, into: DRAGGAN_PG_sequence) -> None:
    """Copy the properties of a sequence; its files are not copied."""
    for name in ("image", "kind", "stem", "first_frame", "frame_count"):
        setattr(into, name, getattr(sequence, name))


def sequence_folder(plane: Plane) -> Path:
    """Return the folder of the plane's sequence, which may be missing on the disk."""
    return folder_of(plane.draggan.sequence)


def folder_of(sequence: DRAGGAN_PG_sequence) -> Path:
    """Return the folder of a sequence's files, which may be missing on the disk."""
    return Path(bpy.path.abspath(sequence.image.filepath)).parent


def sequence_files(plane: Plane, numbers: Iterable[int]) -> list[Path]:
    """Return the files of the plane's sequence with these numbers, in the order of the numbers.

    Raises:
        EditError: A file is missing.
    """
    folder, stem = sequence_folder(plane), plane.draggan.sequence.stem
    present = {path.name for path in folder.glob(f"{stem}_*.png")}
    files = [frame_path(folder, stem, number) for number in numbers]
    for path in files:
        if path.name not in present:
            raise EditError(f"The image {path} is missing; press Restore Images, then repeat this")
    return files


def show_preview(plane: Plane, width: int, height: int, pixels: bytes) -> None:
    """Show one image of a running drag or bake, or of a previewed frame.

    Args:
        plane: The GAN image.
        width: The width of the image in pixels.
        height: Its height.
        pixels: ``height x width x 4`` float32, RGBA in [0, 1], bottom row first.
    """
    image_id = plane.draggan.uuid
    live = bpy.data.images.get(_live_name(image_id))
    if live is None or tuple(live.size) != (width, height):
        remove_live(image_id)
        live = bpy.data.images.new(_live_name(image_id), width, height, alpha=True)
    live_pixels: Any = live.pixels
    live_pixels.foreach_set(np.frombuffer(pixels, dtype=np.float32))
    live.update()
    node = planes.texture_node(plane)
    if node.image != live:
        node.image = live


def remove_live(image_id: str) -> None:
    """Remove the live image of the plane with this uuid, from the nodes that show it as well."""
    live = bpy.data.images.get(_live_name(image_id))
    if live is not None:
        bpy.data.images.remove(live)


def remove_unused(*candidates: bpy.types.Image | None) -> None:
    """Remove those of some images that nothing uses any more; the history's states use theirs."""
    for image in {found for found in candidates if found is not None}:
        if image.users == 0:
            bpy.data.images.remove(image)


def _load(path: Path) -> bpy.types.Image:
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError:
        image = None
    if image is None or not image.size[0]:
        if image is not None:
            bpy.data.images.remove(image)
        raise EditError(f"The image {path} of the engine cannot be read; render it again")
    if bpy.data.filepath:
        # On Windows, no relative path leads to another drive.
        same_drive = Path(bpy.data.filepath).drive.lower() == path.drive.lower()
        is_below = path.is_relative_to(Path(bpy.data.filepath).parent)
        if same_drive and is_below:
            image.filepath = bpy.path.relpath(os.fspath(path))
    return image


def _forget_covered(plane: Plane) -> None:
    bake = plane.draggan.bake
    before, bake.under.image, bake.under_track = bake.under.image, None, ""
    remove_unused(before)


def _live_name(image_id: str) -> str:
    return f".{planes.NAME} Live {image_id[:8]}"
