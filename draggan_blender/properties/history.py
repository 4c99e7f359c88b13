# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of an image's history: its states, on ``Object.draggan.history``.

There is no logic here; ``scene.history`` records states and restores them. Long texts (latents,
lists of edits, tracks) are kept once for all states, in ``texts``; a state refers to them by their
SHA-256.
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

from ..protocol.pictures import NO_LABEL
from .bake import DRAGGAN_PG_sequence
from .own_picture import DRAGGAN_PG_found_picture


class DRAGGAN_PG_stored_text(bpy.types.PropertyGroup):
    """A text that states share; its name is the SHA-256 of the text."""

    text: StringProperty(description="A latent or a track, as base64; or a list of edits")


class DRAGGAN_PG_state_pair(bpy.types.PropertyGroup):
    """A pair of points in a state; the fields that ``DRAGGAN_PG_pair`` has mean the same."""

    key: IntProperty(description="The key of the pair")
    title: StringProperty(description="The pair's name")
    edit: IntProperty()
    rests: BoolProperty()
    was_enabled: BoolProperty()
    enabled: BoolProperty(default=True)
    number: IntProperty()
    color: FloatVectorProperty(size=3, subtype="COLOR_GAMMA")
    is_pin: BoolProperty()
    radius: FloatProperty()
    influence: FloatProperty(default=1.0)
    handle: FloatVectorProperty(
        description="Where the handle was: x, y, angle and scale in the plane's space", size=4
    )
    target: FloatVectorProperty(description="Where the target was, likewise", size=4)
    image_key: StringProperty()
    is_left: BoolProperty()
    dragged: BoolProperty()
    home: FloatVectorProperty(size=2)
    home_turn: FloatVectorProperty(size=2)
    has_base: BoolProperty()
    base: FloatVectorProperty(size=2)
    base_turn: FloatVectorProperty(size=2)
    path: StringProperty(
        description="The handle's path in the sequence, as base64: frames x 2 or 4 float32, as "
        "scene.timing writes them; empty if it has none"
    )
    path_slot: IntProperty(default=-1)
    under_slot: IntProperty(default=-1)
    under_path: StringProperty()


class DRAGGAN_PG_state(bpy.types.PropertyGroup):
    """A state of an image: what a seed, a drag, a bake or image keys have made of it."""

    number: IntProperty(description="Identifies the state in its history; from 1 on")
    parent: IntProperty(description="The number of the state it was made from; 0 if there is none")
    kind: EnumProperty(
        description="What made the state",
        items=(
            ("SEED", "Seed", "The image of a seed"),
            ("DRAG", "Drag", "A drag"),
            ("BAKE", "Bake", "A bake"),
            ("LATENTS", "Keys", "Image keys or a blend"),
            ("EDITS", "Edits", "A change in the list of edits"),
            ("SLIDERS", "Sliders", "A change of sliders"),
            ("PICTURE", "Picture", "The image of a person's own picture"),
            ("LATENT", "Latent", "The image of a saved latent"),
        ),
    )
    ordinal: IntProperty(description="Counts the states of one kind, from 1 on")
    title: StringProperty(
        name="Name",
        description="A name for this state; states with a name are not dropped when the history "
        "is full",
    )
    thumbnail: StringProperty(description="The small image, as scene.thumbnails stores it")
    model_kind: StringProperty(description="The kind of the source's model")
    model_path: StringProperty(description="The path of the source's model")
    model_sha256: StringProperty(description="The SHA-256 of the model's file")
    size: IntVectorProperty(size=2)
    w_dim: IntProperty()
    seed: IntProperty()
    truncation_psi: FloatProperty()
    label: IntProperty(default=NO_LABEL)
    label_count: IntProperty()
    image_key: StringProperty(description="The seed, picture or saved latent of the image")
    latent: StringProperty(description="The SHA-256 of the latent's text")
    sampled_latent: StringProperty(description="The SHA-256 of the text of the seed's latent")
    edits: StringProperty(
        description="The SHA-256 of the text of the list of edits; empty without edits"
    )
    sliders: StringProperty(
        description="The SHA-256 of the text of the list of sliders; empty without sliders"
    )
    track: StringProperty(description="The SHA-256 of the track's text; empty without a track")
    origin: StringProperty(
        description="The SHA-256 of the text of the picture that a drag has begun with; empty for "
        "other states"
    )
    handles: StringProperty(
        description="Where the handles and pins of a drag were in it, as those of a slider"
    )
    under_track: StringProperty(
        description="The SHA-256 of the text of the track that the bake has replaced"
    )
    still: PointerProperty(type=bpy.types.Image)
    sequence: PointerProperty(type=DRAGGAN_PG_sequence)
    under: PointerProperty(type=DRAGGAN_PG_sequence)
    refinements: IntProperty()
    frame: IntProperty(description="The scene frame when the state was left")
    status: StringProperty()
    pairs: CollectionProperty(type=DRAGGAN_PG_state_pair)
    own: PointerProperty(type=DRAGGAN_PG_found_picture)


class DRAGGAN_PG_history(bpy.types.PropertyGroup):
    """The states of an image."""

    states: CollectionProperty(type=DRAGGAN_PG_state)
    texts: CollectionProperty(type=DRAGGAN_PG_stored_text)
    active: IntProperty(description="The number of the state that the image is in; 0 if none")
    last_number: IntProperty(description="The last number that was given to a state")
    keep: IntProperty(
        name="Keep",
        description="How many states are kept; of more, the oldest without a name are dropped",
        default=50,
        min=2,
        soft_max=200,
    )


CLASSES = (
    DRAGGAN_PG_stored_text,
    DRAGGAN_PG_state_pair,
    DRAGGAN_PG_state,
    DRAGGAN_PG_history,
)
