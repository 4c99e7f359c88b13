# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image of a sequence is shown: by the scene frame, or by an animated *progress*.

A retimed plane has the custom property ``draggan_progress``, 0 for the first image and 1 for the
last; a plane is retimed if it has this property. A driver computes the offset of the texture's
image user from it, and drivers with the handles' paths as their curves move the handles. All of
that is plain Blender: it needs neither this extension nor the permission to run scripts, because
Blender evaluates such a simple expression without Python.
"""

from __future__ import annotations

import math

import bpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import compat
from ..properties.owners import Plane
from . import planes

PROGRESS = "draggan_progress"

# The data path of the property, for F-curves, drivers and layouts.
PROGRESS_PATH = f'["{PROGRESS}"]'

# Before every scene frame that Blender can have, so that the sequence has always started.
_LONG_AGO = -1048574


def is_retimed(plane: Plane) -> bool:
    """Return whether the plane's progress, and not the scene frame, selects the shown image."""
    return plane.get(PROGRESS) is not None


def shown_row(plane: Plane) -> int:
    """Return the row of the sequence that the plane shows at the current frame, counted from 0.

    Args:
        plane: A GAN image with a sequence.
    """
    sequence = plane.draggan.sequence
    last: int = sequence.frame_count - 1
    if is_retimed(plane):
        # Read what the driver reads: a float32 of the evaluated object.
        evaluated = plane.evaluated_get(bpy.context.evaluated_depsgraph_get())
        progress = float(np.float32(evaluated.get(PROGRESS, plane[PROGRESS])))
        return math.floor(min(max(progress, 0.0), 1.0) * last + 0.5)
    row: int = planes.scene_of(plane).frame_current - sequence.first_frame
    return max(min(row, last), 0)


def place(plane: Plane, node: bpy.types.ShaderNodeTexImage) -> None:
    """Set a texture node's image user so that the plane's sequence is shown at its time."""
    sequence, user = plane.draggan.sequence, node.image_user
    forget_place(node)
    user.use_cyclic = False
    user.use_auto_refresh = True
    # Blender shows file (frame - frame_start + 1, within 0 and frame_duration) + frame_offset,
    # and the files are numbered by scene frame. File 0 + offset is shown at the frames before.
    offset = sequence.first_frame - 1
    if not is_retimed(plane):
        user.frame_start = sequence.first_frame
        user.frame_offset = offset
        user.frame_duration = sequence.frame_count
        return
    user.frame_start, user.frame_duration = _LONG_AGO, 1
    _drive(user.driver_add("frame_offset"), plane, f"{offset} + {_row_expression(plane)}")


def refresh(node: bpy.types.ShaderNodeTexImage) -> None:
    """Have Blender compute which image of its sequence a node shows now.

    Blender does so when the frame changes, but not after an undo, when it shows the first image.
    """
    tree = node.id_data
    assert tree is not None  # a node is always in a tree
    tree.update_tag()


def forget_place(node: bpy.types.ShaderNodeTexImage) -> None:
    """Remove the driver of the texture node's image user, if there is one."""
    node.image_user.driver_remove("frame_offset")


# What a path has keys for: the columns of a path, and the components that they set. The turn and
# the scale are columns of regions only.
_PLACE = (("location", 0, 0), ("location", 1, 1))
_TURN = (
    ("rotation_euler", 2, 2),
    ("scale", 0, 3),
    ("scale", 1, 3),
    ("scale", 2, 3),
)
_PROPERTIES = ("location", "rotation_euler", "scale")


def write_path(plane: Plane, handle: bpy.types.Object, first_frame: int, path: ArrayLike) -> None:
    """Make a handle follow the plane's sequence, and remove the path that it had.

    Args:
        plane: The GAN image.
        handle: The handle of one of its pairs.
        first_frame: The scene frame of the sequence's first image.
        path: ``T x 2``, a position in the plane's space for each image of the sequence; or ``T x
            4``, with the rotation about z in radians and the scale.
    """
    rows = np.asarray(path, dtype=np.float64)
    clear_path(handle)
    for name, index, column in _PLACE if rows.shape[1] == 2 else _PLACE + _TURN:
        if is_retimed(plane):
            _drive_along(plane, handle, name, index, rows[:, column])
        else:
            frames = np.arange(first_frame, first_frame + len(rows))
            compat.write_fcurve(handle, name, index, frames, rows[:, column])


