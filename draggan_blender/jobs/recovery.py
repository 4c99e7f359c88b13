# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring a plane whose drag or bake ended without a result.

``settle`` does so. It is used when a drag fails or is cancelled, before a file is saved during a
drag, and after an undo or a file load that brought back a state from during a drag. It needs only
what the .blend stores.

Blender's undo does not restore what is equal in two undo steps, so a live image or a moved handle
would remain; therefore a drag is also cancelled *before* the undo.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.direction_messages import FindDirections, PullBack
from ..scene import copies, handle_paths, images, planes, points
from . import requests

# uuid -> (request id, dragging, baking, inverting) of the planes that are settled while the file is
# saved.
_parked: dict[str, tuple[int, bool, bool, bool]] = {}

# Ends the image id of a job that solves the playhead's frame, of one that checks points, of one
# that finds the parts of the picture, and of those of Apply to Many.
_PREVIEW, _CHECK, _PARTS, _MANY = " preview", " check", " parts", " many"
# What these find is of the model; whoever gets it looks whether the image is still the same.
_OF_MODELS = (FindDirections, PullBack)


def _is_live(settings: Any) -> bool:
    """Return whether a plane may show its live image."""
    return bool(settings.dragging or settings.baking or settings.inverting or settings.previewing)


def settle(plane: Plane) -> None:
    """Restore the image and the handles that a plane had before its running drag or bake.

    The plane then waits for no request; messages of the running one are dropped. A failure to
    show the image is written into the plane's status.
    """
    settings = plane.draggan
    settings.request_id = 0
    if not _is_live(settings):
        return
    if settings.dragging:
        handle_paths.restore_handles(plane)
    settings.dragging = settings.baking = settings.inverting = settings.previewing = False
    try:
        images.show_rest(plane)
    except EditError as error:
        settings.status, settings.failed = str(error), True
    images.remove_live(settings.uuid)


def preview_id(plane: Plane) -> str:
    """Return the image id of jobs that solve the playhead's frame.

    It differs from the plane's uuid, so that these jobs can be cancelled separately.
    """
    return f"{plane.draggan.uuid}{_PREVIEW}"


def check_id(plane: Plane) -> str:
    """Return the image id of jobs that check points; see ``preview_id``."""
    return f"{plane.draggan.uuid}{_CHECK}"


def parts_id(plane: Plane) -> str:
    """Return the image id of jobs that find the parts of the picture; see ``preview_id``."""
    return f"{plane.draggan.uuid}{_PARTS}"


def many_id(image_id: str) -> str:
    """Return the image id of jobs of *Apply to Many*; see ``preview_id``."""
    return f"{image_id}{_MANY}"


def is_aside(image_id: str) -> bool:
    """Return whether an image id comes of ``preview_id`` or of one of the functions below it."""
    return image_id.endswith((_PREVIEW, _CHECK, _PARTS, _MANY))


def end_preview(plane: Plane) -> None:
    """Cancel the solving of the playhead's frame, and remove its result from the plane.

    The plane then shows its still or its sequence again.
    """
    pump.cancel_job(preview_id(plane))
    if plane.draggan.previewing:
        settle(plane)


def cancel(plane: Plane) -> None:
    """Cancel the request of a plane and restore the plane at once.

    Messages that the engine still sends for the request are dropped.
    """
    settle(plane)
    pump.cancel_job(plane.draggan.uuid)


def own(plane: Plane) -> None:
    """Make a plane independent of its original, and end the preview of the playhead.

    The original of a copy is in this file, that of a plane that was made local in another one.
    Call this before any change of the image. A running drag of the original continues.
    """
    twins = planes.twins(plane)
    is_copy = len(twins) > 1 and copies.original_of(twins) != plane
    if is_copy or copies.is_partly_linked(plane):
        copies.separate(plane)
        settle(plane)
    end_preview(plane)


def require_ready(plane: Plane) -> None:
    """Prepare a plane for a change of its image: call ``own``, check its state, update old points.

    Raises:
        EditError: The plane has no image, is being worked on, or has no node to show a result.
    """
    own(plane)
    requests.refuse_if_busy(plane)
    requests.require_image(plane)
    planes.texture_node(plane)
    points.modernise(plane)


