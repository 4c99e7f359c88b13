# SPDX-License-Identifier: GPL-3.0-or-later
"""All code that depends on Blender's version, from 4.2 LTS to 5.2 LTS, and nothing else.

Check whether a feature exists rather than which version runs: that stays right if a feature is
added to an older LTS later.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import ArrayLike

from .protocol.cache_folder import cache_folder as platform_cache_folder


def cache_folder() -> Path:
    """Return the folder for results that belong to no saved file, in the platform's cache folder.

    Blender has this folder from 5.1 on (``bpy.app.cachedir``).
    """
    folder = getattr(bpy.app, "cachedir", "")
    if folder:
        return Path(folder) / "draggan"
    return platform_cache_folder()


def _relative_path_option() -> set[str]:
    # An option that Blender does not know is an error only when the class is registered.
    has_option = "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties
    return {"PATH_SUPPORTS_BLEND_RELATIVE"} if has_option else set()


# The options of a property whose path may begin with ``//``; 4.5 and later ask for one.
RELATIVE_PATH: Any = _relative_path_option()


def enable_nodes(material: bpy.types.Material) -> None:
    """Give a new material its node tree.

    From 5.0 on every material has one, and setting ``use_nodes`` raises a warning.
    """
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True


def _fcurves(datablock: Any) -> Any:
    """Return the F-curves that animate ``datablock``; make its action and its slot if need be.

    Up to 4.3 an action has its curves itself. From 4.4 on they are in the channel bag of a slot.
    ``Action.fcurves`` of 4.4 and 4.5 is bound to no slot, so its curves animate nothing; 5.0 does
    not have it.
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
        datablock: The ID that the curve animates.
        data_path: The property.
        index: The component of the property.
        frames: ``N`` scene frames, one key each.
        values: ``N`` values of the keys.
    """
    curves = _fcurves(datablock)
    curve = curves.find(data_path, index=index) or curves.new(data_path, index=index)
    write_keys(curve, frames, values)


def write_keys(curve: bpy.types.FCurve, frames: ArrayLike, values: ArrayLike) -> None:
    """Replace the keys of an F-curve by linear ones, written in bulk.

    Args:
        curve: An F-curve of an action, or of a driver.
        frames: ``N`` positions of the keys: scene frames, or values of the driver.
        values: ``N`` values of the keys.
    """
    points = curve.keyframe_points
    points.clear()
    coordinates = np.column_stack((frames, values)).astype(np.float32)
    count = len(coordinates)
    points.add(count)
    points.foreach_set("co", coordinates.ravel())
    linear = 1  # in the enum of BezTriple.interpolation
    points.foreach_set("interpolation", np.full(count, linear, dtype=np.int32))
    curve.update()


def find_fcurve(datablock: Any, data_path: str, index: int) -> bpy.types.FCurve | None:
    """Return the F-curve that animates one component of a property, or None.

    Args:
        datablock: The ID that has the property.
        data_path: The property.
        index: The component of the property.
    """
    animation = datablock.animation_data
    if animation is None or animation.action is None:
        return None
    curve: bpy.types.FCurve | None = _fcurves(datablock).find(data_path, index=index)
    return curve


def seen_fcurve(datablock: Any, data_path: str, index: int) -> bpy.types.FCurve | None:
    """Return what ``find_fcurve`` does, but change nothing, as is necessary while drawing."""
    animation = datablock.animation_data
    if animation is None or animation.action is None:
        return None
    curves = _curves_of(animation.action, getattr(animation, "action_slot", None))
    named = (curve for curve in curves if curve.data_path == data_path)
    return next((curve for curve in named if curve.array_index == index), None)


def remove_fcurves(datablock: Any, data_path: str) -> None:
    """Remove all F-curves of one property, and the action if it is empty afterwards.

    Args:
        datablock: The ID that has the property.
        data_path: The property.
    """
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


def keep_action(datablock: Any) -> str:
    """Keep a copy of the action of ``datablock`` in the file; return its name."""
    kept = datablock.animation_data.action.copy()
    kept.name = f"{datablock.name} Keys"
    kept.use_fake_user = True
    name: str = kept.name
    return name


def use_video(render: bpy.types.RenderSettings, quality: str) -> None:
    """Set a scene's output to an MP4 file with H.264, which every player and editor can read.

    Args:
        render: The settings to change.
        quality: A value of ``constant_rate_factor``.
    """
    if hasattr(render.image_settings, "media_type"):  # from 5.0 on it limits the formats
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format, render.ffmpeg.codec = "MPEG4", "H264"
    render.ffmpeg.constant_rate_factor = quality
    render.ffmpeg.audio_codec = "NONE"


def strips(scene: bpy.types.Scene) -> Any:
    """Return the strips of a scene's sequencer; the sequencer is made if it is missing.

    The collection is named ``sequences`` up to 4.3; that name does not exist in 5.0.
    """
    editor = scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def remove_item_curves(datablock: Any, collection_path: str, index: int) -> None:
    """Adapt an ID's animation after an item of a collection was removed.

    The animation of the item is removed, and that of the later items is moved. This is necessary
    because Blender's F-curves and drivers refer to an item by its index.

    Args:
        datablock: The ID that has the collection.
        collection_path: The data path of the collection.
        index: The index that the item had.
    """
    for curves, curve, number in _item_curves(datablock, collection_path):
        if number == index:
            curves.remove(curve)
        elif number > index:
            _set_item(curve, number - 1)


def move_item_curves(datablock: Any, collection_path: str, index: int, to: int) -> None:
    """Adapt an ID's animation after an item of a collection was moved; see ``remove_item_curves``.

    Args:
        datablock: The ID that has the collection.
        collection_path: The data path of the collection.
        index: The index that the item had.
        to: The index that it has now.
    """
    step = 1 if to < index else -1
    for _, curve, number in _item_curves(datablock, collection_path):
        if number == index:
            _set_item(curve, to)
        elif min(index, to) <= number <= max(index, to):
            _set_item(curve, number + step)


def remove_collection_curves(datablock: Any, collection_path: str) -> None:
    """Remove the animation of all items of a collection."""
    for curves, curve, _ in _item_curves(datablock, collection_path):
        curves.remove(curve)


def _item_curves(datablock: Any, collection_path: str) -> list[tuple[Any, Any, int]]:
    """Return the F-curves and drivers of a collection's items, each in its list and with the index.

    Args:
        datablock: The ID that has the collection.
        collection_path: The data path of the collection.
    """
    animation = datablock.animation_data
    if animation is None:
        return []
    found = []
    for curves in (animation.drivers, _fcurves(datablock) if animation.action else []):
        for curve in curves:
            path, _, number = curve.data_path.partition("]")[0].rpartition("[")
            if path == collection_path and number.isdecimal():
                found.append((curves, curve, int(number)))
    return found


def _set_item(curve: bpy.types.FCurve, number: int) -> None:
    """Change the index of the item that an F-curve or a driver refers to."""
    start, _, rest = curve.data_path.partition("]")
    curve.data_path = f"{start.rpartition('[')[0]}[{number}]{rest}"


def _curves_of(action: Any, slot: Any | None) -> list[Any]:
    """Return the F-curves of an action that belong to a slot; all of them up to 4.3.

    An action has no slots up to 4.3, and ``slot`` is None.
    """
    if not hasattr(action, "layers"):
        return list(action.fcurves)
    if slot is None:
        return []
    strips = [strip for layer in action.layers for strip in layer.strips]
    bags = [strip.channelbag(slot) for strip in strips]
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]


def _nla_strips(animation: Any) -> list[Any]:
    """Return the action strips that the Nonlinear Animation plays."""
    tracks = [track for track in animation.nla_tracks if not track.mute]
    strips = [strip for track in tracks for strip in track.strips]
    return [strip for strip in strips if not strip.mute and strip.action is not None]


def is_animated(datablock: Any, prefix: str = "", but: tuple[str, ...] = ()) -> bool:
    """Return whether keys, the Nonlinear Animation or drivers animate a property of ``datablock``.

    Args:
        datablock: An ID.
        prefix: Only data paths that start with this count.
        but: Data paths that start with one of these do not count.
    """
    animation = datablock.animation_data
    if animation is None:
        return False
    curves = list(animation.drivers)
    for owner in (animation, *_nla_strips(animation)):
        if owner.action is not None:
            curves += _curves_of(owner.action, getattr(owner, "action_slot", None))
    paths = [curve.data_path for curve in curves]
    return any(path.startswith(prefix) and not path.startswith(but) for path in paths)


def key_frames(datablock: Any, prefix: str = "") -> set[float]:
    """Return the scene frames at which properties of ``datablock`` have keys.

    Keys in strips of the Nonlinear Animation are included at the frames where they are played.

    Args:
        datablock: An ID.
        prefix: Only data paths that start with this count.
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
    """Return the frames of the keys in the action of an AnimData or a strip.

    The frames are in the time of the action, before a strip scales or moves it.
    """
    found: set[float] = set()
    for curve in _curves_of(owner.action, getattr(owner, "action_slot", None)):
        if curve.data_path.startswith(prefix):
            coordinates = np.empty(2 * len(curve.keyframe_points), dtype=np.float32)
            curve.keyframe_points.foreach_get("co", coordinates)
            found.update(coordinates[::2].tolist())
    return found


