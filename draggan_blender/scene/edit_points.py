# SPDX-License-Identifier: GPL-3.0-or-later
"""Which edit of an image is worked on: its mask is the image's mask, and its pairs are shown.

Each pair belongs to an edit, or to the next new one (key 0). The pairs of other edits *rest*: they
are hidden and switched off, and are as they were before when their edit is worked on again.
"""

from __future__ import annotations

import numpy as np

from ..errors import EditError
from ..properties.edits import DRAGGAN_PG_edit
from ..properties.owners import Plane
from ..properties.pair import DRAGGAN_PG_pair
from ..properties.stored import unpacked
from . import mask_images, masks, points


def begin_new(plane: Plane) -> None:
    """Begin a new edit: with an empty mask, in which nothing may change, and without pairs.

    Args:
        plane: A GAN image with a size.
    """
    width, height = plane.draggan.size
    mask_images.create(plane, np.zeros((height, width), dtype=np.float32))
    work_on(plane, 0)


def begin(plane: Plane, row: DRAGGAN_PG_edit) -> None:
    """Work on an edit of the list: the next drag goes on with it.

    Args:
        plane: The GAN image.
        row: One of ``plane.draggan.edits``.

    Raises:
        EditError: The mask of the edit is damaged.
    """
    settings = plane.draggan
    width, height = settings.size
    try:
        levels = np.frombuffer(unpacked(row.mask, width * height), np.uint8)
        rows = levels.reshape(height, width)
    except ValueError as error:
        raise EditError(f"The mask of {row.name} cannot be read ({error})") from None
    if not _has_mask(plane, row, rows.tobytes()):
        image = mask_images.create(plane, np.flipud(rows).astype(np.float32) / 255.0)
        image.name = f"{plane.name} {row.name} Mask"
        row.image = image
    settings.mask = row.image
    settings.drag.mask_mode, settings.drag.softness = "exact", row.softness
    row.visible = True
    work_on(plane, row.key)


def work_on(plane: Plane, key: int) -> None:
    """Show the pairs of one edit, and let all others rest.

    Args:
        plane: The GAN image.
        key: The key of the edit; 0 for the next new one.
    """
    plane.draggan.worked_edit = key
    for pair in plane.draggan.pairs:
        rests = pair.edit != key
        if rests and not pair.rests:
            pair.was_enabled, pair.enabled = pair.enabled, False
        elif pair.rests and not rests:
            pair.enabled = pair.was_enabled
        pair.rests = rests
        hide(pair)
    shown = (i for i, pair in enumerate(plane.draggan.pairs) if not pair.rests)
    if points.active_pair(plane) is None:
        plane.draggan.active_pair = next(shown, 0)
    plane.update_tag()


def hide(pair: DRAGGAN_PG_pair) -> None:
    """Hide the empties of a pair that rests, or show them."""
    for point in points.points_of(pair):
        point.hide_viewport = pair.rests


def take_pairs(plane: Plane, key: int) -> None:
    """Give the pairs of a drag to the edit that it has changed, and work on that edit.

    The pairs of a new edit are those of the drag and those that were put beside them.

    Args:
        plane: The GAN image; ``slot`` of its pairs is that of the drag.
        key: The key of the edit.
    """
    for pair in plane.draggan.pairs:
        if not pair.rests and (pair.slot >= 0 or not pair.edit):
            pair.edit = key
    work_on(plane, key)


def release(plane: Plane, keys: set[int] | None = None) -> None:
    """Let pairs belong to the next new edit, because their edits were given up.

    Args:
        plane: The GAN image.
        keys: The keys of the edits; None for all.
    """
    settings = plane.draggan
    for pair in settings.pairs:
        if keys is None or pair.edit in keys:
            pair.edit = 0
    if keys is None or settings.worked_edit in keys:
        work_on(plane, 0)
    else:
        work_on(plane, settings.worked_edit)


def remove_pairs(plane: Plane, key: int) -> None:
    """Remove the pairs of an edit."""
    pairs = plane.draggan.pairs
    for index in reversed(range(len(pairs))):
        if pairs[index].edit == key:
            points.remove_pair(plane, index)


def _has_mask(plane: Plane, row: DRAGGAN_PG_edit, levels: bytes) -> bool:
    """Return whether the image of an edit's mask still has the levels of the edit."""
    if row.image is None or row.image.source not in ("FILE", "GENERATED"):
        return False
    try:
        return masks.of_image(row.image, plane) == levels
    except EditError:
        return False
