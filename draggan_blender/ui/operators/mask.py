# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that start painting a mask, and that fill, invert, grow and soften it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np
from bpy.props import CollectionProperty, EnumProperty, IntProperty

from ...errors import EditError
from ...properties.owners import Plane
from ...scene import mask_images, mask_painting, mask_selection, mask_shapes, planes
from ...scene.mask_shapes import Mask
from .common import Result, poll_image, require, run

COMBINATIONS = (
    ("REPLACE", "Replace", "Only this area may change"),
    ("ADD", "Add", "This area may change too"),
    ("SUBTRACT", "Subtract", "This area stays as it is"),
)


def apply_shape(plane: Plane, shape_of: Callable[[int, int], Mask], how: Any) -> None:
    """Combine a shape with the mask of a plane, which gets a mask if it has none.

    The caller pushes an undo step.

    Args:
        plane: The GAN image.
        shape_of: Returns the shape for a width and a height in pixels.
        how: One of ``COMBINATIONS``.

    Raises:
        EditError: The mask is not an image whose pixels can be changed.
    """
    image = mask_images.require_editable(plane)
    if image is not None:
        shape, levels = shape_of(*image.size), mask_images.levels_to_change(plane)
        # With a white mask everything may change, as without one: nothing could be added to it.
        is_white = how == "ADD" and bool((levels >= 1.0).all())
        combined = mask_shapes.combine(None if is_white else levels, shape, how)
        mask_images.write(plane, combined, levels)
    else:
        shape = shape_of(*plane.draggan.size)
        mask_images.create(plane, mask_shapes.combine(None, shape, how))
    if how == "REPLACE":
        # An area that was drawn is one that nothing should leave.
        plane.draggan.mask_follows = False
    redraw()


def redraw() -> None:
    """Redraw the 3D views: the tint has changed."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


class DRAGGAN_OT_mask_paint(bpy.types.Operator):
    """Starts texture painting on the mask, or ends it."""

    bl_idname = "draggan.mask_paint"
    bl_label = "Paint Mask"
    bl_description = (
        "Paint black over what must stay; X changes to white, which may change again. A new mask "
        "is white; Invert exchanges the two. Press again when you are done"
    )
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_image(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)
        if mask_painting.is_painting(plane):
            mask_painting.end(context)
            return {"FINISHED"}

        def begin() -> None:
            if not mask_painting.begin(context, plane):
                self.report(
                    {"WARNING"},
                    "Blender's own brushes are missing; choose a brush in the asset shelf to paint",
                )

        return run(self, begin)


class _MaskOperator:
    """An operator that computes the mask again from its levels."""

    report: Any
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_image(cls, context)

    def changed(self, levels: Mask) -> Mask:
        """Return the new levels, ``H x W`` in [0, 1]."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def action() -> None:
            image = mask_images.require_editable(plane)
            if image is not None:
                levels = mask_images.levels_to_change(plane)
                mask_images.write(plane, self.changed(levels), levels)
            else:
                width, height = plane.draggan.size
                white = np.ones((height, width), dtype=np.float32)
                mask_images.create(plane, self.changed(white))
            redraw()

        return run(self, action)


class _FilterOperator(_MaskOperator):
    """A mask operator that needs a mask, and works within a radius."""

    radius: Any

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_image(cls, context) and require(
            cls,
            planes.require_active(context).draggan.mask is not None,
            "There is no mask yet; press Paint Mask, or draw one",
        )


class DRAGGAN_OT_mask_invert(_MaskOperator, bpy.types.Operator):
    """Exchange what may change and what stays"""

    bl_idname = "draggan.mask_invert"
    bl_label = "Invert Mask"

    def changed(self, levels: Mask) -> Mask:
        return 1.0 - levels


class DRAGGAN_OT_mask_fill(_MaskOperator, bpy.types.Operator):
    """Make the mask white: everything may change, as without a mask"""

    bl_idname = "draggan.mask_fill"
    bl_label = "Fill Mask"

    def changed(self, levels: Mask) -> Mask:
        return np.ones_like(levels)


