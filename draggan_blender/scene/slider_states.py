# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of an image's sliders as a text, as the states of the history keep it."""

from __future__ import annotations

import json

from ..properties import changes
from ..properties.owners import Plane

# What is kept of a slider, in this order; later ones are appended, so that older texts can be read.
_FIELDS = (
    "key",
    "name",
    "kind",
    "visible",
    "strength",
    "first",
    "last",
    "in_drags",
    "change",
    "origin",
    "handles",
    "kept",
    "exact",
)


def to_stored(plane: Plane) -> str:
    """Return the list as a text for a state of the history; empty without sliders."""
    settings = plane.draggan
    rows = [[getattr(row, name) for name in _FIELDS] for row in settings.sliders]
    return json.dumps([settings.sliders_shown, rows]) if rows else ""


def with_names(plane: Plane, text: str) -> str:
    """Return the list of a state with the names that its sliders have now."""
    if not text:
        return ""
    shown, rows = json.loads(text)
    names = {row.key: row.name for row in plane.draggan.sliders}
    at = _FIELDS.index("name")
    for values in rows:
        values[at] = names.get(values[_FIELDS.index("key")], values[at])
    return json.dumps([shown, rows])


def from_stored(plane: Plane, text: str, *, keeps_later: bool) -> None:
    """Replace the list by that of a state; the animation stays.

    Args:
        plane: The GAN image.
        text: What ``to_stored`` has returned.
        keeps_later: Whether sliders that were added since stay in the list, at a strength of 0:
            they must be of the same model.
    """
    settings = plane.draggan
    shown, rows = json.loads(text) if text else ("", [])
    stored = {values[_FIELDS.index("key")] for values in rows}
    later = [
        [getattr(row, name) for name in _FIELDS]
        for row in settings.sliders
        if keeps_later and row.key not in stored
    ]
    at = _FIELDS.index("strength")
    with changes.quiet():
        settings.sliders.clear()
        for values in [*rows, *([*row[:at], 0.0, *row[at + 1 :]] for row in later)]:
            row = settings.sliders.add()
            # A state from before the last fields were added lacks them.
            for name, value in zip(_FIELDS, values, strict=False):
                setattr(row, name, value)
    settings.sliders_shown, settings.sliders_taken = shown, ""
    settings.active_slider = max(0, min(settings.active_slider, len(settings.sliders) - 1))
