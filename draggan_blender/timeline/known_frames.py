# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames whose images are known: those solved for the playhead, and that of the image at rest.

The solved ones are kept for a plane as long as its latent and the places of its handles are the
same.
"""

from __future__ import annotations

import bpy
import numpy as np

from ..jobs import bake_folder
from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..protocol import file_names
from ..protocol.timeline import Edit
from ..scene import images, placing, sampling, shown
from . import preview_edit, region_points
from .memory import Known, Memory, Points, State

# uuid -> the solved frames of the plane.
memories: dict[str, Memory] = {}

# The edit file that was read last: its path, its time of change, and the edit.
_baked: tuple[tuple[str, int], Edit] | None = None


def sampled_at(
    plane: Plane, depsgraph: bpy.types.Depsgraph, frame: int
) -> tuple[Memory, sampling.SampledEdit]:
    """Return the solved frames for the plane's current latent and handles, and the present edit.

    Raises:
        EditError: There is no valid edit at this frame.
    """
    settings = plane.draggan
    latent = to_bytes(settings.latent)
    bases_px = placing.bases(
        depsgraph, plane, is_base_shown=lambda: shown.latent(plane) == latent
    ).astype(np.float32)
    sampled = sampling.at_present(plane, depsgraph, bases_px, frame)
    unturned = np.tile((0.0, 1.0), (len(bases_px), 1))
    home_px = region_points.joined(bases_px, unturned, sampled.radii_px)
    memory = memories.get(settings.uuid)
    if (
        memory is None
        or memory.base.latent != latent
        or not np.array_equal(memory.base.handles_px, home_px)
    ):
        memory = memories[settings.uuid] = Memory(Known(home_px, home_px, latent))
    return memory, sampled


def add(image_id: str, known: Known) -> None:
    """Keep a solved frame of a plane, unless its frames were forgotten meanwhile.

    Args:
        image_id: The plane's uuid.
        known: The frame.
    """
    memory = memories.get(image_id)
    if memory is not None:
        memory.add(known)


def at_rest(plane: Plane, memory: Memory, frame: int, state: State) -> tuple[Points, State]:
    """Return the targets that the image at rest was solved for, and its state; see ``Known``.

    Args:
        plane: The GAN image.
        memory: Its solved frames.
        frame: The frame of the playhead.
        state: The state that is wanted: its locks are those of an image that was not solved.
    """
    global _baked
    sequence, unsolved = plane.draggan.sequence, (memory.base.handles_px, State(locks=state.locks))
    if not images.shows_bake(plane):
        return unsolved
    path = images.sequence_folder(plane) / file_names.EDIT_FILE
    try:
        stamp = (str(path), path.stat().st_mtime_ns)
    except OSError:
        return unsolved
    if _baked is None or _baked[0] != stamp:
        found = bake_folder.find_edit(path.parent)
        if found is None:
            return unsolved
        _baked = (stamp, found)
    baked = _baked[1]
    rows, turns = (
        np.frombuffer(data, "<f4").reshape(baked.frame_count, -1, 2)
        for data in (baked.targets_px, baked.turns)
    )
    row = min(max(frame - sequence.first_frame, 0), sequence.frame_count - 1)
    row = min(row, len(rows) - 1)
    solved_px = region_points.joined(rows[row], turns[row], baked.radii_px)
    return solved_px, preview_edit.state_of(preview_edit.fields_of(baked, row))


def forget() -> None:
    """Forget all solved frames."""
    memories.clear()
