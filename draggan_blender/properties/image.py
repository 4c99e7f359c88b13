# SPDX-License-Identifier: GPL-3.0-or-later
"""What the .blend remembers: Blender's undo and a reopened file rest on these properties.

The latent and the track are kept as base64 text, because Blender's strings cannot hold zero
bytes. Images are only pictures of them: they can be rendered again at any time.

No logic here. An object is a GAN image when its ``draggan.uuid`` is set.
"""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    IntVectorProperty,
    PointerProperty,
    StringProperty,
)

from .bake import DRAGGAN_PG_bake, DRAGGAN_PG_sequence
from .drag import DRAGGAN_PG_drag
from .timeline import CLASSES as TIMELINE_CLASSES
from .timeline import DRAGGAN_PG_timeline


class DRAGGAN_PG_source(bpy.types.PropertyGroup):
    """Where an image comes from: a model and a seed."""

    kind: EnumProperty(
        name="Model",
        description="The generator that makes the image",
        items=(
            ("BUILT_IN", "Suzanne", "The small model of Blender's monkey that comes along"),
            ("FILE", "File", "A StyleGAN2 checkpoint of your own (.pkl or .safetensors)"),
        ),
        default="BUILT_IN",
    )
    path: StringProperty(
        name="File",
        description="A StyleGAN2 checkpoint; no code in it is ever run",
        subtype="FILE_PATH",
    )
    seed: IntProperty(
        name="Seed", description="Each seed is another image of the model", default=1, min=0
    )
    truncation_psi: FloatProperty(
        name="Truncation",
        description="How far the image may be from the model's average: lower is more typical, "
        "higher is more varied",
        default=0.7,
        min=-2.0,
        max=2.0,
        soft_min=0.0,
        soft_max=1.0,
    )


class DRAGGAN_PG_pair(bpy.types.PropertyGroup):
    """A handle and its target: two empties that are children of the plane."""

    handle: PointerProperty(
        name="Handle", description="Marks what is to be moved", type=bpy.types.Object
    )
    target: PointerProperty(
        name="Target", description="Marks where it is to go", type=bpy.types.Object
    )
    enabled: BoolProperty(
        name="Enabled", description="Whether the next drag or bake takes this pair", default=True
    )
    influence: FloatProperty(
        name="Influence",
        description="How far the handle goes towards its target: 0 stays where it is in the image, "
        "1 goes all the way; can be animated",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    slot: IntProperty(
        description="Which pair of the running or last drag this is; -1 for none",
        default=-1,
        options={"HIDDEN"},
    )
    start: FloatVectorProperty(
        description="Where the handle was before the drag, in the plane's space",
        size=2,
        options={"HIDDEN"},
    )
    dragged: BoolProperty(
        description="Whether the pair was dragged since the image was new", options={"HIDDEN"}
    )
    home: FloatVectorProperty(
        description="Where the handle was before the first drag, in the plane's space",
        size=2,
        options={"HIDDEN"},
    )
    has_base: BoolProperty(
        description="Whether the handle moves along with a sequence, so that its place in the "
        "image of the latent is remembered",
        options={"HIDDEN"},
    )
    base: FloatVectorProperty(
        description="Where the handle is in the image of the latent, in the plane's space",
        size=2,
        options={"HIDDEN"},
    )
    path_slot: IntProperty(
        description="Which pair of the shown sequence's track this is; -1 for none",
        default=-1,
        options={"HIDDEN"},
    )
    under_slot: IntProperty(
        description="The same of the sequence that the bake has covered; -1 for none",
        default=-1,
        options={"HIDDEN"},
    )


class DRAGGAN_PG_image(bpy.types.PropertyGroup):
    """A GAN image: on ``Object.draggan`` of its plane."""

    uuid: StringProperty(description="Names this image; empty on any other object")
    source: PointerProperty(type=DRAGGAN_PG_source)
    model_sha256: StringProperty(description="The file of the model that the latent belongs to")
    size: IntVectorProperty(description="Width and height of the generator's images", size=2)
    w_dim: IntProperty(description="How many numbers each layer's latent has")
    latent: StringProperty(
        description="num_ws x w_dim float32, little-endian, as base64: what the last drag has "
        "reached, and what a bake starts from"
    )
    sampled_latent: StringProperty(
        description="The latent of the seed, to which Reset goes back; as base64"
    )
    sampled_seed: IntProperty(description="The seed of that latent", default=1)
    sampled_psi: FloatProperty(description="The truncation of that latent", default=0.7)
    track: StringProperty(description="The sequence's track.npz, as base64; empty for none")
    still: PointerProperty(
        description="The image of the seed; packed, so that it is never missing",
        type=bpy.types.Image,
    )
    sequence: PointerProperty(type=DRAGGAN_PG_sequence)
    pairs: CollectionProperty(type=DRAGGAN_PG_pair)
    active_pair: IntProperty(name="Active Pair")
    mask: PointerProperty(
        name="Mask",
        description="White may change, black stays; without a mask everything may change",
        type=bpy.types.Image,
    )
    drag: PointerProperty(type=DRAGGAN_PG_drag)
    bake: PointerProperty(type=DRAGGAN_PG_bake)
    timeline: PointerProperty(type=DRAGGAN_PG_timeline)
    folder: StringProperty(
        name="Folder",
        description="Where image sequences go; empty for a folder beside the saved file",
        subtype="DIR_PATH",
    )
    request_id: IntProperty(description="The request that is running for this image; 0 for none")
    dragging: BoolProperty(description="Whether the plane shows the live image of a drag")
    baking: BoolProperty(description="Whether the plane shows the live image of a bake")
    previewing: BoolProperty(
        description="Whether the plane shows an image that was solved for the playhead"
    )
    status: StringProperty(description="How the last request ended, for the panel")
    failed: BoolProperty(description="Whether the status is an error")


class DRAGGAN_PG_scene(bpy.types.PropertyGroup):
    """What the panel remembers while no GAN image is selected: on ``Scene.draggan``."""

    source: PointerProperty(type=DRAGGAN_PG_source)


CLASSES = (
    DRAGGAN_PG_source,
    DRAGGAN_PG_pair,
    DRAGGAN_PG_drag,
    DRAGGAN_PG_sequence,
    DRAGGAN_PG_bake,
    *TIMELINE_CLASSES,
    DRAGGAN_PG_image,
    DRAGGAN_PG_scene,
)


# Where each group is attached, as ``draggan``.
_OWNERS = ((bpy.types.Object, DRAGGAN_PG_image), (bpy.types.Scene, DRAGGAN_PG_scene))


def register() -> None:
    """Attach the groups; their classes are registered before."""
    for owner, group in _OWNERS:
        setattr(owner, "draggan", PointerProperty(type=group))  # noqa: B010  (mypy knows no such attribute)


def unregister() -> None:
    """Detach them; what a file stores of them stays in the file."""
    for owner, _ in _OWNERS:
        delattr(owner, "draggan")
