# SPDX-License-Identifier: GPL-3.0-or-later
"""Every branch on Blender's version, and nothing else: 4.2 LTS to 5.2 LTS.

Prefer asking whether a thing exists to asking for the version: it survives a feature that comes
back to an older LTS.
"""

from __future__ import annotations

import math
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
    write_keys(curve, frames, values)


def write_keys(curve: Any, frames: ArrayLike, values: ArrayLike) -> None:
    """Replace the keys of an F-curve, or of a driver's, by linear ones, in bulk.

    Args:
        curve: what has ``keyframe_points``.
        frames, values: `N` numbers each, one key for each pair of them.
    """
    points = curve.keyframe_points
    points.clear()
    coordinates = np.column_stack((frames, values)).astype(np.float32)
    count = len(coordinates)
    points.add(count)
    points.foreach_set("co", coordinates.ravel())
    linear = 1  # of the enum BezTriple.interpolation
    points.foreach_set("interpolation", np.full(count, linear, dtype=np.int32))
    curve.update()


def find_fcurve(datablock: Any, data_path: str, index: int) -> Any | None:
    """The F-curve that moves one component of a property; None where there is none."""
    animation = datablock.animation_data
    if animation is None or animation.action is None:
        return None
    return _fcurves(datablock).find(data_path, index=index)


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


def use_video(render: Any) -> None:
    """Have a scene's output be an MP4 of H.264, which every player and editing program reads."""
    if hasattr(render.image_settings, "media_type"):  # from 5.0 on, formats are sorted by it
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format, render.ffmpeg.codec = "MPEG4", "H264"
    render.ffmpeg.constant_rate_factor = "HIGH"
    render.ffmpeg.audio_codec = "NONE"


def strips(scene: Any) -> Any:
    """The strips of a scene's sequencer: ``sequences`` up to 4.3, gone in 5.0."""
    editor = scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def remove_item_curves(datablock: Any, collection_path: str, index: int) -> None:
    """Follow the removal of an item of a collection: its animation goes, that of the later moves.

    Blender's F-curves and drivers name an item by its place in the collection.

    Args:
        datablock: what holds the collection.
        collection_path: its data path.
        index: where the item was.
    """
    animation = datablock.animation_data
    if animation is None:
        return
    for curves in (animation.drivers, _fcurves(datablock) if animation.action else []):
        for curve in list(curves):
            start, _, rest = curve.data_path.partition("]")
            path, _, number = start.rpartition("[")
            if path != collection_path or not number.isdecimal() or int(number) < index:
                continue
            if int(number) == index:
                curves.remove(curve)
            else:
                curve.data_path = f"{path}[{int(number) - 1}]{rest}"


def _curves_of(action: Any, slot: Any | None) -> list[Any]:
    """The F-curves of an action that a slot has; all of them up to 4.3, where slot is None."""
    if not hasattr(action, "layers"):
        return list(action.fcurves)
    if slot is None:
        return []
    strips = [strip for layer in action.layers for strip in layer.strips]
    bags = [strip.channelbag(slot) for strip in strips]
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]


def _nla_strips(animation: Any) -> list[Any]:
    """The strips of actions that the Nonlinear Animation plays."""
    tracks = [track for track in animation.nla_tracks if not track.mute]
    strips = [strip for track in tracks for strip in track.strips]
    return [strip for strip in strips if not strip.mute and strip.action is not None]


def is_animated(datablock: Any, prefix: str = "") -> bool:
    """Whether keys, the Nonlinear Animation or drivers move a property of ``datablock``.

    Args:
        datablock: an ID.
        prefix: only of data paths that begin so.
    """
    animation = datablock.animation_data
    if animation is None:
        return False
    curves = list(animation.drivers)
    for owner in (animation, *_nla_strips(animation)):
        if owner.action is not None:
            curves += _curves_of(owner.action, getattr(owner, "action_slot", None))
    return any(curve.data_path.startswith(prefix) for curve in curves)


def key_frames(datablock: Any, prefix: str = "") -> set[float]:
    """The scene frames at which properties of ``datablock`` have keys.

    Args:
        datablock: an ID.
        prefix: only of data paths that begin so.
    """
    animation = datablock.animation_data
    if animation is None:
        return set()
    found = set()
    if animation.action is not None:
        found |= _keys_of(animation, prefix)
    for strip in _nla_strips(animation):
        length = strip.action_frame_end - strip.action_frame_start
        parts = [key - strip.action_frame_start for key in _keys_of(strip, prefix)]
        found |= {
            strip.frame_start
            + ((length - part if strip.use_reverse else part) + turn * length) * strip.scale
            for part in parts
            for turn in range(math.ceil(strip.repeat))
            if 0.0 <= part <= length
        }
    return found


def _keys_of(owner: Any, prefix: str) -> set[float]:
    """The frames of the keys in the action of an AnimData or a strip, in the action's own time."""
    found: set[float] = set()
    for curve in _curves_of(owner.action, getattr(owner, "action_slot", None)):
        if curve.data_path.startswith(prefix):
            coordinates = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
            curve.keyframe_points.foreach_get("co", coordinates)
            found.update(coordinates[::2].tolist())
    return found
