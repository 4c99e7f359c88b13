# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents that are set at frames, with all the frames between them interpolated.

The keys lie in the .blend, each with the model that it belongs to, so that an image can be sampled
again and keyed again without losing those before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import EditError
from ..jobs import latents as latents_job
from ..jobs import recovery, requests
from ..properties.owners import Plane
from ..properties.stored import to_bytes, to_text
from ..properties.timeline import DRAGGAN_PG_latent_key
from ..scene import planes, shown
from . import interpolation


def add_key(plane: Plane) -> DRAGGAN_PG_latent_key:
    """Make the image at the current frame a key at this frame, in place of one that is there.

    Files have numbers, so that a key before frame 1 becomes one at frame 1.

    Returns:
        The entry in ``plane.draggan.timeline.latent_keys``.

    Raises:
        EditError: the plane has no image, or its latent cannot be read.
    """
    recovery.own(plane)
    requests.require_image(plane)
    timeline = plane.draggan.timeline
    latent = shown.latent(plane)
    frame = max(planes.scene_of(plane).frame_current, 1)
    index = next((i for i, key in enumerate(timeline.latent_keys) if key.frame == frame), None)
    if index is None:
        timeline.latent_keys.add()
        index = len(timeline.latent_keys) - 1
    key: DRAGGAN_PG_latent_key = timeline.latent_keys[index]
    key.frame, key.latent = frame, to_text(latent)
    key.model_sha256 = plane.draggan.model_sha256
    timeline.active_latent_key = index
    return key


def remove_key(plane: Plane, index: int) -> None:
    """Remove a key of the list."""
    timeline = plane.draggan.timeline
    timeline.latent_keys.remove(index)
    timeline.active_latent_key = max(0, min(index, len(timeline.latent_keys) - 1))


def render_keys(plane: Plane) -> int:
    """Render the sequence from the first key to the last. The request's id.

    Raises:
        EditError: there is no key, two are at one frame, or one belongs to another model.
    """
    recovery.require_ready(plane)
    key_frames, keys = _read(plane)
    frames = range(key_frames[0], key_frames[-1] + 1)
    kind = plane.draggan.timeline.interpolation
    latents = interpolation.between(key_frames, keys, frames, kind)
    label = f"Render Image Keys of {plane.name}"
    return latents_job.start_latents(plane, latents, frames.start, label)


def _read(plane: Plane) -> tuple[list[int], NDArray[np.float32]]:
    """The keys in the order of their frames, and their latents, `N x num_ws x w_dim`."""
    settings = plane.draggan
    ordered = sorted(settings.timeline.latent_keys, key=lambda key: key.frame)
    if not ordered:
        raise EditError(f"{plane.name} has no image key yet; go to a frame, press Add Image Key")
    key_frames = [key.frame for key in ordered]
    twice = next((f for f in key_frames if key_frames.count(f) > 1), None)
    if twice is not None:
        raise EditError(f"Two image keys are at frame {twice}; move or remove one of them")
    for key in ordered:
        if key.model_sha256 != settings.model_sha256:
            raise EditError(
                f"The image key at frame {key.frame} belongs to another model than {plane.name} "
                "has now; remove the key, or choose its model and press Update Image"
            )
    raw = [np.frombuffer(to_bytes(key.latent), dtype="<f4") for key in ordered]
    return key_frames, np.stack(raw).reshape(len(raw), -1, settings.w_dim).astype(np.float32)
