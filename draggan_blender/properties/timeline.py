# SPDX-License-Identifier: GPL-3.0-or-later
"""What a GAN image remembers of its latent keys and its blend: on ``Object.draggan.timeline``.

No logic here. The progress of a retimed image is none of these: it is a custom property, so that
it works where these classes do not exist (:mod:`.timing`).
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


class DRAGGAN_PG_latent_key(bpy.types.PropertyGroup):
    """A latent at a frame."""

    frame: IntProperty(
        name="Frame", description="The scene frame at which the image is this one", default=1, min=1
    )
    latent: StringProperty(description="num_ws x w_dim float32, little-endian, as base64")
    model_sha256: StringProperty(description="The file of the model that the latent belongs to")


def _may_be_mixed(source: Any, candidate: Any) -> bool:
    """Whether an object is another GAN image than the one that it would be mixed into."""
    return bool(candidate.draggan.uuid) and candidate != source.id_data


class DRAGGAN_PG_blend_source(bpy.types.PropertyGroup):
    """A GAN image that is mixed into this one."""

    image: PointerProperty(
        name="Image",
        description="Another GAN image of the same model; its sequence counts frame by frame",
        type=bpy.types.Object,
        poll=_may_be_mixed,
    )
    weight: FloatProperty(
        name="Weight",
        description="How much of the image is in the mix, compared to the others; can be animated",
        default=1.0,
        min=0.0,
        soft_max=1.0,
    )


class DRAGGAN_PG_timeline(bpy.types.PropertyGroup):
    """Sequences that are made without solving."""

    latent_keys: CollectionProperty(type=DRAGGAN_PG_latent_key)
    active_latent_key: IntProperty(name="Active Image Key")
    interpolation: EnumProperty(
        name="Interpolation",
        description="How the image gets from one image key to the next",
        items=(
            ("LINEAR", "Linear", "Straight, with a constant speed"),
            (
                "SPHERICAL",
                "Spherical",
                "Along an arc, with a constant speed: stays as far from the model's origin as the "
                "keys are",
            ),
            ("CUBIC", "Cubic", "Smooth through every key, and never beyond them"),
        ),
        default="CUBIC",
    )
    blend_sources: CollectionProperty(type=DRAGGAN_PG_blend_source)
    active_blend_source: IntProperty(name="Active Blend Source")


CLASSES = (DRAGGAN_PG_latent_key, DRAGGAN_PG_blend_source, DRAGGAN_PG_timeline)
