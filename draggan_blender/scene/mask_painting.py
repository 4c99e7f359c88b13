# SPDX-License-Identifier: GPL-3.0-or-later
"""Painting a mask with Blender's texture painting, and giving everything back afterwards.

What painting changes is remembered as plain values while Blender runs, because undo replaces
objects and does not restore tools or views.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bpy

from .. import compat
from ..errors import EditError
from ..properties.owners import Plane
from . import mask_images, planes

MODE = "TEXTURE_PAINT"

# Solid and Wireframe show the mask itself on the plane while it is painted, or no image at all.
_VIEWS_WITHOUT_IMAGE = ("SOLID", "WIREFRAME")
_VIEW_WITH_IMAGE = "MATERIAL"

# How often a brush is looked for, because Blender loads its brushes while it runs.
_TRIES = 15

_UNIFIED = (
    "use_unified_color",
    "use_unified_strength",
    "color",
    "secondary_color",
    "strength",
)
# Black, which protects, is painted first; X exchanges the two.
_COLORS = {"color": (0.0, 0.0, 0.0), "secondary_color": (1.0, 1.0, 1.0)}


@dataclass
class _Before:
    """What painting a mask has changed.

    Attributes:
        image_id: The uuid of the plane.
        scene: The scene's name.
        active: The name of the active object; empty if there was no active object.
        mode: Its mode.
        selected: The names of the selected objects.
        paint_mode: Whether images or materials were painted.
        canvas: The name of the image that was painted.
        unified: Name -> value of the settings that all brushes share.
        brush: The brush, as ``compat.paint_brush`` returns it; None if it was not changed.
        tool: The name of the tool of texture painting; None if it was not changed.
        views: Name of the screen, index of the area and shading of the changed 3D views.
        tries: How often ``take_brush`` still tries to find a brush.
    """

    image_id: str
    scene: str
    active: str
    mode: str
    selected: list[str]
    paint_mode: str
    canvas: str
    unified: dict[str, Any]
    brush: tuple[str, ...] | None = None
    tool: str | None = None
    views: list[tuple[str, int, str]] = field(default_factory=list)
    tries: int = _TRIES


_before: _Before | None = None


def is_painting(plane: Plane) -> bool:
    """Return whether the strokes of texture painting change the mask of this plane now."""
    paint = planes.scene_of(plane).tool_settings.image_paint if plane.users_scene else None
    return (
        paint is not None
        and plane.mode == MODE
        and plane.draggan.mask is not None
        and paint.mode == "IMAGE"
        and paint.canvas == plane.draggan.mask
    )


def was_left() -> bool:
    """Return whether a person, undo or a script has left the mode without calling ``end``.

    From Edit Mode, which Tab goes to, the next Tab comes back to painting.
    """
    if _before is None:
        return False
    plane = planes.find(_before.image_id)
    return plane is None or plane.mode not in (MODE, "EDIT")


def begin(context: bpy.types.Context, plane: Plane) -> bool:
    """Start to paint the mask of a plane; a plane without a mask gets a white one.

    Returns:
        Whether there is a brush to paint with. Blender can lack its own brushes.

    Raises:
        EditError: The plane is hidden, or its mask cannot be painted.
    """
    global _before
    if not plane.visible_get():
        raise EditError(f"{plane.name} is hidden; show it to paint its mask")
    mask = mask_images.require_editable(plane)
    if mask is None:
        mask = mask_images.create(plane)
        # While painting, Blender's undo steps contain strokes, but not a new image.
        bpy.ops.ed.undo_push(message="New Mask")
    if _before is not None:
        end(context)
    _before = _remembered(context, plane)
    if _before.mode != "OBJECT":
        _set_mode("OBJECT")
    _select(context, [plane.name], plane.name)
    has_brush = _prepare(context, _before, mask)
    mask_images.note_pixels(plane)
    return has_brush


def resume(context: bpy.types.Context) -> None:
    """Continue to paint the mask if an undo or redo has gone back to texture painting.

    Without this, strokes would change the image of the engine.
    """
    global _before
    plane = context.view_layer.objects.active
    if _before is not None or not planes.is_plane(plane) or plane.mode != MODE:
        return
    if plane.draggan.mask is not None and not is_painting(plane):
        _before = _remembered(context, plane)
        _before.mode = "OBJECT"
        _prepare(context, _before, plane.draggan.mask)


def take_brush(context: bpy.types.Context) -> bool:
    """Choose a brush that paints a colour, if need be, and return whether there is one.

    Right after Blender's start, its brushes may not be loaded yet; then call this again.
    """
    paint: Any = context.scene.tool_settings.image_paint
    if _before is None or _before.tries == 0:
        return True
    _before.tries -= 1
    if compat.is_draw_brush(paint.brush):
        # Any other brush that the person chooses from now on stays.
        _before.tries = 0
        return True
    if _before.brush is None:
        _before.brush = compat.paint_brush(paint)
    compat.use_paint_brush(paint, compat.plain_paint_brush())
    return compat.is_draw_brush(paint.brush)


def end(context: bpy.types.Context) -> None:
    """Stop painting, and give back brush, tool, mode, selection, canvas and shading.

    If the mode was already left, the mode that the person has chosen stays.
    """
    global _before
    before, _before = _before, None
    plane = planes.active(context) if before is None else planes.find(before.image_id)
    if plane is not None:
        mask_images.keep(plane.draggan.mask)
    if before is None:  # a file that was saved while painting
        if plane is not None and plane.mode == MODE:
            _set_mode("OBJECT")
        return
    _give_back_views(before)
    active = context.view_layer.objects.active
    mine = plane is not None and active == plane
    was_left = plane is None or plane.mode != MODE
    if mine:
        chosen = active.mode
        _give_back_brush(context, before)
        if active.mode != chosen or not was_left:
            _set_mode(chosen if was_left else "OBJECT")
    _give_back_settings(before)
    if mine and active.mode == "OBJECT":
        _select(context, before.selected, before.active)
        if not was_left and before.mode != "OBJECT" and context.view_layer.objects.active:
            _set_mode(before.mode)


def is_unfinished() -> bool:
    """Return whether ``begin`` was called, and ``end`` was not."""
    return _before is not None


def end_any(context: bpy.types.Context) -> None:
    """Stop painting if a mask is painted now."""
    if _before is not None:
        end(context)


def forget() -> None:
    """Forget what painting has changed: another file was opened, which has screens of its own."""
    global _before
    _before = None


def _remembered(context: bpy.types.Context, plane: Plane) -> _Before:
    settings = context.scene.tool_settings
    paint: Any = settings.image_paint
    unified = compat.unified_paint(settings)
    active = context.view_layer.objects.active
    return _Before(
        image_id=plane.draggan.uuid,
        scene=context.scene.name,
        active=active.name if active is not None else "",
        mode=active.mode if active is not None else "OBJECT",
        selected=[item.name for item in context.view_layer.objects if item.select_get()],
        paint_mode=paint.mode,
        canvas=paint.canvas.name if paint.canvas is not None else "",
        unified={name: _plain(getattr(unified, name)) for name in _UNIFIED},
    )


def _prepare(context: bpy.types.Context, before: _Before, mask: bpy.types.Image) -> bool:
    """Let strokes go onto a mask, and return whether there is a brush to paint with."""
    settings = context.scene.tool_settings
    paint: Any = settings.image_paint
    paint.mode, paint.canvas = "IMAGE", mask
    _set_mode(MODE)
    _take_tool(context, before)
    unified = compat.unified_paint(settings)
    unified.use_unified_color = unified.use_unified_strength = True
    unified.strength = 1.0
    for name, color in _COLORS.items():
        setattr(unified, name, color)
    before.views = _show_image()
    return take_brush(context)


def _set_mode(mode: Any) -> None:
    bpy.ops.object.mode_set(mode=mode)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | float) else tuple(value)


def _select(context: bpy.types.Context, names: list[str], active: str) -> None:
    objects = context.view_layer.objects
    for item in objects:
        item.select_set(item.name in names)
    objects.active = objects.get(active) or objects.active


def _take_tool(context: bpy.types.Context, before: _Before) -> None:
    """Choose a tool that paints with a brush, if need be."""
    tool = _tool(context)
    if tool is not None and tool not in compat.paint_tools():
        before.tool = tool
        for name in compat.paint_tools():
            if _use_tool(name):
                break


def _give_back_brush(context: bpy.types.Context, before: _Before) -> None:
    """Choose the tool and the brush of before; only texture painting itself can do this."""
    if not before.tool and not before.brush:
        return
    if context.view_layer.objects.active.mode != MODE:
        _set_mode(MODE)
    if before.brush:
        compat.use_paint_brush(context.scene.tool_settings.image_paint, before.brush)
    if before.tool:
        _use_tool(before.tool)


def _tool(context: bpy.types.Context) -> str | None:
    """Return the name of the active tool of texture painting, or None without a window."""
    if context.workspace is None:
        return None
    tool = context.workspace.tools.from_space_view3d_mode("PAINT_TEXTURE", create=False)
    return tool.idname if tool is not None else None


def _use_tool(name: str) -> bool:
    """Activate a tool of the 3D view, and return whether this Blender has it."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                with bpy.context.temp_override(window=window, area=area):
                    done = bpy.ops.wm.tool_set_by_id(name=name, space_type="VIEW_3D")
                return done == {"FINISHED"}
    return False


