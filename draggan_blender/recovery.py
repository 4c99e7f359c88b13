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

from . import images, planes, points, pump
from .errors import EditError

#: uuid -> (request id, dragging) of the planes that were settled for the time of a save.
_parked: dict[str, tuple[int, bool]] = {}


def settle(plane: Any) -> None:
    """Bring a plane to rest: the image and the handles as before the drag that runs on it."""
    settings = plane.draggan
    settings.request_id = 0
    if not settings.dragging:
        return
    settings.dragging = False
    points.restore_handles(plane)
    try:
        images.show_rest(plane)
    except EditError as error:
        settings.status, settings.failed = str(error), True
    images.remove_live(settings.uuid)


def cancel(plane: Any) -> None:
    """Give up what runs for a plane; its late messages find nobody."""
    settle(plane)
    pump.cancel_job(plane.draggan.uuid)


def own(plane: Any) -> None:
    """Make a duplicate an image of its own; one that was made during a drag comes to rest."""
    if planes.own(plane):
        settle(plane)


def release_duplicates(plane: Any | None, request_id: int) -> None:
    """Bring to rest what was duplicated while a request ran: its result is for ``plane`` alone."""
    for other in planes.everywhere():
        if other != plane and other.draggan.request_id == request_id:
            own(other)


def _before_undo(*_arguments: Any) -> None:
    for plane in planes.everywhere():
        if plane.draggan.dragging:
            cancel(plane)


def _after_undo(*_arguments: Any) -> None:
    """Every drag was cancelled before, so a plane in the middle of one is a memory of it."""
    state = pump.state()
    waiting = [*state.queue, *([state.active] if state.active is not None else [])]
    wanted = set()
    for plane in planes.everywhere():
        if plane.draggan.dragging:
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


def _after_load(*_arguments: Any) -> None:
    """An automatic save may have stored the middle of a drag: it asks nobody before."""
    for plane in planes.everywhere():
        settle(plane)


def _before_save(*_arguments: Any) -> None:
    for plane in planes.everywhere():
        settings = plane.draggan
        if settings.request_id:
            _parked[settings.uuid] = (settings.request_id, settings.dragging)
            settle(plane)


def _after_save(*_arguments: Any) -> None:
    """The next step and the next preview bring handles and live image back."""
    for plane in planes.everywhere():
        if plane.draggan.uuid in _parked:
            plane.draggan.request_id, plane.draggan.dragging = _parked[plane.draggan.uuid]
    _parked.clear()


_HANDLERS = (
    ("undo_pre", _before_undo),
    ("redo_pre", _before_undo),
    ("undo_post", _after_undo),
    ("redo_post", _after_undo),
    ("load_pre", _before_load),
    ("load_post", _after_load),
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
