# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from a person's own picture: finding the latent, and blending edits back onto it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import bpy

from ..connection import pump
from ..errors import EditError, reason_of
from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..protocol.file_names import matte_stem
from ..protocol.losses import PIXELS
from ..protocol.messages import FrameTarget, Request
from ..protocol.own_picture import Alignment, BlendBack, InvertPicture, PictureInverted
from ..scene import images, models, pair_images, picture_frame, picture_pixels, planes
from ..scene.frame_files import frame_path
from . import folders, image, recovery, requests

# Files of these kinds are read by the engine as they are; Blender writes others as PNG.
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
    noise: bool = False,
    loss: str = PIXELS,
    loss_path: str = "",
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
        noise: Whether noise maps are found as well.
        loss: How picture and image are compared, one of ``LOSS_NAMES``.
        loss_path: The file with the weights of the loss; empty for the usual, or for none.

    Returns:
        The plane. It has no image until the request ``plane.draggan.request_id`` has ended, and
        is removed again if that request fails.

    Raises:
        EditError: The picture, the model or its folder cannot be used, or the engine cannot be
            started.
    """
    plane = image.make_plane(context, model, location, rotation)
    own = plane.draggan.own
    own.picture, own.refine, own.tune, own.noise = picture, refine, tune, noise
    own.loss, own.loss_path = loss, loss_path
    if seconds is not None:
        own.seconds = seconds

    def ask(made: Plane) -> int:
        picture_frame.require_picture(made)
        return _ask(made, alignment or picture_frame.whole(*picture.size))

    image.begin(plane, ask)
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
    model_path = models.path_of(*models.untuned(plane))
    image_path = folders.new_still(plane)
    request = InvertPicture(
        request_id=pump.new_request_id(),
        model_path=model_path,
        picture_path=str(_file_in(image_path.parent, plane)),
        alignment=alignment,
        refine=own.refine,
        seconds=own.seconds,
        loss=own.loss,
        loss_path=bpy.path.abspath(own.loss_path) if own.loss_path else "",
        noise=own.noise,
        tune=own.tune,
        tune_seconds=own.tune_seconds,
        difference_path=str(image_path.with_name(_TUNED)) if own.tune or own.noise else "",
        image_path=str(image_path),
        previews=not bpy.app.background,
    )
    settings.inverting = True
    return requests.submit(plane, request, f"Picture of {plane.name}")


def _file_in(folder: Path, plane: Plane) -> Path:
    """Return a file of the plane's picture that the engine can read.

    It is the picture's own file if that shows what Blender shows; otherwise a new one.

    Args:
        folder: The folder of the request, for a new file; removed if there is an error.
        plane: The GAN image.

    Raises:
        EditError: The picture is missing, or cannot be written as a file.
    """
    try:
        picture = picture_frame.require_picture(plane)
        path = Path(bpy.path.abspath(picture.filepath, library=picture.library))
        is_changed = picture.packed_file is not None or picture.is_dirty or picture.is_float
        is_readable = path.suffix.lower() in _READABLE and path.is_file()
        if picture.source == "FILE" and is_readable and not is_changed:
            return path.absolute()
        target = folder / _FILE
        picture_pixels.write_png(picture, target)
    except EditError:
        folders.remove_empty(folder)
        raise
    return target


def remove_file(request: Request) -> None:
    """Remove the file of the picture, if one was written for a request that has ended."""
    if isinstance(request, InvertPicture):
        folder = Path(request.image_path).parent
    elif isinstance(request, BlendBack):
        folder = Path(request.frames.folder)
    else:
        return
    path = Path(request.picture_path)
    # A request has a new folder for itself, so the person's own file is never in it.
    if path.parent == folder:
        with contextlib.suppress(OSError):
            path.unlink()


def finish(plane: Plane, request: InvertPicture, found: PictureInverted | None) -> None:
    """Show the image of a picture; edits of the image before are in the history.

    Raises:
        EditError: There is no image, or it cannot be shown.
    """
    if found is None:
        raise EditError("The engine ended without an image; see its log")
    settings, own, source = plane.draggan, plane.draggan.own, plane.draggan.source
    seed = source.seed, source.truncation_psi, source.label
    # The engine still has the model that it has found the latent with.
    model = pump.state().model
    untuned_sha256 = model.sha256 if model is not None else found.model_sha256
    hashes = found.model_sha256, untuned_sha256
    name = "" if own.picture is None else own.picture.name
    key = pair_images.of_picture(name)
    shape = image.show_new(plane, Path(request.image_path), found.latent, hashes, seed, key)
    own.latent = settings.latent
    own.untuned_kind, own.untuned_path = models.untuned(plane)
    own.untuned_sha256 = untuned_sha256
    if found.model_path == request.difference_path:
        own.tuned_path, own.tuned_sha256 = _stored_path(found.model_path), found.model_sha256
        source.kind, source.path = "FILE", own.tuned_path
    else:
        own.tuned_path = own.tuned_sha256 = ""
        source.kind, source.path = own.untuned_kind, own.untuned_path
    picture_frame.store(plane, found.alignment)
    own.coverage, own.sentence = found.coverage, found.sentence
    settings.status = shape or found.sentence


def _stored_path(path: str) -> str:
    """Return a path as it is stored: relative to the .blend if it is in a folder beside it."""
    saved = bpy.data.filepath
    if saved and Path(path).is_relative_to(Path(saved).parent):
        return bpy.path.relpath(path)
    return path


def blend_back(plane: Plane, *, matte: bool | None = None) -> int:
    """Compose the edits of an image onto its picture, in the picture's full resolution.

    The result is a Blender image; of a sequence, files beside it and a Blender image of them.

    Args:
        plane: The GAN image.
        matte: Whether a matte is made as well; None for what the panel says.

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
    model_path = models.model_path(settings.source)
    path = folders.new_still(plane)
    first = settings.sequence.first_frame if track else 1
    request = BlendBack(
        request_id=pump.new_request_id(),
        model_path=model_path,
        model_sha256=settings.model_sha256,
        picture_path=str(_file_in(path.parent, plane)),
        alignment=alignment,
        base=to_bytes(own.latent),
        latent=b"" if track else to_bytes(settings.latent),
        track=track,
        image_path="" if track else str(path),
        frames=FrameTarget(folder=str(path.parent), stem=_BLEND, first_number=first),
        matte=own.with_matte if matte is None else matte,
    )
    return requests.submit(plane, request, f"Blend {plane.name} onto its picture")