def read_path(plane: Plane, handle: bpy.types.Object) -> NDArray[np.float64] | None:
    """Return the path that ``write_path`` wrote, or None if the handle has none.

    Returns:
        ``T x 2`` or ``T x 4``, as for ``write_path``.
    """
    sequence = plane.draggan.sequence
    frames = np.arange(sequence.first_frame, sequence.first_frame + sequence.frame_count)
    driven = {(curve.data_path, curve.array_index): curve for curve in _drivers(handle)}
    columns: list[NDArray[np.float64]] = []
    for name, index, column in _PLACE + _TURN[:2]:
        keyed = compat.find_fcurve(handle, name, index)
        if len(columns) < column:
            break
        if (name, index) in driven:
            columns.append(_key_values(driven[name, index]))
        elif keyed is not None:
            columns.append(np.array([keyed.evaluate(float(frame)) for frame in frames]))
    columns = columns[: 4 if len(columns) == 4 else 2]
    if len(columns) < 2 or len({len(column) for column in columns}) > 1:
        return None
    return np.column_stack(columns)


def path_keys(handle: bpy.types.Object) -> NDArray[np.float64] | None:
    """Return the places of a handle's keys, ``N x 2``, or None; quickly, and without any change."""
    driven = {(curve.data_path, curve.array_index): curve for curve in _drivers(handle)}
    columns = []
    for name, index, _ in _PLACE:
        curve = driven.get((name, index)) or compat.seen_fcurve(handle, name, index)
        if curve is None:
            return None
        columns.append(_key_values(curve))
    return np.column_stack(columns) if len(columns[0]) == len(columns[1]) else None


def is_keyed(handle: bpy.types.Object) -> bool:
    """Return whether a handle has keys where a path would have its own."""
    return any(
        compat.find_fcurve(handle, name, index) is not None for name, index, _ in _PLACE + _TURN
    )


def is_driven(handle: bpy.types.Object) -> bool:
    """Return whether a handle has drivers where a path would have its own."""
    return bool(_drivers(handle))


def clear_path(handle: bpy.types.Object) -> None:
    """Remove the keys and drivers of a handle's location, rotation and scale."""
    for name in _PROPERTIES:
        compat.remove_fcurves(handle, name)
        handle.driver_remove(name, -1)


def release(handle: bpy.types.Object) -> None:
    """Mute the drivers of a handle, so that a drag can move it, until ``hold`` is called."""
    for curve in _drivers(handle):
        curve.mute = True


def hold(handle: bpy.types.Object) -> None:
    """Enable the drivers of a handle again; the inverse of ``release``."""
    for curve in _drivers(handle):
        curve.mute = False


def adopt(plane: Plane) -> None:
    """Make the drivers of a duplicate read its own progress instead of the original's."""
    slot = planes.slot_of(plane)
    tree = slot.material.node_tree if slot is not None else None
    for owner in (tree, *(pair.handle for pair in plane.draggan.pairs)):
        animation = owner.animation_data if owner is not None else None
        for curve in animation.drivers if animation is not None else ():
            for variable in curve.driver.variables:
                if variable.targets[0].data_path == PROGRESS_PATH:
                    variable.targets[0].id = plane


def _row_expression(plane: Plane) -> str:
    """Return the driver expression for the shown row; it computes the same as ``shown_row``."""
    last = plane.draggan.sequence.frame_count - 1
    return f"floor(min(max(progress, 0), 1) * {last} + 0.5)"


def _drive(curve: bpy.types.FCurve, plane: Plane, expression: str) -> None:
    """Give a new driver an expression of ``progress``, which reads the plane's progress."""
    driver = curve.driver
    driver.type = "SCRIPTED"
    variable = driver.variables.new()
    variable.name = "progress"
    variable.type = "SINGLE_PROP"
    variable.targets[0].id_type = "OBJECT"
    variable.targets[0].id = plane
    variable.targets[0].data_path = PROGRESS_PATH
    driver.expression = expression


def _drive_along(
    plane: Plane, handle: bpy.types.Object, name: str, index: int, values: NDArray[np.float64]
) -> None:
    """Add a driver that computes the shown row, and whose curve maps a row to a value."""
    curve = handle.driver_add(name, index)
    _drive(curve, plane, _row_expression(plane))
    # A new driver maps values to themselves, by a modifier or, in newer versions, by two keys.
    for modifier in list(curve.modifiers):
        curve.modifiers.remove(modifier)
    compat.write_keys(curve, np.arange(len(values)), values)


def _drivers(handle: bpy.types.Object) -> list[bpy.types.FCurve]:
    """Return the drivers of a handle's location, rotation and scale."""
    animation = handle.animation_data
    if animation is None:
        return []
    return [curve for curve in animation.drivers if curve.data_path in _PROPERTIES]


def _key_values(curve: bpy.types.FCurve) -> NDArray[np.float64]:
    coordinates = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
    curve.keyframe_points.foreach_get("co", coordinates)
    return coordinates[1::2].astype(np.float64)
