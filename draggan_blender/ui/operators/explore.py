# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators that choose seeds: random, next, previous, and the contact sheet."""

from __future__ import annotations

import random
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty

from ...jobs import explore, seed_sheet
from ...scene import planes
from .common import Result, poll_free, poll_image, require, run

# The largest seed of *Random*: it is easy to read and to type.
_LARGEST_RANDOM = 99999


class _SeedOperator(bpy.types.Operator):
    """Base class of the operators that change the seed of the image, or of the next image."""

    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        plane = planes.active(context)
        text = "A bake is running; wait, or press Stop"
        return require(cls, plane is None or not plane.draggan.baking, text)

    def set_seed(self, context: bpy.types.Context, seed: int) -> Result:
        """Set the seed; the image follows with an undo step of its own."""
        plane = planes.active(context)
        if plane is None:
            context.scene.draggan.source.seed = seed
            return {"FINISHED"}
        return run(self, lambda: explore.set_seed(plane, seed))

    def seed(self, context: bpy.types.Context) -> int:
        """Return the seed that the panel shows."""
        seed: int = (planes.active(context) or context.scene).draggan.source.seed
        return seed


class DRAGGAN_OT_random_seed(_SeedOperator):
    """Show the image of a random seed; what was done to the image stays in its history"""

    bl_idname = "draggan.random_seed"
    bl_label = "Random Seed"

    def execute(self, context: bpy.types.Context) -> Result:
        return self.set_seed(context, random.randint(0, _LARGEST_RANDOM))


class DRAGGAN_OT_next_seed(_SeedOperator):
    """Show the image of the next seed; what was done to the image stays in its history"""

    bl_idname = "draggan.next_seed"
    bl_label = "Next Seed"

    def execute(self, context: bpy.types.Context) -> Result:
        return self.set_seed(context, min(self.seed(context) + 1, 2**31 - 1))


class DRAGGAN_OT_previous_seed(_SeedOperator):
    """Show the image of the previous seed; what was done to the image stays in its history"""

    bl_idname = "draggan.previous_seed"
    bl_label = "Previous Seed"

    def execute(self, context: bpy.types.Context) -> Result:
        return self.set_seed(context, max(self.seed(context) - 1, 0))


class DRAGGAN_OT_pick_seed(_SeedOperator):
    """Show the image of this seed, or make it if no image is active; the history keeps edits"""

    bl_idname = "draggan.pick_seed"
    bl_label = "Pick Seed"

    chosen: IntProperty(name="Seed", description="The seed to show", min=0)

    def execute(self, context: bpy.types.Context) -> Result:
        if planes.active(context) is None:
            seed_sheet.close()
            operators: Any = bpy.ops
            made: Result = operators.draggan.new_image(seed=self.chosen)
            return made
        return self.set_seed(context, self.chosen)


# The pages of a sheet of seeds.
PAGES = (
    ("HERE", "This Seed", "The page with the seed of the image"),
    ("NEXT", "Next", "The next 16 seeds"),
    ("PREVIOUS", "Previous", "The 16 seeds before"),
    ("CLOSE", "Close", "No seeds"),
)


class DRAGGAN_OT_seed_sheet(bpy.types.Operator):
    """Show 16 seeds as small images to choose from, with the truncation of the image"""

    bl_idname = "draggan.seed_sheet"
    bl_label = "Contact Sheet"
    bl_options = {"REGISTER"}

    page: EnumProperty(
        name="Page",
        description="Which seeds to show",
        items=PAGES,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if planes.active(context) is None:
            return True
        return poll_image(cls, context) and poll_free(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        plane = planes.active(context)
        if self.page == "CLOSE":
            seed_sheet.close()
            return {"FINISHED"}
        seed = (plane or context.scene).draggan.source.seed
        first = seed_sheet.first_of_page(self.page, seed, seed_sheet.first_of(plane))

        def show() -> None:
            seed_sheet.show(plane, first)
            explore.start_looking()

        return run(self, show)


CLASSES = (
    DRAGGAN_OT_random_seed,
    DRAGGAN_OT_next_seed,
    DRAGGAN_OT_previous_seed,
    DRAGGAN_OT_pick_seed,
    DRAGGAN_OT_seed_sheet,
)
