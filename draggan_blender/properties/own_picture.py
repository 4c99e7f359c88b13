# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of an image that was made from a person's own picture; on ``Object.draggan.own``.

There is no logic here; ``properties.image`` attaches the group.
"""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    PointerProperty,
    StringProperty,
)

from ..protocol.losses import LOSSES, PIXELS


class DRAGGAN_PG_own_picture(bpy.types.PropertyGroup):
    """The picture, the frame on it, and what the model made of it."""

    picture: PointerProperty(
        name="Picture",
        description="The picture that the image is made from",
        type=bpy.types.Image,
    )
    board: PointerProperty(
        description="The empty that shows the picture beside the image", type=bpy.types.Object
    )
    frame: PointerProperty(
        description="The frame on the picture: an empty, a child of the board",
        type=bpy.types.Object,
    )
    refine: BoolProperty(
        name="Refine Frame",
        description="Move, turn and scale the frame a little, to where the model knows the picture "
        "best",
        default=True,
    )
    seconds: FloatProperty(
        name="Seconds",
        description="How long the model searches at most; 0 for as long as it takes",
        default=120.0,
        min=0.0,
        soft_max=600.0,
        precision=0,
    )
    tune: BoolProperty(
        name="Tune Model",
        description="Change the model a little so that it matches the picture. The change is kept "
        "in a small file that belongs to this image",
    )
    tune_seconds: FloatProperty(
        name="Tuning",
        description="How many seconds the model is tuned at most; 0 for as long as it takes",
        default=90.0,
        min=0.0,
        soft_max=600.0,
        precision=0,
    )
    noise: BoolProperty(
        name="Noise Maps",
        description="Also find fine details that no latent has, such as hair. They are kept in a "
        "small file that belongs to this image. Only for models with noise",
    )
    loss: EnumProperty(
        name="Loss",
        description="How the picture and the image are compared",
        items=[(choice.value, choice.label, choice.description) for choice in LOSSES],
        default=PIXELS,
    )
    loss_path: StringProperty(
        name="Weights",
        description="The file with the weights of VGG16 or LPIPS; or the checkpoint whose "
        "discriminator is used, empty for the model's own",
        subtype="FILE_PATH",
    )
    centre_px: FloatVectorProperty(
        description="The middle of the frame that the latent belongs to, pixels of the picture "
        "from its top left corner",
        size=2,
    )
    angle: FloatProperty(description="How far that frame is turned, radians, counter-clockwise")
    size_px: FloatProperty(description="Its longer side, pixels of the picture; 0 without a latent")
    latent: StringProperty(description="The latent of the picture, before any edit; as base64")
    untuned_kind: StringProperty(
        description="The kind of the model that the latent was found with, before tuning; or empty"
    )
    untuned_path: StringProperty(description="Its path")
    untuned_sha256: StringProperty(description="The SHA-256 of its file")
    tuned_path: StringProperty(
        description="The path of the model that was tuned to the picture; empty if none was. It is "
        "the image's model while the source has this path"
    )
    tuned_sha256: StringProperty(description="The SHA-256 of its file")
    coverage: StringProperty(description="covered, roughly or not")
    sentence: StringProperty(description="How well the model covers the picture, in words")
    blended: PointerProperty(
        name="Blended",
        description="The picture with the edits of the image",
        type=bpy.types.Image,
    )
    with_matte: BoolProperty(
        name="With Matte",
        description="Blend Back also makes a grey image of how far each pixel was changed: white "
        "where it is the edit's, black where it is the picture's",
    )
    matte: PointerProperty(
        name="Matte",
        description="How far each pixel of the blended image was changed",
        type=bpy.types.Image,
    )


class DRAGGAN_PG_found_picture(bpy.types.PropertyGroup):
    """What was found of a picture, as a state of the history keeps it.

    The fields that ``DRAGGAN_PG_own_picture`` has mean the same.
    """

    centre_px: FloatVectorProperty(size=2)
    angle: FloatProperty()
    size_px: FloatProperty(
        description="0 in a state from before there was a picture, or of a file that an earlier "
        "version has saved"
    )
    latent: StringProperty(description="The SHA-256 of the latent's text")
    untuned_kind: StringProperty()
    untuned_path: StringProperty()
    untuned_sha256: StringProperty()
    tuned_path: StringProperty()
    tuned_sha256: StringProperty()
    coverage: StringProperty()
    sentence: StringProperty()


CLASSES = (DRAGGAN_PG_found_picture, DRAGGAN_PG_own_picture)
