# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from a person's own picture: finding the latent, and blending edits back onto it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..connection import pump
from ..errors import EditError, reason_of
from ..properties.owners import Plane
from ..properties.stored import to_bytes, to_text
from ..protocol.messages import FrameTarget
from ..protocol.own_picture import Alignment, BlendBack, InvertPicture, PictureInverted
from ..scene import edits, handle_paths, images, models, picture_frame, planes
from ..scene.frame_files import frame_path
from . import folders, recovery, requests

# Files of these kinds are read by the engine as they are; Blender converts others to PNG.
_READABLE = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
_FILE = "picture.png"
_TUNED = "tuned.safetensors"
_BLEND = "blend"


def load(path: Path) -> bpy.types.Image:
    """Return a picture's file as a Blender image.

    Raises:
        EditError: It cannot be read.
    """
    try:
        picture = bpy.data.images.load(str(path.absolute()), check_existing=True)
    except RuntimeError as error:
        raise EditError(f"{path.name} cannot be read: {reason_of(error)}") from None
    if not all(picture.size):
        raise EditError(f"{path.name} is not a picture that Blender can read")
    return picture


def new_image(
    context: bpy.types.Context,
    picture: bpy.types.Image,
    model: str = models.BUILT_IN_MODEL,
    location: Any = (0.0, 0.0, 0.0),
    rotation: Any = (0.0, 0.0, 0.0),
    *,
    alignment: Alignment | None = None,
    refine: bool = True,
    seconds: float | None = None,
    tune: bool = False,
) -> Plane:
    """Make a plane, and ask the engine for the image that comes nearest to a picture.

    Args:
        context: Its scene gets the plane, in a new collection.
        picture: The picture.
        model: ``suzanne``, or the path of a StyleGAN2 checkpoint.
        location: Of the plane, in world units.
        rotation: Of the plane, XYZ Euler angles in radians.
        alignment: The frame on the picture; None for the largest square in its middle.
        refine: Whether the frame is refined together with the latent.
        seconds: The most seconds of the search, 0 for any; None for the usual.
        tune: Whether the model is tuned to the picture.

    Returns:
        The plane. It has no image until the request ``plane.draggan.request_id`` has ended, and
        is removed again if that request fails.

    Raises:
        EditError: The picture, the model or its folder cannot be used, or the engine cannot be
            started.
    """
    plane = planes.create(context, location, rotation)
    image_id, settings = plane.draggan.uuid, plane.draggan
    settings.source.kind = "BUILT_IN" if model == models.BUILT_IN_MODEL else "FILE"
    settings.source.path = "" if model == models.BUILT_IN_MODEL else model
    own = settings.own
    own.picture, own.refine, own.tune = picture, refine, tune
    if seconds is not None:
        own.seconds = seconds
    try:
        picture_frame.require_picture(plane)
        _ask(plane, alignment or picture_frame.whole(*picture.size))
    except EditError:
        left = planes.find(image_id)
        if left is not None:
            planes.remove(left)
        raise
    return plane


def invert_again(plane: Plane) -> int:
    """Look for the picture of an image again, with the frame as it is now.

    Returns:
        The request id.

    Raises:
        EditError: The image was not made from a picture, it is being worked on, or the engine
            cannot be started.
    """
    recovery.own(plane)
    return _ask(plane, picture_frame.read(plane))


def _ask(plane: Plane, alignment: Alignment) -> int:
    requests.refuse_if_busy(plane)
    settings, own = plane.draggan, plane.draggan.own
    kind, path = _untuned(plane)
    image_path = folders.new_still(plane)
    before = settings.source.kind, settings.source.path
    settings.source.kind, settings.source.path = kind, path
    try:
        model_path = models.model_path(settings.source)
    finally:
        settings.source.kind, settings.source.path = before
    request = InvertPicture(
        request_id=pump.new_request_id(),
        model_path=model_path,
        picture_path=str(file_of(plane)),
        alignment=alignment,
        refine=own.refine,
        seconds=own.seconds,
        tune_path=str(image_path.with_name(_TUNED)) if own.tune else "",
        tune_seconds=own.tune_seconds,
        image_path=str(image_path),
        previews=not bpy.app.background,
    )
    settings.inverting = True
    return requests.submit(plane, request, f"Picture of {plane.name}")


def _untuned(plane: Plane) -> tuple[str, str]:
    """Return kind and path of the model that a picture is looked for with."""
    settings, own = plane.draggan, plane.draggan.own
    is_tuned = settings.source.kind == "FILE" and Path(settings.source.path).name == _TUNED
    if is_tuned and own.untuned_kind:
        return own.untuned_kind, own.untuned_path
    return settings.source.kind, settings.source.path


