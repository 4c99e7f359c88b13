# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators for a person's own picture: making an image of it, its frame, and blending back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ...errors import EditError
from ...jobs import own_picture, recovery
from ...protocol.losses import LOSSES, PIXELS
from ...scene import free_place, models, picture_frame, planes
from .. import showing
from .common import Result, poll_idle, require, run

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".exr", ".hdr", ".tga")


class DRAGGAN_OT_image_from_picture(bpy.types.Operator):
    """Add a GAN image that comes as near to a picture of yours as the model can"""

    bl_idname = "draggan.image_from_picture"
    bl_label = "Image from Picture"
    bl_options = {"REGISTER"}

    filepath: StringProperty(
        name="Picture",
        description="The file of the picture",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    image: StringProperty(
        name="Image",
        description="The name of a Blender image to use in place of a file",
        options={"SKIP_SAVE"},
    )
    model: StringProperty(
        name="Model",
        description="suzanne for the built-in model, or the path of a checkpoint; empty for the "
        "model in the panel",
        options={"SKIP_SAVE"},
    )
    tune: BoolProperty(
        name="Tune Model",
        description="Change the model a little so that it matches the picture; this takes longer",
        options={"SKIP_SAVE"},
    )
    noise: BoolProperty(
        name="Noise Maps",
        description="Also find fine details that no latent has; only for models with noise",
        options={"SKIP_SAVE"},
    )
    loss: EnumProperty(
        name="Loss",
        description="How the picture and the image are compared",
        items=[(choice.value, choice.label, choice.description) for choice in LOSSES],
        default=PIXELS,
        options={"SKIP_SAVE"},
    )
    loss_path: StringProperty(
        name="Weights",
        description="The file with the weights of the loss, if it needs one",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, _event: Any) -> Result:
        if self.filepath or self.image:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Result:
        usual = models.for_new_images(context)
        area = free_place.view_area(context)

        def new() -> int:
            picture = self._picture()
            place = free_place.find(context, area.spaces.active.region_3d if area else None)
            plane = own_picture.new_image(
                context,
                picture,
                self.model or usual,
                place.location,
                place.rotation,
                tune=self.tune,
                noise=self.noise,
                loss=self.loss,
                loss_path=self.loss_path,
            )
            showing.select(context, plane)
            showing.show(context, area, plane)
            request_id: int = plane.draggan.request_id
            return request_id

        return run(self, new)

    def _picture(self) -> bpy.types.Image:
        if self.image:
            found: bpy.types.Image | None = bpy.data.images.get(self.image)
            if found is None:
                raise EditError(f"There is no image named {self.image!r}")
            return found
        if not self.filepath:
            raise EditError("No picture was chosen; choose a file")
        return own_picture.load(Path(bpy.path.abspath(self.filepath)))


class OwnPictureOperator:
    """An operator that needs an idle image that was made from a picture."""

    @classmethod
    def poll(cls: Any, context: bpy.types.Context) -> bool:
        return poll_idle(cls, context) and require(
            cls,
            planes.require_active(context).draggan.own.picture is not None,
            "This image was not made from a picture; use Image from Picture",
        )


class DRAGGAN_OT_find_picture(OwnPictureOperator, bpy.types.Operator):
    """Look for the picture again, with the frame and the settings as they are now"""

    bl_idname = "draggan.find_picture"
    bl_label = "Find Again"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Result:
        return run(self, lambda: own_picture.invert_again(planes.require_active(context)))


class DRAGGAN_OT_picture_frame(OwnPictureOperator, bpy.types.Operator):
    """Show or hide the picture beside the image, with the frame on it to move, turn and scale"""

    bl_idname = "draggan.picture_frame"
    bl_label = "Frame"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Result:
        def toggle() -> None:
            plane = planes.require_active(context)
            recovery.own(plane)
            if picture_frame.is_shown(plane):
                picture_frame.hide(plane)
            else:
                picture_frame.show(plane)

        return run(self, toggle)


class DRAGGAN_OT_whole_picture(OwnPictureOperator, bpy.types.Operator):
    """Put the frame around the largest square in the middle of the picture"""

    bl_idname = "draggan.whole_picture"
    bl_label = "Whole"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Result:
        def place() -> None:
            plane = planes.require_active(context)
            picture = picture_frame.require_picture(plane)
            picture_frame.show(plane)
            picture_frame.place(plane, picture_frame.whole(*picture.size))

        return run(self, place)


class DRAGGAN_OT_blend_back(OwnPictureOperator, bpy.types.Operator):
    """Put what the edits have changed onto the picture, in its full size; the rest stays"""

    bl_idname = "draggan.blend_back"
    bl_label = "Blend Back"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Result:
        return run(self, lambda: own_picture.blend_back(planes.require_active(context)))


class DRAGGAN_FH_picture(bpy.types.FileHandler):
    """A picture that is dropped onto a 3D view while a GAN image is active becomes another one."""

    bl_idname = "DRAGGAN_FH_picture"
    bl_label = "GAN Image from Picture"
    bl_import_operator = "draggan.image_from_picture"
    bl_file_extensions = ";".join(_SUFFIXES)

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        """Return whether a dropped picture is offered to become a GAN image."""
        area = context.area
        return area is not None and area.type == "VIEW_3D" and planes.active(context) is not None


CLASSES = (
    DRAGGAN_OT_image_from_picture,
    DRAGGAN_OT_find_picture,
    DRAGGAN_OT_picture_frame,
    DRAGGAN_OT_whole_picture,
    DRAGGAN_OT_blend_back,
    DRAGGAN_FH_picture,
)
