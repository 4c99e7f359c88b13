# SPDX-License-Identifier: GPL-3.0-or-later
"""The edit of the playhead's frame alone, solved from the nearest known latent for a preview."""

from __future__ import annotations

import hashlib
from typing import Any

import bpy
import numpy as np

from ..properties.owners import Plane
from ..protocol.timeline import Edit, MaskFrom
from ..scene import images, masks, sampling, shown, sliders, timing, tracks
from ..scene.sampling import SampledEdit
from . import region_points
from .memory import Known, Memory, Points, State, apart_px


def targets_of(sampled: SampledEdit) -> Points:
    """Return the targets of an edit of one frame; see ``memory.Known.targets_px``."""
    return region_points.joined(sampled.targets_px[0], sampled.turns[0], sampled.radii_px)


def fields_at(plane: Plane, depsgraph: bpy.types.Depsgraph) -> dict[str, Any]:
    """Return the fields of the ``Edit`` of one frame for animated sliders and for locks.

    Args:
        plane: The GAN image.
        depsgraph: Blender's dependency graph, evaluated at the frame.

    Raises:
        EditError: A slider cannot be read.
    """
    now = sampling.sliders_at(plane, depsgraph)
    return {**sampling.slider_fields(plane, [now]), **sliders.in_drags(plane)}


def fields_of(edit: Edit, row: int) -> dict[str, Any]:
    """Return what ``fields_at`` returned for a row of an edit."""
    count = len(edit.slider_changes) // edit.frame_count
    return {
        "sliders": edit.sliders,
        "slider_changes": edit.slider_changes[row * count : (row + 1) * count],
        "locked": edit.locked,
        "held_to": edit.held_to,
    }


def state_of(fields: dict[str, Any]) -> State:
    """Return the state that a frame with the fields of ``fields_at`` is solved in."""
    changes = tuple(round(change, 5) for change in fields.get("slider_changes", ()))
    moved = (repr(changes).encode(), fields["sliders"]) if any(changes) else ()
    return State(_digest(*moved), _digest(fields["locked"], fields["held_to"]))


def _digest(*parts: bytes) -> bytes:
    """Return a digest of parts; empty if all are empty."""
    if not any(parts):
        return b""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


def start_of(
    plane: Plane, memory: Memory, sampled: SampledEdit, state: State, *, at_rest: bool
) -> Known:
    """Return the known latent whose handles are nearest to the targets.

    If the truncation is animated, it is the base: the truncation of the other latents is not known.

    Args:
        plane: The GAN image.
        memory: Its solved frames.
        sampled: The edit of the frame to solve.
        state: The state of that frame.
        at_rest: Whether a bake that is shown was made in the same state at this frame.
    """
    if sampled.truncation_psi:
        return memory.base
    targets_px, radii_px = targets_of(sampled), sampled.radii_px
    known = [memory.base, *memory.solved_in(state)]
    if at_rest and images.shows_bake(plane):
        row = timing.shown_row(plane)
        handles_px = tracks.handles_px(plane.draggan.track)[row]
        turns = tracks.turns(plane.draggan.track) if radii_px else None
        if turns is not None and len(turns[row]) == len(radii_px):
            rims_px = np.asarray(radii_px)[:, None] * turns[row]
            handles_px = np.vstack((handles_px, rims_px)).astype(np.float32)
        if handles_px.shape == targets_px.shape:
            known.append(Known(handles_px, handles_px, shown.latent(plane)))
    return min(known, key=lambda one: apart_px(one.handles_px, targets_px))


def edit_from(
    plane: Plane,
    sampled: SampledEdit,
    start: Known,
    frame: int,
    model_name: str,
    fields: dict[str, Any],
) -> Edit:
    """Return the edit of a frame alone.

    Args:
        plane: The GAN image.
        sampled: The edit at that frame.
        start: The known latent to begin with.
        frame: The number of the frame.
        model_name: The file name of the checkpoint.
        fields: Those of ``fields_at``; without those of sliders if the start contains them.

    Raises:
        EditError: There is no valid mask at this frame.
    """
    settings, radii_px = plane.draggan, sampled.radii_px
    mask = masks.at_frame(plane, frame)
    # Regions begin in the image of the start, in which they may be turned and scaled already.
    present = region_points.turns_of(start.handles_px, radii_px)
    turns = np.array(sampled.turns[0], dtype="<f4")
    turns[:, 0] -= present[:, 0]
    turns[:, 1] /= present[:, 1]
    sizes = np.asarray(radii_px) * present[:, 1]
    return Edit(
        model_name=model_name,
        model_sha256=settings.model_sha256,
        first_number=frame,
        latent=start.latent,
        handles_px=tuple(
            (x, y) for x, y in region_points.places_of(start.handles_px, radii_px).tolist()
        ),
        targets_px=np.asarray(sampled.targets_px[0], dtype="<f4").tobytes(),
        settings=sampled.settings,
        mask_spans=(MaskFrom(number=frame, index=0),) if mask else (),
        masks=mask,
        seed=settings.sampled_seed,
        sampled_psi=settings.sampled_psi,
        truncation_psi=sampled.truncation_psi,
        label=settings.sampled_label,
        radii_px=tuple(sizes.tolist()),
        turns=turns.tobytes(),
        **fields,
    )
