# SPDX-License-Identifier: GPL-3.0-or-later
"""Previews of the playhead's frame, where it is not baked, while the engine runs.

At a frame change the plane immediately shows the nearest known image: that of the sequence, which
Blender shows anyway, or one that was solved for the playhead before. When the playhead has rested,
the frame is solved, starting from the nearest known latent. Such a *preview* is neither saved nor
rendered, and the plane's result does not change. No frame is solved while the animation plays or
is rendered, or while the engine has other work.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bpy
import numpy as np
from bpy.app.handlers import persistent

from ..connection import pump
from ..connection.state import EnginePhase
from ..errors import EditError
from ..jobs import recovery, requests
from ..properties.owners import Plane
from ..protocol import LocalProtocolError, encode
from ..protocol.drag_messages import Preview
from ..protocol.explore import PreviewPicture
from ..protocol.messages import Done, Ending, FrameTarget, Message
from ..protocol.timeline import Bake, BakeFinished
from ..scene import (
    images,
    models,
    planes,
    playhead,
    sampling,
    timing,
    tracks,
)
from . import known_frames, preview_edit, region_points, slider_images
from .memory import Known, Points, State, apart_px

# How long the playhead must rest before its frame is solved.
REST_S = 0.15

# Targets that differ by less than this, in image pixels, count as equal.
_EQUAL_PX = 0.01


@dataclass(slots=True)
class _Solve:
    """A running request for a plane's preview, and what it has sent so far.

    Attributes:
        image_id: The plane's uuid.
        generation: The value of ``_generation`` when the request was submitted.
        targets_px: The targets that are solved for; see ``Known``.
        radii_px: The radii of regions in the image of the plane's latent; empty without regions.
        start: The latent that the request starts from, and where the handles are in its image.
        state: What it is solved from besides the targets.
        folder: The temporary folder of the request.
        preview: The last image.
        finished: The result.
    """

    image_id: str
    generation: int
    targets_px: Points
    radii_px: tuple[float, ...]
    start: Known
    state: State
    folder: Path
    preview: Preview | None = None
    finished: BakeFinished | None = None


# uuid -> the frame that was looked at last, and what was wanted there.
_asked: dict[str, tuple[int, bytes]] = {}

# The uuids of the planes whose frame is solved when the playhead rests.
_wanted: set[str] = set()

# The uuids of the planes that may show a preview.
_touched: set[str] = set()

# Counts the frame changes; the results of requests from before the last one are dropped.
_generation = 0

# When the playhead moved last, on the monotonic clock.
_moved_s = 0.0


def playhead_moved(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Show the nearest known image of each plane, and note the planes whose frame must be solved.

    Args:
        scene: The scene whose frame has changed.
        depsgraph: Its dependency graph, evaluated at the new frame.
    """
    global _generation, _moved_s
    _generation += 1
    _moved_s = time.monotonic()
    _wanted.clear()
    for plane in planes.everywhere():
        pump.cancel_job(recovery.preview_id(plane))
        settings = plane.draggan
        if settings.request_id or scene.objects.get(plane.name) != plane:
            continue
        try:
            if settings.bake.follow and settings.latent:
                _show_nearest(plane, scene, depsgraph)
            else:
                recovery.end_preview(plane)
        except EditError:
            # A point is outside the image or was deleted. Bake reports it; a frame change does not.
            recovery.end_preview(plane)


def playhead_rests() -> None:
    """Request the frames that ``playhead_moved`` noted, if the engine has no other work."""
    state = pump.state()
    jobs = [*state.queue, *([state.active] if state.active is not None else [])]
    waiting = sorted(_wanted)
    _wanted.clear()
    if state.engine is not EnginePhase.READY or not all(
        recovery.is_aside(job.image_id) for job in jobs
    ):
        return
    for image_id in waiting:
        plane = planes.find(image_id)
        if plane is not None and not plane.draggan.request_id:
            try:
                _request(plane, planes.scene_of(plane))
            except (EditError, LocalProtocolError, OSError):
                recovery.end_preview(plane)


