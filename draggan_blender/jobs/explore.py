# SPDX-License-Identifier: GPL-3.0-or-later
"""The image follows its seed and its truncation while a person changes them.

While the value changes, the plane shows previews: small images without files and without undo
steps, one at a time, always of the newest value. When the value has rested, and the mouse button
that changes it was released, its image is made as *Update Image* makes it: one undo step, and a
state of the history. So an edited image is not lost.

A running drag is stopped and keeps its result; a running bake is waited for. Animation does not
change the image, because a keyed truncation belongs to the bake.

Blender pushes an undo step of its own for the changed value, before its image exists. The undo of
the image therefore goes one step further: see ``_after_undo``. The same holds for changes in the
list of edits (``edit_changes``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.app.handlers import persistent

from .. import compat
from ..connection import pump
from ..connection.state import EnginePhase
from ..errors import EditError
from ..properties import changes
from ..properties.owners import Plane
from ..protocol.explore import SampleSheet, SeedThumbnail
from ..protocol.messages import Ending, Message, Sample
from ..protocol.pictures import NO_LABEL
from ..scene import images, models, planes, thumbnails
from . import delivery, edit_changes, held_value, image, recovery, requests, seed_sheet
from .fitting_size import FittingSize

# Time between two looks.
_PERIOD_S = 0.02
# How long a seed, a truncation or a label must not change before its image is made.
_RESTS_S = 0.25
_PSI_PATH = "draggan.source.truncation_psi"


# Seed, truncation and label.
_Values = tuple[int, float, int]


@dataclass
class _Change:
    """A value that changes: when it last did, and what was asked for because of it."""

    changed_s: float
    asked_s: float = 0.0
    in_flight: bool = False
    previewed: _Values | None = None
    tried: _Values | None = None
    has_stopped: bool = False


# uuid -> the change of the plane's seed or truncation that the image has not followed yet.
_changes: dict[str, _Change] = {}
_size = FittingSize()
# Whether an undo or a redo is running that ``step_again`` started.
_is_stepping = False


def set_seed(plane: Plane, seed: int) -> int | None:
    """Make a seed the image.

    Returns:
        The request id under ``blender -b``; otherwise None, because the image follows soon.

    Raises:
        EditError: Under ``blender -b``, one of the reasons of ``image.resample``.
    """
    plane.draggan.source.seed = seed
    return image.resample(plane) if bpy.app.background else None


def changed(plane: Plane) -> None:
    """Note that the seed or the truncation of a plane was changed."""
    settings = plane.draggan
    if _wanted(plane) == _sampled(plane) and settings.uuid not in _changes:
        return
    settings.source_changed = True
    change = _changes.setdefault(settings.uuid, _Change(0.0))
    change.changed_s = time.monotonic()
    start_looking()


def look() -> float | None:
    """Let each changed image follow, and the sheet of seeds go on; called by a timer.

    Returns:
        The seconds to the next call, or None if there is nothing more to do.
    """
    for image_id, change in list(_changes.items()):
        plane = planes.find(image_id)
        if plane is None or not _follow(plane, change):
            _changes.pop(image_id, None)
    is_sheet_open = seed_sheet.go_on()
    return _PERIOD_S if _changes or is_sheet_open else None


def start_looking() -> None:
    """Start the timer, unless it is running."""
    if not bpy.app.timers.is_registered(look):
        bpy.app.timers.register(look, first_interval=0.0, persistent=True)


def _follow(plane: Plane, change: _Change) -> bool:
    """Do what is due for a changed image, and return whether more will be due."""
    settings, wanted = plane.draggan, _wanted(plane)
    is_keyed = compat.find_fcurve(plane, _PSI_PATH, 0) is not None
    sampled = _sampled(plane)
    is_done = wanted == sampled or (is_keyed and wanted[::2] == sampled[::2])
    if settings.request_id:
        if settings.dragging and not is_done and not change.has_stopped:
            pump.stop_job(settings.uuid)
            change.has_stopped = True
        return True
    if is_done or change.tried == wanted:
        settings.source_changed = False
        _end_preview(plane)
        return False
    if held_value.is_held():
        change.changed_s = time.monotonic()
    if time.monotonic() - change.changed_s < _RESTS_S:
        _preview(plane, change, wanted)
        return True
    change.tried = wanted
    try:
        image.sample(plane)
    except EditError as error:
        settings.status, settings.failed = str(error), True
    return True


def _preview(plane: Plane, change: _Change, wanted: _Values) -> None:
    """Ask for a small image of the newest value, unless one is being made."""
    state = pump.state()
    is_free = state.engine is EnginePhase.READY and state.active is None
    if change.in_flight or change.previewed == wanted or not is_free:
        return
    try:
        path = models.model_path(plane.draggan.source)
    except EditError:
        return  # the request for the image itself will say why
    request = SampleSheet(
        request_id=pump.new_request_id(),
        model_path=path,
        seeds=(wanted[0],),
        truncation_psi=wanted[1],
        label=wanted[2],
        size_px=_size.px,
    )
    change.in_flight, change.previewed, change.asked_s = True, wanted, time.monotonic()
    image_id = plane.draggan.uuid
    requests.give_to(request.request_id, lambda message: _take(image_id, message))
    job_id = requests.explore_id(image_id)
    pump.submit(pump.Job(request=request, image_id=job_id, label=f"Preview of {plane.name}"))


def _take(image_id: str, message: Message) -> None:
    """Show a preview that has arrived, if the value is still changing."""
    change, plane = _changes.get(image_id), planes.find(image_id)
    if change is None:
        return
    if isinstance(message, Ending):
        change.in_flight = False
    elif isinstance(message, SeedThumbnail) and plane is not None:
        _size.took(time.monotonic() - change.asked_s)
        is_other_job = plane.draggan.request_id and not _is_sampling(plane)
        if not is_other_job and message.width * plane.draggan.size[1] == (
            message.height * plane.draggan.size[0]
        ):
            plane.draggan.previewing = True
            images.show_preview(plane, message.width, message.height, message.pixels)
            delivery.redraw_image()


def _is_sampling(plane: Plane) -> bool:
    return any(isinstance(job.request, Sample) for job in pump.state().jobs_of(plane.draggan.uuid))


def _end_preview(plane: Plane) -> None:
    pump.cancel_job(requests.explore_id(plane.draggan.uuid))
    if plane.draggan.previewing:
        recovery.settle(plane)
        delivery.redraw_image()


def _wanted(plane: Plane) -> _Values:
    source = plane.draggan.source
    return source.seed, source.truncation_psi, _label(plane, source.label)


def _sampled(plane: Plane) -> _Values:
    settings = plane.draggan
    return settings.sampled_seed, settings.sampled_psi, _label(plane, settings.sampled_label)


def _label(plane: Plane, label: int) -> int:
    """Return a label, or the same for all if the model has none."""
    return label if plane.draggan.label_count else NO_LABEL


# ---------------------------------------------------------------- undo and files


def step_again(name: str) -> None:
    """Undo or redo once more, if the last step has reached a value without its image.

    Args:
        name: ``undo`` or ``redo``.
    """
    global _is_stepping
    if not _waiting() or _is_stepping:
        _follow_waiting()
        return
    _is_stepping = True
    try:
        windows = bpy.context.window_manager.windows
        operator = getattr(bpy.ops.ed, name)
        if not windows:
            operator()
            return
        with bpy.context.temp_override(window=windows[0]):
            if operator.poll():
                operator()
    except RuntimeError:
        pass  # there is no further step
    finally:
        _is_stepping = False
    _follow_waiting()


def _waiting() -> list[Plane]:
    """Return the images with a value whose image was not made yet."""
    return [
        plane
        for plane in planes.everywhere()
        if plane.draggan.source_changed or plane.draggan.edits_changed
    ]


def _follow_waiting() -> None:
    for plane in _waiting():
        if plane.draggan.source_changed:
            changed(plane)
        if plane.draggan.edits_changed:
            edit_changes.changed(plane)


def _undo_again() -> None:
    step_again("undo")


def _redo_again() -> None:
    step_again("redo")


def _after_step(again: Any) -> None:
    _changes.clear()
    edit_changes.forget()
    if not _is_stepping and not bpy.app.timers.is_registered(again):
        bpy.app.timers.register(again, first_interval=0.0)


def _after_undo(*_arguments: Any) -> None:
    """Go one step further if this one is Blender's own, of the value without its image.

    An operator cannot be called from here, so a timer calls it.
    """
    _after_step(_undo_again)


def _after_redo(*_arguments: Any) -> None:
    _after_step(_redo_again)


def _before_load(*_arguments: Any) -> None:
    _changes.clear()
    edit_changes.forget()
    seed_sheet.close()
    thumbnails.forget()


def _after_load(*_arguments: Any) -> None:
    for plane in planes.everywhere():
        plane.draggan.source_changed = False


_HANDLERS = (
    ("undo_post", _after_undo),
    ("redo_post", _after_redo),
    ("load_pre", _before_load),
    ("load_post", _after_load),
)


def _listen(owner: Any) -> None:
    # Blender without windows runs no timers; a script asks for the image itself.
    if not bpy.app.background and isinstance(owner, bpy.types.Object) and planes.is_plane(owner):
        changed(owner)


def register() -> None:
    """Listen to changes, and add the handlers to Blender's lists."""
    changes.listen(_listen)
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(persistent(handler))


def unregister() -> None:
    """Remove the handlers and the timers, and free the icons."""
    changes.listen(None)
    for name, handler in reversed(_HANDLERS):
        getattr(bpy.app.handlers, name).remove(handler)
    for timer in (look, _undo_again, _redo_again):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    _changes.clear()
    seed_sheet.close()
    thumbnails.forget()
