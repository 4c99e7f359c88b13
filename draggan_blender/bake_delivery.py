# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bake reports becomes scene: a part of :mod:`.delivery`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import images, planes, points
from .errors import EditError
from .protocol import Decoder
from .protocol.timeline import Bake, BakeFinished, Edit


def finish(plane: Any, request: Bake, finished: BakeFinished | None) -> None:
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
    if settings.sequence.image is not None and settings.sequence.kind != "BAKE":
        images.cover(plane)
        points.cover_paths(plane)
    images.show_sequence(
        plane, Path(target.folder), target.stem, target.first_number, finished.frame_count, "BAKE"
    )
    images.remove_live(settings.uuid)
    points.write_paths(plane, target.first_number, paths_px, baked.handles_px)
    settings.track = base64.b64encode(finished.track).decode()
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
