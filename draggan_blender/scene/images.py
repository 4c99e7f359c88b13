# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plane's texture shows: a still or a sequence at rest, a live image during a drag.

What is shown *at rest* is stored in the .blend (``still``, ``sequence``), so that it can be
restored after an undo and in a reopened file. The live image is not stored in the .blend: Blender
neither saves nor undoes pixels that Python writes. It is on the texture node only while a drag or a
bake runs, or while a preview of a frame is shown.

All images are 8-bit sRGB, so that the Standard view transform shows the generator's colours
unchanged; ``colours`` says how they are kept under another one.
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
from . import channels, colours, material_use, planes, timing
from .frame_files import absolute, frame_path

# The custom property of an image that is another one in another space.
_COPY = "draggan_copy"


def show_rest(plane: Plane) -> None:
    """Put the plane's sequence on its texture nodes, or its still if there is no sequence.

    These are the node of the plane itself and those in other materials (``material_use``).
    """
    settings = plane.draggan
    sequence = settings.sequence
    image = _in_own_space(plane)
    for node, space in _nodes(plane):
        before = node.image
        node.image = _in_space(image, space)
        if sequence.image is None:
            timing.forget_place(node)
        else:
            timing.place(plane, node)
        _remove_unused_copy(before)
    channels.show(plane, image)


def _in_own_space(plane: Plane) -> bpy.types.Image | None:
    """Return the image of the plane at rest, read in the space that the plane wants.

    Copies of a plane show the same image. One that needs another space gets an image of its own.
    """
    settings, space = plane.draggan, colours.space_of(plane)
    owner, name = (settings, "still")
    if settings.sequence.image is not None:
        owner, name = (settings.sequence, "image")
    image: bpy.types.Image | None = getattr(owner, name)
    if image is not None and image.colorspace_settings.name != space:
        others = [other for other in planes.everywhere() if other != plane]
        if any(_at_rest(other) == image and colours.space_of(other) != space for other in others):
            image = image.copy()
            setattr(owner, name, image)
    colours.set_space(image, space)
    return image


def _at_rest(plane: Plane) -> bpy.types.Image | None:
    settings = plane.draggan
    image: bpy.types.Image | None = settings.sequence.image or settings.still
    return image


def match_colours(plane: Plane) -> None:
    """Read the images in the space that the plane wants now, after what it depends on has changed.

    A live image is in the right space from the next one on.
    """
    settings = plane.draggan
    if settings.dragging or settings.baking or settings.inverting or settings.previewing:
        remove_live(settings.uuid)
    show_rest(plane)


def refresh(plane: Plane) -> None:
    """Have the plane show the image of the current frame, after an undo; see ``timing.refresh``."""
    if plane.draggan.sequence.image is None:
        return
    try:
        for node in texture_nodes(plane):
            timing.refresh(node)
    except EditError:
        return  # the node was removed: there is nothing to refresh


def texture_nodes(plane: Plane) -> list[bpy.types.ShaderNodeTexImage]:
    """Return all nodes that show the plane's image: its own, and those in other materials."""
    return [node for node, _ in _nodes(plane)]


def copies(plane: Plane) -> list[bpy.types.Image]:
    """Return the copies of the plane's sequence that other materials show in another space."""
    image = plane.draggan.sequence.image
    shown = {node.image for node, _ in _nodes(plane) if node.image is not None}
    return [found for found in shown if found != image and found.get(_COPY)]