def _show_nearest(plane: Plane, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Show the nearest known image, and note the plane if that is not the image of this frame.

    Raises:
        EditError: There is no valid edit at this frame.
    """
    _asked.pop(plane.draggan.uuid, None)
    if timing.is_retimed(plane) or _plays_other(plane, scene):
        recovery.end_preview(plane)
        return
    frame = scene.frame_current
    if not _is_to_be_solved(plane):
        _show_sliders(plane, depsgraph, frame)
        return
    memory, sampled = known_frames.sampled_at(plane, depsgraph, frame)
    state = preview_edit.state_of(preview_edit.fields_at(plane, depsgraph))
    wanted_px = preview_edit.targets_of(sampled)
    _asked[plane.draggan.uuid] = frame, _text_of(wanted_px, state)
    rest_px, rest_state = known_frames.at_rest(plane, memory, frame, state)
    nearest = memory.nearest(wanted_px, state)
    distances = [apart_px(rest_px, wanted_px) if rest_state == state else math.inf]
    if nearest is not None and nearest.preview is not None:
        distances.append(apart_px(nearest.targets_px, wanted_px))
        if distances[1] < distances[0]:
            _show(plane, nearest.preview)
    if min(distances) == distances[0]:
        recovery.end_preview(plane)
    if min(distances) >= _EQUAL_PX:
        _wanted.add(plane.draggan.uuid)


def _is_to_be_solved(plane: Plane) -> bool:
    """Return whether the frames of a plane are solved, and are not just those of its sliders."""
    if not any(pair.enabled for pair in plane.draggan.pairs):
        return False
    if sampling.is_animated(plane):
        return True
    return images.shows_bake(plane) and bool(sampling.moving_sliders(plane))


def _show_sliders(plane: Plane, depsgraph: bpy.types.Depsgraph, frame: int) -> None:
    """Show the image of animated sliders, or note the plane if that is not known.

    Raises:
        EditError: The image or a slider cannot be read.
    """
    image_id = plane.draggan.uuid
    if not sampling.moving_sliders(plane) or images.shows_bake(plane):
        recovery.end_preview(plane)
        return
    picture = slider_images.picture_at(plane, depsgraph)
    _asked[image_id] = frame, picture
    preview = slider_images.find(image_id, picture)
    if slider_images.is_at_rest(plane, picture):
        recovery.end_preview(plane)
    elif preview is not None:
        _show(plane, preview)
    else:
        _wanted.add(image_id)


def asked(plane: Plane) -> tuple[int, bytes] | None:
    """Return the frame at which the plane was looked at last, and ``wanted_now`` at that time.

    None if that did not happen yet, or if the edit was not valid or not animated at that frame.
    """
    return _asked.get(plane.draggan.uuid)


def wanted_now(plane: Plane, depsgraph: bpy.types.Depsgraph, frame: int) -> bytes:
    """Return a text of all that the image at the frame of a depsgraph depends on.

    Args:
        plane: The GAN image.
        depsgraph: Blender's dependency graph, evaluated.
        frame: The number of the frame, for messages.

    Raises:
        EditError: There is no valid edit at this frame.
    """
    if not _is_to_be_solved(plane):
        return slider_images.picture_at(plane, depsgraph)
    state = preview_edit.state_of(preview_edit.fields_at(plane, depsgraph))
    _, sampled = known_frames.sampled_at(plane, depsgraph, frame)
    return _text_of(preview_edit.targets_of(sampled), state)


def _text_of(targets_px: Points, state: State) -> bytes:
    return b"".join((targets_px.tobytes(), *state))


def _plays_other(plane: Plane, scene: bpy.types.Scene) -> bool:
    """Return whether the frame belongs to a sequence that is not a bake, but not as its last frame.

    Such a frame shows a finished result and needs no preview.
    """
    sequence = plane.draggan.sequence
    row = scene.frame_current - sequence.first_frame
    is_other = sequence.image is not None and not images.shows_bake(plane)
    return is_other and 0 <= row < sequence.frame_count - 1


def _request(plane: Plane, scene: bpy.types.Scene) -> None:
    """Ask for the image of the current frame.

    Raises:
        EditError: There is no valid edit at this frame, or a slider cannot be read.
        LocalProtocolError: The edit is too large to be sent.
        OSError: A temporary folder cannot be made.
    """
    if _is_to_be_solved(plane):
        _solve(plane, scene)
        return
    settings = plane.draggan
    picture = slider_images.picture_at(plane, sampling.depsgraph_of(scene))
    request = PreviewPicture(
        request_id=pump.new_request_id(),
        model_path=models.model_path(settings.source),
        model_sha256=settings.model_sha256,
        picture=picture,
        size_px=max(settings.size),
    )
    taker = partial(_take_picture, settings.uuid, _generation, picture)
    requests.give_to(request.request_id, taker)
    label = f"Preview frame {scene.frame_current} of {plane.name}"
    _touched.add(settings.uuid)
    pump.submit(pump.Job(request=request, image_id=recovery.preview_id(plane), label=label))


def _take_picture(image_id: str, generation: int, picture: bytes, message: Message) -> None:
    """Show and keep the image of sliders."""
    if not isinstance(message, Preview):
        return
    slider_images.keep(image_id, picture, message)
    plane = planes.find(image_id)
    if plane is not None and not plane.draggan.request_id and not _is_over(generation):
        _show(plane, message)


def _is_over(generation: int) -> bool:
    """Return whether the running request has been cancelled, or the playhead has moved since."""
    return generation != _generation or pump.state().ending_asked


def _solve(plane: Plane, scene: bpy.types.Scene) -> None:
    """Submit a bake of the current frame alone, starting from the nearest known latent.

    Raises:
        EditError: There is no valid edit at this frame.
        LocalProtocolError: The edit is too large to be sent.
        OSError: A temporary folder cannot be made.
    """
    settings, frame = plane.draggan, max(scene.frame_current, 1)
    path = models.model_path(settings.source)
    depsgraph = sampling.depsgraph_of(scene)
    memory, sampled = known_frames.sampled_at(plane, depsgraph, frame)
    fields = preview_edit.fields_at(plane, depsgraph)
    state = preview_edit.state_of(fields)
    at_rest = known_frames.at_rest(plane, memory, frame, state)[1] == state
    start = preview_edit.start_of(plane, memory, sampled, state, at_rest=at_rest)
    if start is not memory.base:
        fields = {name: fields[name] for name in ("locked", "held_to")}
    edit = preview_edit.edit_from(plane, sampled, start, frame, Path(path).name, fields)
    data = encode(edit)
    folder = Path(tempfile.mkdtemp(prefix="draggan-preview-"))
    request = Bake(
        request_id=pump.new_request_id(),
        model_path=path,
        model_sha256=settings.model_sha256,
        edit=data,
        frames=FrameTarget(folder=str(folder), stem="preview", first_number=edit.first_number),
        write_frames=False,
    )
    wanted_px = preview_edit.targets_of(sampled)
    solve = _Solve(settings.uuid, _generation, wanted_px, sampled.radii_px, start, state, folder)
    requests.give_to(request.request_id, partial(_take, solve))
    label = f"Preview frame {scene.frame_current} of {plane.name}"
    _touched.add(settings.uuid)
    pump.submit(pump.Job(request=request, image_id=recovery.preview_id(plane), label=label))


def _take(solve: _Solve, message: Message) -> None:
    """Handle a message of a preview's request: show its image, and keep its result."""
    if isinstance(message, Preview):
        solve.preview = message
    elif isinstance(message, BakeFinished):
        solve.finished = message
    elif isinstance(message, Ending):
        shutil.rmtree(solve.folder, ignore_errors=True)
    plane = planes.find(solve.image_id)
    if plane is None or plane.draggan.request_id or _is_over(solve.generation):
        return
    if isinstance(message, Preview):
        _show(plane, message)
    elif isinstance(message, Done) and solve.finished is not None and solve.preview is not None:
        handles_px = np.frombuffer(solve.finished.handles_px, "<f4").reshape(-1, 2)
        if solve.finished.turns:
            turns = np.frombuffer(solve.finished.turns, "<f4").reshape(-1, 2)
            start = region_points.turns_of(solve.start.handles_px, solve.radii_px)
            turns = np.column_stack((turns[:, 0] + start[:, 0], turns[:, 1] * start[:, 1]))
            handles_px = region_points.joined(handles_px, turns, solve.radii_px)
        (latent,) = tracks.pictures_of(solve.finished.track, [0])
        known = Known(solve.targets_px, handles_px, latent, solve.preview, solve.state)
        known_frames.add(solve.image_id, known)


def _show(plane: Plane, preview: Preview) -> None:
    plane.draggan.previewing = True
    _touched.add(plane.draggan.uuid)
    images.show_preview(plane, preview.width, preview.height, preview.pixels)


def _end_all() -> None:
    """End all previews, and solve none when the playhead rests."""
    _wanted.clear()
    while _touched:
        plane = planes.find(_touched.pop())
        if plane is not None:
            recovery.end_preview(plane)


def is_unwatched() -> bool:
    """Return whether nobody is watching this frame change, as in a render or during playback."""
    if bpy.app.background or playhead.is_visiting() or bpy.app.is_job_running("RENDER"):
        return True
    screens = [window.screen for window in bpy.context.window_manager.windows]
    return any(screen.is_animation_playing for screen in screens)


def _on_frame_change(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Handle ``frame_change_post``, with the scene evaluated at the new frame."""
    if pump.state().engine is not EnginePhase.READY or is_unwatched():
        _end_all()
        return
    playhead_moved(scene, depsgraph)
    if _wanted and not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=REST_S)


def _on_timer() -> float | None:
    """Wait until the playhead has rested; Blender's timer calls it until it returns None."""
    left_s = _moved_s + REST_S - time.monotonic()
    if left_s > 0.0:
        return left_s
    playhead_rests()
    return None


_HANDLER = persistent(_on_frame_change)


def register() -> None:
    """Add the handler of frame changes; as a persistent one it stays when a file is opened."""
    bpy.app.handlers.frame_change_post.append(_HANDLER)


def unregister() -> None:
    """Remove the handler of frame changes, and forget all solved frames."""
    bpy.app.handlers.frame_change_post.remove(_HANDLER)
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    known_frames.forget()
    slider_images.forget()
    _asked.clear()
    _wanted.clear()
    _touched.clear()
