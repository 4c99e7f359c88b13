# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of an image's masked edits, on ``Object.draggan.edits``.

There is no logic here; ``scene.edits`` reads and writes them. The latent of the image is always
what they add up to (``protocol.layering``), so that nothing else needs to know of them.
"""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from . import changes


class DRAGGAN_PG_edit(bpy.types.PropertyGroup):
    """An edit: what drags under one mask have changed; its name is for people."""

    key: IntProperty(description="Identifies the edit among those of its image", options={"HIDDEN"})
    visible: BoolProperty(
        name="Visible",
        description="Show this edit in the image",
        default=True,
        update=changes.report_edit,
    )
    strength: FloatProperty(
        name="Strength",
        description="How much of this edit is shown: at 0 the image is as without it, at 1 as it "
        "was dragged; can be animated, see Render Edits",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        update=changes.report_edit,
    )
    softness: FloatProperty(
        description="Over how many pixels the edit fades in", options={"HIDDEN"}
    )
    mask: StringProperty(
        description="height x width bytes, top row first, compressed, as base64", options={"HIDDEN"}
    )
    image: PointerProperty(
        description="The image whose pixels were the mask, to go on with", type=bpy.types.Image
    )
    change: StringProperty(
        description="What the edit adds to the latent inside its mask: num_ws x w_dim float32, "
        "little-endian, as base64",
        options={"HIDDEN"},
    )


CLASSES = (DRAGGAN_PG_edit,)
