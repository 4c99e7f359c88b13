# SPDX-License-Identifier: GPL-3.0-or-later
"""How a drag is solved, as properties."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty

from ..protocol.settings import DragSettings

_USUAL = DragSettings()


class DRAGGAN_PG_drag(bpy.types.PropertyGroup):
    """How a drag is solved: the fields of ``protocol.messages.DragSettings``."""

    method: EnumProperty(
        name="Method",
        description="How the handles are moved",
        items=(
            ("draggan", "DragGAN", "Push what is at the handles, and track where it has gone"),
            (
                "freedrag",
                "FreeDrag",
                "Lead the handles along straight ways and keep to what was seen there: nothing is "
                "tracked, so that nothing can be lost from sight",
            ),
            (
                "linearised",
                "Least Squares",
                "A few large steps, each the smallest change of the image that moves the handles "
                "as wanted: fast, and what need not change hardly does",
            ),
        ),
        default=_USUAL.method,
    )
    latent_space: EnumProperty(
        name="Latent",
        description="What the drag may change",
        items=(
            ("w+", "W+", "One latent for each layer: the drag can do more"),
            ("w", "W", "One latent for all layers: the image stays more typical"),
            (
                "principal",
                "Principal",
                "All layers nearly alike, along the directions in which the model's images differ: "
                "the image stays most typical",
            ),
        ),
        default=_USUAL.latent_space,
    )
    num_layers: IntProperty(
        name="Layers",
        description="How many layers, from the coarsest on, the drag may change: more reach "
        "finer detail and colour",
        default=_USUAL.num_layers,
        min=1,
        max=18,
    )
    feature_resolution: IntProperty(
        name="Feature Size",
        description="The block whose features are compared, in pixels; 0 chooses the usual one",
        default=_USUAL.feature_resolution,
        min=0,
        max=1024,
        subtype="PIXEL",
    )
    mask_resolution: IntProperty(
        name="Mask Features",
        description="The block whose features the mask holds, in pixels; 0 chooses the first one "
        "that all layers that may change have acted on",
        default=_USUAL.mask_resolution,
        min=0,
        max=1024,
        subtype="PIXEL",
    )
    r1: FloatProperty(
        name="Motion Radius",
        description="Radius around a handle that is moved along with it, in pixels of the features",
        default=_USUAL.r1,
        min=0.5,
        soft_max=10.0,
        max=64.0,
    )
    r2: FloatProperty(
        name="Search Radius",
        description="How far around a handle it is looked for after each step, in pixels of the "
        "features",
        default=_USUAL.r2,
        min=0.5,
        soft_max=24.0,
        max=64.0,
    )
    tracking_radius: FloatProperty(
        name="Tracking Radius",
        description="What lies this near to a handle is what it is found again by, in pixels of "
        "the features",
        default=_USUAL.tracking_radius,
        min=0.0,
        soft_max=8.0,
        max=64.0,
    )
    step_length: FloatProperty(
        name="Step Length",
        description="How far each step asks the handles to move, in pixels of the features",
        default=_USUAL.step_length,
        min=0.05,
        soft_max=4.0,
        max=16.0,
    )
    step_size: FloatProperty(
        name="Step Size",
        description="Learning rate of the optimiser: higher is faster and rougher",
        default=_USUAL.step_size,
        min=1e-6,
        soft_max=2e-2,
        max=1.0,
        precision=5,
        step=0.01,
    )
    sub_motion_loss: FloatProperty(
        name="Expected Change",
        description="How different what is at a handle may be from what was there before, for the "
        "handle to be moved on",
        default=_USUAL.sub_motion_loss,
        min=0.01,
        soft_min=0.1,
        soft_max=0.5,
        max=2.0,
    )
    sub_motion_distance: FloatProperty(
        name="Longest Move",
        description="How far a handle is moved at once, in pixels of features of 128 pixels",
        default=_USUAL.sub_motion_distance,
        min=0.1,
        soft_min=1.0,
        soft_max=6.0,
        max=64.0,
    )
    linear_reach: FloatProperty(
        name="Reach",
        description="How far a handle may go in one step, in pixels of features of 128 pixels: "
        "farther is faster and less sure",
        default=_USUAL.linear_reach,
        min=0.1,
        soft_min=0.5,
        soft_max=6.0,
        max=64.0,
    )
    mask_weight: FloatProperty(
        name="Mask Weight",
        description="How strongly the image is held where the mask is black",
        default=_USUAL.mask_weight,
        min=0.0,
        soft_max=100.0,
        max=10000.0,
    )
    tolerance_px: FloatProperty(
        name="Tolerance",
        description="The drag ends when every handle is this near to its target, in image pixels",
        default=_USUAL.tolerance_px,
        min=0.05,
        soft_max=8.0,
        max=256.0,
    )
    max_steps: IntProperty(
        name="Step Limit",
        description="The drag ends after so many steps at the latest",
        default=_USUAL.max_steps,
        min=1,
        soft_max=1000,
        max=100000,
    )
    patience: IntProperty(
        name="Patience",
        description="The drag ends when so many steps brought the handles no nearer",
        default=_USUAL.patience,
        min=1,
        soft_max=200,
        max=100000,
    )


def drag_settings(group: Any) -> DragSettings:
    """Return the values of a property group as the settings that the protocol sends."""
    return DragSettings(**{item.name: getattr(group, item.name) for item in fields(DragSettings)})
