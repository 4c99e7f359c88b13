# SPDX-License-Identifier: GPL-3.0-or-later
"""The common part of the tests of masks."""

from __future__ import annotations

from typing import Any

import bpy
from support import SceneCase, ours

LEFT_HALF = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
BOTTOM_HALF = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)]


def press(name: str, **properties: Any) -> Any:
    """Call an operator as a button does: with an undo step."""
    return getattr(bpy.ops.draggan, name)("EXEC_DEFAULT", True, **properties)


def levels(plane: Any) -> Any:
    return ours("scene.mask_images").levels(plane.draggan.mask)


class MaskCase(SceneCase):
    """A test with a GAN image of the fake engine, which is the only object."""

    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine()
        self.plane = self.new_plane()
        bpy.context.view_layer.objects.active = self.plane
        bpy.ops.ed.undo_push(message="New")

    def undo(self) -> None:
        """Press Ctrl-Z, as ``ui.mask_watch`` sees it in a window."""
        bpy.ops.ed.undo()
        ours("ui.mask_watch").step_over(True)
        self.plane = self.find_plane()

    def redo(self) -> None:
        bpy.ops.ed.redo()
        ours("ui.mask_watch").step_over(False)
        self.plane = self.find_plane()

    def region(self, corners: Any, how: str = "REPLACE") -> None:
        path = [{"name": "", "loc": corner, "time": 0.0} for corner in corners]
        self.assertEqual(press("mask_region", corners_uv=path, how=how), {"FINISHED"})

    def grow_and_adjust(self) -> None:
        """Grow a mask, adjust the radius as in the redo panel, and take all of it back."""
        self.region(LEFT_HALF)
        half = int((levels(self.plane)[0] == 1.0).sum())
        press("mask_grow", radius=3)
        for radius in (7, 1, 5):
            # Blender goes back by one step, and runs the operator again with the new radius.
            bpy.ops.ed.undo()
            press("mask_grow", radius=radius)
            self.plane = self.find_plane()
            self.assertEqual(int((levels(self.plane)[0] == 1.0).sum()), half + radius)
        self.undo()
        self.assertEqual(int((levels(self.plane)[0] == 1.0).sum()), half)
        self.redo()
        self.assertEqual(int((levels(self.plane)[0] == 1.0).sum()), half + 5)
        self.undo()
        self.undo()
