# SPDX-License-Identifier: GPL-3.0-or-later
"""The plane follows the playhead over frames that are not baked, while the engine runs.

A frame change shows at once the nearest image that is known: that of the sequence, which Blender
shows itself, or one that was solved for the playhead before. When the playhead has rested, the
frame is solved, starting from the nearest known latent. What is shown this way is a *preview*: it
is in no file and in no render, and nothing of the plane's result changes. Nothing is asked while
the animation plays or renders, or while the engine has something else to do.
"""

from __future__ import annotations

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
from ..connection.session import EnginePhase
from ..errors import EditError
from ..jobs import bake_folder, recovery, requests
from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..protocol import LocalProtocolError, encode, file_names
from ..protocol.messages import Done, Ending, FrameTarget, Message, Preview
from ..protocol.timeline import Bake, BakeFinished, Edit, MaskFrom
from ..scene import images, masks, models, planes, playhead, points, sampling, shown, timing, tracks
from .memory import Known, Memory, Points, apart_px

#: How long the playhead rests before its frame is solved.
REST_S = 0.15
#: Image px: targets that differ less are the same.
_EQUAL_PX = 0.01


@dataclass(slots=True)
class _Solve:
    """A request that runs for a plane's preview, and what has come of it."""

    image_id: str
    generation: int
    targets_px: Points
    folder: Path
    preview: Preview | None = None
    finished: BakeFinished | None = None


#: uuid -> what is known of the plane.
_memories: dict[str, Memory] = {}
#: Of the planes to solve once the playhead rests, and of those that may show a preview.
_wanted: set[str] = set()
_touched: set[str] = set()
#: Rises with every frame change: what was asked before is of no use any more.
_generation = 0
_moved_s = 0.0
#: The edit file of the bake that was looked at last: path and time of change, and its targets.
_baked: tuple[tuple[str, int], Edit] | None = None


