# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine reports becomes scene: the only writer of results.

:func:`deliver` gets each message of each job on the main thread. A message finds its plane by
uuid, and is dropped when the plane is gone or is not waiting for this very request any more
(undo, another file, a newer drag). Nothing but ids and messages is kept between two calls.

A result is written when its request is done, in one go and with one undo step: a single Ctrl-Z
brings back image, latent, points and frame.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import bake_delivery, folders, images, planes, points, pump, recovery, timing
from .errors import EditError
from .protocol.messages import (
    Cancelled,
    Done,
    Drag,
    DragFinished,
    Ending,
    Failed,
    FrameTarget,
    Message,
    Preview,
    RenderLatent,
    RenderTrack,
    Request,
    Sample,
    Sampled,
    Step,
)
from .protocol.timeline import Bake, BakeFinished, RenderLatents, TrackMade

#: Request id -> what went wrong, empty for nothing; of every request that has ended. A sentence
#: each, so a long session costs some kilobytes.
endings: dict[int, str] = {}

#: Request id -> the parts of the result that have come before its Done.
_results: dict[int, dict[type, Any]] = {}

#: Request id -> who takes its messages instead: of requests that leave the scene as it is.
_takers: dict[int, Callable[[Message], None]] = {}

_IMAGE_EDITORS = frozenset({"VIEW_3D", "IMAGE_EDITOR"})

_STATUS = {
    "reached": "Reached the targets",
    "stalled": "Came no nearer any more",
    "step_limit": "Reached the step limit",
    "stopped": "Stopped",
}


def deliver(job: pump.Job, message: Message) -> None:
    """Take in one message of a job."""
    number = job.request.request_id
    taker = _takers.get(number)
    if taker is not None:
        if isinstance(message, Ending):
            del _takers[number]
        taker(message)
        return
    if isinstance(message, Ending):
        _end(job, message)
        return
    plane = _waiting_plane(job)
    if plane is None:
        if not pump.state().ending_asked:
            pump.cancel_job(job.image_id)
    elif isinstance(message, Step):
        points.move_handles(plane, message.handles_px)
    elif isinstance(message, Preview):
        images.show_preview(plane, message.width, message.height, message.pixels)
        _redraw({"WINDOW"}, _IMAGE_EDITORS)
    elif isinstance(message, Sampled | DragFinished | BakeFinished | TrackMade):
        _results.setdefault(number, {})[type(message)] = message


def give_to(request_id: int, taker: Callable[[Message], None]) -> None:
    """Have all messages of a request, its ending included, given to someone else."""
    _takers[request_id] = taker


def forget() -> None:
    """Forget every request: at unregistering."""
    endings.clear()
    _takers.clear()
    _results.clear()


def _waiting_plane(job: pump.Job) -> Any | None:
    plane = planes.find(job.image_id)
    if plane is None or plane.draggan.request_id != job.request.request_id:
        return None
    return plane


def _end(job: pump.Job, ending: Ending) -> None:
    number = job.request.request_id
    result = _results.pop(number, {})
    plane = _waiting_plane(job)
    recovery.release_duplicates(plane, number)
    if plane is None:
        images.remove_live(job.image_id)
    problem = ""
    if isinstance(ending, Failed):
        problem = ending.message
    elif isinstance(ending, Cancelled) or plane is None:
        problem = f"{job.label} was cancelled"
        if isinstance(job.request, Bake):
            problem += "; Bake goes on where it was"
    elif isinstance(ending, Done):
        try:
            _finish(plane, job, result)
        except EditError as error:
            problem = str(error)
        finally:
            recovery.settle(plane)
    if problem:
        _remove_folder(job.request)
    if problem and plane is not None:
        _give_up(plane, problem, failed=not isinstance(ending, Cancelled))
    endings[number] = problem
    _redraw({"WINDOW", "UI"}, _IMAGE_EDITORS | {"NODE_EDITOR", "PROPERTIES"})


def _remove_folder(request: Request) -> None:
    """Remove the folder that was made for a request, but no images that were there before."""
    if isinstance(request, Drag | RenderLatents):
        folders.remove_unfinished(Path(request.frames.folder), request.frames.stem)
    elif isinstance(request, RenderTrack | Bake):
        folders.remove_empty(Path(request.frames.folder))
    elif isinstance(request, Sample | RenderLatent):
        folders.remove_empty(Path(request.image_path).parent)


def _give_up(plane: Any, problem: str, *, failed: bool) -> None:
    recovery.settle(plane)
    plane.draggan.status, plane.draggan.failed = problem, failed
    if not plane.draggan.latent:
        # It was new, and there is no image that it could show.
        planes.remove(plane)


