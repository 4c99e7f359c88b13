# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of a sequence on the timeline, and the settings of a bake.

There is no logic here; ``properties.image`` attaches the groups.
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

from ..protocol.file_names import GREATEST_FRAME


class DRAGGAN_PG_sequence(bpy.types.PropertyGroup):
    """The last result on the timeline: image files numbered by scene frame."""

    image: PointerProperty(type=bpy.types.Image)
    kind: EnumProperty(
        description="What made the sequence",
        items=(
            ("DRAG", "Drag", "A drag; its last image is the image of the stored latent"),
            ("BAKE", "Bake", "A bake; it starts from the image of the stored latent"),
            ("LATENTS", "Latents", "Image keys or a blend"),
        ),
        default="DRAG",
    )
    stem: StringProperty(description="The part of the file names before the number")
    first_frame: IntProperty(description="The scene frame of the first image")
    frame_count: IntProperty(description="The number of images; 0 without a sequence")


class DRAGGAN_PG_bake(bpy.types.PropertyGroup):
    """Which frames a bake solves, how, and the sequence that its result replaces."""

    use_own_range: BoolProperty(
        name="Own Range",
        description="Bake the frames from Start to End below; otherwise the scene's preview range "
        "if it is used, or the scene's frame range",
    )
    frame_start: IntProperty(
        name="Start",
        description="The first frame of the range to bake",
        default=1,
        min=1,
        max=GREATEST_FRAME,
    )
    frame_end: IntProperty(
        name="End",
        description="The last frame of the range to bake",
        default=48,
        min=1,
        max=GREATEST_FRAME,
    )
    smoothing: FloatProperty(
        name="Smoothing",
        description="How many frames the changes of the image are smoothed over after solving; "
        "frames with keys, and holds, stay as they are",
        min=0.0,
        soft_max=8.0,
        max=100.0,
    )
    follow: BoolProperty(
        name="Follow Playhead",
        description="While the engine runs, preview the image of a frame that is not baked when "
        "the playhead rests on it",
        default=True,
    )
    refinements: IntProperty(description="How many times the shown bake was refined")
    under: PointerProperty(type=DRAGGAN_PG_sequence)
    under_track: StringProperty(
        description="The track.npz of the sequence that the bake has replaced, as base64"
    )
