# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of an image's sliders, on ``Object.draggan.sliders``.

There is no logic here; ``scene.sliders`` reads and writes them. The latent of the image contains
what they add, so that nothing else needs to know of them.
"""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from . import changes


class DRAGGAN_PG_slider(bpy.types.PropertyGroup):
    """A slider: a direction of the model, and how far the image is moved along it."""

    key: IntProperty(
        description="Identifies the slider among those of its image", options={"HIDDEN"}
    )
    name: StringProperty(
        name="Name",
        description="What the slider does; the name is kept for all images of the model",
        update=changes.report_slider_name,
    )
    kind: EnumProperty(
        description="What the slider moves along",
        items=(
            ("DIRECTION", "Direction", "A direction of the model"),
            ("STYLE", "Style", "The way to another latent, for style mixing or Pull Back"),
        ),
        options={"HIDDEN"},
    )
    visible: BoolProperty(
        name="Visible",
        description="Show the effect of this slider in the image",
        default=True,
        update=changes.report_edit,
    )
    strength: FloatProperty(
        name="Strength",
        description="How far the image is moved: for a direction of the model in standard "
        "deviations, for a drag, a difference or a style as a factor; can be animated, see Render "
        "Sliders",
        min=-100.0,
        max=100.0,
        soft_min=-3.0,
        soft_max=3.0,
        precision=2,
        update=changes.report_edit,
    )
    first: IntProperty(
        name="First Layer",
        description="The first layer of the network that the slider changes: early layers decide "
        "pose and shape, late ones colours and texture",
        min=0,
        soft_max=17,
        update=changes.report_edit,
    )
    last: IntProperty(
        name="Last Layer",
        description="The last layer of the network that the slider changes",
        min=0,
        soft_max=17,
        update=changes.report_edit,
    )
    in_drags: EnumProperty(
        name="In Drags",
        description="What drags and bakes may do along this direction",
        items=(
            ("FREE", "Free", "Drags may change it", "UNLOCKED", 0),
            ("LOCKED", "Locked", "Drags leave it as it is", "LOCKED", 1),
            ("ONLY", "Only This", "Drags change only this, and others set so", "PINNED", 2),
        ),
    )
    change: StringProperty(
        description="What a strength of 1 adds to the latent: 1 or num_ws x w_dim float32, "
        "little-endian, as base64",
        options={"HIDDEN"},
    )
    origin: StringProperty(
        description="The latent before the drag that the slider was kept from: num_ws x w_dim "
        "float32, little-endian, as base64; empty for other sliders",
        options={"HIDDEN"},
    )
    handles: StringProperty(
        description="Where its handles and pins were: for each x and y in image pixels, and 1 for "
        "a pin, float32, as base64",
        options={"HIDDEN"},
    )
    kept: StringProperty(
        description="Identifies the drag, so that a slider is known again in other images",
        options={"HIDDEN"},
    )
    exact: BoolProperty(
        name="Exact Place",
        description="Bring what was dragged to the very place in each image, by a short drag of "
        "its own that becomes part of its slider; otherwise it comes as far along the way of the "
        "drag, and keeps what else is different",
    )


CLASSES = (DRAGGAN_PG_slider,)
