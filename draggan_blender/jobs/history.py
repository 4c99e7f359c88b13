# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back to a state of an image; its images are rendered again if their files are missing."""

from __future__ import annotations

from ..errors import EditError
from ..properties.owners import Plane
from ..scene import history
from . import image as image_job
from . import recovery


def go_to(plane: Plane, number: int) -> int | None:
    """Make a state the present image. All other states stay, also the later ones.

    Args:
        plane: The GAN image.
        number: The number of the state.

    Returns:
        The id of the request that renders missing images again, or None if all files exist.

    Raises:
        EditError: There is no such state, the plane is being worked on, the state's track cannot be
            read, or the engine cannot be started.
    """
    recovery.require_ready(plane)
    state = history.find(plane, number)
    if state is None:
        raise EditError(f"{plane.name} has no state {number} any more")
    history.note_points(plane)
    history.restore(plane, state)
    # Without a track, the files are those that a farm is going to write.
    if history.has_files(state) or not plane.draggan.track:
        return None
    return image_job.render_again(plane)


def delete(plane: Plane, number: int) -> None:
    """Delete a state; the image stays as it is, also if it is in this state.

    Raises:
        EditError: There is no such state.
    """
    recovery.own(plane)
    if history.find(plane, number) is None:
        raise EditError(f"{plane.name} has no state {number} any more")
    history.delete(plane, number)