class DRAGGAN_OT_mask_clear(_MaskOperator, bpy.types.Operator):
    """Make the mask black: everything stays until you paint white what may change"""

    bl_idname = "draggan.mask_clear"
    bl_label = "Clear Mask"

    def changed(self, levels: Mask) -> Mask:
        self.report(
            {"INFO"}, "The mask is black, so nothing may move now; paint white what may change"
        )
        return np.zeros_like(levels)


def _radius(description: str) -> Any:
    """Return the radius of a filter, in pixels of the mask."""
    return IntProperty(
        name="Radius",
        description=description,
        default=8,
        min=1,
        soft_max=64,
        max=512,
        subtype="PIXEL",
    )


class DRAGGAN_OT_mask_grow(_FilterOperator, bpy.types.Operator):
    """Make the white areas, which may change, larger at their borders"""

    bl_idname = "draggan.mask_grow"
    bl_label = "Grow Mask"

    radius: _radius("How far the borders move, in pixels of the mask")

    def changed(self, levels: Mask) -> Mask:
        return mask_shapes.grow(levels, self.radius)


class DRAGGAN_OT_mask_shrink(_FilterOperator, bpy.types.Operator):
    """Make the white areas, which may change, smaller at their borders"""

    bl_idname = "draggan.mask_shrink"
    bl_label = "Shrink Mask"

    radius: _radius("How far the borders move, in pixels of the mask")

    def changed(self, levels: Mask) -> Mask:
        return mask_shapes.shrink(levels, self.radius)


class DRAGGAN_OT_mask_soften(_FilterOperator, bpy.types.Operator):
    """Blur the borders of the mask, so that the image is held less and less towards them"""

    bl_idname = "draggan.mask_soften"
    bl_label = "Soften Mask"

    radius: _radius("How wide the borders become, in pixels of the mask")

    def changed(self, levels: Mask) -> Mask:
        return mask_shapes.soften(levels, self.radius)


class DRAGGAN_OT_mask_from_selection(bpy.types.Operator):
    """Masks the area around the selected pairs."""

    bl_idname = "draggan.mask_from_selection"
    bl_label = "Mask from Selection"
    bl_description = (
        "Let the area around the selected points change: the way from each handle to its target, "
        "as wide as the radius of the pair. Without selected points, that of the active pair"
    )
    bl_options = {"REGISTER", "UNDO"}

    how: EnumProperty(
        name="Combine", description="What happens to the mask around the points", items=COMBINATIONS
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_image(cls, context) and require(
            cls,
            len(planes.require_active(context).draggan.pairs) > 0,
            "Add a pair of points first",
        )

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.require_active(context)

        def shape_of(width: int, height: int) -> Mask:
            return mask_selection.around_points(context, plane, width, height)

        return run(self, lambda: apply_shape(plane, shape_of, self.how))


class DRAGGAN_OT_mask_region(bpy.types.Operator):
    """Mask the inside of an outline that is given on the image"""

    bl_idname = "draggan.mask_region"
    bl_label = "Mask a Region"
    bl_options = {"REGISTER", "UNDO"}

    corners_uv: CollectionProperty(
        type=bpy.types.OperatorMousePath,
        name="Corners",
        description="The corners of the outline on the image: bottom left is (0, 0), top right "
        "(1, 1)",
        options={"SKIP_SAVE"},
    )
    how: EnumProperty(
        name="Combine",
        description="What happens to the mask inside the outline",
        items=COMBINATIONS,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return poll_image(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        corners = [tuple(corner.loc) for corner in self.corners_uv]

        def action() -> None:
            if len(corners) < 3:
                raise EditError(
                    f"An outline needs at least three corners, but has {len(corners)}; draw a "
                    "larger one"
                )
            apply_shape(
                planes.require_active(context),
                lambda width, height: mask_shapes.polygon(corners, width, height),
                self.how,
            )

        return run(self, action)


CLASSES = (
    DRAGGAN_OT_mask_paint,
    DRAGGAN_OT_mask_invert,
    DRAGGAN_OT_mask_fill,
    DRAGGAN_OT_mask_clear,
    DRAGGAN_OT_mask_grow,
    DRAGGAN_OT_mask_shrink,
    DRAGGAN_OT_mask_soften,
    DRAGGAN_OT_mask_from_selection,
    DRAGGAN_OT_mask_region,
)
