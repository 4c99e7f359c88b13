# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator *Prepare for Farm*."""

from __future__ import annotations

import bpy

from ...errors import EditError
from ...export import farm
from ...scene.frame_files import absolute
from .common import Result, require, run


class DRAGGAN_OT_prepare_farm(bpy.types.Operator):
    """Prepare the animated GAN images for a render farm, and save a copy of the file"""

    bl_idname = "draggan.prepare_farm"
    bl_label = "Prepare for Farm"
    bl_description = (
        "Make every animated GAN image show the frames that a render farm will bake into the "
        "shared folder, and save a copy of the file there. The open file is changed but not saved"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        base: str = context.scene.draggan_farm.base
        return require(cls, bool(base), "Choose a Shared Folder first")

    def execute(self, context: bpy.types.Context) -> Result:
        def prepare() -> None:
            base = absolute(context.scene.draggan_farm.base)
            if context.scene.draggan_farm.base.startswith("//") and not bpy.data.filepath:
                raise EditError("Save the file first, or choose an absolute Shared Folder")
            scene = context.scene
            assert scene is not None  # every file has one
            names = farm.prepare(scene, base)
            path = farm.save_copy(base)
            self.report({"INFO"}, f"Prepared {', '.join(names)}; saved a copy as {path}")

        return run(self, prepare)


CLASSES = (DRAGGAN_OT_prepare_farm,)
