# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a seed, and rendering images again without solving: requests and results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from ..connection import pump
from ..errors import EditError
from ..properties.image import DEFAULT_SEED
from ..properties.owners import Plane
from ..properties.stored import to_bytes, to_text
from ..protocol.messages import (
    FrameTarget,
    RenderLatent,
    RenderTrack,
    Request,
    Sample,
    Sampled,
)
from ..protocol.pictures import NO_LABEL
from ..scene import alpha, edits, handle_paths, images, models, pair_images, planes, sliders
from . import folders, recovery, requests


def new_image(
    context: bpy.types.Context,
    model: str = models.BUILT_IN_MODEL,
    seed: int = DEFAULT_SEED,
    truncation_psi: float = 0.7,
    label: int = 0,
    location: Any = (0.0, 0.0, 0.0),
    rotation: Any = (0.0, 0.0, 0.0),
) -> Plane:
    """Make a plane and ask the engine for the image of a seed.

    Args:
        context: Its scene gets the plane, in a new collection.
        model: ``suzanne``, or the path of a StyleGAN2 checkpoint.
        seed: 0 to 2147483647.
        truncation_psi: How far the image may be from the model's average; 1 does not truncate.
        label: The label of a model with labels, from 0; -1 for none.
        location: Of the plane, in world units.
        rotation: Of the plane, XYZ Euler angles in radians.

    Returns:
        The plane. It has no image until the request ``plane.draggan.request_id`` has ended, and
        is removed again if that request fails.

    Raises:
        EditError: The model or its folder is not usable, or the engine cannot be started.
    """
    plane = make_plane(context, model, location, rotation)
    source = plane.draggan.source
    source.seed, source.truncation_psi, source.label = seed, truncation_psi, label
    begin(plane, resample)
    return plane


def make_plane(context: bpy.types.Context, model: str, location: Any, rotation: Any) -> Plane:
    """Make a plane that uses a model; ``begin`` asks for its image.

    Args:
        context: Its scene gets the plane, in a new collection.
        model: ``suzanne``, or the path of a StyleGAN2 checkpoint.
        location: Of the plane, in world units.
        rotation: Of the plane, XYZ Euler angles in radians.
    """
    plane = planes.create(context, location, rotation)
    source = plane.draggan.source
    source.kind = "BUILT_IN" if model == models.BUILT_IN_MODEL else "FILE"
    source.path = "" if model == models.BUILT_IN_MODEL else model
    return plane


def begin(plane: Plane, ask: Callable[[Plane], int]) -> None:
    """Ask for the first image of a new plane; if that fails, the plane is removed.

    Raises:
        EditError: That of ``ask``.
    """
    image_id = plane.draggan.uuid
    try:
        ask(plane)
    except EditError:
        # If the engine could not even start, ``delivery`` has removed the plane already.
        left = planes.find(image_id)
        if left is not None:
            planes.remove(left)
        raise


def resample(plane: Plane) -> int:
    """Ask for the image of the plane's seed and truncation; its edits stay in the history.

    Returns:
        The request id.

    Raises:
        EditError: The plane is being worked on, its model is not usable, or the engine cannot be
            started.
    """
    recovery.own(plane)
    return sample(plane)


def sample(plane: Plane) -> int:
    """Do what ``resample`` does, and leave a preview on the plane until the image arrives.

    Returns:
        The request id.

    Raises:
        EditError: As ``resample``.
    """
    requests.refuse_if_busy(plane)
    source = plane.draggan.source
    request = Sample(
        request_id=pump.new_request_id(),
        model_path=models.model_path(source),
        seed=source.seed,
        truncation_psi=source.truncation_psi,
        label=source.label,
        image_path=str(folders.new_still(plane)),
    )
    return requests.submit(plane, request, f"New image of {plane.name}")


