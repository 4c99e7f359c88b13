# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching retiming on and off; nothing is solved again, and only the keys of Progress are lost.

``scene.timing`` says what retiming is and how it is stored.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .. import compat
from ..errors import EditError
from ..jobs import recovery, requests
from ..properties.owners import Plane
from ..scene import images, timing

_HandlePath = tuple[bpy.types.Object, NDArray[np.float64]]


def retime(plane: Plane) -> None:
    """Give a plane its progress, keyed so that every frame still shows the same image.

    The two linear keys, at the first and the last frame of the sequence, are meant to be moved.

    Raises:
        EditError: The plane has no sequence, is retimed already, or is being worked on.
    """
    recovery.own(plane)
    requests.refuse_if_busy(plane)
    sequence = plane.draggan.sequence
    if sequence.image is None:
        raise EditError(f"{plane.name} has no sequence to retime; drag or bake it first")
    if timing.is_retimed(plane):
        raise EditError(f"{plane.name} is already retimed; move the keys of its Progress")
    paths = _paths(plane)
    first, last = sequence.first_frame, sequence.first_frame + sequence.frame_count - 1
    plane[timing.PROGRESS] = timing.shown_row(plane) / max(last - first, 1)
    progress: Any = plane.id_properties_ui(timing.PROGRESS)
    progress.update(
        description="Which image of the sequence is shown: 0 is the first, 1 the last",
        min=0.0,
        max=1.0,
        default=0.0,
        subtype="FACTOR",
    )
    keys = ((first, last), (0.0, 1.0)) if last > first else ((first,), (0.0,))
    compat.write_fcurve(plane, timing.PROGRESS_PATH, 0, *keys)
    _show(plane, paths)


def unretime(plane: Plane) -> None:
    """Remove a plane's progress with its keys, so that each image is shown at its own frame again.

    Raises:
        EditError: The plane is not retimed, or is being worked on.
    """
    recovery.own(plane)
    requests.refuse_if_busy(plane)
    if not timing.is_retimed(plane):
        raise EditError(f"{plane.name} is not retimed; press Retime first")
    paths = _paths(plane)
    # Remove the driver first: a driver whose property is missing stays invalid.
    for node in images.texture_nodes(plane):
        timing.forget_place(node)
    for handle, _ in paths:
        timing.clear_path(handle)
    compat.remove_fcurves(plane, timing.PROGRESS_PATH)
    plane.driver_remove(timing.PROGRESS_PATH)
    del plane[timing.PROGRESS]
    _show(plane, paths)


def _paths(plane: Plane) -> list[_HandlePath]:
    """Return each handle that the sequence moves, with its path, ``T x 2`` in the plane's space."""
    if plane.draggan.sequence.image is None:
        return []
    handles = [pair.handle for pair in plane.draggan.pairs if pair.handle is not None]
    read = [(handle, timing.read_path(plane, handle)) for handle in handles]
    return [(handle, path) for handle, path in read if path is not None]


def _show(plane: Plane, paths: list[_HandlePath]) -> None:
    """Show image and handles at their new time immediately, not only after a frame change."""
    # Blender must evaluate the property first: a driver that does not find it stays invalid.
    plane.update_tag(refresh={"OBJECT", "TIME"})
    bpy.context.view_layer.update()
    images.show_rest(plane)
    for handle, path in paths:
        timing.write_path(plane, handle, plane.draggan.sequence.first_frame, path)
        handle.update_tag(refresh={"OBJECT", "TIME"})
