# SPDX-License-Identifier: GPL-3.0-or-later
"""What the .blend remembers of results on the timeline: the sequence, and how bakes are made.

No logic here; :mod:`.properties` attaches the groups.
"""

from __future__ import annotations

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)


class DRAGGAN_PG_sequence(bpy.types.PropertyGroup):
    """The last result on the timeline: files numbered by scene frame."""

    image: PointerProperty(type=bpy.types.Image)
    kind: EnumProperty(
        description="What it came from",
        items=(
            ("DRAG", "Drag", "A drag; its last image is that of the latent"),
            ("BAKE", "Bake", "A bake, which starts from the image of the latent"),
            ("LATENTS", "Latents", "Latents that were interpolated or mixed"),
        ),
        default="DRAG",
    )
    stem: StringProperty(description="What the files are named before their number")
    first_frame: IntProperty(description="Scene frame of the first image")
    frame_count: IntProperty(description="How many images there are; 0 for no sequence")


class DRAGGAN_PG_bake(bpy.types.PropertyGroup):
    """Which frames a bake solves, and what its result covers."""

    use_own_range: BoolProperty(
        name="Own Range",
        description="Bake frames of your own choice instead of the scene's; the scene's preview "
        "range counts where it is used",
    )
    frame_start: IntProperty(
        name="Start", description="The first frame of the own range", default=1, min=1
    )
    frame_end: IntProperty(
        name="End", description="The last frame of the own range", default=48, min=1
    )
    smoothing: FloatProperty(
        name="Smoothing",
        description="How many frames the image's changes are smoothed over, after solving; frames "
        "with keys and holds stay as they are",
        min=0.0,
        soft_max=8.0,
        max=100.0,
    )
    follow: BoolProperty(
        name="Follow Playhead",
        description="While the engine runs, solve the image of a frame that is not baked when the "
        "playhead rests on it",
        default=True,
    )
    refinements: IntProperty(description="How often the bake that is shown was refined")
    under: PointerProperty(type=DRAGGAN_PG_sequence)
    under_track: StringProperty(
        description="The track.npz of the sequence that the bake has covered, as base64"
    )