def unified_paint(tool_settings: bpy.types.ToolSettings) -> Any:
    """Return the settings that all brushes of image painting share; from 5.0 on they are its own.

    Args:
        tool_settings: The tool settings of a scene.
    """
    own = getattr(tool_settings.image_paint, "unified_paint_settings", None)
    return own if own is not None else tool_settings.unified_paint_settings


def is_draw_brush(brush: bpy.types.Brush | None) -> bool:
    """Return whether a brush paints a colour onto images; the property has another name in 5.0."""
    kind = getattr(brush, "image_brush_type", None) or getattr(brush, "image_tool", None)
    return kind == "DRAW"


def paint_brush(paint: Any) -> tuple[str, ...]:
    """Return what ``use_paint_brush`` needs to choose the brush of image painting again.

    Args:
        paint: ``ToolSettings.image_paint``.
    """
    reference = getattr(paint, "brush_asset_reference", None)
    if reference is None:  # up to 4.2, a brush is not an asset
        return (paint.brush.name,) if paint.brush is not None else ()
    if not reference.relative_asset_identifier:
        return ()
    return (
        reference.asset_library_type,
        reference.asset_library_identifier,
        reference.relative_asset_identifier,
    )


def use_paint_brush(paint: Any, brush: tuple[str, ...]) -> None:
    """Choose a brush that ``paint_brush`` returned; texture painting must be the active mode.

    Nothing is changed if the brush is missing: some Linux distributions leave out Blender's own.
    """
    if len(brush) == 1:
        paint.brush = bpy.data.brushes.get(brush[0])
    elif brush:
        operators: Any = bpy.ops.brush
        with contextlib.suppress(RuntimeError):
            operators.asset_activate(
                asset_library_type=brush[0],
                asset_library_identifier=brush[1],
                relative_asset_identifier=brush[2],
            )


def plain_paint_brush() -> tuple[str, ...]:
    """Return Blender's own hard brush, for ``use_paint_brush``."""
    if "brush_asset_reference" not in bpy.types.Paint.bl_rna.properties:
        return ("TexDraw",)
    brush = "brushes/essentials_brushes-mesh_texture.blend/Brush/Paint Hard"
    return ("ESSENTIALS", "", brush)


def paint_tools() -> tuple[str, ...]:
    """Return the names of the tools of texture painting that use the active brush."""
    return ("builtin.brush", "builtin_brush.Draw")
