# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that bring a GAN image into other materials, and that keep its colours."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty

from ...scene import colours, images, material_use, planes
from .common import Result, poll_idle, require, run

# Blender does not keep the texts of a choice that a function returns.
_items: list[tuple[str, str, str]] = []


def _sockets(_operator: Any, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    """Return the choices of sockets for the object whose material is meant."""
    _items.clear()
    plane = material_use.plane_for(context) if context is not None else None
    owner = None
    if context is not None and plane is not None:
        owner = material_use.object_for(context, plane)
    if owner is not None:
        _items.extend(
            (identifier, name, f"Plug the image into {name}")
            for identifier, name in material_use.sockets(owner)
        )
    return _items


class DRAGGAN_OT_use_in_material(bpy.types.Operator):
    """Plug the GAN image into a socket of the material of another selected object"""

    bl_idname = "draggan.use_in_material"
    bl_label = "Use in Material"
    bl_options = {"REGISTER", "UNDO"}
    bl_property = "socket"

    socket: EnumProperty(
        name="Socket",
        description="What the image controls: the colour, the roughness and so on",
        items=_sockets,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        plane = material_use.plane_for(context)
        if not require(cls, plane is not None, "Select a GAN image as well as the object"):
            return False
        assert plane is not None
        if not require(cls, bool(plane.draggan.latent), "This image is not there yet; wait for it"):
            return False
        text = "Select the object as well: click it, then Shift-click the GAN image"
        return require(cls, material_use.object_for(context, plane) is not None, text)

    def invoke(self, context: bpy.types.Context, _event: Any) -> Result:
        # A menu of the sockets has asked already, and calls this as well.
        if self.properties.is_property_set("socket"):
            return self.execute(context)
        context.window_manager.invoke_search_popup(self)
        return {"INTERFACE"}

    def execute(self, context: bpy.types.Context) -> Result:
        def use() -> None:
            plane = material_use.plane_for(context)
            assert plane is not None  # ``poll``
            owner = material_use.object_for(context, plane)
            assert owner is not None  # ``poll``
            node = material_use.plug_in(plane, owner, self.socket)
            images.show_rest(plane)
            self.report({"INFO"}, f"{owner.active_material.name} shows {plane.name}: {node.name}")

        return run(self, use)


class DRAGGAN_OT_remove_from_material(bpy.types.Operator):
    """Remove the GAN image from a material"""

    bl_idname = "draggan.remove_from_material"
    bl_label = "Remove from Material"
    bl_options = {"REGISTER", "UNDO"}

    material: bpy.props.StringProperty(
        name="Material", description="The name of the material", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        plane = material_use.plane_for(context)
        used = plane is not None and bool(material_use.nodes(plane))
        return require(cls, used, "No material uses this image")

    def execute(self, context: bpy.types.Context) -> Result:
        plane = material_use.plane_for(context)
        assert plane is not None  # ``poll``
        for use in list(plane.draggan.uses):
            if use.material is not None and self.material in ("", use.material.name):
                material_use.unplug(plane, use.material)
                break
        return {"FINISHED"}


class DRAGGAN_OT_keep_colours(bpy.types.Operator):
    """Keep the image's own colours in renders, or let the view transform change them"""

    bl_idname = "draggan.keep_colours"
    bl_label = "Keep Colours"
    bl_description = (
        "Keep the image's own colours in Material Preview and in renders, whatever the scene's "
        "view transform is; Solid view has no view transform and shows them too strong"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not poll_idle(cls, context):
            return False
        scene = context.scene
        assert scene is not None  # a window always has one
        kept = planes.require_active(context).draggan.keep_colours
        name = scene.view_settings.view_transform
        if name == "Standard" and not kept:
            return require(cls, False, "The view transform Standard keeps the colours already")
        text = f"The view transform {name} cannot be undone; choose AgX, Filmic or Standard"
        return require(cls, kept or colours.undone_by(scene) is not None, text)

    def execute(self, context: bpy.types.Context) -> Result:
        def switch() -> None:
            plane = planes.require_active(context)
            plane.draggan.keep_colours = not plane.draggan.keep_colours
            images.match_colours(plane)

        return run(self, switch)


CLASSES = (DRAGGAN_OT_use_in_material, DRAGGAN_OT_remove_from_material, DRAGGAN_OT_keep_colours)
