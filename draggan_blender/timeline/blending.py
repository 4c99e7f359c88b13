# SPDX-License-Identifier: GPL-3.0-or-later
"""Blends of GAN images of one model, with weights that may be animated.

At each frame, a source contributes the latent that it shows there: the row of its own sequence at
its own timing, or its still image. A mean of ``W+`` latents gives an image of the model again, so
the blend is rendered, and the images are not cross-faded.
"""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray

from .. import compat
from ..errors import EditError
from ..jobs import latents as latents_job
from ..jobs import recovery
from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..properties.timeline import DRAGGAN_PG_blend_source
from ..scene import planes, playhead, sampling, shown, timing
from . import interpolation
from .mixing import Mixable

_SOURCES_PATH = "draggan.timeline.blend_sources"


def add_source(plane: Plane, image: Plane | None) -> DRAGGAN_PG_blend_source:
    """Add a GAN image to the blend.

    Args:
        plane: The GAN image that the blend is rendered into.
        image: The image to add, or None for an entry whose image is chosen later.

    Returns:
        The entry in ``plane.draggan.timeline.blend_sources``.
    """
    timeline = plane.draggan.timeline
    source: DRAGGAN_PG_blend_source = timeline.blend_sources.add()
    source.image = image
    timeline.active_blend_source = len(timeline.blend_sources) - 1
    return source


def remove_source(plane: Plane, index: int) -> None:
    """Remove an image from the blend, together with the animation of its weight."""
    timeline = plane.draggan.timeline
    timeline.blend_sources.remove(index)
    timeline.active_blend_source = max(0, min(index, len(timeline.blend_sources) - 1))
    compat.remove_item_curves(plane, _SOURCES_PATH, index)


def blend(plane: Plane, frames: range) -> int:
    """Start to render the blend at each frame of a range.

    Args:
        plane: The GAN image whose sequence becomes the blend.
        frames: Scene frames; those before 1 are left out.

    Returns:
        The request id.

    Raises:
        EditError: The plane has no image or is being worked on, the range is empty, fewer than two
            images were chosen, an image is of another model or has no latent that can be read, or
            all weights are zero.
    """
    recovery.require_ready(plane)
    frames = range(max(frames.start, 1), frames.stop)
    if not frames:
        raise EditError(
            f"The range {frames.start}-{frames.stop - 1} is empty; set a range that ends at frame "
            "1 or later and not before its start"
        )
    sources = _sources(plane)
    weights, rows = _sample(plane, sources, frames)
    try:
        parts = interpolation.shares(weights)
    except ValueError as error:
        raise EditError(f"The images cannot be blended: {error}; raise a weight") from None
    shows = [_pictures(image, rows[:, column]) for column, image in enumerate(sources)]
    try:
        mixed = Mixable.of([one for pictures in shows for one in pictures], plane.draggan.w_dim)
    except ValueError as error:
        raise EditError(f"An image cannot be read ({error}); make it again") from None
    latents = mixed.values.reshape(len(shows), len(frames), *mixed.values.shape[1:])
    blended = np.empty(latents.shape[1:], dtype=np.float32)
    for index, row in enumerate(parts):
        blended[index] = sum(
            part * latent[index].astype(np.float64)
            for part, latent in zip(row, latents, strict=True)
        )
    pictures = mixed.pictures(blended)
    return latents_job.start_latents(plane, pictures, frames.start, f"Blend into {plane.name}")


def _sources(plane: Plane) -> list[Plane]:
    """Return the images to blend, in the order of the list.

    Raises:
        EditError: An image is missing or cannot be blended.
    """
    images = [source.image for source in plane.draggan.timeline.blend_sources]
    if len(images) < 2 or any(image is None for image in images):
        raise EditError(
            "A blend needs two or more images; choose an image in every line of the list"
        )
    for image in images:
        if image == plane:
            raise EditError(f"{plane.name} cannot be blended into itself; choose another image")
        if not planes.is_plane(image) or not image.draggan.latent or not image.users_scene:
            raise EditError(
                f"{image.name} is not a GAN image of this file, or has no image yet; choose "
                "another image"
            )
        if image.draggan.model_sha256 != plane.draggan.model_sha256:
            raise EditError(
                f"{image.name} has another model than {plane.name}; only images of the same model "
                "can be blended"
            )
    return images


def _sample(
    plane: Plane, sources: list[Plane], frames: range
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each frame's weights, and the rows that the sources show at it; both are ``T x S``."""
    weights = np.empty((len(frames), len(sources)), dtype=np.float64)
    rows = np.zeros((len(frames), len(sources)), dtype=np.int64)
    scene = planes.scene_of(plane)
    # Blender does not notice that a script has changed a collection.
    plane.update_tag()
    with contextlib.closing(playhead.visit(scene, frames)) as visited:
        for index, _frame in enumerate(visited):
            evaluated = plane.evaluated_get(sampling.depsgraph_of(scene))
            entries = evaluated.draggan.timeline.blend_sources
            weights[index] = [max(entry.weight, 0.0) for entry in entries]
            rows[index] = [
                timing.shown_row(image) if image.draggan.sequence.image is not None else 0
                for image in sources
            ]
    return weights, rows


def _pictures(image: Plane, rows: NDArray[np.int64]) -> list[bytes]:
    """Return what a source shows at each frame, in the format of ``protocol.pictures``.

    Raises:
        EditError: The track of the source cannot be read.
    """
    settings = image.draggan
    if settings.sequence.image is not None:
        return shown.rows(image, rows.tolist())
    return [to_bytes(settings.latent)] * len(rows)
