# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks that follow a pull: they grow along its way, so that nothing is cut off at their border."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.mask_room import Point, with_room
from . import edits, mask_images, masks


def follows(plane: Plane) -> bool:
    """Return whether the mask of a plane grows along pulls: it holds exactly, and can be changed.

    A mask that is an image sequence is as it is at every frame.
    """
    settings = plane.draggan
    if not settings.mask_follows or settings.drag.mask_mode != "exact":
        return False
    try:
        return mask_images.require_editable(plane) is not None
    except EditError:
        return False


def grown(
    plane: Plane,
    mask: bytes,
    ways: Iterable[tuple[Point, Point]],
    before: bytes = b"",
    *,
    in_advance: bool = False,
) -> bytes:
    """Return a mask together with the room that pairs need on their ways.

    Args:
        plane: The GAN image.
        mask: What ``masks.at_frame`` has returned; empty if everything may change.
        ways: The handle and the target of each pair, image pixels.
        before: A mask that had grown before, at no place less than ``mask``; empty if none had.
        in_advance: See ``protocol.mask_room.with_room``.

    Returns:
        ``height * width`` bytes, as ``mask``; empty if it is that, or ``before``.
    """
    if not mask:
        return b""
    width, height = plane.draggan.size
    levels = np.frombuffer(mask, np.uint8).reshape(height, width)
    found = with_room(levels, ways, in_advance=in_advance)
    if before:
        found = np.maximum(found, np.frombuffer(before, np.uint8).reshape(height, width))
    data = found.tobytes()
    return b"" if data == (before or mask) else data


def restore(plane: Plane) -> None:
    """Give the mask's image the mask of the edit that is worked on, without what it has grown by.

    Args:
        plane: A GAN image whose list of edits is that of another time.
    """
    settings = plane.draggan
    row = next((row for row in settings.edits if row.key == settings.worked_edit), None)
    if row is None or not follows(plane):
        return
    levels = edits.mask_of(plane, row)
    if masks.of_image(settings.mask, plane) != levels:
        _write(plane, levels, is_grown=False)


def store(plane: Plane, mask: bytes) -> None:
    """Write a mask that has grown into the mask's image; the caller pushes an undo step.

    Args:
        plane: A GAN image whose mask can be changed.
        mask: ``height * width`` bytes, at no place less than the mask's image.
    """
    _write(plane, mask, is_grown=True)


def _write(plane: Plane, mask: bytes, *, is_grown: bool) -> None:
    image = mask_images.require_editable(plane)
    if image is None:
        return
    width, height = plane.draggan.size
    levels: Any = np.frombuffer(mask, np.uint8).reshape(height, width)[::-1] / np.float32(255)
    columns, rows = image.size
    # A mask of another size than the image is read by its nearest pixels, and so it is written.
    y = ((np.arange(rows) + 0.5) * height / rows).astype(np.intp)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(np.intp)
    present = mask_images.levels_to_change(plane)
    wanted = levels[y][:, x].astype(np.float32)
    # The image may be larger than the mask, and finer where it has not grown.
    mask_images.write(plane, np.maximum(present, wanted) if is_grown else wanted, present)