def playhead_moved(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Show what is known of the frame, and note the planes whose frame is to be solved."""
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
                _look(plane, scene, depsgraph)
            else:
                recovery.end_preview(plane)
        except EditError:
            # A point lies beside the image or is gone: Bake says so, a frame change keeps quiet.
            recovery.end_preview(plane)


def playhead_rests() -> None:
    """Ask the engine for the frames that :func:`playhead_moved` has noted."""
    state = pump.state()
    jobs = [*state.queue, *([state.active] if state.active is not None else [])]
    waiting = sorted(_wanted)
    _wanted.clear()
    if state.engine is not EnginePhase.READY or not all(
        recovery.is_preview(job.image_id) for job in jobs
    ):
        return
    for image_id in waiting:
        plane = planes.find(image_id)
        if plane is not None and not plane.draggan.request_id:
            try:
                _solve(plane, planes.scene_of(plane))
            except (EditError, LocalProtocolError, OSError):
                recovery.end_preview(plane)


def _look(plane: Plane, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Show the nearest image that is known; note the plane if it is not that of this frame.

    Raises:
        EditError: the edit is none at this frame.
    """
    if timing.is_retimed(plane) or _plays_other(plane, scene) or not sampling.is_animated(plane):
        recovery.end_preview(plane)
        return
    memory = _memory(plane, depsgraph)
    frame = scene.frame_current
    wanted = sampling.at_present(plane, depsgraph, memory.base.handles_px, frame)
    wanted_px = np.asarray(wanted.targets_px[0], dtype=np.float32)
    rest_px = _targets_at_rest(plane, memory, frame)
    nearest = memory.nearest(wanted_px)
    distances = [apart_px(rest_px, wanted_px)]
    if nearest is not None and nearest.preview is not None:
        distances.append(apart_px(nearest.targets_px, wanted_px))
        if distances[1] < distances[0]:
            _show(plane, nearest.preview)
    if min(distances) == distances[0]:
        recovery.end_preview(plane)
    if min(distances) >= _EQUAL_PX:
        _wanted.add(plane.draggan.uuid)


def _memory(plane: Plane, depsgraph: bpy.types.Depsgraph) -> Memory:
    """What is known of the plane with its present latent and handles."""
    settings = plane.draggan
    latent = to_bytes(settings.latent)
    bases_px = points.bases(
        depsgraph, plane, is_base_shown=lambda: shown.latent(plane) == latent
    ).astype(np.float32)
    memory = _memories.get(settings.uuid)
    if (
        memory is not None
        and memory.base.latent == latent
        and np.array_equal(memory.base.handles_px, bases_px)
    ):
        return memory
    memory = _memories[settings.uuid] = Memory(Known(bases_px, bases_px, latent))
    return memory


def _plays_other(plane: Plane, scene: bpy.types.Scene) -> bool:
    """Whether the present frame is one of a sequence that is no bake: a result to be looked at."""
    sequence = plane.draggan.sequence
    row = scene.frame_current - sequence.first_frame
    is_other = sequence.image is not None and not images.shows_bake(plane)
    return is_other and 0 <= row < sequence.frame_count - 1


def _targets_at_rest(plane: Plane, memory: Memory, frame: int) -> Points:
    """``P x 2`` px: what the image that the plane shows at rest was solved for."""
    global _baked
    sequence = plane.draggan.sequence
    if not images.shows_bake(plane):
        return memory.base.handles_px
    path = images.sequence_folder(plane) / file_names.EDIT_FILE
    try:
        stamp = (str(path), path.stat().st_mtime_ns)
    except OSError:
        return memory.base.handles_px
    if _baked is None or _baked[0] != stamp:
        found = bake_folder.find_edit(path.parent)
        if found is None:
            return memory.base.handles_px
        _baked = (stamp, found)
    rows = np.frombuffer(_baked[1].targets_px, "<f4").reshape(_baked[1].frame_count, -1, 2)
    row = min(max(frame - sequence.first_frame, 0), sequence.frame_count - 1)
    return np.asarray(rows[min(row, len(rows) - 1)])


def _solve(plane: Plane, scene: bpy.types.Scene) -> None:
    """Ask for the present frame: a bake of one frame, from the nearest latent that is known.

    Raises:
        EditError: the edit is none at this frame.
        LocalProtocolError: it is too large to be sent.
        OSError: there is no temporary folder.
    """
    settings = plane.draggan
    path = models.model_path(settings.source)
    asked = _present_edit(plane, scene, Path(path).name)
    data = encode(asked)
    folder = Path(tempfile.mkdtemp(prefix="draggan-preview-"))
    request = Bake(
        request_id=pump.new_request_id(),
        model_path=path,
        model_sha256=settings.model_sha256,
        edit=data,
        frames=FrameTarget(folder=str(folder), stem="preview", first_number=asked.first_number),
        write_frames=False,
    )
    targets_px = np.frombuffer(asked.targets_px, "<f4").reshape(-1, 2)
    solve = _Solve(settings.uuid, _generation, targets_px, folder)
    requests.give_to(request.request_id, partial(_take, solve))
    label = f"Preview frame {scene.frame_current} of {plane.name}"
    _touched.add(settings.uuid)
    pump.submit(pump.Job(request=request, image_id=recovery.preview_id(plane), label=label))


def _present_edit(plane: Plane, scene: bpy.types.Scene, model_name: str) -> Edit:
    """The edit of the present frame alone.

    Raises:
        EditError: it is none.
    """
    settings, depsgraph = plane.draggan, sampling.depsgraph_of(scene)
    memory = _memory(plane, depsgraph)
    frame = max(scene.frame_current, 1)
    sampled = sampling.at_present(plane, depsgraph, memory.base.handles_px, frame)
    targets_px = np.asarray(sampled.targets_px[0], dtype="<f4")
    start = _start(plane, memory, targets_px, is_moving=bool(sampled.truncation_psi))
    mask = masks.at_frame(plane, frame)
    return Edit(
        model_name=model_name,
        model_sha256=settings.model_sha256,
        first_number=frame,
        latent=start.latent,
        handles_px=tuple((x, y) for x, y in start.handles_px.tolist()),
        targets_px=targets_px.tobytes(),
        settings=sampled.settings,
        mask_spans=(MaskFrom(number=frame, index=0),) if mask else (),
        masks=mask,
        seed=settings.sampled_seed,
        sampled_psi=settings.sampled_psi,
        truncation_psi=sampled.truncation_psi,
    )


def _start(plane: Plane, memory: Memory, targets_px: Points, *, is_moving: bool) -> Known:
    """The known latent whose handles have the shortest way to go.

    Args:
        plane, memory: a GAN image and what is known of it.
        targets_px: ``P x 2``.
        is_moving: whether the truncation is animated; then only the base's is known.
    """
    if is_moving:
        return memory.base
    known = [memory.base, *memory.solved]
    if images.shows_bake(plane):
        row = timing.shown_row(plane)
        handles_px = tracks.handles_px(plane.draggan.track)[row]
        if handles_px.shape == targets_px.shape:
            known.append(Known(handles_px, handles_px, shown.latent(plane)))
    return min(known, key=lambda one: apart_px(one.handles_px, targets_px))


def _take(solve: _Solve, message: Message) -> None:
    """Take in one message of a preview's request."""
    if isinstance(message, Preview):
        solve.preview = message
    elif isinstance(message, BakeFinished):
        solve.finished = message
    elif isinstance(message, Ending):
        shutil.rmtree(solve.folder, ignore_errors=True)
    plane = planes.find(solve.image_id)
    is_over = solve.generation != _generation or pump.state().ending_asked
    if plane is None or plane.draggan.request_id or is_over:
        return
    if isinstance(message, Preview):
        _show(plane, message)
    elif isinstance(message, Done) and solve.finished is not None and solve.preview is not None:
        handles_px = np.frombuffer(solve.finished.handles_px, "<f4").reshape(-1, 2)
        latent = tracks.latents_of(solve.finished.track, [0]).tobytes()
        known = Known(solve.targets_px, handles_px, latent, solve.preview)
        memory = _memories.get(solve.image_id)
        if memory is not None:
            memory.add(known)


def _show(plane: Plane, preview: Preview) -> None:
    plane.draggan.previewing = True
    _touched.add(plane.draggan.uuid)
    images.show_preview(plane, preview.width, preview.height, preview.pixels)


def _end_all() -> None:
    """End every preview, and ask for none."""
    _wanted.clear()
    while _touched:
        plane = planes.find(_touched.pop())
        if plane is not None:
            recovery.end_preview(plane)


def _is_unwatched() -> bool:
    """Whether the present frame change is none that a person rests at to look."""
    if bpy.app.background or playhead.is_visiting() or bpy.app.is_job_running("RENDER"):
        return True
    screens = [window.screen for window in bpy.context.window_manager.windows]
    return any(screen.is_animation_playing for screen in screens)


def _on_frame_change(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Blender's handler: after every frame change, with everything evaluated."""
    if pump.state().engine is not EnginePhase.READY or _is_unwatched():
        _end_all()
        return
    playhead_moved(scene, depsgraph)
    if _wanted and not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=REST_S)


def _on_timer() -> float | None:
    """Blender's timer, while the playhead has not rested; None ends it."""
    left_s = _moved_s + REST_S - time.monotonic()
    if left_s > 0.0:
        return left_s
    playhead_rests()
    return None


_HANDLER = persistent(_on_frame_change)


def register() -> None:
    """Listen to frame changes, also of files that are opened later."""
    bpy.app.handlers.frame_change_post.append(_HANDLER)


def unregister() -> None:
    """Listen no more, and forget what was solved."""
    bpy.app.handlers.frame_change_post.remove(_HANDLER)
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    _memories.clear()
    _wanted.clear()
    _touched.clear()
