# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of a pair of points, on ``Object.draggan.pairs``; see ``scene.points``."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)


def _pair_enabled(pair: Any, _context: bpy.types.Context) -> None:
    if pair.enabled and pair.is_left:
        pair.is_left, pair.image_key = False, ""


class DRAGGAN_PG_pair(bpy.types.PropertyGroup):
    """A handle and its target: two empties that are children of the plane."""

    handle: PointerProperty(
        name="Handle", description="Marks the part of the image to move", type=bpy.types.Object
    )
    target: PointerProperty(
        name="Target", description="Marks where the handle should go", type=bpy.types.Object
    )
    key: IntProperty(
        description="Identifies the pair among those of its image; 0 before it was given one",
        options={"HIDDEN"},
    )
    number: IntProperty(
        description="The number in the viewport; 0 before the pair was given one",
        options={"HIDDEN"},
    )
    color: FloatVectorProperty(
        name="Colour",
        description="The colour of the pair in the viewport",
        size=3,
        min=0.0,
        max=1.0,
        default=(1.0, 1.0, 1.0),
        subtype="COLOR_GAMMA",
    )
    is_pin: BoolProperty(
        name="Pin",
        description="Handle and target are one point, whose content stays where it is",
        options={"HIDDEN"},
    )
    radius: FloatProperty(
        name="Radius",
        description="Move, turn and scale the disc of this radius around the handle as one, as the "
        "target is turned and scaled; 0 moves the point alone",
        min=0.0,
        soft_max=1.0,
        subtype="DISTANCE",
    )
    state: EnumProperty(
        name="State",
        description="What was found out about the handle",
        items=(
            ("FINE", "Fine", "The handle can be followed"),
            (
                "FLAT",
                "Flat",
                "The handle lies on an area without structure that cannot be followed",
            ),
            ("LOST", "Lost", "The content of the handle was not found again"),
            ("SHORT", "Short", "The handle did not come to its target"),
            ("MASKED", "Masked", "The mask was black under the handle, so it stayed"),
        ),
        default="FINE",
        options={"HIDDEN"},
    )
    state_at: FloatVectorProperty(
        description="Where handle and target were when the state was found out, in the plane's "
        "space: the state counts while they are there",
        size=4,
        options={"HIDDEN"},
    )
    edit: IntProperty(
        description="The key of the edit that the pair belongs to; 0 for the next new one",
        options={"HIDDEN"},
    )
    rests: BoolProperty(
        description="Whether the pair is hidden, because another edit is worked on",
        options={"HIDDEN"},
    )
    was_enabled: BoolProperty(
        description="Whether the pair was enabled before it came to rest", options={"HIDDEN"}
    )
    enabled: BoolProperty(
        name="Enabled",
        description="Use this pair in the next drag or bake",
        default=True,
        update=_pair_enabled,
    )
    image_key: StringProperty(
        description="The image that the pair was dragged on last, see scene/pair_images.py; empty "
        "before a drag, and after the pair was switched on for another image",
        options={"HIDDEN"},
    )
    is_left: BoolProperty(
        description="Whether the pair was switched off because another image than its own came",
        options={"HIDDEN"},
    )
    influence: FloatProperty(
        name="Influence",
        description="How far the handle moves towards its target: at 0 it stays where it is, at 1 "
        "it moves all the way; can be animated",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    slot: IntProperty(
        description="The position of this pair in the running or last drag or bake; -1 if it was "
        "not used",
        default=-1,
        options={"HIDDEN"},
    )
    start: FloatVectorProperty(
        description="Where the handle was when the drag or bake began, in the plane's space",
        size=2,
        options={"HIDDEN"},
    )
    start_turn: FloatVectorProperty(
        description="How the handle was turned then: rotation about z in radians, and scale",
        size=2,
        default=(0.0, 1.0),
        options={"HIDDEN"},
    )
    dragged: BoolProperty(
        description="Whether the pair was used since the image was new or reset",
        options={"HIDDEN"},
    )
    home: FloatVectorProperty(
        description="Where Reset puts the handle, in the plane's space",
        size=2,
        options={"HIDDEN"},
    )
    home_turn: FloatVectorProperty(
        description="How Reset turns the handle: rotation about z in radians, and scale",
        size=2,
        default=(0.0, 1.0),
        options={"HIDDEN"},
    )
    has_base: BoolProperty(
        description="Whether a sequence moves the handle; its position in the image of the latent "
        "is then stored",
        options={"HIDDEN"},
    )
    base: FloatVectorProperty(
        description="Where the handle is in the image of the latent, in the plane's space",
        size=2,
        options={"HIDDEN"},
    )
    base_turn: FloatVectorProperty(
        description="How the handle is turned there: rotation about z in radians, and scale",
        size=2,
        default=(0.0, 1.0),
        options={"HIDDEN"},
    )
    path_slot: IntProperty(
        description="The position of this pair in the shown sequence's track; -1 if it has none",
        default=-1,
        options={"HIDDEN"},
    )
    under_slot: IntProperty(
        description="Its position in the track of the sequence that the bake has replaced; -1 if "
        "it has none",
        default=-1,
        options={"HIDDEN"},
    )
    under_path: StringProperty(
        description="The path of the handle in the sequence that the bake has replaced, with its "
        "turns: float32 as base64; empty if it has none",
        options={"HIDDEN"},
    )