def _finish(plane: Any, job: pump.Job, result: dict[type, Any]) -> None:
    """Write a result.

    Raises:
        EditError: it cannot be shown; the plane may be settled as if nothing had come.
    """
    request, settings = job.request, plane.draggan
    # What could refuse the result is asked before any of it is written.
    planes.texture_node(plane)
    planes.uv_map(plane)
    if isinstance(request, Sample):
        _finish_sample(plane, request, result)
    elif isinstance(request, Drag):
        _finish_drag(plane, request, result)
    elif isinstance(request, RenderTrack):
        sequence = settings.sequence
        _show_frames(plane, request.frames, sequence.frame_count, sequence.kind)
        settings.status = "Rendered again"
    elif isinstance(request, Bake):
        bake_delivery.finish(plane, request, result.get(BakeFinished))
    elif isinstance(request, RenderLatents):
        _finish_latents(plane, request, result)
    elif isinstance(request, RenderLatent):
        images.show_still(plane, Path(request.image_path))
        settings.status = "Rendered again"
    settings.request_id = 0
    settings.dragging = settings.baking = False
    _push_undo(job.label)


def _finish_sample(plane: Any, request: Sample, result: dict[type, Any]) -> None:
    sampled = result.get(Sampled)
    if sampled is None:
        raise EditError("The engine ended without an image; see its log")
    settings = plane.draggan
    images.show_still(plane, Path(request.image_path))
    settings.latent = settings.sampled_latent = base64.b64encode(sampled.latent).decode()
    settings.sampled_seed, settings.sampled_psi = request.seed, request.truncation_psi
    settings.track = ""
    points.clear_paths(plane)
    points.send_home(plane)
    # The engine tells it when it reads a model, not for each request that uses it.
    model = pump.state().model
    settings.model_sha256 = model.sha256 if model is not None else ""
    settings.w_dim = model.w_dim if model is not None else 0


def _finish_drag(plane: Any, request: Drag, result: dict[type, Any]) -> None:
    finished = result.get(DragFinished)
    if finished is None:
        raise EditError("The engine ended the drag without a result; see its log")
    settings = plane.draggan
    count = finished.frame_count
    paths_px = np.frombuffer(finished.handles_px, "<f4").reshape(count, -1, 2)
    first = request.frames.first_number
    _show_frames(plane, request.frames, count)
    images.remove_live(settings.uuid)
    points.write_paths(plane, first, paths_px)
    settings.latent = base64.b64encode(finished.latent).decode()
    settings.track = base64.b64encode(finished.track).decode()
    settings.status = (
        f"{_STATUS.get(finished.status, finished.status)}: {finished.steps} steps, "
        f"{finished.distance_px:.1f} px left, {finished.seconds:.1f} s"
    )
    _show_last_frame(plane, first + count - 1)


def _show_last_frame(plane: Any, number: int) -> None:
    """Go to where the result is to be seen."""
    # An animation that is being rendered counts its frames with the scene's own, and would go on
    # from there.
    if not bpy.app.is_job_running("RENDER") and not timing.is_retimed(plane):
        planes.scene_of(plane).frame_set(number)


def _finish_latents(plane: Any, request: RenderLatents, result: dict[type, Any]) -> None:
    """The sequence of latents that were not solved: nobody knows where the handles are in it."""
    made = result.get(TrackMade)
    if made is None:
        raise EditError("The engine ended without a track of the images; see its log")
    settings = plane.draggan
    _show_frames(plane, request.frames, made.frame_count, "LATENTS")
    points.clear_paths(plane)
    settings.track = base64.b64encode(made.track).decode()
    settings.status = f"Rendered {made.frame_count} frames"


def _show_frames(plane: Any, target: FrameTarget, count: int, kind: str = "DRAG") -> None:
    images.show_sequence(plane, Path(target.folder), target.stem, target.first_number, count, kind)


def _push_undo(message: str) -> None:
    """One undo step; from the timer, which has no window, it is given one."""
    windows = bpy.context.window_manager.windows
    if windows:
        with bpy.context.temp_override(window=windows[0]):
            bpy.ops.ed.undo_push(message=message)
    else:
        bpy.ops.ed.undo_push(message=message)


def _redraw(regions: Set[str], editors: Set[str]) -> None:
    """Have parts of editors drawn again, and no others: a step comes many times a second."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in editors:
                for region in area.regions:
                    if region.type in regions:
                        region.tag_redraw()


def _redraw_panels() -> None:
    """Have the sidebars drawn again that say what the engine is doing."""
    _redraw({"UI"}, {"VIEW_3D"})


def register() -> None:
    """Take the engine's messages."""
    pump.set_delivery(deliver)
    pump.set_changed(_redraw_panels)


def unregister() -> None:
    """Take none any more; the pump forgets its callbacks itself."""
    forget()
