# SPDX-License-Identifier: GPL-3.0-or-later
"""When each image of a sequence is shown: by the scene frame, or by an animated *progress*.

A retimed plane has the custom property ``draggan_progress``, 0 for the first image and 1 for the
last; that it is there is all that says so. A driver turns it into the image user's offset, and
drivers with the handles' paths as their curves move the handles along. All of that is plain
Blender: it needs neither this extension nor the permission to run scripts, because the expression
is a simple one, which Blender evaluates itself.
"""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import compat
from ..properties.owners import Plane
from . import planes

PROGRESS = "draggan_progress"
#: Its data path, for F-curves, drivers and layouts.
PROGRESS_PATH = f'["{PROGRESS}"]'

#: Before every scene frame that Blender can have, so that the sequence is always past its start.
_LONG_AGO = -1048574


def is_retimed(plane: Plane) -> bool:
    """Whether the plane's progress says which image is shown."""
    return plane.get(PROGRESS) is not None


def shown_row(plane: Plane) -> int:
    """The row of the sequence that the plane shows at the current frame, counted from 0.

    The plane has a sequence.
    """
    sequence = plane.draggan.sequence
    last: int = sequence.frame_count - 1
    if is_retimed(plane):
        # As the driver reads it: as a float32 of the evaluated object.
        evaluated = plane.evaluated_get(bpy.context.evaluated_depsgraph_get())
        progress = float(np.float32(evaluated.get(PROGRESS, plane[PROGRESS])))
        return math.floor(min(max(progress, 0.0), 1.0) * last + 0.5)
    row: int = planes.scene_of(plane).frame_current - sequence.first_frame
    return max(min(row, last), 0)


def place(plane: Plane) -> None:
    """Have the texture node show the plane's sequence at its time."""
    sequence, node = plane.draggan.sequence, planes.texture_node(plane)
    user = node.image_user
    forget_place(node)
    user.use_cyclic = False
    user.use_auto_refresh = True
    # Blender shows file (frame - frame_start + 1, within 0 and frame_duration) + frame_offset,
    # and the files are numbered by scene frame. Number 0 + offset is the hold before the start.
    offset = sequence.first_frame - 1
    if not is_retimed(plane):
        user.frame_start = sequence.first_frame
        user.frame_offset = offset
        user.frame_duration = sequence.frame_count
        return
    user.frame_start, user.frame_duration = _LONG_AGO, 1
    _drive(user.driver_add("frame_offset").driver, plane, f"{offset} + {_row_expression(plane)}")


def forget_place(node: bpy.types.ShaderNodeTexImage) -> None:
    """Take the driver from a texture node that has one."""
    node.image_user.driver_remove("frame_offset")


def write_path(plane: Plane, handle: Any, first_frame: int, path: ArrayLike) -> None:
    """Have a handle go along with the plane's sequence, in place of any path it had.

    Args:
        plane: a GAN image.
        handle: an empty of one of its pairs.
        first_frame: the sequence's.
        path: `T x 2`, a place in the plane's space for each image of the sequence.
    """
    rows = np.asarray(path, dtype=np.float64)
    clear_path(handle)
    for axis in (0, 1):
        if is_retimed(plane):
            _drive_along(plane, handle, axis, rows[:, axis])
        else:
            frames = np.arange(first_frame, first_frame + len(rows))
            compat.write_fcurve(handle, "location", axis, frames, rows[:, axis])


def read_path(plane: Plane, handle: Any) -> NDArray[np.float64] | None:
    """The path that :func:`write_path` wrote, `T x 2`; None for a handle that has none."""
    sequence = plane.draggan.sequence
    frames = np.arange(sequence.first_frame, sequence.first_frame + sequence.frame_count)
    driven = {curve.array_index: curve for curve in _drivers(handle)}
    columns = []
    for axis in (0, 1):
        keyed = compat.find_fcurve(handle, "location", axis)
        if axis in driven:
            columns.append(_key_values(driven[axis]))
        elif keyed is not None:
            columns.append(np.array([keyed.evaluate(float(frame)) for frame in frames]))
    if len(columns) < 2 or len(columns[0]) != len(columns[1]):
        return None
    return np.column_stack(columns)


def clear_path(handle: Any) -> None:
    """Remove what moves a handle along with the sequence."""
    compat.remove_fcurves(handle, "location")
    handle.driver_remove("location", -1)


def release(handle: Any) -> None:
    """Let a handle be moved although a progress drives it, until :func:`hold`."""
    for curve in _drivers(handle):
        curve.mute = True


def hold(handle: Any) -> None:
    """Take :func:`release` back."""
    for curve in _drivers(handle):
        curve.mute = False


def adopt(plane: Plane) -> None:
    """Have a duplicate follow its own progress instead of that of the plane it was made from."""
    material = plane.active_material
    tree = material.node_tree if material is not None else None
    for owner in (tree, *(pair.handle for pair in plane.draggan.pairs)):
        animation = owner.animation_data if owner is not None else None
        for curve in animation.drivers if animation is not None else ():
            for variable in curve.driver.variables:
                if variable.targets[0].data_path == PROGRESS_PATH:
                    variable.targets[0].id = plane


def _row_expression(plane: Plane) -> str:
    """The shown row, as :func:`shown_row` has it."""
    last = plane.draggan.sequence.frame_count - 1
    return f"floor(min(max(progress, 0), 1) * {last} + 0.5)"


def _drive(driver: Any, plane: Plane, expression: str) -> None:
    """Have a new driver follow the plane's ``progress``."""
    driver.type = "SCRIPTED"
    variable = driver.variables.new()
    variable.name = "progress"
    variable.type = "SINGLE_PROP"
    variable.targets[0].id_type = "OBJECT"
    variable.targets[0].id = plane
    variable.targets[0].data_path = PROGRESS_PATH
    driver.expression = expression


def _drive_along(plane: Plane, handle: Any, axis: int, values: NDArray[np.float64]) -> None:
    """A driver that finds the shown row, with a curve that says where the handle is in it."""
    curve = handle.driver_add("location", axis)
    _drive(curve.driver, plane, _row_expression(plane))
    # A new driver has an identity map, as a modifier or, in newer Blenders, as two keys.
    for modifier in list(curve.modifiers):
        curve.modifiers.remove(modifier)
    compat.write_keys(curve, np.arange(len(values)), values)


def _drivers(handle: Any) -> list[Any]:
    """The drivers of a handle's place."""
    animation = handle.animation_data
    if animation is None:
        return []
    return [curve for curve in animation.drivers if curve.data_path == "location"]


def _key_values(curve: Any) -> NDArray[np.float64]:
    coordinates = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
    curve.keyframe_points.foreach_get("co", coordinates)
    return coordinates[1::2].astype(np.float64)
