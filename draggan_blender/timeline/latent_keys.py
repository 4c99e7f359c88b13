# SPDX-License-Identifier: GPL-3.0-or-later
"""Image keys: latents at chosen frames, and the sequence that interpolates between them.

The keys are stored in the .blend, each with the model that it belongs to. They are kept if the
plane shows another image or another model.
"""

from __future__ import annotations

from ..errors import EditError
from ..jobs import latents as latents_job
from ..jobs import recovery, requests
from ..properties.owners import Plane
from ..properties.stored import to_bytes, to_text
from ..properties.timeline import DRAGGAN_PG_latent_key
from ..scene import planes, shown
from . import interpolation
from .mixing import Mixable


def add_key(plane: Plane) -> DRAGGAN_PG_latent_key:
    """Make the image at the current frame a key, and replace the key at this frame if there is one.

    Files are numbered from 1, so a key before frame 1 is put at frame 1.

    Returns:
        The entry in ``plane.draggan.timeline.latent_keys``.

    Raises:
        EditError: The plane has no image, or its latent cannot be read.
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
    """Remove the key with this index in the list."""
    timeline = plane.draggan.timeline
    timeline.latent_keys.remove(index)
    timeline.active_latent_key = max(0, min(index, len(timeline.latent_keys) - 1))


def render_keys(plane: Plane) -> int:
    """Start to render the sequence from the first key to the last.

    Returns:
        The request id.

    Raises:
        EditError: The plane has no image or is being worked on, there is no key, two keys are at
            one frame, or a key belongs to another model.
    """
    recovery.require_ready(plane)
    key_frames, keys = _read(plane)
    frames = range(key_frames[0], key_frames[-1] + 1)
    kind = plane.draggan.timeline.interpolation
    latents = interpolation.between(key_frames, keys.values, frames, kind)
    label = f"Render Image Keys of {plane.name}"
    return latents_job.start_latents(plane, keys.pictures(latents), frames.start, label)


def _read(plane: Plane) -> tuple[list[int], Mixable]:
    """Return the frames of the keys in order, and their pictures.

    Raises:
        EditError: There is no key, two keys are at one frame, or a key belongs to another model or
            cannot be read.
    """
    settings = plane.draggan
    ordered = sorted(settings.timeline.latent_keys, key=lambda key: key.frame)
    if not ordered:
        raise EditError(f"{plane.name} has no image key yet; go to a frame and press Add Image Key")
    key_frames = [key.frame for key in ordered]
    twice = next((frame for frame in key_frames if key_frames.count(frame) > 1), None)
    if twice is not None:
        raise EditError(f"Two image keys are at frame {twice}; move or remove one of them")
    for key in ordered:
        if key.model_sha256 != settings.model_sha256:
            raise EditError(
                f"The image key at frame {key.frame} belongs to another model than "
                f"{plane.name} has now; remove the key, or choose its model and press Update Image"
            )
    try:
        keys = Mixable.of([to_bytes(key.latent) for key in ordered], settings.w_dim)
    except ValueError as error:
        raise EditError(f"The image keys cannot be read ({error}); add them again") from None
    return key_frames, keys