def show_still(plane: Plane, path: Path) -> str:
    """Make a PNG file the plane's still image, packed into the .blend so that it is never missing.

    The plane takes the aspect of the image; its sequence is forgotten.

    Returns:
        What has to be said about the plane's aspect; empty if it is right.

    Raises:
        EditError: The file cannot be read.
    """
    still = load(path)
    width, height = still.size
    still.name = plane.name
    still.pack()
    for channel, file in channels.files(path):
        further = load(file)
        further.pack()
        channels.keep(still, channel, further)
    settings = plane.draggan
    before, settings.still = settings.still, still
    clear_sequence(plane)
    is_fitting = planes.fit_to_size(plane, width, height)
    show_rest(plane)
    remove_unused(before)
    if is_fitting:
        return ""
    return (
        f"The image is {width} x {height}, and {plane.name} keeps its own shape, because its UVs "
        "are not flat; unwrap the plane flat, or make a new GAN image"
    )


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
    first = frame_path(folder, stem, first_frame)
    image = load(first)
    image.name = f"{plane.name} {kind.title()}"
    image.source = "SEQUENCE"
    for channel, file in channels.files(first, first.stem.removeprefix(stem)):
        further = load(file)
        further.source = "SEQUENCE"
        channels.keep(image, channel, further)
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
    image = sequence.image
    return absolute(bpy.path.abspath(image.filepath, library=image.library)).parent


def sequence_files(plane: Plane, numbers: Iterable[int], stem: str = "") -> list[Path]:
    """Return the files of the plane's sequence with these numbers, in the order of the numbers.

    Args:
        plane: The GAN image.
        numbers: The numbers.
        stem: What the names of the files start with; empty for those of the colours.

    Raises:
        EditError: A file is missing.
    """
    folder, stem = sequence_folder(plane), stem or plane.draggan.sequence.stem
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
    values = np.frombuffer(pixels, dtype=np.float32)
    written: set[str] = set()
    for node, space in _nodes(plane):
        live = _live(image_id, space, width, height)
        if space not in written:
            live_pixels: Any = live.pixels
            live_pixels.foreach_set(values)
            live.update()
            written.add(space)
        if node.image != live:
            _remove_unused_copy(node.image, users=1)
            node.image = live
    # Where nothing in the scene has changed, a view in Solid shading that has finished its
    # anti-aliasing would go on showing the image before.
    plane.update_tag()


def remove_live(image_id: str) -> None:
    """Remove the live images of the plane with this uuid, from the nodes that show them as well."""
    for image in list(bpy.data.images):
        if image.name.startswith(_live_name(image_id)):
            bpy.data.images.remove(image)


def _nodes(plane: Plane) -> list[tuple[bpy.types.ShaderNodeTexImage, str]]:
    """Return the nodes that show the image, and the space that each needs it in."""
    own = (planes.texture_node(plane), colours.space_of(plane))
    return [own, *((node, material_use.space_of(node)) for node in material_use.nodes(plane))]


def _live(image_id: str, space: str, width: int, height: int) -> bpy.types.Image:
    """Return the live image of a plane for a space; it is made if it is missing."""
    name = f"{_live_name(image_id)} {space}"
    live = bpy.data.images.get(name)
    if live is not None and tuple(live.size) != (width, height):
        bpy.data.images.remove(live)
        live = None
    if live is None:
        live = bpy.data.images.new(name, width, height, alpha=True)
        colours.set_space(live, space)
    return live


def _in_space(image: bpy.types.Image | None, space: str) -> bpy.types.Image | None:
    """Return an image in a space: itself, or a copy, because the space is one of the image's."""
    settings: Any = None if image is None else image.colorspace_settings
    if image is None or settings.name == space:
        return image
    name = f"{image.name} {space}"
    copy = bpy.data.images.get(name)
    if copy is None or not copy.get(_COPY) or copy.filepath != image.filepath:
        copy = image.copy()
        copy.name, copy[_COPY] = name, True
        colours.set_space(copy, space)
    return copy


def _remove_unused_copy(image: bpy.types.Image | None, users: int = 0) -> None:
    if image is not None and image.get(_COPY) and image.users <= users:
        bpy.data.images.remove(image)


def remove_unused(*candidates: bpy.types.Image | None) -> None:
    """Remove those of some images that nothing uses any more; the history's states use theirs."""
    for image in {found for found in candidates if found is not None}:
        if image.users == 0:
            further = channels.of(image).values()
            bpy.data.images.remove(image)
            remove_unused(*further)


def load(path: Path) -> bpy.types.Image:
    """Return a file of the engine as a new image, with a relative path if it is below the .blend.

    An image that was made of an earlier file at this path is another one.

    Raises:
        EditError: It cannot be read.
    """
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
