# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that make directions of images and drags, mix styles, and exchange files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from ...errors import EditError
from ...jobs import direction_library, directions
from ...protocol import direction_files
from ...scene import own_directions, planes, sliders
from .common import Result, poll_idle, require, run
from .sliders import follow, poll_slider


class DRAGGAN_OT_direction_from_images(bpy.types.Operator):
    """Add a slider from the other selected GAN images to the active one: the mean difference"""

    bl_idname = "draggan.direction_from_images"
    bl_label = "Direction from Images"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context) and _poll_others(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def add() -> None:
            found = own_directions.others(plane, context.selected_objects)
            row = own_directions.from_images(plane, found)
            direction_library.remember(plane)
            self.report({"INFO"}, f"Added the slider {row.name}")

        return run(self, add)


class DRAGGAN_OT_keep_as_slider(bpy.types.Operator):
    """Make a slider of what the last drag has changed, for this and all images of the model"""

    bl_idname = "draggan.keep_as_slider"
    bl_label = "Keep as Slider"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def keep() -> None:
            row = own_directions.from_drag(plane)
            direction_library.remember(plane)
            self.report({"INFO"}, f"Kept the drag as the slider {row.name}")

        return run(self, keep)


class DRAGGAN_OT_mix_style(bpy.types.Operator):
    """Take colours and texture of the other selected GAN image, and keep pose and shape"""

    bl_idname = "draggan.mix_style"
    bl_label = "Mix Style"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context) and _poll_others(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def mix() -> int | None:
            found = own_directions.others(plane, context.selected_objects)
            if len(found) != 1:
                raise EditError(
                    f"{len(found)} other GAN images are selected; select the one whose style to "
                    "take"
                )
            own_directions.style_of(plane, found[0])
            return follow(plane)

        return run(self, mix)


class DRAGGAN_OT_pull_back(bpy.types.Operator):
    """Add a slider that leads back to what the model's own images are like, against artefacts"""

    bl_idname = "draggan.pull_back"
    bl_label = "Pull Back"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        # The undo steps are pushed when the results arrive, and the image follows the slider.
        plane = planes.require_active(context)
        done = run(self, lambda: directions.pull_back(plane))
        if bpy.app.background and done == {"FINISHED"}:
            return run(self, lambda: follow(plane))
        return done


class DRAGGAN_OT_swap_style(bpy.types.Operator):
    """Exchange structure and texture: the selected style gets the layers that it does not have"""

    bl_idname = "draggan.swap_style"
    bl_label = "Swap"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not poll_slider(cls, context):
            return False
        settings = planes.require_active(context).draggan
        index = settings.active_slider
        is_style = index < len(settings.sliders) and settings.sliders[index].kind == "STYLE"
        return require(cls, is_style, "Select a style in the list first; Mix Style makes one")

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def swap() -> int | None:
            row = plane.draggan.sliders[plane.draggan.active_slider]
            own_directions.swap_style(plane, row)
            return follow(plane)

        return run(self, swap)


class _FileOperator(bpy.types.Operator):
    """Base class of the operators that choose a file of directions."""

    filepath: StringProperty(
        name="File", description="A .npz or .safetensors file", subtype="FILE_PATH"
    )
    filter_glob: StringProperty(default="*.npz;*.safetensors", options={"HIDDEN"})


class DRAGGAN_OT_import_directions(_FileOperator):
    """Add sliders for the directions in a .npz or .safetensors file, also of GANSpace"""

    bl_idname = "draggan.import_directions"
    bl_label = "Import Directions"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def add() -> None:
            path = Path(bpy.path.abspath(self.filepath))
            try:
                found = direction_files.read(path, sliders.num_ws(plane), plane.draggan.w_dim)
            except (OSError, ValueError) as error:
                raise EditError(str(error)) from None
            for one in found:
                sliders.add(plane, one)
            direction_library.remember(plane)
            self.report({"INFO"}, f"Added {len(found)} sliders")

        return run(self, add)


class DRAGGAN_OT_export_directions(_FileOperator):
    """Save directions as a .npz or .safetensors file"""

    bl_idname = "draggan.export_directions"
    bl_label = "Export Directions"
    bl_options = {"REGISTER"}

    what: EnumProperty(
        name="What",
        description="Which directions are saved",
        items=(
            ("SLIDERS", "Sliders", "Those of the list of this image"),
            ("MODEL", "All of the Model", "All that are known of the model"),
        ),
    )
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_slider(cls, context)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        if not self.filepath:
            self.filepath = "directions.npz"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def save() -> None:
            path = Path(bpy.path.abspath(self.filepath))
            if path.suffix.lower() not in direction_files.SUFFIXES:
                path = path.with_name(f"{path.name}.npz")
            found = direction_library.load(plane)
            if self.what == "SLIDERS":
                rows = plane.draggan.sliders
                found = [sliders.direction_of(plane, row) for row in rows]
            try:
                direction_files.write(path, found)
            except OSError as error:
                raise EditError(f"{path} cannot be written ({error})") from None
            self.report({"INFO"}, f"Saved {len(found)} directions in {path}")

        return run(self, save)


def _poll_others(cls: Any, context: bpy.types.Context) -> bool:
    plane = planes.require_active(context)
    return require(
        cls,
        bool(own_directions.others(plane, context.selected_objects)),
        "Select another GAN image as well (Shift-click), and this one last",
    )


CLASSES = (
    DRAGGAN_OT_direction_from_images,
    DRAGGAN_OT_keep_as_slider,
    DRAGGAN_OT_mix_style,
    DRAGGAN_OT_pull_back,
    DRAGGAN_OT_swap_style,
    DRAGGAN_OT_import_directions,
    DRAGGAN_OT_export_directions,
)
