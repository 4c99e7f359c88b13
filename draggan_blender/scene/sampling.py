# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling an animated edit: what it is at every frame, read from the *evaluated* scene.

Keys, parents, constraints, drivers, the Nonlinear Animation and simulations all count, for targets
as well as for influences, settings and the truncation. Blender evaluates only the current frame, so
the playhead visits the frames in order, as simulations need it. Everything that must be read from
Blender is read in that one pass; the rest is arithmetic over all frames at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import compat
from ..errors import EditError
from ..properties import drag as drag_properties
from ..properties.owners import Plane
from ..properties.sliders import DRAGGAN_PG_slider
from ..protocol.settings import DragSettings
from ..protocol.timeline import SettingsFrom
from . import edits, evaluating, placing, planes, playhead, points, sliders, view

# The data paths of a plane's own animation that belong to the edit start with this.
_EDIT_PATHS = "draggan."
_PSI_PATH = "draggan.source.truncation_psi"
# Those that are no part of it: they make sequences without solving.
_OTHER_PATHS = (edits.EDITS_PATH, sliders.SLIDERS_PATH, "draggan.timeline")

# Modifiers whose result depends on the previous frames.
_SIMULATIONS = {"CLOTH", "SOFT_BODY", "FLUID", "DYNAMIC_PAINT", "PARTICLE_SYSTEM"}


class SampledEdit(NamedTuple):
    """An edit sampled at ``T`` frames, with ``P`` pairs.

    Attributes:
        targets_px: ``T x P x 2`` float32 px: where the handles should go, given the influences.
        settings: One entry for each change of the settings, the first for the first frame.
        truncation_psi: ``T`` numbers; empty if the truncation is not animated.
        radii_px: ``P`` px, the radii of regions in the image of the latent, 0 for a point; empty if
            no pair is a region.
        turns: ``T x P x 2`` float32, the angle and the scale of regions since the image of the
            latent, 0 and 1 for a point; empty likewise.
    """

    targets_px: view.Points
    settings: tuple[SettingsFrom, ...]
    truncation_psi: tuple[float, ...]
    radii_px: tuple[float, ...]
    turns: view.Points


class _Row(NamedTuple):
    """What is read at one frame.

    Attributes:
        targets: Where the targets are in the plane's space, and how they are turned and scaled.
        influences: The influence of each pair, 0 to 1.
        radii: The radius of each pair in the plane's space, 0 for a point.
        settings: How the frame is solved.
        psi: The truncation.
    """

    targets: list[placing.Pose]
    influences: list[float]
    radii: list[float]
    settings: DragSettings
    psi: float


def over_frames(plane: Plane, frames: range, bases_px: ArrayLike) -> SampledEdit:
    """Sample the enabled pairs over a range of frames; the playhead returns to where it was.

    Args:
        plane: The GAN image.
        frames: Scene frames, one after the other, at least one.
        bases_px: ``P x 2`` px, the handles in the image of the latent.

    Raises:
        EditError: No pair is enabled, a point was deleted, a target is outside the image, or a
            point of a region has no size.
    """
    pairs, scene = points.enabled_pairs(plane), planes.scene_of(plane)
    targets = [pair.target for pair in pairs]
    indices = [index for index, pair in enumerate(plane.draggan.pairs) if pair.enabled]
    start = min(scene.frame_start, frames.start) if _simulates(scene) else frames.start
    rows: list[_Row] = []
    # Blender does not notice that a script has changed a collection.
    plane.update_tag()
    with evaluating.evaluated(scene, [plane, *targets, *(pair.handle for pair in pairs)]):
        base_turns = placing.base_turns(depsgraph_of(scene), plane)
        for frame in playhead.visit(scene, range(start, frames.stop)):
            if frame >= frames.start:
                rows.append(_read(depsgraph_of(scene), plane, targets, indices))
    is_psi_animated = compat.is_animated(plane, _PSI_PATH)
    return SampledEdit(
        _targets_px(plane, rows, bases_px, frames.start, targets),
        _settings_spans(rows, frames.start),
        tuple(row.psi for row in rows) if is_psi_animated else (),
        *_regions(plane, rows, base_turns),
    )


def edit_strengths(plane: Plane, frames: range) -> list[list[float]]:
    """Return how much of each masked edit of an image is shown at each frame, 0 for a hidden one.

    Args:
        plane: The GAN image.
        frames: Scene frames; the playhead visits them and returns to where it was.
    """
    return [strengths for strengths, _ in edits_and_sliders(plane, frames)]


