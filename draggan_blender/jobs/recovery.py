# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing half done: what a plane goes back to when a drag ends without a result.

:func:`settle` is the one way back. It is used when a drag fails or is cancelled, before a file
is saved in the middle of one, and after an undo or a file load that brought back the middle of
one. It needs only what the .blend remembers.

Blender's undo leaves alone what did not change between two undo steps, so that a live image or
a moved handle would survive it; therefore a drag is settled *before* the undo as well.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..scene import images, planes, points, timing
from . import requests

#: uuid -> (request id, dragging, baking) of the planes that were settled for the time of a save.
_parked: dict[str, tuple[int, bool, bool]] = {}

_PREVIEW = " preview"


def _is_live(settings: Any) -> bool:
    """Whether a plane may show its live image."""
    return bool(settings.dragging or settings.baking or settings.previewing)


def settle(plane: Plane) -> None:
    """Bring a plane to rest: the image and the handles as before the drag that runs on it."""
    settings = plane.draggan
    settings.request_id = 0
    if not _is_live(settings):
        return
    if settings.dragging:
        points.restore_handles(plane)
    settings.dragging = settings.baking = settings.previewing = False
    try:
        images.show_rest(plane)
    except EditError as error:
        settings.status, settings.failed = str(error), True
    images.remove_live(settings.uuid)


def preview_id(plane: Plane) -> str:
    """The image id of jobs that solve the playhead's frame: they end apart from the plane's own."""
    return f"{plane.draggan.uuid}{_PREVIEW}"


def is_preview(image_id: str) -> bool:
    """Whether this is a :func:`preview_id`."""
    return image_id.endswith(_PREVIEW)


def end_preview(plane: Plane) -> None:
    """Show again what the plane shows at rest, if it is an image that was solved for the playhead.

    One that is being solved is given up.
    """
    pump.cancel_job(preview_id(plane))
    if plane.draggan.previewing:
        settle(plane)


def cancel(plane: Plane) -> None:
    """Give up what runs for a plane; its late messages find nobody."""
    settle(plane)
    pump.cancel_job(plane.draggan.uuid)


def own(plane: Plane) -> None:
    """Make a duplicate an image of its own, and have the plane show what it shows at rest.

    To be called first by whatever is going to change the image. A drag that runs goes on.
    """
    if planes.own(plane):
        settle(plane)
        timing.adopt(plane)
    end_preview(plane)


def require_ready(plane: Plane) -> None:
    """Prepare an image for a change: make a duplicate an image of its own, and check its state.

    Raises:
        EditError: The plane has no image, or is being worked on.
    """
    own(plane)
    requests.refuse_if_busy(plane)
    requests.require_image(plane)


def release_duplicates(plane: Plane | None, request_id: int) -> None:
    """Bring to rest what was duplicated while a request ran: its result is for ``plane`` alone."""
    for other in planes.everywhere():
        if other != plane and other.draggan.request_id == request_id:
            own(other)


def _before_undo(*_arguments: Any) -> None:
    for plane in planes.everywhere():
        if plane.draggan.dragging or plane.draggan.baking:
            cancel(plane)
        end_preview(plane)


def _after_undo(*_arguments: Any) -> None:
    """Every drag was cancelled before, so a plane in the middle of one is a memory of it."""
    state = pump.state()
    waiting = [*state.queue, *([state.active] if state.active is not None else [])]
    wanted = set()
    for plane in planes.everywhere():
        if _is_live(plane.draggan):
            settle(plane)
        wanted.add((plane.draggan.uuid, plane.draggan.request_id))
    open_ids = {job.request.request_id for job in waiting}
    for job in waiting:
        if (job.image_id, job.request.request_id) not in wanted:
            pump.cancel_job(job.image_id)
    for plane in planes.everywhere():
        if plane.draggan.request_id not in open_ids:
            plane.draggan.request_id = 0


def _before_load(*_arguments: Any) -> None:
    _parked.clear()
    for plane in planes.everywhere():
        if plane.draggan.request_id:
            cancel(plane)
        end_preview(plane)


def _after_load(*_arguments: Any) -> None:
    """An automatic save may have stored the middle of a drag: it asks nobody before."""
    for plane in planes.everywhere():
        settle(plane)


def _before_render(*_arguments: Any) -> None:
    """A render shows what a machine without the engine would show."""
    for plane in planes.everywhere():
        end_preview(plane)


def _before_save(*_arguments: Any) -> None:
    for plane in planes.everywhere():
        settings = plane.draggan
        end_preview(plane)
        if settings.request_id:
            _parked[settings.uuid] = (settings.request_id, settings.dragging, settings.baking)
            settle(plane)


def _after_save(*_arguments: Any) -> None:
    """The next step and the next preview bring handles and live image back."""
    for plane in planes.everywhere():
        settings = plane.draggan
        if settings.uuid in _parked:
            settings.request_id, settings.dragging, settings.baking = _parked[settings.uuid]
    _parked.clear()


_HANDLERS = (
    ("undo_pre", _before_undo),
    ("redo_pre", _before_undo),
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
    """Put the handlers into Blender's lists, where they survive the opening of a file."""
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(persistent(handler))


def unregister() -> None:
    """Take them out again."""
    for name, handler in reversed(_HANDLERS):
        getattr(bpy.app.handlers, name).remove(handler)
    _parked.clear()
