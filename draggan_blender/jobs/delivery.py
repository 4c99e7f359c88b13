# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the engine's results into the scene; nothing else does.

``deliver`` receives each message of each job on the main thread. A message finds its plane by
uuid, and is dropped if the plane no longer exists or no longer waits for this request (after an
undo, in another file, during a newer drag). Only ids and messages are kept between two calls.

A result is written when its request is done, all at once and with one undo step: a single Ctrl-Z
restores image, latent, points and frame.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import bpy

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.drag_messages import Drag, DragFinished, Preview, Step
from ..protocol.file_names import matte_stem
from ..protocol.latent_file import LoadLatent
from ..protocol.lost_drag import FinishDrag
from ..protocol.messages import (
    Cancelled,
    Done,
    Ending,
    Failed,
    Message,
    RenderLatent,
    RenderTrack,
    Request,
    Sample,
    Sampled,
)
from ..protocol.own_picture import BlendBack, InvertPicture, PictureInverted
from ..protocol.pairs import HandleState
from ..protocol.timeline import Bake, BakeFinished, RenderLatents, TrackMade
from ..scene import handle_paths, history, images, planes
from . import bake as bake_job
from . import drag as drag_job
from . import edits as edits_job
from . import folders, live, lost_drag, pull, recovery, requests, saved_latent
from . import image as image_job
from . import latents as latents_job
from . import own_picture as own_picture_job

# Request id -> the parts of the result that arrived before its ``Done``, by their type.
_results: dict[int, dict[type, Any]] = {}

# Points wait at most this long for the next preview, to move together with the image.
_LATEST_S = 0.5

# Request id -> the handles of a step that are not in the scene yet.
_unseen: dict[int, tuple[HandleState, ...]] = {}
# When points were moved last.
_moved_s = 0.0

# So many characters a line of a text at the mouse may have.
_LINE_LENGTH = 70

# The kind of state that the result of a request adds to the history.
_STATES: dict[type, str] = {
    Sample: "SEED",
    Drag: "DRAG",
    FinishDrag: "DRAG",
    Bake: "BAKE",
    RenderLatents: "LATENTS",
    InvertPicture: "PICTURE",
    LoadLatent: "LATENT",
}

# What writes the result of a request, and the message that it needs.
_FINISHERS: dict[type, tuple[Callable[[Plane, Any, Any], None], type]] = {
    Sample: (image_job.finish_sample, Sampled),
    LoadLatent: (saved_latent.finish, Sampled),
    Drag: (drag_job.finish, DragFinished),
    FinishDrag: (drag_job.finish, DragFinished),
    Bake: (bake_job.finish, BakeFinished),
    RenderLatents: (latents_job.finish, TrackMade),
    InvertPicture: (own_picture_job.finish, PictureInverted),
}

_IMAGE_EDITORS = frozenset({"VIEW_3D", "IMAGE_EDITOR"})


def deliver(job: pump.Job, message: Message) -> None:
    """Process one message of a job."""
    request_id = job.request.request_id
    taker = requests.taker_of(request_id)
    if taker is not None:
        if isinstance(message, Ending):
            requests.drop_taker(request_id)
        taker(message)
        return
    plane = _waiting_plane(job)
    if isinstance(message, Ending):
        _end(job, message, plane)
        return
    if plane is None:
        if not pump.state().ending_asked:
            pump.cancel_job(job.image_id)
    elif isinstance(message, Step):
        lost_drag.note(message)
        # Points move together with the image, so that one redraw shows both.
        _unseen[request_id] = message.handles
        has_images = isinstance(job.request, Drag) and job.request.previews
        if not has_images or time.monotonic() > _moved_s + _LATEST_S:
            _move_points(plane)
    elif isinstance(message, Preview):
        _move_points(plane)
        images.show_preview(plane, message.width, message.height, message.pixels)
        redraw_image()
    elif isinstance(message, Sampled | DragFinished | BakeFinished | TrackMade | PictureInverted):
        _results.setdefault(request_id, {})[type(message)] = message


def _move_points(plane: Plane) -> None:
    """Put the points of a running drag where the newest step and the mouse have moved them."""
    global _moved_s
    _moved_s = time.monotonic()
    pull.place_target(plane)
    handles = _unseen.pop(plane.draggan.request_id, ())
    if handles:
        handle_paths.move_handles(plane, handles)


def _waiting_plane(job: pump.Job) -> Plane | None:
    plane = planes.find(job.image_id)
    if plane is None or plane.draggan.request_id != job.request.request_id:
        return None
    return plane


def _end(job: pump.Job, ending: Ending, plane: Plane | None) -> None:
    """End a job, or have its drag finished by another engine."""
    if not lost_drag.finish(plane, job, ending):
        _take_result(job, ending, plane)


