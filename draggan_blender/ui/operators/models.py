# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators of the person's models: add, pick, describe, show, remove, relink; and the drop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, StringProperty

from ...errors import EditError
from ...jobs import library, relinking, requests
from ...protocol.library import MODEL_SUFFIXES
from ...scene import planes
from .common import Result, poll_free, poll_plane, require, run

_FILTER = ";".join(f"*{suffix}" for suffix in MODEL_SUFFIXES)


def _shown_name(context: bpy.types.Context) -> str:
    """Return the name of the model that the panel shows; empty if it is not in the library."""
    entry = library.shown((planes.active(context) or context.scene).draggan.source)
    return "" if entry is None else entry.name


class DRAGGAN_OT_add_model(bpy.types.Operator):
    """Add StyleGAN2 files to your models, while you go on working; code in them is never run"""

    bl_idname = "draggan.add_model"
    bl_label = "Add Model"
    bl_options = {"REGISTER"}

    directory: StringProperty(
        name="Folder",
        description="The folder of the files",
        subtype="DIR_PATH",
        options={"SKIP_SAVE", "HIDDEN"},
    )
    files: CollectionProperty(
        name="Files",
        description="The names of the files",
        type=bpy.types.OperatorFileListElement,
        options={"SKIP_SAVE", "HIDDEN"},
    )
    filter_glob: StringProperty(default=_FILTER, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        if self.files:  # they were dropped
            return self.execute(context)
        operator: Any = self
        context.window_manager.fileselect_add(operator)
        return {"RUNNING_MODAL"}

    def execute(self, _context: bpy.types.Context) -> Result:
        folder = Path(bpy.path.abspath(self.directory))
        sources = [folder / item.name for item in self.files if item.name]

        def add() -> None:
            started = library.add(sources)
            if not bpy.app.background:
                return
            for request_id in started:
                requests.wait(request_id)

        return run(self, add)


class DRAGGAN_FH_model(bpy.types.FileHandler):
    """Files with models that are dropped onto a 3D view."""

    bl_idname = "DRAGGAN_FH_model"
    bl_label = "DragGAN Model"
    bl_import_operator = "draggan.add_model"
    bl_file_extensions = ";".join(MODEL_SUFFIXES)

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


class DRAGGAN_OT_cancel_adding(bpy.types.Operator):
    """Cancel what is being added, and hide what went wrong"""

    bl_idname = "draggan.cancel_adding"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    def execute(self, _context: bpy.types.Context) -> Result:
        library.cancel()
        return {"FINISHED"}


class DRAGGAN_OT_pick_model(bpy.types.Operator):
    """Use this model for the image, whose edits stay in its history, or else for the next one"""

    bl_idname = "draggan.pick_model"
    bl_label = "Pick Model"
    bl_options = {"REGISTER"}

    chosen: StringProperty(name="Model", description="The name of the model to use")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return planes.active(context) is None or poll_free(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.active(context)
        return run(self, lambda: library.pick(plane, library.find(self.chosen)))


class _ModelOperator(bpy.types.Operator):
    """Base class of the operators for one model, the shown one if none is named."""

    bl_options = {"REGISTER"}

    chosen: StringProperty(
        name="Model",
        description="The name of the model; empty for the one that the panel shows",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    def name_of(self, context: bpy.types.Context) -> str:
        """Return the name of the model."""
        return self.chosen or _shown_name(context)


class DRAGGAN_OT_describe_model(_ModelOperator):
    """Change the name of the model, and your note about its licence"""

    bl_idname = "draggan.describe_model"
    bl_label = "Describe Model"

    name: StringProperty(name="Name", description="The name in the panel")
    note: StringProperty(
        name="Licence", description="What you may do with the model and its images, and who says so"
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        try:
            entry = library.find(self.name_of(context))
        except EditError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.chosen, self.name, self.note = entry.name, entry.name, entry.note
        result: Result = context.window_manager.invoke_props_dialog(self, width=420)
        return result

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "name")
        layout.prop(self, "note")

    def execute(self, context: bpy.types.Context) -> Result:
        name = self.name_of(context)
        return run(self, lambda: library.change(library.find(name), self.name, self.note))


class DRAGGAN_OT_show_model(_ModelOperator):
    """Open the folder with the file of the model"""

    bl_idname = "draggan.show_model"
    bl_label = "Show in Folder"

    def execute(self, context: bpy.types.Context) -> Result:
        def show() -> None:
            folder = library.find(self.name_of(context)).path.parent
            bpy.ops.wm.path_open(filepath=str(folder))

        return run(self, show)


class DRAGGAN_OT_remove_model(_ModelOperator):
    """Delete the model from your models; the file that it was made from stays where it is"""

    bl_idname = "draggan.remove_model"
    bl_label = "Remove Model"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        self.chosen = self.name_of(context)
        result: Result = context.window_manager.invoke_confirm(
            self,
            event,
            title=f"Delete {self.chosen} from your models?",
            message="Images that were made with it cannot be changed until it is added again",
        )
        return result

    def execute(self, context: bpy.types.Context) -> Result:
        return run(self, lambda: library.remove(library.find(self.name_of(context))))


class DRAGGAN_OT_relink_model(bpy.types.Operator):
    """Say where the model of this image is now; another model than before is refused"""

    bl_idname = "draggan.relink_model"
    bl_label = "Relink Model"
    bl_options = {"REGISTER"}

    filepath: StringProperty(
        name="File",
        description="The file of the model",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    filter_glob: StringProperty(default=_FILTER, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not poll_plane(cls, context) or not poll_free(cls, context):
            return False
        kind = planes.require_active(context).draggan.source.kind
        return require(cls, kind == "FILE", "The model of this image is built in")

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        operator: Any = self
        context.window_manager.fileselect_add(operator)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Result:
        path = Path(bpy.path.abspath(self.filepath))
        return run(self, lambda: relinking.relink(planes.require_active(context), path))


CLASSES = (
    DRAGGAN_OT_add_model,
    DRAGGAN_FH_model,
    DRAGGAN_OT_cancel_adding,
    DRAGGAN_OT_pick_model,
    DRAGGAN_OT_describe_model,
    DRAGGAN_OT_show_model,
    DRAGGAN_OT_remove_model,
    DRAGGAN_OT_relink_model,
)