def edits_and_sliders(
    plane: Plane, frames: range
) -> list[tuple[list[float], dict[int, sliders.Setting]]]:
    """Return ``edit_strengths`` and, at each frame, how the sliders are set, by their keys.

    Args:
        plane: The GAN image.
        frames: Scene frames; the playhead visits them and returns to where it was.
    """
    scene = planes.scene_of(plane)
    # Blender does not notice that a script has changed a collection.
    plane.update_tag()
    rows = []
    with contextlib.closing(playhead.visit(scene, frames)) as visited:
        for _frame in visited:
            evaluated = plane.evaluated_get(depsgraph_of(scene))
            now = evaluated.draggan
            rows.append((edits.strengths_of(now.edits), sliders.settings_of(now.sliders)))
    return rows


def moving_sliders(plane: Plane) -> list[DRAGGAN_PG_slider]:
    """Return the sliders of an image with animated strengths."""
    rows = enumerate(plane.draggan.sliders)
    return [row for index, row in rows if sliders.is_animated(plane, index)]


def sliders_at(plane: Plane, depsgraph: bpy.types.Depsgraph) -> dict[int, sliders.Setting]:
    """Return how the sliders of an image are at the frame at which the depsgraph is evaluated.

    Those that are not animated are as they are in the latent.
    """
    found = sliders.wanted_settings(plane)
    now = sliders.settings_of(plane.evaluated_get(depsgraph).draggan.sliders)
    for row in moving_sliders(plane):
        found.pop(row.key, None)
        if row.key in now:
            found[row.key] = now[row.key]
    return found


def slider_fields(plane: Plane, rows: Sequence[dict[int, sliders.Setting]]) -> dict[str, Any]:
    """Return the fields of an ``Edit`` for sliders with animated strengths, or none.

    Args:
        plane: The GAN image.
        rows: How the sliders are at each of its frames, by their keys.

    Raises:
        EditError: A slider cannot be read.
    """
    moving = moving_sliders(plane)
    if not moving:
        return {}
    at_rest = sliders.wanted_settings(plane)
    strengths = [
        sliders.strength_in(now, row.key) - sliders.strength_in(at_rest, row.key)
        for now in rows
        for row in moving
    ]
    changes = (sliders.whole_change(plane, row).astype("<f4").tobytes() for row in moving)
    return {"sliders": b"".join(changes), "slider_changes": tuple(strengths)}


def at_present(
    plane: Plane, depsgraph: bpy.types.Depsgraph, bases_px: ArrayLike, frame: int
) -> SampledEdit:
    """Sample the enabled pairs at the frame at which the depsgraph is evaluated.

    Args:
        plane: The GAN image.
        depsgraph: Blender's dependency graph, evaluated.
        bases_px: ``P x 2`` px, the handles in the image of the latent.
        frame: The number of the frame, for the settings and for messages.

    Returns:
        The edit of one frame.

    Raises:
        EditError: No pair is enabled, a point was deleted, a target is outside the image, or a
            point of a region has no size.
    """
    targets = [pair.target for pair in points.enabled_pairs(plane)]
    indices = [index for index, pair in enumerate(plane.draggan.pairs) if pair.enabled]
    rows = [_read(depsgraph, plane, targets, indices)]
    return SampledEdit(
        _targets_px(plane, rows, bases_px, frame, targets),
        _settings_spans(rows, frame),
        (rows[0].psi,) if compat.is_animated(plane, _PSI_PATH) else (),
        *_regions(plane, rows, placing.base_turns(depsgraph, plane)),
    )


def depsgraph_of(scene: bpy.types.Scene) -> bpy.types.Depsgraph:
    """Return a scene's depsgraph, evaluated at its current frame, for any scene of the file."""
    context = bpy.context
    if context.scene == scene:
        return context.evaluated_depsgraph_get()
    with context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
        return bpy.context.evaluated_depsgraph_get()


def key_frames(plane: Plane, frames: range) -> tuple[int, ...]:
    """Return the frames of a range at which the edit has keys, with both ends of the range, sorted.

    These frames are the poses that a person has set.
    """
    found = compat.key_frames(plane, _EDIT_PATHS)
    for mover in _movers(plane):
        found |= compat.key_frames(mover)
    keyed = {round(frame) for frame in found} & set(frames)
    return tuple(sorted(keyed | {frames.start, frames[-1]}))


def is_animated(plane: Plane) -> bool:
    """Return whether the edit can change from frame to frame."""
    if compat.is_animated(plane, _EDIT_PATHS, but=_OTHER_PATHS):
        return True
    return any(
        compat.is_animated(mover) or getattr(mover, "rigid_body", None) is not None
        for mover in _movers(plane)
    )