def finish_blend(plane: Plane, request: BlendBack) -> None:
    """Load what was composed, and its matte if there is one, as Blender images.

    Raises:
        EditError: One cannot be read.
    """
    settings, own = plane.draggan, plane.draggan.own
    is_sequence = bool(request.track)
    path = Path(request.image_path)
    if is_sequence:
        path = frame_path(Path(request.frames.folder), _BLEND, request.frames.first_number)
    matte = None
    if request.matte:
        matte_path = path.with_stem(matte_stem(path.stem))
        if is_sequence:
            stem = matte_stem(_BLEND)
            matte_path = frame_path(path.parent, stem, request.frames.first_number)
        matte = _loaded(matte_path, is_sequence)
        matte.colorspace_settings.name = "Non-Color"
    before = _composed(plane)
    blended = _loaded(path, is_sequence)
    own.blended, own.matte = blended, matte
    # Materials may show an image because of the plane that this one was copied from.
    of_others = [image for one in planes.everywhere() for image in _composed(one)]
    for old, new in zip(before, (blended, matte), strict=True):
        if old is None or new is None or old in of_others:
            continue
        # A node keeps the frames of a sequence itself, so it cannot change to the other kind.
        if old.source == new.source:
            old.user_remap(new)
    images.remove_unused(*before)
    # Only now are their names free.
    blended.name = f"{plane.name} Blended"
    if matte is not None:
        matte.name = f"{plane.name} Matte"
    settings.status = (
        f"Blended {settings.sequence.frame_count} images onto the picture: {path.parent}"
        if is_sequence
        else f"Blended onto the picture: the image {blended.name}"
    )


def _composed(plane: Plane) -> tuple[bpy.types.Image | None, bpy.types.Image | None]:
    """Return what was blended last, and its matte."""
    own = plane.draggan.own
    return own.blended, own.matte


def _loaded(path: Path, is_sequence: bool) -> bpy.types.Image:
    """Return a file as an image, packed; or as the first one of a sequence of files."""
    found = images.load(path)
    if is_sequence:
        found.source = "SEQUENCE"
    else:
        found.pack()
    return found
