# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of a GAN image; Blender's undo and reopened files restore them.

Latents and tracks are stored as base64 text, because Blender's strings cannot hold zero bytes. The
images can be rendered again from them at any time.

There is no logic here. An object is a GAN image if its ``draggan.uuid`` is set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    IntVectorProperty,
    PointerProperty,
    StringProperty,
)

from .. import compat
from ..protocol.pictures import NO_LABEL
from . import changes
from .bake import DRAGGAN_PG_bake, DRAGGAN_PG_sequence
from .drag import DRAGGAN_PG_drag
from .edits import CLASSES as EDIT_CLASSES
from .edits import DRAGGAN_PG_edit
from .history import CLASSES as HISTORY_CLASSES
from .history import DRAGGAN_PG_history
from .own_picture import CLASSES as OWN_PICTURE_CLASSES
from .own_picture import DRAGGAN_PG_own_picture
from .pair import DRAGGAN_PG_pair
from .sliders import CLASSES as SLIDER_CLASSES
from .sliders import DRAGGAN_PG_slider
from .timeline import CLASSES as TIMELINE_CLASSES
from .timeline import DRAGGAN_PG_timeline

# The seed of the first image. Of the seeds 1 to 200 of the built-in model, it is one whose face is
# seen from the front, with both eyes and ears, and whose nose, eyes and ears follow when they are
# dragged.
DEFAULT_SEED = 150


def _ignore(_plane: bpy.types.Object) -> None:
    pass


_on_pair_chosen: Callable[[Any], None] = _ignore


def set_pair_chosen(callback: Callable[[Any], None] | None) -> None:
    """Set the callback that receives an image after another of its pairs was chosen in the list."""
    global _on_pair_chosen
    _on_pair_chosen = callback or _ignore


def _pair_chosen(settings: Any, _context: bpy.types.Context) -> None:
    _on_pair_chosen(settings.id_data)


class DRAGGAN_PG_source(bpy.types.PropertyGroup):
    """What an image is made from: a model, a seed and a truncation."""

    kind: EnumProperty(
        name="Model",
        description="The generator that makes the image",
        items=(
            ("BUILT_IN", "Suzanne", "The small built-in model of Blender's monkey"),
            ("FILE", "File", "Your own StyleGAN2 checkpoint (.pkl, .pt or .safetensors)"),
        ),
        default="BUILT_IN",
    )
    path: StringProperty(
        name="File",
        description="A StyleGAN2 checkpoint; code in the file is never run",
        subtype="FILE_PATH",
        options={"ANIMATABLE"} | compat.RELATIVE_PATH,
    )
    seed: IntProperty(
        name="Seed",
        description="Each seed gives a different image",
        default=DEFAULT_SEED,
        min=0,
        update=changes.report,
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
        update=changes.report,
    )
    label: IntProperty(
        name="Label",
        description="What the image shows, for a model that was trained with labels: the number of "
        "the label, or -1 for none",
        default=0,
        min=NO_LABEL,
        max=65535,
        soft_max=999,
        update=changes.report,
    )


class DRAGGAN_PG_use(bpy.types.PropertyGroup):
    """A material of another object that shows a GAN image."""

    material: PointerProperty(type=bpy.types.Material)


