# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries in Blender's menus, which F3 searches as well."""

from __future__ import annotations

from typing import Any

import bpy

from ..scene import material_use, planes
from .tool import DRAGGAN_WT_pull


class DRAGGAN_MT_image(bpy.types.Menu):
    """What can be done with the active GAN image."""

    bl_idname = "DRAGGAN_MT_image"
    bl_label = "GAN Image"

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("draggan.add_pair", icon="ADD")
        layout.operator("draggan.add_pin", icon="PINNED")
        layout.operator("draggan.remove_pair", icon="REMOVE")
        layout.operator("draggan.restore_point", icon="RECOVER_LAST")
        layout.operator("draggan.use_pairs", icon="CHECKMARK")
        layout.operator("draggan.swap_points", icon="ARROW_LEFTRIGHT")
        layout.operator("draggan.set_radius", icon="MESH_CIRCLE")
        layout.operator("draggan.select_part", icon="EYEDROPPER")
        layout.separator()
        layout.operator("wm.tool_set_by_id", text="Pull Tool").name = DRAGGAN_WT_pull.bl_idname
        layout.operator("draggan.drag", icon="PLAY")
        layout.operator("draggan.bake", icon="REC")
        layout.operator("draggan.stop", icon="SNAP_FACE")
        layout.operator("draggan.cancel", icon="X")
        layout.separator()
        layout.operator("draggan.resample", icon="FILE_REFRESH")
        layout.operator("draggan.load_latent", icon="IMPORT")
        layout.operator("draggan.render_again", icon="RENDER_ANIMATION")
        layout.operator("draggan.reset", icon="LOOP_BACK")
        layout.operator("draggan.duplicate_image", icon="DUPLICATE")
        layout.separator()
        layout.operator("draggan.picture_frame", icon="CLIPUV_HLT", text="Frame on the Picture")
        layout.operator("draggan.find_picture", icon="VIEWZOOM", text="Find the Picture Again")
        layout.operator("draggan.blend_back", icon="IMAGE_ALPHA")
        layout.separator()
        layout.operator("draggan.previous_seed", icon="TRIA_LEFT")
        layout.operator("draggan.next_seed", icon="TRIA_RIGHT")
        layout.operator("draggan.random_seed", icon="RNDCURVE")
        layout.separator()
        layout.operator("draggan.retime")
        layout.operator("draggan.key_latent")
        layout.operator_menu_enum("draggan.use_in_material", "socket", icon="NODE_MATERIAL")
        layout.operator("draggan.keep_colours")
        layout.separator()
        layout.operator("draggan.export_frames")
        layout.operator("draggan.export_video")
        layout.operator("draggan.bake_down")


def _draw_add(menu: Any, _context: bpy.types.Context) -> None:
    menu.layout.operator("draggan.new_image", text="GAN Image", icon="IMAGE_DATA")
    menu.layout.operator(
        "draggan.image_from_picture", text="GAN Image from Picture", icon="IMAGE_DATA"
    )


def _draw_image(menu: Any, context: bpy.types.Context) -> None:
    shown = getattr(context.space_data, "image", None)
    if shown is not None:
        menu.layout.separator()
        menu.layout.operator(
            "draggan.image_from_picture", text="GAN Image from This Picture", icon="IMAGE_DATA"
        ).image = shown.name


def _draw_object(menu: Any, context: bpy.types.Context) -> None:
    if planes.active(context) is not None:
        menu.layout.menu(DRAGGAN_MT_image.bl_idname, icon="IMAGE_DATA")
    elif material_use.plane_for(context) is not None:
        menu.layout.operator_menu_enum(
            "draggan.use_in_material", "socket", text="Use GAN Image", icon="NODE_MATERIAL"
        )


def _draw_overlay(panel: Any, context: bpy.types.Context) -> None:
    panel.layout.prop(context.scene.draggan, "show_points", text="GAN Image Points")


CLASSES = (DRAGGAN_MT_image,)

# Blender's menus, and what is drawn at their ends.
_ENTRIES = (
    ("VIEW3D_MT_image_add", _draw_add),
    ("IMAGE_MT_image", _draw_image),
    ("VIEW3D_MT_object", _draw_object),
    ("VIEW3D_MT_object_context_menu", _draw_object),
    ("VIEW3D_PT_overlay_object", _draw_overlay),
)


def register() -> None:
    """Add the entries."""
    for name, draw in _ENTRIES:
        getattr(bpy.types, name).append(draw)


def unregister() -> None:
    """Remove the entries."""
    for name, draw in _ENTRIES:
        getattr(bpy.types, name).remove(draw)
