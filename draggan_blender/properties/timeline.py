# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of a GAN image's image keys and its blend, on ``Object.draggan.timeline``.

There is no logic here. The progress of a retimed image is not one of these properties: it is a
custom property, so that it works without this extension (``scene.timing``).
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import (
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..protocol.file_names import GREATEST_FRAME


class DRAGGAN_PG_latent_key(bpy.types.PropertyGroup):
    """An image key: a latent at a frame."""

    frame: IntProperty(
        name="Frame",
        description="The scene frame that shows this image",
        default=1,
        min=1,
        max=GREATEST_FRAME,
    )
    latent: StringProperty(description="num_ws x w_dim float32, little-endian, as base64")
    model_sha256: StringProperty(
        description="The SHA-256 of the model's file that the latent belongs to"
    )


def _may_be_blended(source: Any, candidate: Any) -> bool:
    """Return whether an object is a GAN image, and not the one that the blend belongs to."""
    return bool(candidate.draggan.uuid) and candidate != source.id_data


class DRAGGAN_PG_blend_source(bpy.types.PropertyGroup):
    """A GAN image that is blended into this one."""

    image: PointerProperty(
        name="Image",
        description="Another GAN image of the same model; each frame uses the image that it shows "
        "at that frame",
        type=bpy.types.Object,
        poll=_may_be_blended,
    )
    weight: FloatProperty(
        name="Weight",
        description="How much this image contributes to the blend, relative to the others; can be "
        "animated",
        default=1.0,
        min=0.0,
        soft_max=1.0,
    )


class DRAGGAN_PG_timeline(bpy.types.PropertyGroup):
    """The settings of sequences that are made without solving."""

    latent_keys: CollectionProperty(type=DRAGGAN_PG_latent_key)
    active_latent_key: IntProperty(name="Active Image Key")
    interpolation: EnumProperty(
        name="Interpolation",
        description="How the image changes from one image key to the next",
        items=(
            ("LINEAR", "Linear", "At a constant speed along a straight line"),
            (
                "SPHERICAL",
                "Spherical",
                "Along an arc: the latent turns at a constant speed, and its length changes evenly",
            ),
            ("CUBIC", "Cubic", "Smoothly through every key, without overshooting"),
        ),
        default="CUBIC",
    )
    blend_sources: CollectionProperty(type=DRAGGAN_PG_blend_source)
    active_blend_source: IntProperty(name="Active Blend Source")


CLASSES = (DRAGGAN_PG_latent_key, DRAGGAN_PG_blend_source, DRAGGAN_PG_timeline)