class DRAGGAN_PG_image(bpy.types.PropertyGroup):
    """A GAN image; on ``Object.draggan`` of its plane."""

    uuid: StringProperty(description="Identifies this image; empty on any other object")
    source: PointerProperty(type=DRAGGAN_PG_source)
    model_sha256: StringProperty(
        description="The SHA-256 of the model's file that the latent belongs to"
    )
    size: IntVectorProperty(
        description="Width and height of the generator's images, in pixels", size=2
    )
    w_dim: IntProperty(description="How many numbers the latent of a layer has")
    label_count: IntProperty(description="How many labels the model has; 0 without labels")
    latent: StringProperty(
        description="The result of the last drag, which a bake starts from: num_ws x w_dim "
        "float32, little-endian, as base64"
    )
    sampled_latent: StringProperty(
        description="The latent of the seed, which Reset restores; as base64"
    )
    source_changed: BoolProperty(
        description="Whether a person changed the seed or the truncation, and the image of the "
        "new value was not made yet"
    )
    sampled_seed: IntProperty(description="The seed of the image that Reset restores", default=1)
    sampled_psi: FloatProperty(
        description="The truncation of the image that Reset restores", default=0.7
    )
    sampled_label: IntProperty(
        description="The label of the image that Reset restores", default=NO_LABEL
    )
    image_key: StringProperty(
        description="Which seed, picture or saved latent the image was made from, see "
        "scene/pair_images.py; empty in files of earlier versions"
    )
    keep_pairs: BoolProperty(
        name="Keep for Other Images",
        description="Leave dragged pairs switched on when another seed, picture or latent is "
        "shown, to drag the same points in many images",
    )
    track: StringProperty(description="The sequence's track.npz, as base64; empty if there is none")
    still: PointerProperty(
        description="The image of the seed, packed so that it is never missing",
        type=bpy.types.Image,
    )
    sequence: PointerProperty(type=DRAGGAN_PG_sequence)
    pairs: CollectionProperty(type=DRAGGAN_PG_pair)
    active_pair: IntProperty(name="Active Pair", update=_pair_chosen)
    last_key: IntProperty(description="The last key that was given to a pair of this image")
    edits: CollectionProperty(type=DRAGGAN_PG_edit)
    active_edit: IntProperty(name="Active Edit")
    last_edit_key: IntProperty(description="The last key that was given to an edit of this image")
    worked_edit: IntProperty(
        description="The key of the edit that the mask and the shown pairs belong to; 0 for the "
        "next new one"
    )
    edits_shown: StringProperty(
        description="Which edits the latent shows, and how strongly, as scene.edits writes it"
    )
    edits_changed: BoolProperty(
        description="Whether a person changed an edit or a slider, and the image that shows it was "
        "not made yet"
    )
    sliders: CollectionProperty(type=DRAGGAN_PG_slider)
    active_slider: IntProperty(name="Active Slider")
    last_slider_key: IntProperty(
        description="The last key that was given to a slider of this image"
    )
    sliders_shown: StringProperty(
        description="How the sliders are in the latent, as scene.sliders writes it"
    )
    sliders_taken: StringProperty(
        description="What removed sliders have added to the latent, which still contains it: "
        "num_ws x w_dim float32, as base64; empty if there is nothing"
    )
    mask: PointerProperty(
        name="Mask",
        description="White areas may change, black areas stay; without a mask everything may "
        "change",
        type=bpy.types.Image,
    )
    mask_step: StringProperty(
        description="Changes with every change that an operator makes to the mask's pixels: see "
        "scene/mask_images.py"
    )
    show_mask: BoolProperty(
        name="Show Mask",
        description="Tint what the mask protects, in the 3D view, also while it is not painted",
    )
    mask_follows: BoolProperty(
        name="Follow Pull",
        description="Let the mask grow along a pull, so that what is pulled is not cut off at its "
        "border; selecting a part switches this on, drawing a mask switches it off",
    )
    uses: CollectionProperty(type=DRAGGAN_PG_use)
    keep_colours: BoolProperty(
        description="Whether the image is read so that the view transform does not change it"
    )
    drag: PointerProperty(type=DRAGGAN_PG_drag)
    bake: PointerProperty(type=DRAGGAN_PG_bake)
    timeline: PointerProperty(type=DRAGGAN_PG_timeline)
    history: PointerProperty(type=DRAGGAN_PG_history)
    own: PointerProperty(type=DRAGGAN_PG_own_picture)
    folder: StringProperty(
        name="Folder",
        description="Where image sequences are saved; empty for the folder draggan next to the "
        ".blend file",
        subtype="DIR_PATH",
        options={"ANIMATABLE"} | compat.RELATIVE_PATH,
    )
    request_id: IntProperty(
        description="The id of the request that is running for this image; 0 if there is none"
    )
    dragging: BoolProperty(description="Whether the plane shows the live image of a drag")
    baking: BoolProperty(description="Whether the plane shows the live image of a bake")
    inverting: BoolProperty(
        description="Whether the plane shows the live image of a picture that is looked for"
    )
    previewing: BoolProperty(
        description="Whether the plane shows a preview of the frame at the playhead"
    )
    status: StringProperty(description="How the last request ended, as the panel shows it")
    failed: BoolProperty(description="Whether the status is an error")


class DRAGGAN_PG_scene(bpy.types.PropertyGroup):
    """What the panel shows while no GAN image is active, and in all views; on ``Scene.draggan``."""

    source: PointerProperty(type=DRAGGAN_PG_source)
    show_points: BoolProperty(
        name="Show Points",
        description="Show the points of GAN images with their numbers, arrows and paths in the "
        "viewports",
        default=True,
    )
    mask_radius: IntProperty(
        name="Radius",
        description="How far Grow, Shrink and Soften reach, in pixels of the mask",
        default=8,
        min=1,
        soft_max=64,
        max=512,
        subtype="PIXEL",
    )


CLASSES = (
    DRAGGAN_PG_source,
    DRAGGAN_PG_pair,
    DRAGGAN_PG_use,
    *EDIT_CLASSES,
    *SLIDER_CLASSES,
    DRAGGAN_PG_drag,
    DRAGGAN_PG_sequence,
    DRAGGAN_PG_bake,
    *TIMELINE_CLASSES,
    *OWN_PICTURE_CLASSES,
    *HISTORY_CLASSES,
    DRAGGAN_PG_image,
    DRAGGAN_PG_scene,
)


# The types that each group is attached to, under the name ``draggan``.
_OWNERS = ((bpy.types.Object, DRAGGAN_PG_image), (bpy.types.Scene, DRAGGAN_PG_scene))


def register() -> None:
    """Attach the groups, whose classes must be registered already."""
    for owner, group in _OWNERS:
        setattr(owner, "draggan", PointerProperty(type=group))  # noqa: B010  (mypy knows no such attribute)


def unregister() -> None:
    """Detach the groups; the values that a file stores stay in the file."""
    for owner, _ in _OWNERS:
        delattr(owner, "draggan")
