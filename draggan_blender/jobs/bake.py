# SPDX-License-Identifier: GPL-3.0-or-later
"""The bake of an image: sampling the animated edit, its request, and writing its result.

A bake starts from the plane's latent and does not change it, so that the same edit gives the same
result however often it is baked. The bake's folder stores the edit: the same edit continues in the
same folder, and from the folder of another edit the engine takes the frames that did not change.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import compat
from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.stored import to_bytes, to_text
from ..protocol import Decoder, LocalProtocolError, encode
from ..protocol.messages import FrameTarget
from ..protocol.pairs import Point
from ..protocol.timeline import Bake, BakeFinished, Edit
from ..scene import (
    edits,
    evaluating,
    handle_paths,
    history,
    images,
    mask_following,
    masks,
    models,
    own_animation,
    placing,
    planes,
    playhead,
    points,
    sampling,
    shown,
    sliders,
    time_stretching,
    tracks,
    view,
)
from . import bake_folder, folders, recovery, requests
from . import edits as edits_job

# Ways that differ by less than this share of the image's longer side need the same room.
_EQUAL_WAYS = 1 / 64


def start_bake(plane: Plane) -> int:
    """Start to solve every frame of the range so that the handles follow their targets.

    An interrupted bake of the same edit continues. Frames of an earlier bake are taken over if
    nothing that they depend on has changed.

    Returns:
        The request id.

    Raises:
        EditError: The plane has no image or is being worked on, there is nothing to bake, a target
            is outside the image, or the engine cannot be started.
    """
    recovery.require_ready(plane)
    edits_job.refuse_if_changing(plane)
    return _submit(plane, make_edit(plane, frames_of(plane)))


def refine(plane: Plane) -> int:
    """Start to solve each frame of the shown bake further, to half of its previous tolerance.

    Returns:
        The request id.

    Raises:
        EditError: The plane shows no bake, other pairs are enabled than were baked, or one of the
            reasons of ``start_bake``.
    """
    recovery.require_ready(plane)
    settings, sequence = plane.draggan, plane.draggan.sequence
    if not images.shows_bake(plane) or not settings.track:
        raise EditError(f"{plane.name} shows no bake to refine; press Bake first")
    frames = range(sequence.first_frame, sequence.first_frame + sequence.frame_count)
    sampled = make_edit(plane, frames)
    baked_count = tracks.handles_px(settings.track).shape[1]
    if baked_count != len(sampled.handles_px):
        raise EditError(
            f"{plane.name} was baked with {baked_count} pairs, but {len(sampled.handles_px)} are "
            "enabled now; press Bake"
        )
    share = 0.5 ** (settings.bake.refinements + 1)
    finer = tuple(
        replace(entry, settings=_finer(entry.settings, share)) for entry in sampled.settings
    )
    baked = bake_folder.find_edit(images.sequence_folder(plane))
    locks = (sampled.locked, sampled.held_to)
    if baked is not None and (baked.locked, baked.held_to) != locks:
        raise EditError(
            f"{plane.name} was baked with other locks of its sliders than are set now; press Bake"
        )
    track = to_bytes(settings.track)
    return _submit(plane, replace(sampled, settings=finer, refined_track=track))


def clear(plane: Plane) -> None:
    """Remove the bake from the plane and show what the bake had replaced; its folder stays.

    Raises:
        EditError: The plane shows no bake, or is being worked on.
    """
    recovery.require_ready(plane)
    settings, bake = plane.draggan, plane.draggan.bake
    if not images.shows_bake(plane):
        raise EditError(f"{plane.name} shows no bake")
    under_track, is_covering = bake.under_track, bake.under.image is not None
    paths_px = tracks.handles_px(under_track) if is_covering else None
    history.note_points(plane)
    settings.status, settings.failed = "", False
    settings.track = under_track
    if paths_px is None:
        handle_paths.clear_paths(plane)
        images.clear_sequence(plane)
    else:
        images.uncover(plane)
        handle_paths.uncover_paths(plane, paths_px)
    history.leave_bake(plane)


def frames_of(plane: Plane) -> range:
    """Return the scene frames that a bake of the plane solves: its own range or the scene's.

    Frames before 1 are left out, because files are numbered from 1.

    Raises:
        EditError: The range is empty.
    """
    bake = plane.draggan.bake
    frames = playhead.playback_range(planes.scene_of(plane))
    if bake.use_own_range:
        frames = range(bake.frame_start, bake.frame_end + 1)
    frames = range(max(frames.start, 1), frames.stop)
    if not frames:
        raise EditError(
            f"The range {frames.start}-{frames.stop - 1} is empty; set a range that ends at frame "
            "1 or later and not before its start"
        )
    folders.require_frames(frames.start, len(frames))
    return frames


def make_edit(plane: Plane, frames: range) -> Edit:
    """Sample the plane's animated edit over a range of frames.

    Args:
        plane: The GAN image.
        frames: Scene frames, from 1 on, without gaps.

    Returns:
        The edit, with targets in image pixels and one row per frame.

    Raises:
        EditError: The plane has no image or no enabled pair, a handle or target is outside the
            image, or the mask is black everywhere in all frames.
    """
    settings, scene = plane.draggan, planes.scene_of(plane)
    time_stretching.refuse(plane)
    pairs = points.enabled_pairs(plane)
    own_animation.refuse_drivers(pairs)
    latent = to_bytes(settings.latent)
    with evaluating.evaluated(scene, [plane, *(pair.handle for pair in pairs)]):
        bases_px = placing.bases(
            sampling.depsgraph_of(scene), plane, is_base_shown=lambda: shown.latent(plane) == latent
        )
    sampled = sampling.over_frames(plane, frames, bases_px)
    mask_spans, mask_bytes = masks.over_frames(plane, frames)
    if mask_following.follows(plane):
        ways = _ways(plane, bases_px, sampled.targets_px)
        mask_bytes = mask_following.grown(plane, mask_bytes, ways) or mask_bytes
    # A white mask is not among the bytes, but in the spans.
    if all(span.index >= 0 for span in mask_spans):
        masks.refuse_black(plane, mask_bytes)
    return Edit(
        model_name=Path(models.model_path(settings.source)).name,
        model_sha256=settings.model_sha256,
        first_number=frames.start,
        latent=latent,
        handles_px=tuple((x, y) for x, y in bases_px.tolist()),
        targets_px=np.asarray(sampled.targets_px, dtype="<f4").tobytes(),
        settings=sampled.settings,
        mask_spans=mask_spans,
        masks=mask_bytes,
        seed=settings.sampled_seed,
        sampled_psi=settings.sampled_psi,
        truncation_psi=sampled.truncation_psi,
        label=settings.sampled_label,
        poses=sampling.key_frames(plane, frames),
        smoothing=settings.bake.smoothing,
        radii_px=sampled.radii_px,
        turns=np.asarray(sampled.turns, dtype="<f4").tobytes(),
        **_animated_edits(plane, frames),
        **_animated_sliders(plane, frames),
        **sliders.in_drags(plane),
    )


def _ways(
    plane: Plane, bases_px: view.Points, targets_px: view.Points
) -> list[tuple[Point, Point]]:
    """Return the ways of the handles to their targets, without those that differ little."""
    ways = []
    unit = _EQUAL_WAYS * max(plane.draggan.size)
    for number, (x, y) in enumerate(bases_px.tolist()):
        offsets = targets_px[:, number] - bases_px[number]
        for dx, dy in np.unique(np.rint(offsets / unit), axis=0).tolist():
            ways.append(((x, y), (x + dx * unit, y + dy * unit)))
    return ways


def _animated_sliders(plane: Plane, frames: range) -> dict[str, Any]:
    """Return the fields of an ``Edit`` for sliders with animated strengths, or none."""
    if not sampling.moving_sliders(plane):
        return {}
    rows = [now for _, now in sampling.edits_and_sliders(plane, frames)]
    return sampling.slider_fields(plane, rows)


def _animated_edits(plane: Plane, frames: range) -> dict[str, Any]:
    """Return the fields of an ``Edit`` for masked edits with animated strengths, or none."""
    if not compat.is_animated(plane, edits.EDITS_PATH):
        return {}
    rows = sampling.edit_strengths(plane, frames)
    whole = [1.0] * len(plane.draggan.edits)
    return {
        "layered": edits.pictures(plane, [whole])[0],
        "strengths": tuple(value for row in rows for value in row),
    }


def encoded(sampled: Edit) -> bytes:
    """Return the bytes of an edit, as ``Bake.edit`` and the edit file hold them.

    Raises:
        EditError: The edit is too large for a message.
    """
    try:
        return encode(sampled)
    except LocalProtocolError as error:
        raise EditError(
            f"The edit is too large to be sent to the engine ({error}); bake fewer frames"
        ) from None


def _finer(settings: Any, share: float) -> Any:
    return replace(settings, tolerance_px=settings.tolerance_px * share)


def _submit(plane: Plane, sampled: Edit) -> int:
    settings = plane.draggan
    data = encoded(sampled)
    path = models.model_path(settings.source)
    folder, earlier = bake_folder.folders_for(plane, sampled, data)
    target = FrameTarget(
        folder=str(folder), stem=folders.stem_of(plane), first_number=sampled.first_number
    )
    request = Bake(
        request_id=pump.new_request_id(),
        model_path=path,
        model_sha256=settings.model_sha256,
        edit=data,
        frames=target,
        earlier_folder="" if earlier is None else str(earlier),
    )
    handle_paths.begin(points.enabled_pairs(plane), plane)
    settings.baking = True
    return requests.submit(plane, request, f"Bake {plane.name}")


def finish(plane: Plane, request: Bake, finished: BakeFinished | None) -> None:
    """Write the result of a bake: its sequence, the handles' paths and the track.

    The latent does not change: the next bake starts from it again.

    Raises:
        EditError: There is no result, or it cannot be shown; nothing is written.
    """
    if finished is None:
        raise EditError("The engine ended the bake without a result; see its log")
    settings, target = plane.draggan, request.frames
    baked = edit_of(request)
    count = finished.frame_count
    paths_px = np.frombuffer(finished.handles_px, "<f4").reshape(count, -1, 2)
    turns = np.frombuffer(finished.turns, "<f4").reshape(count, -1, 2) if finished.turns else None
    if settings.sequence.image is not None and not images.shows_bake(plane):
        images.cover(plane)
        handle_paths.cover_paths(plane)
    requests.show_frames(plane, target, count, "BAKE")
    images.remove_live(settings.uuid)
    kept = own_animation.keep_keys(plane)
    handle_paths.write_paths(plane, target.first_number, paths_px, baked.handles_px, turns)
    settings.track = to_text(finished.track)
    settings.bake.refinements = settings.bake.refinements + 1 if baked.refined_track else 0
    settings.status = _sentence(finished, baked) + kept
    # The playhead stays where it is; setting the frame again applies the new keys at once. While
    # Blender renders an animation, the scene's current frame is its counter: leave it alone.
    if not bpy.app.is_job_running("RENDER"):
        scene = planes.scene_of(plane)
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)


def edit_of(request: Bake) -> Edit:
    """Return the edit that a request holds.

    Raises:
        EditError: The bytes are another message; the extension does not make such a request.
    """
    (message,) = Decoder(trusted=True).feed(request.edit)
    if not isinstance(message, Edit):
        raise EditError(f"The request of the bake holds a {message.kind} message, not an edit")
    return message


def _sentence(finished: BakeFinished, baked: Edit) -> str:
    frames = f"{finished.frame_count} frames"
    if finished.frame_count < baked.frame_count:
        frames = f"{finished.frame_count} of {baked.frame_count} frames"
    parts = [f"{'Stopped' if finished.status == 'stopped' else 'Baked'}: {frames}"]
    if finished.solved_count < finished.frame_count:
        parts.append(f"{finished.solved_count} of them solved")
    parts.append(f"{finished.steps} steps")
    missed = finished.frame_count - finished.reached_count
    whose = "its" if missed == 1 else "their"
    parts.append(f"{missed} missed {whose} targets" if missed else "all reached their targets")
    return ", ".join(parts) + f", {finished.seconds:.1f} s"