def release_duplicates(plane: Plane | None, request_id: int) -> None:
    """Settle the planes that were duplicated during a request; its result is only for ``plane``."""
    for other in planes.everywhere():
        if other != plane and other.draggan.request_id == request_id:
            own(other)


def _before_undo(*_arguments: Any) -> None:
    if _cancel_all():
        # The undo takes this step, and not the one before the drag.
        bpy.ops.ed.undo_push(message="Cancel")


def _before_redo(*_arguments: Any) -> None:
    _cancel_all()


def _cancel_all() -> bool:
    """Cancel all drags, bakes and previews; return whether there was a drag or a bake."""
    found = False
    for plane in planes.everywhere():
        settings = plane.draggan
        if settings.dragging or settings.baking or settings.inverting:
            cancel(plane)
            found = True
        end_preview(plane)
    return found


def _after_undo(*_arguments: Any) -> None:
    """Settle all planes: drags were cancelled before the undo, so a live state is an old one."""
    waiting = _open_jobs()
    wanted = set()
    for plane in planes.everywhere():
        if _is_live(plane.draggan):
            settle(plane)
        wanted.add((plane.draggan.uuid, plane.draggan.request_id))
    open_ids = {job.request.request_id for job in waiting}
    for job in waiting:
        if job.image_id == requests.LIBRARY_ID or isinstance(job.request, _OF_MODELS):
            continue
        if job.image_id.endswith(_MANY):
            # Whoever gets its results compares each image with what it was.
            continue
        if (job.image_id, job.request.request_id) not in wanted:
            pump.cancel_job(job.image_id)
    for plane in planes.everywhere():
        if plane.draggan.request_id not in open_ids:
            plane.draggan.request_id = 0
        images.refresh(plane)


def _open_jobs() -> list[pump.Job]:
    """Return the jobs that have no ending yet."""
    state = pump.state()
    return [*state.queue, *([state.active] if state.active is not None else [])]


def _before_load(*_arguments: Any) -> None:
    _parked.clear()
    for job in _open_jobs():
        if job.image_id.endswith(_MANY):
            pump.cancel_job(job.image_id)
    for plane in planes.everywhere():
        if plane.draggan.request_id:
            cancel(plane)
        end_preview(plane)


def _after_load(*_arguments: Any) -> None:
    # An automatic save calls no handler, so its file may hold a state from during a drag.
    for plane in planes.everywhere():
        settle(plane)
        points.modernise(plane)


def _before_render(*_arguments: Any) -> None:
    # A render shows the same on a machine that has no engine to solve previews.
    for plane in planes.everywhere():
        end_preview(plane)


def _before_save(*_arguments: Any) -> None:
    for plane in planes.everywhere():
        settings = plane.draggan
        end_preview(plane)
        if settings.request_id:
            live = settings.dragging, settings.baking, settings.inverting
            _parked[settings.uuid] = (settings.request_id, *live)
            settle(plane)


def _after_save(*_arguments: Any) -> None:
    # The handles and the live image return with the next step and the next preview of the drag.
    for plane in planes.everywhere():
        settings = plane.draggan
        if settings.uuid in _parked:
            settings.request_id, *live = _parked[settings.uuid]
            settings.dragging, settings.baking, settings.inverting = live
    _parked.clear()


_HANDLERS = (
    ("undo_pre", _before_undo),
    ("redo_pre", _before_redo),
    ("undo_post", _after_undo),
    ("redo_post", _after_undo),
    ("load_pre", _before_load),
    ("load_post", _after_load),
    ("render_init", _before_render),
    ("save_pre", _before_save),
    ("save_post", _after_save),
    ("save_post_fail", _after_save),
)


def register() -> None:
    """Add the handlers to Blender's lists; as persistent ones they stay when a file is opened."""
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(persistent(handler))


def unregister() -> None:
    """Remove the handlers from Blender's lists, and forget the planes that a save has settled."""
    for name, handler in reversed(_HANDLERS):
        getattr(bpy.app.handlers, name).remove(handler)
    _parked.clear()
