# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents that were computed here, and not solved, become the sequence of a plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import edit, folders, pump
from .protocol.messages import FrameTarget
from .protocol.timeline import RenderLatents


def render(plane: Any, latents: NDArray[np.float32], first_frame: int, label: str) -> int:
    """Ask for the images of some latents, one for each frame. The request's id.

    Args:
        plane: a GAN image that nothing runs for.
        latents: `T x num_ws x w_dim` float32, of the plane's model.
        first_frame: of the first, 1 or more.
        label: what is being done, for the panel.

    Raises:
        EditError: their folder cannot be made, or the engine could not be started.
    """
    settings = plane.draggan
    model_path = edit.model_path(settings.source)
    target = FrameTarget(
        folder=str(folders.new_drag(plane)),
        stem=folders.stem_of(plane),
        first_number=first_frame,
    )
    request = RenderLatents(
        request_id=pump.new_request_id(),
        model_path=model_path,
        model_sha256=settings.model_sha256,
        latents=np.ascontiguousarray(latents, dtype="<f4").tobytes(),
        frames=target,
    )
    return edit.submit(plane, request, label)
