# SPDX-License-Identifier: GPL-3.0-or-later
"""The sliders of an image: directions, and how far the latent is moved along each.

There is one rule. The latent of the image is what it was without sliders, plus the strength times
the direction of each. ``sliders_shown`` says which strengths are in it. A slider that moves adds
the difference, whatever drags have changed in the meantime; and a drag starts from the image that
is shown, sliders included. Sliders change the whole image; masked edits stay over it.

An animated strength is left out of the still image: it belongs to sequences and bakes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import compat
from ..errors import EditError
from ..properties import changes
from ..properties.owners import Plane
from ..properties.sliders import DRAGGAN_PG_slider
from ..properties.stored import to_bytes, to_text
from ..protocol.directions import Change, Direction, added, moved, on_layers
from ..protocol.pictures import decode_picture

SLIDERS_PATH = "draggan.sliders"

# A latent is explained by sliders if what is left is below this share of what they explain.
_EXPLAINED = 1e-3


class Setting(NamedTuple):
    """How a slider is set: its strength, 0 if it is hidden, and its layers."""

    strength: float
    first: int
    last: int


def num_ws(plane: Plane) -> int:
    """Return the number of layers of the latent of an image.

    Raises:
        EditError: The latent cannot be read.
    """
    try:
        latent = decode_picture(to_bytes(plane.draggan.latent)).latent
    except ValueError as error:
        raise EditError(f"The image of {plane.name} cannot be read ({error})") from None
    w_dim: int = plane.draggan.w_dim
    return len(latent) // (4 * max(w_dim, 1))


def base(plane: Plane) -> Change:
    """Return the latent of the whole image, ``num_ws x w_dim`` float32, without masked edits.

    Raises:
        EditError: The latent cannot be read.
    """
    shape = num_ws(plane), plane.draggan.w_dim
    latent = decode_picture(to_bytes(plane.draggan.latent)).latent
    return np.frombuffer(latent, "<f4").reshape(shape).astype(np.float32)


def settings_of(rows: Sequence[DRAGGAN_PG_slider]) -> dict[int, Setting]:
    """Return how sliders are set, by their keys; those at 0 are left out.

    Args:
        rows: The sliders, as they are or as the dependency graph has evaluated them.
    """
    # As many digits as the text of ``sliders_shown`` has, so that equal strengths are equal.
    found = {
        row.key: Setting(float(f"{row.strength:.9g}") * row.visible, row.first, row.last)
        for row in rows
    }
    return {key: setting for key, setting in found.items() if setting.strength}


def is_animated(plane: Plane, index: int) -> bool:
    """Return whether keys or drivers animate a slider."""
    return compat.is_animated(plane, f"{SLIDERS_PATH}[{index}].")


def wanted_settings(plane: Plane, *, keyed: bool = False) -> dict[int, Setting]:
    """Return how the sliders of an image should be in its latent, as ``settings_of``.

    Args:
        plane: A GAN image.
        keyed: Whether animated sliders count as they are at the current frame; otherwise they
            count as they are in the latent.
    """
    rows, now = plane.draggan.sliders, settings_of(plane.draggan.sliders)
    if keyed:
        return now
    shown = _shown(plane)
    for index, row in enumerate(rows):
        if is_animated(plane, index):
            now.pop(row.key, None)
            if row.key in shown:
                now[row.key] = shown[row.key]
    return now


def signature(plane: Plane, *, keyed: bool = False) -> str:
    """Return a text that names the sliders that the latent should contain, with their settings."""
    return _text_of(wanted_settings(plane, keyed=keyed))


def is_shown(plane: Plane, *, keyed: bool = False) -> bool:
    """Return whether the latent contains the sliders as they are in the list."""
    settings = plane.draggan
    return not settings.sliders_taken and bool(
        signature(plane, keyed=keyed) == settings.sliders_shown
    )


def difference(plane: Plane, now: dict[int, Setting]) -> Change:
    """Return what the latent lacks to contain the sliders as wanted, ``num_ws x w_dim`` float32.

    Args:
        plane: A GAN image with a latent.
        now: How the sliders should be.

    Raises:
        EditError: The image or a slider cannot be read.
    """
    shape = num_ws(plane), plane.draggan.w_dim
    known = {row.key: change_of(plane, row) for row in plane.draggan.sliders}
    parts = [
        (sign * one.strength, on_layers(known[key], shape[0], one.first, one.last))
        for sign, found in ((1.0, now), (-1.0, _shown(plane)))
        for key, one in found.items()
        if key in known and now.get(key) != _shown(plane).get(key)
    ]
    if plane.draggan.sliders_taken:
        parts.append((-1.0, _array(plane.draggan.sliders_taken, plane.draggan.w_dim)))
    return added(parts, shape)


def applied(plane: Plane, picture: bytes, now: dict[int, Setting]) -> bytes:
    """Return a picture that contains the sliders as the latent does, with other settings.

    Raises:
        EditError: The image or a slider cannot be read.
    """
    return moved(picture, difference(plane, now))


def note_shown(plane: Plane, text: str) -> None:
    """Note that the latent contains the sliders as ``signature`` has described them."""
    plane.draggan.sliders_shown, plane.draggan.sliders_taken = text, ""


def find_in(plane: Plane, latent: bytes) -> None:
    """Note how the sliders are in another latent, of a sequence of them, before it is adopted.

    A latent that is explained by other things than sliders changes nothing.

    Args:
        plane: The GAN image.
        latent: A latent or a picture.

    Raises:
        EditError: The image or a slider cannot be read.
    """
    rows, shape = plane.draggan.sliders, (num_ws(plane), plane.draggan.w_dim)
    if not rows or latent == to_bytes(plane.draggan.latent):
        return
    there = np.frombuffer(decode_picture(latent).latent, "<f4").reshape(shape)
    change = (there - base(plane)).astype(np.float64).ravel()
    columns = [whole_change(plane, row).ravel() for row in rows]
    matrix = np.stack(columns, axis=1).astype(np.float64)
    steps, *_ = np.linalg.lstsq(matrix, change, rcond=1e-6)
    if np.linalg.norm(matrix @ steps - change) > _EXPLAINED * np.linalg.norm(change):
        return
    shown = _shown(plane)
    for row, step in zip(rows, steps.tolist(), strict=True):
        if abs(step) <= _EXPLAINED:
            continue
        before = shown.get(row.key)
        layers = (row.first, row.last)
        if before is not None and before[1:] != layers:
            return
        strength = step + (0.0 if before is None else before.strength)
        shown[row.key] = Setting(strength if abs(strength) > _EXPLAINED else 0.0, *layers)
    plane.draggan.sliders_shown = _text_of(shown)


def add(plane: Plane, direction: Direction, *, kind: str = "DIRECTION") -> DRAGGAN_PG_slider:
    """Add a slider at a strength of 0; its name is made different from those of the others.

    Raises:
        EditError: The image cannot be read, or the direction belongs to another model.
    """
    settings, layers = plane.draggan, num_ws(plane)
    shape = direction.change.shape
    if shape not in ((1, settings.w_dim), (layers, settings.w_dim)):
        raise EditError(
            f"{direction.name} has {shape[0]} x {shape[1]} numbers, but the latent of {plane.name} "
            f"has {layers} x {settings.w_dim}; it belongs to another model"
        )
    names = {row.name for row in settings.sliders}
    numbered = (f"{direction.name}.{n:03}" for n in itertools.count(1))
    row: DRAGGAN_PG_slider = settings.sliders.add()
    with changes.quiet():
        settings.last_slider_key += 1
        row.key, row.kind = settings.last_slider_key, kind
        row.name = next(n for n in itertools.chain([direction.name], numbered) if n not in names)
    set_direction(row, direction, layers)
    settings.active_slider = len(settings.sliders) - 1
    plane.update_tag()
    return row


def set_direction(row: DRAGGAN_PG_slider, direction: Direction, layers: int) -> None:
    """Set what a slider adds, and in which of the layers of its image."""
    with changes.quiet():
        row.first = min(direction.first, layers - 1)
        row.last = min(direction.last, layers - 1)
        row.change = _text(direction.change)


def remove(plane: Plane, index: int) -> None:
    """Remove a slider; the image will be as without it, and its animation is removed."""
    settings = plane.draggan
    row, shown = settings.sliders[index], _shown(plane)
    one = shown.pop(row.key, None)
    if one is not None:
        shape = num_ws(plane), settings.w_dim
        parts = [(one.strength, on_layers(change_of(plane, row), shape[0], one.first, one.last))]
        if settings.sliders_taken:
            parts.append((1.0, _array(settings.sliders_taken, settings.w_dim)))
        settings.sliders_taken = _text(added(parts, shape))
        settings.sliders_shown = _text_of(shown)
    settings.sliders.remove(index)
    compat.remove_item_curves(plane, SLIDERS_PATH, index)
    settings.active_slider = max(0, min(index, len(settings.sliders) - 1))
    plane.update_tag()


def move(plane: Plane, index: int, to: int) -> None:
    """Move a slider to another place in the list, with its animation."""
    plane.draggan.sliders.move(index, to)
    compat.move_item_curves(plane, SLIDERS_PATH, index, to)
    plane.draggan.active_slider = to
    plane.update_tag()


def flip(plane: Plane, index: int) -> None:
    """Turn the direction of a slider around, and its strength with it: the image stays.

    Raises:
        EditError: The slider is animated, or cannot be read.
    """
    row = plane.draggan.sliders[index]
    if is_animated(plane, index):
        raise EditError(f"{row.name} is animated; delete its keys and drivers first")
    shown = _shown(plane)
    with changes.quiet():
        row.change = _text(-change_of(plane, row))
        row.strength = -row.strength
    if row.key in shown:
        shown[row.key] = shown[row.key]._replace(strength=-shown[row.key].strength)
        plane.draggan.sliders_shown = _text_of(shown)


def set_shown(plane: Plane, row: DRAGGAN_PG_slider, strength: float) -> None:
    """Set a slider to a strength that the latent contains already."""
    shown = _shown(plane)
    with changes.quiet():
        row.strength = strength
    # As the property has it, in single precision.
    shown[row.key] = Setting(row.strength, row.first, row.last)
    plane.draggan.sliders_shown = _text_of(shown)


def to_zero(plane: Plane) -> None:
    """Note that the latent is that of another seed, and set all sliders to 0."""
    settings = plane.draggan
    settings.sliders_shown = settings.sliders_taken = ""
    with changes.quiet():
        for row in settings.sliders:
            row.strength = 0.0


def clear(plane: Plane) -> None:
    """Forget all sliders, for an image of another model."""
    settings = plane.draggan
    settings.sliders.clear()
    settings.sliders_shown = settings.sliders_taken = ""
    compat.remove_collection_curves(plane, SLIDERS_PATH)


def change_of(plane: Plane, row: DRAGGAN_PG_slider) -> Change:
    """Return what a strength of 1 adds, ``1 x w_dim`` or ``num_ws x w_dim`` float32.

    Raises:
        EditError: The slider cannot be read.
    """
    try:
        return _array(row.change, plane.draggan.w_dim)
    except ValueError as error:
        raise EditError(f"The slider {row.name} cannot be read ({error}); remove it") from None


def whole_change(plane: Plane, row: DRAGGAN_PG_slider) -> Change:
    """Return what a strength of 1 adds to the latent in the slider's layers, ``num_ws x w_dim``.

    Raises:
        EditError: The image or the slider cannot be read.
    """
    return on_layers(change_of(plane, row), num_ws(plane), row.first, row.last)


def strength_in(found: dict[int, Setting], key: int) -> float:
    """Return the strength of a slider in ``settings_of``."""
    return found[key].strength if key in found else 0.0


def direction_of(plane: Plane, row: DRAGGAN_PG_slider) -> Direction:
    """Return the direction of a slider, with its name and layers.

    Raises:
        EditError: The slider cannot be read.
    """
    return Direction(
        name=row.name,
        change=change_of(plane, row),
        first=row.first,
        last=max(row.first, row.last),
    )


def in_drags(plane: Plane) -> dict[str, Any]:
    """Return the fields of a ``Drag`` for the sliders that drags are kept out of, or held to.

    Raises:
        EditError: A slider cannot be read.
    """
    fields = {"LOCKED": "locked", "ONLY": "held_to"}
    found = dict.fromkeys(fields.values(), b"")
    for row in plane.draggan.sliders:
        if row.in_drags in fields:
            found[fields[row.in_drags]] += whole_change(plane, row).astype("<f4").tobytes()
    return found


def _shown(plane: Plane) -> dict[int, Setting]:
    """Return the settings of a ``signature`` by the keys of the sliders."""
    found = {}
    for part in plane.draggan.sliders_shown.split():
        key, strength, first, last = part.split(":")
        found[int(key)] = Setting(float(strength), int(first), int(last))
    return found


def _text_of(found: dict[int, Setting]) -> str:
    return " ".join(
        f"{key}:{one.strength:.9g}:{one.first}:{one.last}"
        for key, one in sorted(found.items())
        if one.strength
    )


def _array(text: str, w_dim: int) -> Change:
    values = np.frombuffer(to_bytes(text), "<f4").reshape(-1, max(w_dim, 1))
    return values.astype(np.float32)


def _text(change: Change) -> str:
    return to_text(np.ascontiguousarray(change, dtype="<f4").tobytes())