def _show_image() -> list[tuple[str, int, str]]:
    """Let all open 3D views show the plane's image, and return what they showed before."""
    changed = []
    for window in bpy.context.window_manager.windows:
        for index, area in enumerate(window.screen.areas):
            if area.type != "VIEW_3D":
                continue
            shading = area.spaces.active.shading
            if shading.type in _VIEWS_WITHOUT_IMAGE:
                changed.append((window.screen.name, index, shading.type))
                shading.type = _VIEW_WITH_IMAGE
    return changed


def _give_back_views(before: _Before) -> None:
    for screen_name, index, kind in before.views:
        screen = bpy.data.screens.get(screen_name)
        area = screen.areas[index] if screen is not None and index < len(screen.areas) else None
        if area is None or area.type != "VIEW_3D":
            continue
        shading = area.spaces.active.shading
        if shading.type == _VIEW_WITH_IMAGE:  # else the person has chosen another one
            shading.type = kind


def _give_back_settings(before: _Before) -> None:
    scene = bpy.data.scenes.get(before.scene)
    if scene is None:
        return
    paint: Any = scene.tool_settings.image_paint
    paint.mode, paint.canvas = before.paint_mode, bpy.data.images.get(before.canvas)
    unified = compat.unified_paint(scene.tool_settings)
    for name, value in before.unified.items():
        setattr(unified, name, value)
