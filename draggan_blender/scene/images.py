# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plane's texture shows: at rest a still or a sequence, during a drag a live image.

*At rest* is a property of the .blend (``still``, ``sequence``), so that undo and a reopened file
can always find back to it. The live image is none of the .blend's business: pixels that Python
writes are in no undo step and in no file, so it is only ever on the node while a drag runs.

All are 8-bit sRGB, which keeps the generator's colours as they are under the Standard view
transform.
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
    """Put on the plane what it shows while no drag runs."""
    settings, node = plane.draggan, planes.texture_node(plane)
    sequence = settings.sequence
    if sequence.image is None:
        timing.forget_place(node)
        node.image = settings.still
        return
    node.image = sequence.image
    timing.place(plane)


def show_still(plane: Plane, path: Path) -> None:
    """Take a PNG as the plane's image, packed into the .blend so that it is never missing.

    Raises:
        EditError: the file cannot be read.
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
    _remove_unused(before)


def show_sequence(
    plane: Plane, folder: Path, stem: str, first_frame: int, frame_count: int, kind: str = "DRAG"
) -> None:
    """Take a sequence as the plane's image, mapped onto the timeline by its files' numbers.

    Args:
        plane: a GAN image.
        folder, stem: of the files ``stem_0001.png``, numbered by scene frame.
        first_frame: the number of the first; one more, numbered ``first_frame - 1``, stands for
            all frames before.
        frame_count: how many frames the sequence has, the hold before it not counted.
        kind: what it came from, as ``DRAGGAN_PG_sequence`` has it.

    Raises:
        EditError: the file cannot be read.
    """
    image = _load(frame_path(folder, stem, first_frame))
    image.name = f"{plane.name} {kind.title()}"
    image.source = "SEQUENCE"
    sequence = plane.draggan.sequence
    before, sequence.image = sequence.image, image
    sequence.stem, sequence.kind = stem, kind
    sequence.first_frame, sequence.frame_count = first_frame, frame_count
    show_rest(plane)
    _remove_unused(before)
    if kind != "BAKE":
        _forget_covered(plane)


def shows_bake(plane: Plane) -> bool:
    """Return whether the plane's sequence is a bake."""
    sequence = plane.draggan.sequence
    return sequence.image is not None and sequence.kind == "BAKE"


def clear_sequence(plane: Plane) -> None:
    """Forget the sequence; its files stay where they are."""
    sequence = plane.draggan.sequence
    before, sequence.image = sequence.image, None
    sequence.kind = "DRAG"
    sequence.first_frame = sequence.frame_count = 0
    show_rest(plane)
    _remove_unused(before)
    _forget_covered(plane)


def cover(plane: Plane) -> None:
    """Remember the sequence and its track: a bake is about to be shown in its place."""
    settings = plane.draggan
    _copy(settings.sequence, settings.bake.under)
    settings.bake.under_track = settings.track


def uncover(plane: Plane) -> None:
    """Show the sequence again that the bake has covered."""
    settings = plane.draggan
    before = settings.sequence.image
    _copy(settings.bake.under, settings.sequence)
    show_rest(plane)
    _remove_unused(before)
    _forget_covered(plane)


def sequence_folder(plane: Plane) -> Path:
    """Where the files of the plane's sequence are, whether they exist or not."""
    return Path(bpy.path.abspath(plane.draggan.sequence.image.filepath)).parent


def sequence_files(plane: Plane, numbers: Iterable[int]) -> list[Path]:
    """The files of the plane's sequence with these numbers, in their order.

    Raises:
        EditError: one is missing.
    """
    folder, stem = sequence_folder(plane), plane.draggan.sequence.stem
    present = {path.name for path in folder.glob(f"{stem}_*.png")}
    files = [frame_path(folder, stem, number) for number in numbers]
    for path in files:
        if path.name not in present:
            raise EditError(f"The image {path} is missing; press Restore Images, then repeat this")
    return files


def show_preview(plane: Plane, width: int, height: int, pixels: bytes) -> None:
    """Show one image of a running drag.

    Args:
        plane: a GAN image.
        width, height: its size.
        pixels: float32 RGBA in [0, 1], bottom row first.
    """
    image_id = plane.draggan.uuid
    live = bpy.data.images.get(_live_name(image_id))
    if live is None or tuple(live.size) != (width, height):
        remove_live(image_id)
        live = bpy.data.images.new(_live_name(image_id), width, height, alpha=True)
    target: Any = live.pixels
    target.foreach_set(np.frombuffer(pixels, dtype=np.float32))
    live.update()
    node = planes.texture_node(plane)
    if node.image != live:
        node.image = live


def remove_live(image_id: str) -> None:
    """Remove the live image of the plane with this uuid, wherever it is shown."""
    live = bpy.data.images.get(_live_name(image_id))
    if live is not None:
        bpy.data.images.remove(live)


def _load(path: Path) -> bpy.types.Image:
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError:
        image = None
    if image is None or not image.size[0]:
        if image is not None:
            bpy.data.images.remove(image)
        raise EditError(f"The engine's image {path} cannot be read; render it again")
    if bpy.data.filepath:
        # On another drive, as Windows has them, a path cannot be relative.
        same_drive = Path(bpy.data.filepath).drive.lower() == path.drive.lower()
        beside = path.is_relative_to(Path(bpy.data.filepath).parent)
        if same_drive and beside:
            image.filepath = bpy.path.relpath(os.fspath(path))
    return image


def _copy(sequence: DRAGGAN_PG_sequence, into: Any) -> None:
    for name in ("image", "kind", "stem", "first_frame", "frame_count"):
        setattr(into, name, getattr(sequence, name))


def _forget_covered(plane: Plane) -> None:
    bake = plane.draggan.bake
    before, bake.under.image, bake.under_track = bake.under.image, None, ""
    _remove_unused(before)


def _live_name(image_id: str) -> str:
    return f".{planes.NAME} Live {image_id[:8]}"


def _remove_unused(image: bpy.types.Image | None) -> None:
    if image is not None and image.users == 0:
        bpy.data.images.remove(image)
