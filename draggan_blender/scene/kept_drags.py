# SPDX-License-Identifier: GPL-3.0-or-later
"""What a slider remembers of the drag that it was kept from, for *Apply to Many*.

With the latent from before the drag, and the places that its handles had there, the engine knows
which content the drag has moved, and finds it in other images.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import EditError
from ..properties.owners import Plane
from ..properties.sliders import DRAGGAN_PG_slider
from ..properties.stored import to_bytes, to_text
from ..protocol.directions import Direction
from ..protocol.pairs import Point
from . import placing, sliders


@dataclass(frozen=True)
class KeptDrag:
    """The image before a drag.

    Attributes:
        origin: Its latent, ``num_ws x w_dim`` float32, little-endian.
        handles_px: Where the handles were, image pixels.
        pins_px: Where the pins were.
    """

    origin: bytes
    handles_px: tuple[Point, ...]
    pins_px: tuple[Point, ...]


def note(plane: Plane, row: DRAGGAN_PG_slider, origin: bytes, pairs: Any) -> None:
    """Let a slider remember its drag.

    Args:
        plane: The GAN image of the drag.
        row: The slider.
        origin: The latent of the whole image before the drag.
        pairs: The pairs of the state before, see ``point_states``.
    """
    used = [pair for pair in pairs if pair.enabled]
    if not any(not pair.is_pin for pair in used):
        return
    places = placing.to_px(plane, [tuple(pair.handle)[:2] for pair in used])
    kinds = [[float(pair.is_pin)] for pair in used]
    rows = np.concatenate([places, np.array(kinds)], axis=1)
    row.origin, row.handles = to_text(origin), to_text(rows.astype("<f4").tobytes())
    row.kept = str(uuid.uuid4())


def has_end(row: DRAGGAN_PG_slider) -> bool:
    """Return whether a slider was kept from a drag with handles, so that it has an end to reach."""
    return bool(row.origin and row.handles)


def read(row: DRAGGAN_PG_slider) -> KeptDrag:
    """Return what a slider remembers of its drag.

    Raises:
        EditError: It was not kept from a drag, or cannot be read.
    """
    if not has_end(row):
        raise EditError(
            f"{row.name} was not kept from a drag with handles, so there is no end to reach; drag, "
            "press Keep as Slider, and select that slider"
        )
    try:
        rows = np.frombuffer(to_bytes(row.handles), "<f4").reshape(-1, 3).tolist()
        origin = to_bytes(row.origin)
    except ValueError as error:
        raise EditError(f"The slider {row.name} cannot be read ({error}); remove it") from None
    handles, pins = (
        tuple((x, y) for x, y, kind in rows if bool(kind) is held) for held in (False, True)
    )
    return KeptDrag(origin=origin, handles_px=handles, pins_px=pins)


def same_as(row: DRAGGAN_PG_slider, other: Plane) -> DRAGGAN_PG_slider | None:
    """Return the slider of another image that was kept from the same drag, or None.

    Raises:
        EditError: It is animated, so that no strength can be set.
    """
    found: DRAGGAN_PG_slider
    for index, found in enumerate(other.draggan.sliders):
        is_added = (found.change, found.first, found.last) == (row.change, row.first, row.last)
        if found.kept == row.kept or is_added:
            if sliders.is_animated(other, index):
                raise EditError(
                    f"{found.name} of {other.name} is animated; delete its keys and drivers first"
                )
            return found
    return None


def give(row: DRAGGAN_PG_slider, other: Plane, direction: Direction) -> DRAGGAN_PG_slider:
    """Return the slider of another image that was kept from the same drag, or add it.

    Args:
        row: A slider of the image of the drag.
        other: The other image.
        direction: What the slider should add there.

    Raises:
        EditError: The other image cannot be read, has another model, or its slider is animated.
    """
    found = same_as(row, other)
    if found is None:
        found = sliders.add(other, direction)
    sliders.set_direction(found, direction, sliders.num_ws(other))
    found.origin, found.handles, found.kept = row.origin, row.handles, row.kept
    found.exact = row.exact
    other.update_tag()
    return found
