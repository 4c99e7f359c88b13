# SPDX-License-Identifier: GPL-3.0-or-later
"""The drag of an image: its request, and writing its result into the scene."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np

from ..connection import pump
from ..errors import EditError
from ..properties import drag as drag_properties
from ..properties.owners import Plane
from ..properties.stored import to_bytes, to_text
from ..protocol.drag_messages import Drag, DragFinished
from ..protocol.lost_drag import FinishDrag
from ..scene import (
    edit_points,
    edits,
    handle_paths,
    history,
    images,
    kept_drags,
    mask_following,
    masks,
    models,
    own_animation,
    pair_images,
    placed_pairs,
    planes,
    playhead,
    shown,
    sliders,
    time_stretching,
    timing,
)
from . import continuing, live, lost_drag, recovery, requests
from . import edits as edits_job

_STATUS = {
    "reached": "Reached the targets",
    "stalled": "Stopped because the handles came no closer",
    "step_limit": "Reached the step limit",
    "stopped": "Stopped",
    "lost": "Lost a handle",
}
# From so many pairs on, none is named that did not come to its target.
_MOST_NAMES = 3
_BEYOND = "This model has no images beyond this; try a nearer target, or a mask"


def start_drag(
    context: bpy.types.Context,
    plane: Plane,
    *,
    previews: bool = True,
    is_open: bool = False,
    may_begin_earlier: bool = True,
) -> int:
    """Start to move the handles of the enabled pairs to their targets.

    The drag starts from the image that the plane shows at the current frame. Its sequence is put
    on the timeline from that frame on, but not before frame 1, because files have numbers, and
    earlier if it would end after the frames that are played. If the plane shows the sequence of an
    earlier drag, its images up to that frame stay; see ``continuing``. While the drag is running,
    it follows the points; see ``live``.

    Args:
        context: The Blender context.
        plane: The GAN image.
        previews: Whether the plane shows the steps while the drag is running.
        is_open: Whether the drag waits for other targets when it cannot come closer to these,
            until ``live.close``.
        may_begin_earlier: Whether the sequence may begin before the current frame.

    Returns:
        The request id.

    Raises:
        EditError: The drag cannot start.
    """
    settings = plane.draggan
    recovery.require_ready(plane)
    edits_job.refuse_if_changing(plane)
    time_stretching.refuse(plane)
    placed = placed_pairs.read_pairs(context, plane)
    own_animation.refuse_drivers([entry.pair for entry in placed])
    mask = masks.at_frame(plane, planes.scene_of(plane).frame_current)
    masks.refuse_black(plane, mask)
    latent = shown.latent(plane)
    if latent == to_bytes(settings.latent):
        edits.open_for(plane, mask)
        latent = to_bytes(settings.latent)
    pairs = live.pairs_of(placed)
    wider = b""
    if mask_following.follows(plane):
        wider = mask_following.grown(plane, mask, live.ways_of(pairs))
    request_id = pump.new_request_id()
    earlier = continuing.continued(plane)
    request = Drag(
        request_id=request_id,
        drag_id=request_id,
        model_path=models.model_path(settings.source),
        model_sha256=settings.model_sha256,
        latent=latent,
        pairs=pairs,
        settings=drag_properties.drag_settings(settings.drag),
        mask=mask,
        wider_mask=wider,
        frames=continuing.frames_of(plane),
        previews=previews,
        live=is_open,
        **(continuing.room(plane) if may_begin_earlier else {}),
        **sliders.in_drags(plane),
        **earlier,
    )
    handle_paths.begin([entry.pair for entry in placed], plane)
    settings.dragging = True
    live.began(plane, request)
    return requests.submit(plane, request, f"Drag {plane.name}")


def stop_drag(plane: Plane) -> None:
    """End the running drag or bake; what it has reached so far becomes its result."""
    pump.stop_job(plane.draggan.uuid)


def finish(plane: Plane, request: Drag, finished: DragFinished | None) -> None:
    """Write the result of a drag: its sequence, the handles' paths, the latent and the track.

    Raises:
        EditError: There is no result, or it cannot be shown; nothing is written.
    """
    if finished is None:
        raise EditError("The engine ended the drag without a result; see its log")
    settings = plane.draggan
    added, first = finished.frame_count, finished.first_number
    count = request.earlier_count + added
    paths_px = np.frombuffer(finished.handles_px, "<f4").reshape(added, -1, 2)
    turns = np.frombuffer(finished.turns, "<f4").reshape(added, -1, 2) if finished.turns else None
    keys = [handle.key for handle in finished.handles]
    slots = continuing.slots_left(request, keys)
    before = handle_paths.read_before(plane, request.earlier_count, slots)
    requests.show_frames(plane, replace(request.frames, first_number=first), count, "DRAG")
    images.remove_live(settings.uuid)
    handle_paths.use_keys(keys, plane)
    pair_images.note_dragged(plane)
    kept = own_animation.keep_keys(plane)
    handle_paths.write_paths(plane, first, paths_px, turns=turns, before=before)
    sliders.find_in(plane, request.latent)
    mask = edits.adopt(plane, finished.latent, request.mask)
    row = edits.worked_on(plane, mask)
    if row is not None:
        edit_points.take_pairs(plane, row.key)
    if mask != request.mask:
        mask_following.store(plane, mask)
    settings.track = to_text(finished.track)
    settings.status = (
        f"{_ending(plane, request, finished)}: {_made(finished)}, "
        f"{finished.distance_px:.1f} px left, {finished.seconds:.1f} s"
    )
    if isinstance(request, FinishDrag):
        settings.status = f"{lost_drag.sentence(finished.steps)}: {_images(added)}"
    settings.status += kept + _where(plane, request, first, count)
    _go_to_frame(plane, first + count - 1)
    handle_paths.store_states(plane, finished.handles, request.settings.tolerance_px)


def _ending(plane: Plane, request: Drag, finished: DragFinished) -> str:
    """Return how a drag has ended, with the pairs that did not come to their targets if few."""
    if finished.is_beyond:
        return _BEYOND
    tolerance_px = request.settings.tolerance_px
    left = {handle.key for handle in finished.handles if handle.distance_px > tolerance_px}
    if finished.status == "stalled" and not left:
        held = {handle.key for handle in finished.handles if handle.is_held}
        names = [pair.name for pair in plane.draggan.pairs if pair.key in held]
        if names:
            return f"The mask is black under {' and '.join(names)}, where nothing moves"
    names = [pair.name for pair in plane.draggan.pairs if pair.key in left]
    if finished.status == "stalled" and 0 < len(names) < min(len(finished.handles), _MOST_NAMES):
        return f"Stopped because {' and '.join(names)} came no closer"
    return _STATUS.get(finished.status, finished.status)


def _made(finished: DragFinished) -> str:
    """Return how many images a drag has added, and from how many steps.

    There are more images than steps where a handle moves far in one, and fewer where steps came no
    closer; see ``engine/output/even_rows.py``.
    """
    if not finished.steps:
        return "no step was needed" if finished.status == "reached" else "no step was made"
    unit = "step" if finished.steps == 1 else "steps"
    return f"{_images(finished.frame_count)} from {finished.steps} {unit}"


def _where(plane: Plane, request: Drag, first: int, count: int) -> str:
    """Return what is unexpected of the frames of a sequence, as the end of a status."""
    if timing.is_retimed(plane):
        return ""
    if first < request.frames.first_number:
        text = f"; the images begin at frame {first}, so that they end in time"
    else:
        text = ""
    end, last = first + count - 1, playhead.playback_range(planes.scene_of(plane)).stop - 1
    if first + request.earlier_count <= last < end:
        text += f"; the images end at frame {end}, after the last one that is played ({last})"
    return text


def _images(count: int) -> str:
    return f"{count} {'image' if count == 1 else 'images'}"


def note_start(plane: Plane, request: Drag, finished: DragFinished) -> None:
    """Store in the state of a drag what it has begun with, for *Keep as Slider*."""
    places_px = np.frombuffer(finished.handles_px, "<f4").reshape(finished.frame_count, -1, 2)[0]
    pins = {pair.key for pair in plane.draggan.pairs if pair.is_pin}
    handles = kept_drags.places_text(places_px, [one.key in pins for one in finished.handles])
    history.note_start(plane, request.latent, handles)


def reset(plane: Plane) -> None:
    """Go back to the image of the seed, without the drags, and put the handles back.

    The drags stay in the history.

    Raises:
        EditError: The plane has no image.
    """
    settings = plane.draggan
    if settings.request_id:
        recovery.cancel(plane)
    recovery.own(plane)
    requests.require_image(plane)
    history.note_points(plane)
    settings.latent, settings.track = settings.sampled_latent, ""
    edits.clear(plane)
    sliders.to_zero(plane)
    settings.status, settings.failed = "", False
    handle_paths.clear_paths(plane)
    handle_paths.send_home(plane)
    images.clear_sequence(plane)
    seed = history.seed_state(plane)
    if seed is not None and seed.still is not None:
        # The still image may be that of changed edits or sliders.
        settings.still = seed.still
        images.show_rest(plane)
    history.record(plane, "SEED")


def _go_to_frame(plane: Plane, number: int) -> None:
    """Go to the frame that shows the result."""
    # While Blender renders an animation, the scene's current frame is its counter: leave it alone.
    if not bpy.app.is_job_running("RENDER") and not timing.is_retimed(plane):
        planes.scene_of(plane).frame_set(number)
