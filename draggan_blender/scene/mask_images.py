# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a mask that is painted or filled: making it, writing its pixels, keeping them.

Blender's undo does not contain pixels that Python writes. So ``write`` does one of two things:

- Outside of texture painting, it packs the pixels into the .blend and changes ``mask_step`` of the
  plane, both of which an undo step contains. What was painted before and is not in the .blend is
  remembered here, by ``mask_step``.
- In texture painting, an undo step contains nothing but what Blender's own operators have done to
  pixels, with the image as they leave it. So ``write`` calls *Invert Channels* twice, for the alpha
  channel, which masks do not use, and writes the pixels in between. These are two undo steps before
  the one that the operator pushes; ``ui.mask_watch`` steps over them. The first has pixels of its
  own. The second is recognised by an undo or a redo that has not changed the pixels, because it
  went from the last step to this one or the other way.
"""

from __future__ import annotations

import hashlib
import uuid
import zlib
from typing import Any, NamedTuple

import bpy
import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.mask_levels import mask_levels
from . import planes
from .mask_shapes import Mask


class _Change(NamedTuple):
    """A change of a mask outside of texture painting, with compressed levels.

    A plane can have a mask for each of its edits; ``image`` is the session uid of the changed one.
    """

    image: int
    previous: str
    before: bytes
    after: bytes


# ``mask_step`` -> the change that has made it, the newest last; Blender has at most 256 undo steps.
_changes: dict[str, _Change] = {}
_MOST_CHANGES = 256

# Digests of the pixels in undo steps of texture painting, by a plane's uuid: those at which no undo
# should stop, and the results of operations. They are valid as long as Blender runs.
_inner: dict[str, set[bytes]] = {}
_results: dict[str, set[bytes]] = {}
# The digest of an operation's first step in texture painting -> the compressed levels before it.
_begun: dict[bytes, bytes] = {}
# A plane's uuid -> the levels before the last operation in texture painting.
_painted: dict[str, Mask] = {}
# Whether the last undo or redo has stopped at one of the steps that should be stepped over.
_has_stopped_between = False


class _Held(NamedTuple):
    """A mask before an undo or a redo; ``image`` is the session uid of its image."""

    image: int
    step: str
    is_painting: bool
    is_inner: bool
    pixels: Any


# A plane's uuid -> its mask before the undo or redo that is running.
_held: dict[str, _Held] = {}


def create(plane: Plane, levels: Mask | None = None) -> bpy.types.Image:
    """Make a mask of the image's size, packed into the .blend, and use it for the plane.

    Args:
        plane: A GAN image with a size.
        levels: ``H x W`` in [0, 1]; white, so that everything may change, if None.
    """
    width, height = plane.draggan.size
    image = bpy.data.images.new(f"{plane.name} Mask", width, height, alpha=False)
    image.colorspace_settings.name = "Non-Color"
    pixels = np.ones((height, width, 4), dtype=np.float32)
    if levels is not None:
        pixels[:, :, :3] = levels[:, :, None]
    _set_pixels(image, pixels)
    image.pack()
    plane.draggan.mask = image
    return image


def require_editable(plane: Plane) -> bpy.types.Image | None:
    """Return the mask of a plane if its pixels can be changed, or None if the plane has no mask.

    Raises:
        EditError: The mask is not a single image, is linked, or has no pixels.
    """
    mask: bpy.types.Image | None = plane.draggan.mask
    if mask is None:
        return None
    if mask.source not in ("FILE", "GENERATED"):
        raise EditError(
            f"The mask {mask.name} is not a single image; paint its files elsewhere, or remove it "
            "in the Mask panel to start a new mask"
        )
    if mask.library is not None:
        raise EditError(
            f"The mask {mask.name} is linked from another file; make it local, or remove it in the "
            "Mask panel"
        )
    if not all(mask.size) or mask.channels != 4:
        raise EditError(
            f"The mask {mask.name} has no pixels that can be painted; reload its file, or remove "
            "it in the Mask panel"
        )
    return mask


def levels(image: bpy.types.Image) -> Mask:
    """Return how much may change, ``H x W`` in [0, 1], bottom row first; painted pixels count."""
    return mask_levels(_pixels(image))


def levels_to_change(plane: Plane) -> Mask:
    """Return the levels of a plane's mask that an operation begins with; see ``levels``.

    Blender's redo panel (*Adjust Last Operation*) goes back by one step, which in texture painting
    still has the result of the operation.
    """
    found = levels(plane.draggan.mask)
    before = _painted.get(plane.draggan.uuid)
    if not (_has_stopped_between and _is_painting()) or before is None:
        return found
    _inner.setdefault(plane.draggan.uuid, set()).add(_digest(_pixels(plane.draggan.mask)))
    return before


def write(plane: Plane, wanted: Mask, before: Mask) -> None:
    """Change the pixels of a plane's mask; the caller then pushes an undo step.

    Args:
        plane: A plane with a mask that ``require_editable`` returned.
        wanted: ``H x W`` of the mask's size.
        before: What ``levels_to_change`` has returned.
    """
    global _has_stopped_between
    _has_stopped_between = False
    settings = plane.draggan
    if _is_painting():
        _painted[settings.uuid] = before
        _write_steps(settings.uuid, settings.mask, wanted)
        return
    show(settings.mask, wanted)
    settings.mask.pack()
    step = uuid.uuid4().hex
    mask = settings.mask
    _changes[step] = _Change(
        mask.session_uid, settings.mask_step, _compressed(before), _compressed(levels(mask))
    )
    settings.mask_step = step
    if len(_changes) > _MOST_CHANGES:
        del _changes[next(iter(_changes))]


def note_pixels(plane: Plane) -> None:
    """Tell Blender's undo which pixels a mask has when painting starts.

    A stroke takes the pixels around it from the steps of pixels before it, which may lack what was
    written since.
    """
    if plane.draggan.mask_step in _changes:
        _write_steps(plane.draggan.uuid, plane.draggan.mask, levels(plane.draggan.mask))


def _write_steps(image_id: str, image: bpy.types.Image, wanted: Mask) -> None:
    """Write pixels as two undo steps of texture painting."""
    inner, before = _inner.setdefault(image_id, set()), _compressed(levels(image))
    _invert_alpha(image)
    first = _digest(_pixels(image))
    inner.add(first)
    _begun[first] = before
    show(image, wanted)
    _invert_alpha(image)
    result = _digest(_pixels(image))
    inner.discard(result)
    _results.setdefault(image_id, set()).add(result)


def show(image: bpy.types.Image, wanted: Mask) -> None:
    """Change the pixels of a mask without a step of Blender's undo; ``write`` makes one later.

    Args:
        image: A mask that ``require_editable`` returned.
        wanted: ``H x W`` of the image's size.
    """
    pixels = _pixels(image)
    pixels[:, :, :3] = wanted[:, :, None]
    _set_pixels(image, pixels)


def has_stopped_between() -> bool:
    """Return whether the last undo or redo has stopped at one of the steps to step over."""
    return _has_stopped_between


def _is_painting() -> bool:
    active = bpy.context.view_layer.objects.active
    return active is not None and active.mode == "TEXTURE_PAINT"


def _is_inner(plane: Plane) -> bool:
    digests = _inner.get(plane.draggan.uuid, set())
    return bool(digests) and _digest(_pixels(plane.draggan.mask)) in digests


def _is_between(plane: Plane, held: _Held | None, undo: bool) -> bool:
    """Return whether an undo or redo should go on, by a mask before it and now."""
    if held is None or not (held.is_painting or _is_painting()):
        return False
    if _is_inner(plane):
        return True
    if not (held.is_painting and _is_painting()):
        return False
    found = _pixels(plane.draggan.mask)
    is_result = _digest(found) in _results.get(plane.draggan.uuid, set())
    return is_result and np.array_equal(held.pixels, found) == undo


def keep(image: bpy.types.Image | None) -> None:
    """Pack the changed pixels of a mask into the .blend, which Blender does not do on saving.

    Without a change, Blender 4.3 would drop what is packed.
    """
    if image is None or image.library is not None or image.source not in ("FILE", "GENERATED"):
        return
    if image.is_dirty and image.has_data:
        image.pack()


def separate(plane: Plane) -> None:
    """Give a copy of a plane masks of its own: the copy has those of its original.

    Image sequences and linked images stay shared, because nobody changes their pixels.
    """
    settings = plane.draggan
    owners = [(settings, "mask"), *((row, "image") for row in settings.edits)]
    copies: dict[bpy.types.Image, bpy.types.Image] = {}
    for owner, name in owners:
        shared: bpy.types.Image | None = getattr(owner, name)
        if shared is None or shared.library or shared.source not in ("FILE", "GENERATED"):
            continue
        if shared not in copies:
            keep(shared)  # a copy has no unsaved pixels
            copies[shared] = shared.copy()
        setattr(owner, name, copies[shared])


def hold_pixels() -> None:
    """Remember the masks before an undo or redo; see ``restore_pixels``."""
    _held.clear()
    is_painting = _is_painting()
    for plane in _editable():
        mask, step = plane.draggan.mask, plane.draggan.mask_step
        _held[plane.draggan.uuid] = _Held(
            mask.session_uid, step, is_painting, _is_inner(plane), _pixels(mask)
        )


def restore_pixels(undo: bool) -> None:
    """Give masks the pixels of the step that an undo or redo has gone to.

    If ``mask_step`` has changed, they are remembered here. Otherwise they are the pixels before, if
    Blender has read the mask from the .blend again, and the step was not one of texture painting. A
    mask that is read again has no unsaved changes; one that a step of painting has changed does.

    Args:
        undo: Whether it was an undo.
    """
    global _has_stopped_between
    _has_stopped_between = False
    for plane in _editable():
        held = _held.get(plane.draggan.uuid)
        if held is None:
            continue
        if held.step != plane.draggan.mask_step:
            _restore_levels(plane, held.step, undo)
        elif plane.draggan.mask.session_uid != held.image:
            continue  # the masks of other edits have their own pixels
        elif not plane.draggan.mask.is_dirty:
            _restore_held(plane, held, undo)
        _has_stopped_between = _has_stopped_between or _is_between(plane, held, undo)
    _held.clear()


def _restore_held(plane: Plane, held: _Held, undo: bool) -> None:
    """Write what Blender has read again as it was before the undo or redo."""
    image = plane.draggan.mask
    digest = _digest(held.pixels)
    if held.is_inner and undo and digest in _begun:
        _write_compressed(image, _begun[digest])
        return
    is_last = digest in _results.get(plane.draggan.uuid, set())
    if held.is_inner or (held.is_painting and not is_last):
        return
    found = _pixels(image)
    if found.shape == held.pixels.shape and not np.array_equal(found, held.pixels):
        _set_pixels(image, held.pixels)


def _restore_levels(plane: Plane, left: str, undo: bool) -> None:
    """Write the levels before the oldest change that was undone, or after the newest redone."""
    image, now = plane.draggan.mask, plane.draggan.mask_step
    step, end = (left, now) if undo else (now, left)
    found = None
    while step != end and (change := _changes.get(step)) is not None:
        if change.image == image.session_uid and (undo or found is None):
            found = change
        step = change.previous
    if found is None:
        return
    _write_compressed(image, found.before if undo else found.after)


def _write_compressed(image: bpy.types.Image, compressed: bytes) -> None:
    values = zlib.decompress(compressed)
    width, height = image.size
    if len(values) == 4 * width * height:
        show(image, np.frombuffer(values, np.float32).reshape(height, width))


def _compressed(values: Mask) -> bytes:
    return zlib.compress(np.ascontiguousarray(values).tobytes(), 1)


def _editable() -> list[Plane]:
    """Return the planes whose masks are single images with pixels."""
    masked = [plane for plane in planes.everywhere() if plane.draggan.mask is not None]
    return [
        plane
        for plane in masked
        if plane.draggan.mask.source in ("FILE", "GENERATED") and all(plane.draggan.mask.size)
    ]


def _invert_alpha(image: bpy.types.Image) -> None:
    with bpy.context.temp_override(edit_image=image):
        bpy.ops.image.invert(invert_a=True)


def _pixels(image: bpy.types.Image) -> Any:
    """Return all pixels, ``H x W x 4`` float32, bottom row first."""
    width, height = image.size
    channels = image.channels
    found = np.empty(width * height * channels, dtype=np.float32)
    stored: Any = image.pixels
    stored.foreach_get(found)
    return found.reshape(height, width, channels)


def _set_pixels(image: bpy.types.Image, pixels: Any) -> None:
    stored: Any = image.pixels
    stored.foreach_set(np.ascontiguousarray(pixels, dtype=np.float32).ravel())
    image.update()


def _digest(pixels: Any) -> bytes:
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
