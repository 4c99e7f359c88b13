# SPDX-License-Identifier: GPL-3.0-or-later
"""*Time Stretching* of the output: Blender then evaluates keys at other frames than images.

An image sequence is shown by the scene frame, and keys and drivers are evaluated at the stretched
one. A retimed image is moved by a driver, like its handles, so the two agree.
"""

from __future__ import annotations

from ..errors import EditError
from ..properties.owners import Plane
from . import planes, timing


def sentence(plane: Plane) -> str:
    """Return what Time Stretching does to the sequence that a plane shows; empty for nothing."""
    if plane.draggan.sequence.image is None or timing.is_retimed(plane):
        return ""
    try:
        found = _found(plane)
    except EditError:
        return ""  # it is in no scene, so nothing is shown
    return f"{found}, so handles are not where the image shows them; {_CURE}" if found else ""


def refuse(plane: Plane) -> None:
    """Refuse what would write keys for handles, while keys are played at other frames.

    Raises:
        EditError: Time Stretching is on, and the plane is not retimed.
    """
    found = "" if timing.is_retimed(plane) else _found(plane)
    if found:
        raise EditError(f"{found}, so handles would not be where the image shows them; {_CURE}")


_CURE = "set Old and New in the Output properties to the same value"


def _found(plane: Plane) -> str:
    render = planes.scene_of(plane).render
    old, new = render.frame_map_old, render.frame_map_new
    return "" if old == new else f"Time Stretching plays keys at other frames ({old} to {new})"
