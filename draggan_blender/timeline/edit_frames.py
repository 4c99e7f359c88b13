# SPDX-License-Identifier: GPL-3.0-or-later
"""The sequence of edits and sliders with animated strengths: an image a frame, without solving."""

from __future__ import annotations

from ..errors import EditError
from ..jobs import latents as latents_job
from ..jobs import recovery
from ..properties.owners import Plane
from ..scene import edits, sampling, sliders


def render(plane: Plane, frames: range) -> int:
    """Start to render edits and sliders at each frame of a range, with strengths and visibility.

    Keys, drivers and the Nonlinear Animation count.

    Args:
        plane: The GAN image.
        frames: Scene frames, from 1 on.

    Returns:
        The request id.

    Raises:
        EditError: The plane has no image, no edit and no slider, or is being worked on; an edit or
            a slider cannot be read, or the engine cannot be started.
    """
    recovery.require_ready(plane)
    if not plane.draggan.edits and not plane.draggan.sliders:
        raise EditError(f"{plane.name} has no edit and no slider yet; drag with a mask, or add one")
    rows = sampling.edits_and_sliders(plane, frames)
    below = edits.pictures(plane, [strengths for strengths, _ in rows])
    pictures = [
        sliders.applied(plane, picture, now) for picture, (_, now) in zip(below, rows, strict=True)
    ]
    return latents_job.start_latents(plane, pictures, frames.start, f"Render {plane.name}")
