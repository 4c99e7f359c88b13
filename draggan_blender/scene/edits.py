# SPDX-License-Identifier: GPL-3.0-or-later
"""The masked edits of an image: the list that a person sees, and the picture that it makes.

The latent of the image is the picture of the visible edits at their strengths, one after the other
in the order of the list, over the whole image, which sliders move (``sliders``). ``wanted``
computes it, and ``adopt`` does the reverse: it finds out which edits a drag has changed or added.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Sequence

import numpy as np

from .. import compat
from ..errors import EditError
from ..properties.edits import DRAGGAN_PG_edit
from ..properties.owners import Plane
from ..properties.stored import to_bytes, to_text, unpacked
from ..protocol.layering import Latent, Mask, MaskedChange, TooManyLayersError, mixed, separated
from . import edit_points, sliders

EDITS_PATH = "draggan.edits"

# Changes of latents that differ by less than this part of the larger one are equal.
_EQUAL = 1e-4
_FIELDS = ("key", "name", "visible", "strength", "softness", "mask", "change")


def wanted(plane: Plane, *, keyed: bool = False) -> bytes:
    """Return the picture that edits and sliders make, in the format of ``protocol.pictures``.

    Args:
        plane: A GAN image with a latent.
        keyed: Whether animated sliders count as they are at the current frame.

    Raises:
        EditError: The image, an edit or a slider cannot be read.
    """
    picture = pictures(plane, [strengths_of(plane.draggan.edits)])[0]
    return sliders.applied(plane, picture, sliders.wanted_settings(plane, keyed=keyed))


def pictures(plane: Plane, rows: Sequence[Sequence[float]]) -> list[bytes]:
    """Return the pictures that the edits make at other strengths, over the image as it is.

    Args:
        plane: A GAN image with a latent.
        rows: For each picture how much of each edit is shown, 0 for a hidden one.

    Raises:
        EditError: The image or an edit cannot be read, or too many masks lie over each other.
    """
    try:
        base, _ = separated(to_bytes(plane.draggan.latent), plane.draggan.w_dim)
        full = [_masked(plane, row) for row in plane.draggan.edits]
    except ValueError as error:
        raise EditError(f"The edits of {plane.name} cannot be read ({error})") from None
    try:
        return mixed(base, full, rows)
    except TooManyLayersError as error:
        text = str(error)
        raise EditError(f"{text[:1].upper()}{text[1:]}") from None


def strengths_of(rows: Sequence[DRAGGAN_PG_edit]) -> list[float]:
    """Return how much of each edit is shown, 0 for a hidden one."""
    return [float(row.strength) if row.visible else 0.0 for row in rows]


def signature(plane: Plane) -> str:
    """Return a text that names the shown edits with their strengths, in their order."""
    rows = plane.draggan.edits
    strengths = zip(rows, strengths_of(rows), strict=True)
    return " ".join(f"{row.key}:{strength:.6g}" for row, strength in strengths if strength > 0.0)


def is_shown(plane: Plane, *, keyed: bool = False) -> bool:
    """Return whether the image shows the edits and the sliders as they are in their lists.

    Args:
        plane: A GAN image.
        keyed: See ``wanted``.
    """
    is_same = bool(signature(plane) == plane.draggan.edits_shown)
    return is_same and sliders.is_shown(plane, keyed=keyed)


def show(plane: Plane, picture: bytes, shown: str) -> None:
    """Store a picture of the edits as the latent of the image.

    Args:
        plane: The GAN image.
        picture: The picture.
        shown: The ``signature`` of that time.
    """
    settings = plane.draggan
    settings.latent, settings.edits_shown = to_text(picture), shown
    settings.edits_changed = not is_shown(plane)


def open_for(plane: Plane, mask: bytes) -> None:
    """Move the edit with a mask to the end of the list, because a drag changes what is on top.

    Args:
        plane: A GAN image that shows its list.
        mask: What ``masks.at_frame`` has returned, for a drag with the softness of the image.

    Raises:
        EditError: The edit is shown at a strength of 0, or cannot be read.
    """
    settings = plane.draggan
    index = _index_of(plane, mask)
    if index is None:
        return
    row = settings.edits[index]
    if row.strength <= 0.0:
        raise EditError(
            f"{row.name} has a strength of 0 here, so a drag could not go on with it; raise its "
            "strength, or press New Edit"
        )
    if any(strengths_of(settings.edits)[index + 1 :]):
        active = settings.active_edit
        move(plane, index, len(settings.edits) - 1)
        settings.active_edit = len(settings.edits) - 1 if active == index else active
        show(plane, pictures(plane, [strengths_of(settings.edits)])[0], signature(plane))


def worked_on(plane: Plane, mask: bytes) -> DRAGGAN_PG_edit | None:
    """Return the visible edit with a mask and the softness of the image, or None."""
    index = _index_of(plane, mask)
    return None if index is None else plane.draggan.edits[index]


def _index_of(plane: Plane, mask: bytes) -> int | None:
    settings = plane.draggan
    drag = settings.drag
    if not mask or drag.mask_mode != "exact":
        return None
    for index in reversed(range(len(settings.edits))):
        row = settings.edits[index]
        if row.visible and row.softness == drag.softness and mask_of(plane, row) == mask:
            return index
    return None


def mask_of(plane: Plane, row: DRAGGAN_PG_edit) -> bytes:
    """Return the mask of an edit, as ``masks.at_frame`` returns that of an image.

    Raises:
        EditError: It is damaged.
    """
    width, height = plane.draggan.size
    try:
        return unpacked(row.mask, width * height)
    except ValueError as error:
        raise EditError(f"The mask of {row.name} cannot be read ({error})") from None


def adopt(plane: Plane, picture: bytes, mask: bytes = b"") -> bytes:
    """Store the picture of a drag as the latent of the image, and bring the list up to date.

    An edit that the drag has changed gets the strength 1, so that the image is what was dragged. If
    its strength is animated, its full change is made larger instead. An edit that the picture lacks
    is removed: the drag began in an image from before it. Hidden edits stay.

    Args:
        plane: The GAN image, whose latent is the one from before the drag.
        picture: In the format of ``protocol.pictures``.
        mask: The exact mask that the drag began with; empty if everything could change.

    Returns:
        The mask as the drag has ended with it: ``mask``, or a larger one, which the edit now has.

    Raises:
        EditError: The picture or an edit cannot be read.
    """
    settings = plane.draggan
    try:
        _, found = separated(picture, settings.w_dim)
        mask = _grow(plane, mask, found)
        known = {row.key: _masked(plane, row) for row in settings.edits}
    except ValueError as error:
        raise EditError(f"The edits of {plane.name} cannot be read ({error})") from None
    before, matched = _strengths_in(settings.edits_shown), set[int]()
    for change in found:
        row = next(
            (
                row
                for row in settings.edits
                if row.visible and row.key not in matched
                if known[row.key].has_place_of(change)
            ),
            None,
        )
        if row is None:
            row = _add(plane, change)
        else:
            _update(plane, row, known[row.key].change, change.change, before)
        matched.add(row.key)
    gone = before.keys() - matched
    for index in reversed(range(len(settings.edits))):
        if settings.edits[index].key in gone:
            _drop(plane, index)
    edit_points.release(plane, gone)
    show(plane, picture, signature(plane))
    return mask


def _grow(plane: Plane, mask: bytes, found: Sequence[MaskedChange]) -> bytes:
    """Give the edit of a drag the mask that the drag has ended with, and return that mask."""
    if not mask or not found or plane.draggan.drag.mask_mode != "exact":
        return mask
    # What was dragged is on top.
    last = found[-1].mask
    if not (last.ravel() >= np.frombuffer(mask, np.uint8)).all():
        return mask
    index = _index_of(plane, mask)
    if index is not None:
        plane.draggan.edits[index].mask = _stored_mask(last)
    return last.tobytes()


def clear(plane: Plane) -> None:
    """Forget all edits, for an image that has none."""
    settings = plane.draggan
    settings.edits.clear()
    settings.edits_shown, settings.edits_changed = "", False
    edit_points.release(plane)
    compat.remove_collection_curves(plane, EDITS_PATH)


def remove(plane: Plane, index: int) -> None:
    """Remove an edit from the list, with the animation of its strength and its pairs."""
    settings = plane.draggan
    key = settings.edits[index].key
    _drop(plane, index)
    edit_points.remove_pairs(plane, key)
    edit_points.release(plane, {key})
    settings.active_edit = max(0, min(index, len(settings.edits) - 1))


def move(plane: Plane, index: int, to: int) -> None:
    """Move an edit to another place in the list, with the animation of its strength."""
    settings = plane.draggan
    settings.edits.move(index, to)
    compat.move_item_curves(plane, EDITS_PATH, index, to)
    settings.active_edit = to
    plane.update_tag()


def to_stored(plane: Plane) -> str:
    """Return the list as a text for a state of the history; empty without edits."""
    settings = plane.draggan
    rows = [[getattr(row, name) for name in _FIELDS] for row in settings.edits]
    return json.dumps([settings.edits_shown, settings.worked_edit, rows]) if rows else ""


def with_names(plane: Plane, text: str) -> str:
    """Return the list of a state with the names that its edits have now."""
    if not text:
        return ""
    shown, worked, rows = json.loads(text)
    names = {row.key: row.name for row in plane.draggan.edits}
    at = _FIELDS.index("name")
    for values in rows:
        values[at] = names.get(values[_FIELDS.index("key")], values[at])
    return json.dumps([shown, worked, rows])


def from_stored(plane: Plane, text: str) -> None:
    """Replace the list by that of a state; the animation of strengths stays."""
    settings = plane.draggan
    shown, settings.worked_edit, rows = json.loads(text) if text else ("", 0, [])
    images = {row.key: row.image for row in settings.edits}
    settings.edits.clear()
    for values in rows:
        row = settings.edits.add()
        for name, value in zip(_FIELDS, values, strict=True):
            setattr(row, name, value)
        row.image = images.get(row.key)
    settings.edits_shown, settings.edits_changed = shown, False
    settings.active_edit = max(0, min(settings.active_edit, len(settings.edits) - 1))


def change_of(plane: Plane, row: DRAGGAN_PG_edit) -> Latent:
    """Return what an edit adds to the latent inside its mask, ``num_ws x w_dim`` float32.

    Raises:
        EditError: The edit cannot be read.
    """
    try:
        return _masked(plane, row).change
    except (ValueError, zlib.error) as error:
        raise EditError(f"The edit {row.name} cannot be read ({error})") from None


def _masked(plane: Plane, row: DRAGGAN_PG_edit) -> MaskedChange:
    width, height = plane.draggan.size
    levels = unpacked(row.mask, width * height)
    mask: Mask = np.frombuffer(levels, np.uint8).reshape(height, width)
    change = np.frombuffer(to_bytes(row.change), "<f4").reshape(-1, plane.draggan.w_dim)
    return MaskedChange(mask=mask, softness=row.softness, change=change.astype(np.float32))


def _strengths_in(shown: str) -> dict[int, float]:
    """Return the strengths of a ``signature`` by the keys of the edits."""
    parts = (part.partition(":") for part in shown.split())
    return {int(key): float(strength) for key, _, strength in parts}


def _add(plane: Plane, edit: MaskedChange) -> DRAGGAN_PG_edit:
    settings = plane.draggan
    names = {row.name for row in settings.edits}
    row: DRAGGAN_PG_edit = settings.edits.add()
    settings.last_edit_key += 1
    row.key = settings.last_edit_key
    row.name = next(name for n in itertools.count(1) if (name := f"Edit {n}") not in names)
    row.softness = edit.softness
    row.mask = _stored_mask(edit.mask)
    row.change = _text(edit.change)
    settings.active_edit = len(settings.edits) - 1
    plane.update_tag()
    return row


def _update(
    plane: Plane, row: DRAGGAN_PG_edit, full: Latent, seen: Latent, before: dict[int, float]
) -> None:
    """Change an edit if a picture shows something else of it than before.

    Args:
        plane: The GAN image.
        row: The edit.
        full: Its change at a strength of 1.
        seen: What the picture shows of it.
        before: The strengths before, by the keys of the edits.
    """
    strength = float(row.strength)
    for one in (before.get(row.key, strength), strength):
        if _is_equal(seen, full * np.float32(one)):
            return
    index = list(plane.draggan.edits).index(row)
    if strength > 0.0 and compat.is_animated(plane, f"{EDITS_PATH}[{index}].strength"):
        row.change = _text(seen / np.float32(strength))
        return
    row.change, row.strength = _text(seen), 1.0


def _is_equal(one: Latent, other: Latent) -> bool:
    largest = max(float(np.abs(one).max()), float(np.abs(other).max()), 1e-6)
    return float(np.abs(one - other).max()) <= _EQUAL * largest


def _stored_mask(mask: Mask) -> str:
    return to_text(zlib.compress(mask.tobytes(), 9))


def _text(change: Latent) -> str:
    return to_text(np.ascontiguousarray(change, dtype="<f4").tobytes())


def _drop(plane: Plane, index: int) -> None:
    plane.draggan.edits.remove(index)
    compat.remove_item_curves(plane, EDITS_PATH, index)
    plane.update_tag()