def _movers(plane: Plane) -> list[bpy.types.ID]:
    """Return the enabled pairs' targets, and all parents and constraint targets above them."""
    waiting = [pair.target for pair in plane.draggan.pairs if pair.enabled]
    found: list[Any] = []
    while waiting:
        mover = waiting.pop()
        if mover is None or mover == plane or mover in found:
            continue
        found.append(mover)
        waiting.append(mover.parent)
        waiting += [getattr(constraint, "target", None) for constraint in mover.constraints]
    return found


def _simulates(scene: bpy.types.Scene) -> bool:
    """Return whether anything in the scene is right only if it is played from its start."""
    if scene.rigidbody_world is not None and scene.rigidbody_world.enabled:
        return True
    return any(
        modifier.type in _SIMULATIONS
        or (modifier.type == "NODES" and _has_simulation(getattr(modifier, "node_group", None)))
        for item in scene.objects
        for modifier in item.modifiers
    )


def _has_simulation(tree: Any | None) -> bool:
    return tree is not None and any(node.type == "SIMULATION_INPUT" for node in tree.nodes)


def _read(
    depsgraph: bpy.types.Depsgraph,
    plane: Plane,
    targets: Sequence[bpy.types.Object],
    indices: Sequence[int],
) -> _Row:
    evaluated = plane.evaluated_get(depsgraph).draggan
    pairs = evaluated.pairs
    return _Row(
        placing.poses(depsgraph, plane, targets),
        # A pin stays at its base.
        [0.0 if pairs[index].is_pin else pairs[index].influence for index in indices],
        [0.0 if pairs[index].is_pin else pairs[index].radius for index in indices],
        drag_properties.drag_settings(evaluated.drag),
        evaluated.source.truncation_psi,
    )


def _targets_px(
    plane: Plane,
    rows: Sequence[_Row],
    bases_px: ArrayLike,
    first: int,
    targets: Sequence[bpy.types.Object],
) -> view.Points:
    """Return where the handles should go, ``T x P x 2`` float32 px.

    Raises:
        EditError: A target is outside the image.
    """
    bases = placing.to_local(plane, bases_px)
    influences = np.array([row.influences for row in rows], dtype=np.float64)[:, :, None]
    places = np.array([[pose.place for pose in row.targets] for row in rows])
    wanted = placing.mix(bases, places, influences)
    wanted_px = placing.to_px(plane, wanted.reshape(-1, 2)).reshape(wanted.shape)
    is_outside = ~np.isfinite(wanted_px).all(axis=2)
    if is_outside.any():
        pair = int(np.flatnonzero(is_outside.any(axis=0))[0])
        numbers = np.flatnonzero(is_outside[:, pair]) + first
        raise EditError(
            f"{targets[pair].name} is outside the image {_in_words(numbers)}; keep it on the "
            "plane there, or lower its influence"
        )
    return np.asarray(wanted_px, dtype=np.float32)


def _regions(
    plane: Plane, rows: Sequence[_Row], base_turns: Sequence[tuple[float, float]]
) -> tuple[tuple[float, ...], view.Points]:
    """Return ``SampledEdit.radii_px`` and ``turns``; the radii are those of the first frame.

    Raises:
        EditError: A handle or target of a region has no size.
    """
    if not any(rows[0].radii):
        return (), np.empty((len(rows), 0, 2), dtype=np.float32)
    radii_px, turns = placing.regions_over_frames(
        plane,
        points.enabled_pairs(plane),
        base_turns,
        rows[0].radii,
        [[(pose.angle, pose.scale) for pose in row.targets] for row in rows],
        [row.influences for row in rows],
    )
    return tuple(radii_px.tolist()), np.asarray(turns, dtype=np.float32)


def _in_words(numbers: NDArray[np.intp]) -> str:
    """Return ``at frame 3``, ``in frames 3 to 7`` or ``in 12 frames from 3 to 40``."""
    first, last, count = int(numbers[0]), int(numbers[-1]), len(numbers)
    if count == 1:
        return f"at frame {first}"
    if last - first + 1 == count:
        return f"in frames {first} to {last}"
    return f"in {count} frames from {first} to {last}"


def _settings_spans(rows: Sequence[_Row], first: int) -> tuple[SettingsFrom, ...]:
    spans = []
    number = first
    for settings, same in groupby(row.settings for row in rows):
        spans.append(SettingsFrom(number=number, settings=settings))
        number += sum(1 for _ in same)
    return tuple(spans)