def render_again(plane: Plane) -> int:
    """Render the images again from what is stored in the .blend, without solving.

    For a machine that has no copy of the folder with the images.

    Returns:
        The request id.

    Raises:
        EditError: The plane has no image or is being worked on, or the engine cannot be started.
    """
    settings = plane.draggan
    recovery.require_ready(plane)
    model = {
        "request_id": pump.new_request_id(),
        "model_path": models.model_path(settings.source),
        "model_sha256": settings.model_sha256,
    }
    request: Request
    if settings.track and settings.sequence.image is not None:
        folder = images.sequence_folder(plane)
        if not folders.usable(folder):
            folder = folders.new_drag(plane)
        target = FrameTarget(
            folder=str(folder),
            stem=settings.sequence.stem,
            first_number=settings.sequence.first_frame,
        )
        request = RenderTrack(track=to_bytes(settings.track), frames=target, **model)
    else:
        path = str(folders.new_still(plane))
        request = RenderLatent(latent=to_bytes(settings.latent), image_path=path, **model)
    return requests.submit(plane, request, f"Restore Images of {plane.name}")


def finish_sample(plane: Plane, request: Sample, sampled: Sampled | None) -> None:
    """Show the image of a seed; edits of the image before are in the history.

    Raises:
        EditError: There is no image, or it cannot be shown.
    """
    seed = request.seed, request.truncation_psi, request.label
    take_sampled(plane, request.image_path, sampled, seed)


def take_sampled(
    plane: Plane,
    image_path: str,
    sampled: Sampled | None,
    seed: tuple[int, float, int],
    *,
    is_of_seed: bool = True,
) -> None:
    """Show an image that no edit has made; see ``show_new``.

    Args:
        plane: The GAN image.
        image_path: The file of the image.
        sampled: Its latent; None if there is none.
        seed: As for ``show_new``.
        is_of_seed: Whether it is the image of the seed, and not that of a saved latent.

    Raises:
        EditError: There is no image, or it cannot be shown.
    """
    if sampled is None:
        raise EditError("The engine ended without an image; see its log")
    model = pump.state().model
    sha256 = model.sha256 if model is not None else ""
    hashes = sha256, models.base_sha256(plane, sha256)
    key = pair_images.of_seed(seed[0], seed[2], hashes[1])
    if not is_of_seed:
        key = pair_images.of_latent(hashlib.sha256(sampled.latent).hexdigest())
    shape = show_new(plane, Path(image_path), sampled.latent, hashes, seed, key)
    if model is not None and model.notes:
        plane.draggan.status = f"Note: {'; '.join(model.notes)}"
    plane.draggan.status = shape or plane.draggan.status


def show_new(
    plane: Plane,
    path: Path,
    latent: bytes,
    hashes: tuple[str, str],
    seed: tuple[int, float, int],
    key: str,
) -> str:
    """Show an image that was made from no other: that of a seed or of a picture.

    Edits, paths and sequence of the image before are removed; its sliders are set to 0, or removed
    if they belong to another model. Pairs that were dragged on it are switched off. A tuned model
    is the same in this as what it was made from.

    Args:
        plane: The GAN image.
        path: The file of the image.
        latent: Its latent, without edits.
        hashes: The SHA-256 of the model's file, and that of the model that it was tuned from, or
            the same.
        seed: The seed, the truncation and the label that *Reset* restores.
        key: What the image is made from, see ``scene.pair_images``.

    Returns:
        What the person should know of the plane's shape, see ``images.show_still``.

    Raises:
        EditError: The image cannot be shown.
    """
    # The engine describes a model once, when it reads it, not for each request that uses it.
    settings, model = plane.draggan, pump.state().model
    shape = images.show_still(plane, path)
    alpha.show(plane)
    settings.latent = settings.sampled_latent = to_text(latent)
    settings.track, settings.source_changed = "", False
    edits.clear(plane)
    handle_paths.clear_paths(plane)
    handle_paths.send_home(plane)
    pair_images.change(plane, key)
    if models.base_of(plane) == hashes[1]:
        sliders.to_zero(plane)
    else:
        sliders.clear(plane)
    settings.model_sha256 = hashes[0]
    settings.w_dim = model.w_dim if model is not None else 0
    settings.label_count = model.c_dim if model is not None else 0
    settings.sampled_seed, settings.sampled_psi, label = seed
    settings.sampled_label = label if settings.label_count else NO_LABEL
    return shape


def finish_render(plane: Plane, request: RenderTrack | RenderLatent) -> None:
    """Show the images that were rendered again.

    Raises:
        EditError: They cannot be shown.
    """
    settings = plane.draggan
    if isinstance(request, RenderTrack):
        sequence = settings.sequence
        requests.show_frames(plane, request.frames, sequence.frame_count, sequence.kind)
    else:
        images.show_still(plane, Path(request.image_path))
    settings.status = "Restored the images"
