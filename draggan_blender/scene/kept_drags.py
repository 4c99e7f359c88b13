# SPDX-License-Identifier: GPL-3.0-or-later
"""What a slider remembers of the drag that it was kept from, for *Apply to Many*.

With the latent from before the drag, and the places that its handles had there, the engine knows
which content the drag has moved, and finds it in other images.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import EditError
from ..properties import changes
from ..properties.owners import Plane
from ..properties.sliders import DRAGGAN_PG_slider
from ..properties.stored import to_bytes, to_text
from ..protocol.directions import Direction
from ..protocol.pairs import Point
from . import sliders


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


def places_text(places_px: NDArray[np.float32], pins: Sequence[bool]) -> str:
    """Return the places of handles and pins as sliders and states of the history store them.

    Args:
        places_px: ``P x 2`` float32, image pixels.
        pins: For each whether it is a pin.

    Returns:
        A text; empty if there are only pins.
    """
    if all(pins):
        return ""
    kinds = np.array(pins, dtype=np.float32)
    return to_text(np.column_stack([places_px, kinds]).astype("<f4").tobytes())


def note(row: DRAGGAN_PG_slider, origin: bytes, handles: str) -> None:
    """Let a slider remember its drag, unless that had no handles.

    Args:
        row: The slider.
        origin: The latent of the whole image before the drag.
        handles: What ``places_text`` has returned.
    """
    if handles:
        row.origin, row.handles = to_text(origin), handles
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
    with changes.quiet():
        # Whoever applies it wants to see it.
        found.visible = True
    other.update_tag()
    return found
