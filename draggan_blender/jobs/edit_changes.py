# SPDX-License-Identifier: GPL-3.0-or-later
"""The image follows its edits and sliders while a person changes visibility, strength or order.

While a strength changes, the plane shows previews: small images without files and without undo
steps, one at a time, always of the newest value. When the lists have rested, its image is rendered:
one undo step, and a state of the history. A sequence that the plane shows stays in the history.

A running drag is stopped and keeps its result; a running bake is waited for. Animated strengths do
not change the image: they make a sequence (``timeline.edit_frames``). A slider with an animated
strength is shown in previews only.

Blender's own undo step of a changed value is handled as that of a seed, see ``explore``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import bpy

from .. import compat
from ..connection import pump
from ..connection.state import EnginePhase
from ..errors import EditError
from ..properties import changes
from ..properties.owners import Plane
from ..protocol.drag_messages import Preview
from ..protocol.explore import PreviewPicture
from ..protocol.messages import Ending, Message, RenderLatent
from ..scene import edits, images, models, planes, sliders
from . import delivery, held_value, recovery, requests
from . import edits as edits_job
from .fitting_size import FittingSize

# Time between two looks.
_PERIOD_S = 0.02
# How long the list must not change, and no button be held, before its image is rendered.
_RESTS_S = 0.25


@dataclass
class _Change:
    """A list that changes: when it last did, and what was asked for because of it."""

    changed_s: float
    asked_s: float = 0.0
    in_flight: bool = False
    previewed: str | None = None
    tried: str | None = None
    has_stopped: bool = False


# uuid -> the change of the plane's list that the image has not followed yet.
_changes: dict[str, _Change] = {}
_size = FittingSize()


def changed(plane: Plane) -> None:
    """Note that the list of a plane was changed."""
    settings = plane.draggan
    if edits.is_shown(plane, keyed=True) and settings.uuid not in _changes:
        settings.edits_changed = False
        return
    settings.edits_changed = True
    change = _changes.setdefault(settings.uuid, _Change(0.0))
    change.changed_s = time.monotonic()
    if not bpy.app.timers.is_registered(look):
        bpy.app.timers.register(look, first_interval=0.0, persistent=True)


def look() -> float | None:
    """Let each image follow its list; called by a timer.

    Returns:
        The seconds to the next call, or None if there is nothing more to do.
    """
    for image_id, change in list(_changes.items()):
        plane = planes.find(image_id)
        if plane is None or not _follow(plane, change):
            _changes.pop(image_id, None)
    return _PERIOD_S if _changes else None


def is_following() -> bool:
    """Return whether an image still follows its list."""
    return bool(_changes)


def forget() -> None:
    """Forget all changes, before an undo or another file."""
    _changes.clear()


def _follow(plane: Plane, change: _Change) -> bool:
    """Do what is due for a changed list, and return whether more will be due."""
    settings = plane.draggan
    if settings.request_id:
        is_shown = edits.is_shown(plane, keyed=True)
        if settings.dragging and not is_shown and not change.has_stopped:
            pump.stop_job(settings.uuid)
            change.has_stopped = True
        return True
    wanted = f"{edits.signature(plane)} / {sliders.signature(plane, keyed=True)}"
    if held_value.is_held():
        change.changed_s = time.monotonic()
    is_resting = time.monotonic() - change.changed_s >= _RESTS_S
    is_keyed = compat.is_animated(plane, edits.EDITS_PATH) or edits.is_shown(plane)
    is_shown = edits.is_shown(plane, keyed=True)
    if is_shown or change.tried == wanted or (is_keyed and is_resting):
        settings.edits_changed = False
        _end_preview(plane)
        return False
    if not is_resting:
        _preview(plane, change, wanted)
        return True
    change.tried = wanted
    try:
        edits_job.render(plane)
    except EditError as error:
        settings.status, settings.failed = str(error), True
    return True


def _preview(plane: Plane, change: _Change, wanted: str) -> None:
    """Ask for a small image of the list, unless one is being made."""
    state, settings = pump.state(), plane.draggan
    is_free = state.engine is EnginePhase.READY and state.active is None
    if change.in_flight or change.previewed == wanted or not is_free:
        return
    try:
        request = PreviewPicture(
            request_id=pump.new_request_id(),
            model_path=models.model_path(settings.source),
            model_sha256=settings.model_sha256,
            picture=edits.wanted(plane, keyed=True),
            size_px=_size.px,
        )
    except EditError:
        return  # the request for the image itself will say why
    change.in_flight, change.previewed, change.asked_s = True, wanted, time.monotonic()
    image_id = settings.uuid
    requests.give_to(request.request_id, lambda message: _take(image_id, message))
    job_id = requests.explore_id(image_id)
    pump.submit(pump.Job(request=request, image_id=job_id, label=f"Preview of {plane.name}"))


def _take(image_id: str, message: Message) -> None:
    """Show a preview that has arrived, if the list is still changing."""
    change, plane = _changes.get(image_id), planes.find(image_id)
    if change is None:
        return
    if isinstance(message, Ending):
        change.in_flight = False
    elif isinstance(message, Preview) and plane is not None:
        _size.took(time.monotonic() - change.asked_s)
        if not plane.draggan.request_id or _is_rendering(plane):
            plane.draggan.previewing = True
            images.show_preview(plane, message.width, message.height, message.pixels)
            delivery.redraw_image()


def _is_rendering(plane: Plane) -> bool:
    jobs = pump.state().jobs_of(plane.draggan.uuid)
    return any(isinstance(job.request, RenderLatent) for job in jobs)


def _end_preview(plane: Plane) -> None:
    pump.cancel_job(requests.explore_id(plane.draggan.uuid))
    if plane.draggan.previewing:
        recovery.settle(plane)
        delivery.redraw_image()


def _listen(owner: Any) -> None:
    # Blender without windows runs no timers; a script renders the image itself.
    if not bpy.app.background and isinstance(owner, bpy.types.Object) and planes.is_plane(owner):
        changed(owner)


def register() -> None:
    """Listen to changes of edits."""
    changes.listen_to_edits(_listen)


def unregister() -> None:
    """Remove the timer, and forget all changes."""
    changes.listen_to_edits(None)
    if bpy.app.timers.is_registered(look):
        bpy.app.timers.unregister(look)
    _changes.clear()
