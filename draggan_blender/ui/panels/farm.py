# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Farm* panel: layout only."""

from __future__ import annotations

import bpy

from ...export import farm
from ...scene import planes


class DRAGGAN_PT_farm(bpy.types.Panel):
    """The shared folder, *Prepare for Farm*, and the images that are prepared with their frames.

    It is shown once the file has a GAN image.
    """

    bl_idname = "DRAGGAN_PT_farm"
    bl_label = "Farm"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "DragGAN"
    bl_order = 90
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return bool(planes.everywhere())

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(context.scene.draggan_farm, "base")
        layout.operator("draggan.prepare_farm", icon="NETWORK_DRIVE")
        scene = context.scene
        assert scene is not None  # a window always has one
        for entry in farm.prepared(scene):
            layout.label(text=f"{entry['object']}: {entry['frames']}", icon="CHECKMARK")


CLASSES = (DRAGGAN_PT_farm,)
