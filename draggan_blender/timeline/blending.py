# SPDX-License-Identifier: GPL-3.0-or-later
"""A mix of GAN images of one model, with weights that may be animated.

At each frame a source counts with the latent that it shows there: the row of its own sequence, at
its own timing, or its still image. The mix of a `W+` latent is an image of the model again, so
that it is rendered and not cross-faded.
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

_SOURCES_PATH = "draggan.timeline.blend_sources"


def add_source(plane: Plane, image: Plane | None) -> DRAGGAN_PG_blend_source:
    """Add a GAN image to the mix, or a place for one that is chosen later (None)."""
    timeline = plane.draggan.timeline
    source: DRAGGAN_PG_blend_source = timeline.blend_sources.add()
    source.image = image
    timeline.active_blend_source = len(timeline.blend_sources) - 1
    return source


def remove_source(plane: Plane, index: int) -> None:
    """Take an image out of the mix, and the animation of its weight with it."""
    timeline = plane.draggan.timeline
    timeline.blend_sources.remove(index)
    timeline.active_blend_source = max(0, min(index, len(timeline.blend_sources) - 1))
    compat.remove_item_curves(plane, _SOURCES_PATH, index)


def blend(plane: Plane, frames: range) -> int:
    """Render the mix at each frame of a range. The request's id.

    Raises:
        EditError: there are fewer than two images to mix, one has another model or no latent that
            can be read, or all weights are zero.
    """
    recovery.require_ready(plane)
    frames = range(max(frames.start, 1), frames.stop)
    if not frames:
        raise EditError("There is no frame from 1 on to blend; move the end of the scene's range")
    sources = _sources(plane)
    weights, rows = _sample(plane, sources, frames)
    try:
        parts = interpolation.shares(weights)
    except ValueError as error:
        raise EditError(f"Nothing can be mixed, because {error}; raise one") from None
    latents = [_latents(image, rows[:, column]) for column, image in enumerate(sources)]
    mixed = np.empty((len(frames), *latents[0].shape[1:]), dtype=np.float32)
    for index, row in enumerate(parts):
        mixed[index] = sum(
            part * of[index].astype(np.float64) for part, of in zip(row, latents, strict=True)
        )
    return latents_job.start_latents(plane, mixed, frames.start, f"Blend into {plane.name}")


def _sources(plane: Plane) -> list[Plane]:
    """The images to mix, in the order of the list."""
    images = [source.image for source in plane.draggan.timeline.blend_sources]
    if len(images) < 2 or any(image is None for image in images):
        raise EditError("A blend needs two or more images; choose one in every line of its list")
    for image in images:
        if image == plane:
            raise EditError(f"{plane.name} cannot be mixed into itself; choose another image")
        if not planes.is_plane(image) or not image.draggan.latent or not image.users_scene:
            raise EditError(f"{image.name} is no GAN image of this file; choose another one")
        if image.draggan.model_sha256 != plane.draggan.model_sha256:
            raise EditError(
                f"{image.name} has another model than {plane.name}; only images of one model can "
                "be mixed"
            )
    return images


def _sample(
    plane: Plane, sources: list[Plane], frames: range
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Each frame's weights, and the rows that the sources show at it; `T x S` both."""
    weights = np.empty((len(frames), len(sources)), dtype=np.float64)
    rows = np.zeros((len(frames), len(sources)), dtype=np.int64)
    scene = planes.scene_of(plane)
    # A collection that a script, or we, have added to is not evaluated again by itself.
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


def _latents(image: Plane, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """What a source shows at each frame: `T x num_ws x w_dim`."""
    settings = image.draggan
    if settings.sequence.image is not None:
        return shown.rows(image, rows.tolist())
    still = np.frombuffer(to_bytes(settings.latent), dtype="<f4")
    still = still.reshape(-1, settings.w_dim)
    return np.broadcast_to(still, (len(rows), *still.shape))