def file_of(plane: Plane) -> Path:
    """Return a file of the plane's picture that the engine can read.

    Raises:
        EditError: The picture is missing, or cannot be written as a file.
    """
    picture = picture_frame.require_picture(plane)
    path = Path(bpy.path.abspath(picture.filepath, library=picture.library))
    is_plain = picture.source == "FILE" and picture.packed_file is None and not picture.is_dirty
    if is_plain and path.suffix.lower() in _READABLE and path.is_file():
        return path.absolute()
    target = folders.new_still(plane).with_name(_FILE)
    copy: Any = picture.copy()
    try:
        copy.file_format = "PNG"
        copy.save(filepath=str(target))
    except RuntimeError as error:
        folders.remove_empty(target.parent)
        raise EditError(
            f"The picture {picture.name} cannot be written as {target.name}: {reason_of(error)}"
        ) from None
    finally:
        bpy.data.images.remove(copy)
    return target


def finish(plane: Plane, request: InvertPicture, found: PictureInverted | None) -> None:
    """Show the image of a picture; edits of the image before are in the history.

    Raises:
        EditError: There is no image, or it cannot be shown.
    """
    if found is None:
        raise EditError("The engine ended without an image; see its log")
    settings, own = plane.draggan, plane.draggan.own
    images.show_still(plane, Path(request.image_path))
    settings.latent = settings.sampled_latent = own.latent = to_text(found.latent)
    settings.track, settings.source_changed = "", False
    settings.sampled_seed = settings.source.seed
    settings.sampled_psi = settings.source.truncation_psi
    own.untuned_kind, own.untuned_path = _untuned(plane)
    if found.tuned_error >= 0.0:
        settings.source.kind, settings.source.path = "FILE", _stored_path(found.model_path)
    else:
        settings.source.kind, settings.source.path = own.untuned_kind, own.untuned_path
    settings.model_sha256 = found.model_sha256
    model = pump.state().model
    settings.w_dim = model.w_dim if model is not None else 0
    edits.clear(plane)
    handle_paths.clear_paths(plane)
    handle_paths.send_home(plane)
    picture_frame.store(plane, found.alignment)
    own.coverage, own.sentence = found.coverage, found.sentence
    settings.status = found.sentence


def _stored_path(path: str) -> str:
    """Return a path as it is stored: relative to the .blend if it is in a folder beside it."""
    saved = bpy.data.filepath
    if saved and Path(path).is_relative_to(Path(saved).parent):
        return bpy.path.relpath(path)
    return path


def blend_back(plane: Plane) -> int:
    """Compose the edits of an image onto its picture, in the picture's full resolution.

    The result is a Blender image; of a sequence, files beside it and a Blender image of them.

    Returns:
        The request id.

    Raises:
        EditError: The image was not made from a picture, it is being worked on, or the engine
            cannot be started.
    """
    recovery.require_ready(plane)
    settings, own = plane.draggan, plane.draggan.own
    alignment = picture_frame.stored(plane)
    if own.latent != settings.sampled_latent:
        raise EditError(
            f"{plane.name} shows the image of a seed now; go back in the History to the one from "
            "the picture"
        )
    track = to_bytes(settings.track) if settings.sequence.image is not None else b""
    path = folders.new_still(plane)
    first = settings.sequence.first_frame if track else 1
    request = BlendBack(
        request_id=pump.new_request_id(),
        model_path=models.model_path(settings.source),
        model_sha256=settings.model_sha256,
        picture_path=str(file_of(plane)),
        alignment=alignment,
        base=to_bytes(own.latent),
        latent=b"" if track else to_bytes(settings.latent),
        track=track,
        image_path="" if track else str(path),
        frames=FrameTarget(folder=str(path.parent), stem=_BLEND, first_number=first),
    )
    return requests.submit(plane, request, f"Blend {plane.name} onto its picture")


def finish_blend(plane: Plane, request: BlendBack) -> None:
    """Load what was composed as a Blender image.

    Raises:
        EditError: It cannot be read.
    """
    settings, own = plane.draggan, plane.draggan.own
    is_sequence = bool(request.track)
    path = Path(request.image_path)
    if is_sequence:
        path = frame_path(Path(request.frames.folder), _BLEND, request.frames.first_number)
    before, blended = own.blended, load(path)
    blended.name = f"{plane.name} Blended"
    if is_sequence:
        blended.source = "SEQUENCE"
    else:
        blended.pack()
    own.blended = blended
    images.remove_unused(before)
    settings.status = (
        f"Blended {settings.sequence.frame_count} images onto the picture: {path.parent}"
        if is_sequence
        else f"Blended onto the picture: the image {blended.name}"
    )
