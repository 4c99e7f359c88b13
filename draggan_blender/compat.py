# SPDX-License-Identifier: GPL-3.0-or-later
"""Every branch on Blender's version, and nothing else: 4.2 LTS to 5.2 LTS.

Prefer asking whether a thing exists to asking for the version: it survives a feature that comes
back to an older LTS.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import ArrayLike


def cache_folder() -> Path:
    """Where results go that belong to no saved file: the platform's folder for caches.

    Blender tells it from 5.1 on (``bpy.app.cachedir``); before, we follow the platform's own
    convention.
    """
    told = getattr(bpy.app, "cachedir", "")
    if told:
        return Path(told) / "draggan"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "draggan"


def enable_nodes(material: Any) -> None:
    """Give a new material its node tree: always there from 5.0 on, where the switch warns."""
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True


def _fcurves(datablock: Any) -> Any:
    """The F-curves that move ``datablock``, in an action and slot of its own.

    An action keeps its curves itself up to 4.3. From 4.4 on they lie in the channel bag of a
    slot; ``Action.fcurves`` of 4.4 and 4.5 binds to no slot and so moves nothing, and is gone in
    5.0.
    """
    animation = datablock.animation_data or datablock.animation_data_create()
    action = animation.action
    if action is None:
        action = animation.action = bpy.data.actions.new(f"{datablock.name} Path")
    if not hasattr(animation, "action_slot"):
        return action.fcurves
    slot = animation.action_slot
    if slot is None:
        slot = action.slots.new(id_type=datablock.id_type, name=datablock.name)
        animation.action_slot = slot
    layer = action.layers[0] if action.layers else action.layers.new("Layer")
    strip = layer.strips[0] if layer.strips else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(slot, ensure=True).fcurves


def write_fcurve(
    datablock: Any, data_path: str, index: int, frames: ArrayLike, values: ArrayLike
) -> None:
    """Replace one F-curve by linear keys, written in bulk.

    Args:
        datablock: what the curve moves.
        data_path, index: the property and its component.
        frames, values: `N` numbers each, one key for each pair of them.
    """
    curves = _fcurves(datablock)
    curve = curves.find(data_path, index=index) or curves.new(data_path, index=index)
    points = curve.keyframe_points
    points.clear()
    coordinates = np.column_stack((frames, values)).astype(np.float32)
    count = len(coordinates)
    points.add(count)
    points.foreach_set("co", coordinates.ravel())
    linear = 1  # of the enum BezTriple.interpolation
    points.foreach_set("interpolation", np.full(count, linear, dtype=np.int32))
    curve.update()


def remove_fcurves(datablock: Any, data_path: str) -> None:
    """Remove every F-curve of one property; an action that is left empty goes as well."""
    animation = datablock.animation_data
    if animation is None or animation.action is None:
        return
    curves = _fcurves(datablock)
    for curve in [curve for curve in curves if curve.data_path == data_path]:
        curves.remove(curve)
    if len(curves):
        return
    action, animation.action = animation.action, None
    if not animation.drivers and not animation.nla_tracks:
        datablock.animation_data_clear()
    if action.users == 0:
        bpy.data.actions.remove(action)