def _take_result(job: pump.Job, ending: Ending, plane: Plane | None) -> None:
    request_id = job.request.request_id
    _unseen.pop(request_id, None)
    live.ended(request_id)
    pull.ended(request_id)
    result = _results.pop(request_id, {})
    recovery.release_duplicates(plane, request_id)
    if plane is None:
        images.remove_live(job.image_id)
    problem = ""
    if isinstance(ending, Failed):
        problem = ending.message
    elif isinstance(ending, Cancelled) or plane is None:
        problem = f"{job.label} was cancelled"
        if isinstance(job.request, Bake):
            problem += "; press Bake to continue it"
    elif isinstance(ending, Done):
        try:
            _finish(plane, job, result)
        except EditError as error:
            problem = str(error)
        finally:
            recovery.settle(plane)
    own_picture_job.remove_file(job.request)
    if problem and isinstance(ending, Done) and plane is not None:
        # The work was done, and only the scene cannot show it: the files are the person's.
        problem += _where(job.request)
    elif problem:
        _remove_folder(job.request)
    if problem and plane is not None:
        _give_up(plane, problem, failed=not isinstance(ending, Cancelled))
    requests.endings[request_id] = problem
    _redraw({"WINDOW", "UI"}, _IMAGE_EDITORS | {"NODE_EDITOR", "PROPERTIES"})


def _where(request: Request) -> str:
    """Return where the images of a request are, as the end of a sentence."""
    frames = getattr(request, "frames", None)
    return "" if frames is None else f"; its images are in {frames.folder}"


def _remove_folder(request: Request) -> None:
    """Remove the folder that was made for a request, but no images that existed before."""
    if isinstance(request, Drag | RenderLatents):
        folders.remove_unfinished(Path(request.frames.folder), request.frames.stem)
    elif isinstance(request, RenderTrack | Bake):
        folders.remove_empty(Path(request.frames.folder))
    elif isinstance(request, Sample | RenderLatent | InvertPicture | LoadLatent):
        folders.remove_empty(Path(request.image_path).parent)
    elif isinstance(request, BlendBack):
        for stem in (request.frames.stem, matte_stem(request.frames.stem)):
            folders.remove_unfinished(Path(request.frames.folder), stem)


def _give_up(plane: Plane, problem: str, *, failed: bool) -> None:
    recovery.settle(plane)
    plane.draggan.status, plane.draggan.failed = problem, failed
    if not plane.draggan.latent:
        # The plane was new and has no image to show.
        planes.remove(plane)
        if failed:
            tell("No GAN image was made", problem)


def tell(title: str, text: str) -> None:
    """Show a text at the mouse: for what leaves nothing in the scene whose panel could say it."""
    lines = textwrap.wrap(text[:1].upper() + text[1:], _LINE_LENGTH)

    def draw(menu: Any, _context: bpy.types.Context) -> None:
        for line in lines:
            menu.layout.label(text=line)

    manager = bpy.context.window_manager
    # Without a screen, Blender has windows as well, and a popup there ends the process.
    if manager.windows and not bpy.app.background:
        with bpy.context.temp_override(window=manager.windows[0]):
            manager.popup_menu(draw, title=title, icon="ERROR")


def _finish(plane: Plane, job: pump.Job, result: dict[type, Any]) -> None:
    """Write a result.

    Raises:
        EditError: The result cannot be shown; the plane may be settled as if there was none.
    """
    request, settings = job.request, plane.draggan
    kind = _STATES.get(type(request))
    # Whatever could refuse the result is checked before any of it is written.
    planes.texture_node(plane)
    planes.uv_map(plane)
    if type(request) in _FINISHERS:
        finish, part = _FINISHERS[type(request)]
        finish(plane, request, result.get(part))
    elif isinstance(request, RenderLatent) and edits_job.is_change(request):
        kind = edits_job.finish(plane, request)
    elif isinstance(request, BlendBack):
        own_picture_job.finish_blend(plane, request)
    elif isinstance(request, RenderTrack | RenderLatent):
        image_job.finish_render(plane, request)
    if kind is not None:
        history.record(plane, kind)
        if isinstance(request, Drag):
            drag_job.note_start(plane, request, result[DragFinished])
    else:
        history.update_images(plane)
    settings.request_id = 0
    settings.dragging = settings.baking = settings.inverting = False
    push_undo(job.label)


def push_undo(message: str) -> None:
    """Push one undo step. The timer that calls us has no window, so one is passed in."""
    windows = bpy.context.window_manager.windows
    if windows:
        with bpy.context.temp_override(window=windows[0]):
            bpy.ops.ed.undo_push(message=message)
    else:
        bpy.ops.ed.undo_push(message=message)


def _redraw(regions: Set[str], editors: Set[str]) -> None:
    """Redraw only these regions of these editors: a step arrives many times a second."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in editors:
                for region in area.regions:
                    if region.type in regions:
                        region.tag_redraw()


def redraw_image() -> None:
    """Redraw what shows the images of planes."""
    _redraw({"WINDOW"}, _IMAGE_EDITORS)


def redraw_panels() -> None:
    """Redraw the sidebars, which show what the engine is doing."""
    _redraw({"UI"}, {"VIEW_3D"})


def redraw_installation() -> None:
    """Redraw what shows the engine's installation: the sidebars and the preferences."""
    redraw_panels()
    _redraw({"WINDOW"}, {"PREFERENCES"})


def register() -> None:
    """Set the pump's callbacks."""
    pump.set_delivery(deliver)
    pump.set_changed(redraw_panels)
    pump.set_folders(folders.agreed)


def unregister() -> None:
    """Forget all requests; the pump drops its callbacks itself."""
    requests.forget()
    edits_job.forget()
    lost_drag.forget()
    _results.clear()
    _unseen.clear()
