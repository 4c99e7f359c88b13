# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with a GAN image, as plain functions: for operators, the command line, scripts.

Those that need the engine return at once; what comes back is written into the scene by
:mod:`.delivery` while Blender's main loop, or :func:`wait` in its place, runs. All are to be
called from the main thread, and raise :class:`.errors.EditError` with a sentence for the person.
"""

from __future__ import annotations

import base64
from dataclasses import fields
from pathlib import Path
from typing import Any

import bpy

from . import delivery, folders, images, masks, planes, points, pump, recovery, shown
from .errors import EditError
from .protocol.messages import (
    Drag,
    FrameTarget,
    Pair,
    RenderLatent,
    RenderTrack,
    Request,
    Sample,
)
from .protocol.settings import DragSettings

BUILT_IN_MODEL = "suzanne"


def model_path(source: Any) -> str:
    """The checkpoint of a ``DRAGGAN_PG_source``, as an absolute path.

    Raises:
        EditError: it is to come from a file, and none was chosen.
    """
    if source.kind == "BUILT_IN":
        root = Path(__file__).resolve().parents[1]
        return str(root / "stylegan2" / "models" / f"{BUILT_IN_MODEL}.safetensors")
    if not source.path:
        raise EditError("No model was chosen; choose a .pkl or .safetensors file, or Suzanne")
    return str(Path(bpy.path.abspath(source.path)).absolute())


def new_image(
    context: Any,
    model: str = BUILT_IN_MODEL,
    seed: int = 1,
    truncation_psi: float = 0.7,
    location: Any = (0.0, 0.0, 0.0),
) -> Any:
    """Make a plane and ask the engine for the image of a seed.

    Args:
        context: its scene gets the plane, in a collection of its own.
        model: ``suzanne``, or the path of a StyleGAN2 checkpoint.
        seed: 0 to 2147483647.
        truncation_psi: how far from the model's average; 1 for as far as the model goes.
        location: of the plane, world units.

    Returns:
        The plane. It has no image until the request ``plane.draggan.request_id`` has ended, and
        is removed again if that fails.
    """
    plane = planes.create(context, location)
    image_id, source = plane.draggan.uuid, plane.draggan.source
    source.kind = "BUILT_IN" if model == BUILT_IN_MODEL else "FILE"
    source.path = "" if model == BUILT_IN_MODEL else model
    source.seed, source.truncation_psi = seed, truncation_psi
    try:
        resample(plane)
    except EditError:
        # Where the engine could not even start, the delivery has removed it already.
        left = planes.find(image_id)
        if left is not None:
            planes.remove(left)
        raise
    return plane


def resample(plane: Any) -> int:
    """Ask for the image of the plane's seed and truncation; edits are lost. The request's id."""
    recovery.own(plane)
    refuse_if_busy(plane)
    source = plane.draggan.source
    request = Sample(
        request_id=pump.new_request_id(),
        model_path=model_path(source),
        seed=source.seed,
        truncation_psi=source.truncation_psi,
        image_path=str(folders.new_still(plane)),
    )
    return submit(plane, request, f"New image of {plane.name}")


def start_drag(context: Any, plane: Any, *, previews: bool = True) -> int:
    """Move the handles of the enabled pairs to their targets. The request's id.

    It starts from the image that the plane shows at the current frame, and its sequence goes onto
    the timeline from there on; from frame 1 on where that is earlier, because files have numbers.
    ``previews``: False where nobody looks.
    """
    settings = plane.draggan
    recovery.own(plane)
    refuse_if_busy(plane)
    require_image(plane)
    placed = points.read_pairs(context, plane)
    mask = masks.at_frame(plane, planes.scene_of(plane).frame_current)
    number = pump.new_request_id()
    target = FrameTarget(
        folder=str(folders.new_drag(plane)),
        stem=folders.stem_of(plane),
        first_number=max(planes.scene_of(plane).frame_current, 1),
    )
    request = Drag(
        request_id=number,
        drag_id=number,
        model_path=model_path(settings.source),
        model_sha256=settings.model_sha256,
        latent=shown.latent(plane),
        pairs=tuple(Pair(handle_px=entry.handle_px, target_px=entry.target_px) for entry in placed),
        settings=drag_settings(settings.drag),
        mask=mask,
        frames=target,
        previews=previews,
    )
    points.begin([entry.pair for entry in placed], plane)
    settings.dragging = True
    return submit(plane, request, f"Drag {plane.name}")


def stop_drag(plane: Any) -> None:
    """End the running drag where it is; what it has reached is its result."""
    pump.stop_job(plane.draggan.uuid)


def reset(plane: Any) -> None:
    """Back to the image of the seed: without the drags, the handles where they first were."""
    settings = plane.draggan
    if settings.request_id:
        recovery.cancel(plane)
    recovery.own(plane)
    require_image(plane)
    settings.latent, settings.track = settings.sampled_latent, ""
    settings.status, settings.failed = "", False
    points.clear_paths(plane)
    points.send_home(plane)
    images.clear_sequence(plane)


def render_again(plane: Any) -> int:
    """Render the images again from what the .blend remembers, without solving.

    For a machine that has no copy of the folder with the images. The request's id.
    """
    settings = plane.draggan
    recovery.own(plane)
    refuse_if_busy(plane)
    require_image(plane)
    model = {
        "request_id": pump.new_request_id(),
        "model_path": model_path(settings.source),
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
        request = RenderTrack(track=base64.b64decode(settings.track), frames=target, **model)
    else:
        path = str(folders.new_still(plane))
        request = RenderLatent(latent=base64.b64decode(settings.latent), image_path=path, **model)
    return submit(plane, request, f"Render {plane.name}")


def wait(request_id: int, timeout_s: float = 3600.0) -> None:
    """Run the engine's pump until a request has ended: for scripts and ``blender -b`` only.

    Raises:
        EditError: it failed or was cancelled, or ``timeout_s`` seconds went by.
    """
    ended = pump.run_until(lambda _state: request_id in delivery.endings, timeout_s)
    if not ended:
        raise EditError(f"The engine had not finished after {timeout_s:g} seconds")
    problem = delivery.endings[request_id]
    if problem:
        raise EditError(problem)


def drag_settings(group: Any) -> DragSettings:
    """The settings of a plane as the protocol has them."""
    return DragSettings(**{item.name: getattr(group, item.name) for item in fields(DragSettings)})


def submit(plane: Any, request: Request, label: str) -> int:
    """Hand a request over.

    Raises:
        EditError: the engine could not even be started; the plane is as it was.
    """
    settings = plane.draggan
    settings.request_id = request.request_id
    settings.status, settings.failed = "", False
    pump.submit(pump.Job(request=request, image_id=settings.uuid, label=label))
    problem = delivery.endings.get(request.request_id, "")
    if problem:
        raise EditError(problem)
    return request.request_id


def refuse_if_busy(plane: Any) -> None:
    if plane.draggan.request_id:
        raise EditError(f"{plane.name} is being worked on; wait, or press Stop")


def require_image(plane: Any) -> None:
    if not plane.draggan.latent:
        raise EditError(f"{plane.name} has no image yet; make a new one, or wait for it")
