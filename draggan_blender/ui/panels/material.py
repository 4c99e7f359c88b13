# SPDX-License-Identifier: GPL-3.0-or-later
"""The *Material* panel: layout only."""

from __future__ import annotations

import bpy

from ...scene import material_use
from .common import SidebarPanel


class DRAGGAN_PT_material(SidebarPanel, bpy.types.Panel):
    """The materials of other objects that show the image, and plugging it into one."""

    bl_idname = "DRAGGAN_PT_material"
    bl_label = "Material"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        plane = material_use.plane_for(context)
        return plane is not None and bool(plane.draggan.latent)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        plane = material_use.plane_for(context)
        assert plane is not None  # ``poll``
        owner = material_use.object_for(context, plane)
        text = "Use in Material" if owner is None else f"Use in {owner.name}"
        layout.operator_menu_enum(
            "draggan.use_in_material", "socket", text=text, icon="NODE_MATERIAL"
        )
        for use in plane.draggan.uses:
            if use.material is not None:
                row = layout.row(align=True)
                row.label(text=use.material.name, icon="MATERIAL")
                row.operator(
                    "draggan.remove_from_material", text="", icon="X"
                ).material = use.material.name


CLASSES = (DRAGGAN_PT_material,)
