# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator that shows a latent which another program has saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from ...errors import EditError
from ...jobs import saved_latent
from ...protocol.latent_file import LATENT_SUFFIXES
from ...scene import free_place, models, planes
from .. import showing
from .common import Result, poll_free, run


class DRAGGAN_OT_load_latent(bpy.types.Operator):
    """Show the image of a latent that a projector has saved for this model (.npz, .npy or .pt)"""

    bl_idname = "draggan.load_latent"
    bl_label = "Load Latent"
    bl_options = {"REGISTER"}

    filepath: StringProperty(
        name="Latent",
        description="The file of the latent",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    filter_glob: StringProperty(
        default=";".join(f"*{suffix}" for suffix in LATENT_SUFFIXES),
        options={"HIDDEN", "SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return planes.active(context) is None or poll_free(cls, context)

    def invoke(self, context: bpy.types.Context, _event: Any) -> Result:
        if self.filepath:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.active(context)

        def load() -> int:
            if not self.filepath:
                raise EditError("No latent was chosen; choose a file")
            path = Path(bpy.path.abspath(self.filepath))
            return self._new(context, path) if plane is None else saved_latent.load(plane, path)

        return run(self, load)

    def _new(self, context: bpy.types.Context, path: Path) -> int:
        model = models.for_new_images(context)
        area = free_place.view_area(context)
        place = free_place.find(context, area.spaces.active.region_3d if area else None)
        made = saved_latent.new_image(context, path, model, place.location, place.rotation)
        showing.select(context, made)
        showing.show(context, area, made)
        request_id: int = made.draggan.request_id
        return request_id


CLASSES = (DRAGGAN_OT_load_latent,)
