# SPDX-License-Identifier: GPL-3.0-or-later
"""The sequence of edits with animated strengths: one image for each frame, without solving."""

from __future__ import annotations

from ..errors import EditError
from ..jobs import latents as latents_job
from ..jobs import recovery
from ..properties.owners import Plane
from ..scene import edits, sampling


def render(plane: Plane, frames: range) -> int:
    """Start to render the edits at each frame of a range, with their strengths and visibility.

    Keys, drivers and the Nonlinear Animation count.

    Args:
        plane: The GAN image.
        frames: Scene frames, from 1 on.

    Returns:
        The request id.

    Raises:
        EditError: The plane has no image or no edit, or is being worked on; an edit cannot be read,
            or the engine cannot be started.
    """
    recovery.require_ready(plane)
    if not plane.draggan.edits:
        raise EditError(f"{plane.name} has no edit yet; drag with a mask first")
    pictures = edits.pictures(plane, sampling.edit_strengths(plane, frames))
    return latents_job.start_latents(plane, pictures, frames.start, f"Render Edits of {plane.name}")
