# SPDX-License-Identifier: GPL-3.0-or-later
"""What an animated edit is at every frame, read from the *evaluated* scene.

Evaluated means that keys, parents, constraints, drivers, the Nonlinear Animation and simulations
count, for the targets as for influences, settings and truncation. To evaluate is to go there:
frame by frame and in order, because simulations are only right that way. Everything that Blender
has to be asked for is asked within that one pass; the rest is arithmetic over all frames at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import ArrayLike

from .. import compat
from ..errors import EditError
from ..properties import drag as drag_properties
from ..properties.owners import Plane
from ..protocol.settings import DragSettings
from ..protocol.timeline import SettingsFrom
from . import planes, playhead, points, view

#: Data paths of a plane's own animation that an edit is made of.
_EDIT_PATHS = "draggan."
_PSI_PATH = "draggan.source.truncation_psi"

#: Modifiers whose result depends on the frames before.
_SIMULATIONS = {"CLOTH", "SOFT_BODY", "FLUID", "DYNAMIC_PAINT", "PARTICLE_SYSTEM"}


class Sampled(NamedTuple):
    """An edit over ``T`` frames, with ``P`` pairs.

    ``targets_px``: ``T x P x 2`` float32, image px, as the influences have them.
    ``settings``: one entry for each change. ``truncation_psi``: ``T`` numbers, or none where the
    truncation is not animated.
    """

    targets_px: view.Points
    settings: tuple[SettingsFrom, ...]
    truncation_psi: tuple[float, ...]


class _Row(NamedTuple):
    """What is read at one frame: targets in the plane's space."""

    targets: list[tuple[float, float]]
    influences: list[float]
    settings: DragSettings
    psi: float


def over_frames(plane: Plane, frames: range, bases_px: ArrayLike) -> Sampled:
    """Sample the enabled pairs over a range; the playhead is where it was afterwards.

    Args:
        plane: a GAN image.
        frames: one after the other, at least one.
        bases_px: ``P x 2``, where the handles are in the image of the latent.

    Raises:
        EditError: a target lies beside the image.
    """
    pairs, scene = points.enabled_pairs(plane), planes.scene_of(plane)
    targets = [pair.target for pair in pairs]
    indices = [index for index, pair in enumerate(plane.draggan.pairs) if pair.enabled]
    start = min(scene.frame_start, frames.start) if _simulates(scene) else frames.start
    rows: list[_Row] = []
    # Blender does not notice what a script does to a collection.
    plane.update_tag()
    with _evaluated(scene, [plane, *targets]):
        for frame in playhead.visit(scene, range(start, frames.stop)):
            if frame >= frames.start:
                rows.append(_read(depsgraph_of(scene), plane, targets, indices))
    is_psi_animated = compat.is_animated(plane, _PSI_PATH)
    return Sampled(
        _targets_px(plane, rows, bases_px, frames.start, targets),
        _settings_spans(rows, frames.start),
        tuple(row.psi for row in rows) if is_psi_animated else (),
    )


def at_present(
    plane: Plane, depsgraph: bpy.types.Depsgraph, bases_px: ArrayLike, frame: int
) -> Sampled:
    """The same of the one frame at which the depsgraph is evaluated.

    Raises:
        EditError: a target lies beside the image.
    """
    targets = [pair.target for pair in points.enabled_pairs(plane)]
    indices = [index for index, pair in enumerate(plane.draggan.pairs) if pair.enabled]
    rows = [_read(depsgraph, plane, targets, indices)]
    return Sampled(
        _targets_px(plane, rows, bases_px, frame, targets),
        _settings_spans(rows, frame),
        (rows[0].psi,) if compat.is_animated(plane, _PSI_PATH) else (),
    )


def depsgraph_of(scene: bpy.types.Scene) -> bpy.types.Depsgraph:
    """The scene's depsgraph, evaluated at its current frame, be it the context's scene or not."""
    context = bpy.context
    if context.scene == scene:
        return context.evaluated_depsgraph_get()
    with context.temp_override(scene=scene, view_layer=scene.view_layers[0]):
        return bpy.context.evaluated_depsgraph_get()


def key_frames(plane: Plane, frames: range) -> tuple[int, ...]:
    """The frames of a range at which the edit has keys, and its ends: a person's poses."""
    found = compat.key_frames(plane, _EDIT_PATHS)
    for moved in _movers(plane):
        found |= compat.key_frames(moved)
    keyed = {round(frame) for frame in found} & set(frames)
    return tuple(sorted(keyed | {frames.start, frames[-1]}))


def is_animated(plane: Plane) -> bool:
    """Whether the edit can be another at another frame."""
    if compat.is_animated(plane, _EDIT_PATHS):
        return True
    return any(
        compat.is_animated(moved) or getattr(moved, "rigid_body", None) is not None
        for moved in _movers(plane)
    )


def _movers(plane: Plane) -> list[bpy.types.ID]:
    """The targets of the enabled pairs, and what moves them: parents, targets of constraints."""
    waiting = [pair.target for pair in plane.draggan.pairs if pair.enabled]
    found: list[Any] = []
    while waiting:
        moved = waiting.pop()
        if moved is None or moved == plane or moved in found:
            continue
        found.append(moved)
        waiting.append(moved.parent)
        waiting += [getattr(constraint, "target", None) for constraint in moved.constraints]
    return found


def _simulates(scene: bpy.types.Scene) -> bool:
    """Whether anything in the scene has to be played from its start to be right."""
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


@contextlib.contextmanager
def _evaluated(scene: bpy.types.Scene, objects: Sequence[Any]) -> Iterator[None]:
    """Have Blender evaluate objects that are switched off in viewports or excluded as well.

    It evaluates what something visible depends on, and leaves others where they were last.
    """
    probe = bpy.data.objects.new("GAN Image Probe", None)
    for item in objects:
        copy: Any = probe.constraints.new("COPY_LOCATION")
        copy.target = item
    scene.collection.objects.link(probe)
    try:
        yield
    finally:
        bpy.data.objects.remove(probe)


def _read(
    depsgraph: bpy.types.Depsgraph, plane: Plane, targets: Sequence[Any], indices: Sequence[int]
) -> _Row:
    evaluated = plane.evaluated_get(depsgraph).draggan
    pairs = evaluated.pairs
    return _Row(
        points.places(depsgraph, plane, targets),
        [pairs[index].influence for index in indices],
        drag_properties.drag_settings(evaluated.drag),
        evaluated.source.truncation_psi,
    )


def _targets_px(
    plane: Plane, rows: Sequence[_Row], bases_px: ArrayLike, first: int, targets: Sequence[Any]
) -> view.Points:
    """``T x P x 2`` float32: what the handles are to go for.

    Raises:
        EditError: one lies beside the image.
    """
    bases = points.to_local(plane, bases_px)
    influences = np.array([row.influences for row in rows], dtype=np.float64)[:, :, None]
    wanted = points.mix(bases, np.array([row.targets for row in rows]), influences)
    wanted_px = points.to_px(plane, wanted.reshape(-1, 2)).reshape(wanted.shape)
    beside = ~np.isfinite(wanted_px).all(axis=2)
    if beside.any():
        pair = int(np.flatnonzero(beside.any(axis=0))[0])
        numbers = np.flatnonzero(beside[:, pair]) + first
        raise EditError(
            f"{targets[pair].name} lies beside the image {_in_words(numbers)}; keep it on the "
            "plane there, or lower its influence"
        )
    return np.asarray(wanted_px, dtype=np.float32)


def _in_words(numbers: Any) -> str:
    """``at frame 3``, ``in frames 3 to 7``, ``in 12 frames from 3 to 40``."""
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
