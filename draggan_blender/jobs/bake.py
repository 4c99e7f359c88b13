# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes: an animated edit is sampled, solved frame by frame, and shown on the timeline.

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

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.stored import to_bytes, to_text
from ..protocol import Decoder, LocalProtocolError, encode
from ..protocol.messages import FrameTarget
from ..protocol.timeline import Bake, BakeFinished, Edit
from ..scene import images, masks, models, planes, playhead, points, sampling, shown, tracks
from . import bake_folder, folders, recovery, requests


def start_bake(plane: Plane) -> int:
    """Solve every frame of the range so that the handles follow their targets. The request's id.

    A bake of the same edit that was interrupted goes on; frames that an earlier bake has solved
    and on which nothing has changed since are taken over.

    Raises:
        EditError: there is nothing to bake, a target leaves the image, or the engine cannot start.
    """
    recovery.require_ready(plane)
    return _submit(plane, make_edit(plane, frames_of(plane)))


def refine(plane: Plane) -> int:
    """Solve each frame of the bake further: to half of the distance it was solved to.

    Raises:
        EditError: the plane shows no bake, or as :func:`start_bake`.
    """
    recovery.require_ready(plane)
    settings, sequence = plane.draggan, plane.draggan.sequence
    if not images.shows_bake(plane) or not settings.track:
        raise EditError(f"{plane.name} shows no bake that could be refined; bake it first")
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
    track = to_bytes(settings.track)
    return _submit(plane, replace(sampled, settings=finer, refined_track=track))


def clear(plane: Plane) -> None:
    """Take the bake away: what it has covered is shown again. Its folder stays.

    Raises:
        EditError: the plane shows no bake, or is being worked on.
    """
    recovery.require_ready(plane)
    settings, sequence, bake = plane.draggan, plane.draggan.sequence, plane.draggan.bake
    if not images.shows_bake(plane):
        raise EditError(f"{plane.name} shows no bake")
    under_track, is_covering = bake.under_track, bake.under.image is not None
    paths_px = tracks.handles_px(under_track) if is_covering else None
    settings.status, settings.failed = "", False
    settings.track = under_track
    if paths_px is None:
        points.clear_paths(plane)
        images.clear_sequence(plane)
    else:
        images.uncover(plane)
        points.uncover_paths(plane)
        points.write_paths(plane, sequence.first_frame, paths_px)


def frames_of(plane: Plane) -> range:
    """The frames that a bake of the plane solves; from 1 on, because files have numbers.

    Raises:
        EditError: there are none.
    """
    bake = plane.draggan.bake
    frames = playhead.playback_range(planes.scene_of(plane))
    if bake.use_own_range:
        frames = range(bake.frame_start, bake.frame_end + 1)
    frames = range(max(frames.start, 1), frames.stop)
    if not frames:
        raise EditError(
            f"The frames {frames.start} to {frames.stop - 1} are none; set a range that ends after "
            "it starts, and after frame 1"
        )
    return frames


def make_edit(plane: Plane, frames: range) -> Edit:
    """The plane's edit over a range of frames, sampled.

    Raises:
        EditError: it has no image, no pairs, or something lies beside the image.
    """
    settings, scene = plane.draggan, planes.scene_of(plane)
    latent = to_bytes(settings.latent)
    bases_px = points.bases(
        sampling.depsgraph_of(scene), plane, is_base_shown=lambda: shown.latent(plane) == latent
    )
    sampled = sampling.over_frames(plane, frames, bases_px)
    mask_spans, mask_bytes = masks.over_frames(plane, frames)
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
        poses=sampling.key_frames(plane, frames),
        smoothing=settings.bake.smoothing,
    )


def encoded(sampled: Edit) -> bytes:
    """An edit as a bake's request has it.

    Raises:
        EditError: it is too large for that.
    """
    try:
        return encode(sampled)
    except LocalProtocolError as error:
        raise EditError(
            f"The engine takes no edit this large ({error}); bake fewer frames"
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
    points.begin(points.enabled_pairs(plane), plane)
    settings.baking = True
    return requests.submit(plane, request, f"Bake {plane.name}")


def finish(plane: Plane, request: Bake, finished: BakeFinished | None) -> None:
    """Write the result of a bake: its sequence, the handles' paths and the track.

    The latent stays as it is: the next bake starts from it again.

    Raises:
        EditError: there is none, or it cannot be shown; nothing of it is written.
    """
    if finished is None:
        raise EditError("The engine ended the bake without a result; see its log")
    settings, target = plane.draggan, request.frames
    baked = edit_of(request)
    paths_px = np.frombuffer(finished.handles_px, "<f4").reshape(finished.frame_count, -1, 2)
    if settings.sequence.image is not None and not images.shows_bake(plane):
        images.cover(plane)
        points.cover_paths(plane)
    requests.show_frames(plane, target, finished.frame_count, "BAKE")
    images.remove_live(settings.uuid)
    points.write_paths(plane, target.first_number, paths_px, baked.handles_px)
    settings.track = to_text(finished.track)
    settings.bake.refinements = settings.bake.refinements + 1 if baked.refined_track else 0
    settings.status = _sentence(finished, baked)
    # The playhead stays, and what the new keys say about the present frame is seen at once. An
    # animation that is being rendered counts its frames with the scene's own.
    if not bpy.app.is_job_running("RENDER"):
        scene = planes.scene_of(plane)
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)


def edit_of(request: Bake) -> Edit:
    """The edit that was baked.

    Raises:
        EditError: the request's bytes are none; this cannot come from our own request.
    """
    (message,) = Decoder(trusted=True).feed(request.edit)
    if not isinstance(message, Edit):
        raise EditError(f"The bake was asked for with a {message.kind} in place of an edit")
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
