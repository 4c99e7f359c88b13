# SPDX-License-Identifier: GPL-3.0-or-later
"""Painting a mask, and what painting gives back."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mask_case import BOTTOM_HALF, LEFT_HALF, MaskCase, levels, press
from support import ours


class MaskPaintingTest(MaskCase):
    def _state(self) -> dict[str, object]:
        scene = bpy.context.scene
        paint = scene.tool_settings.image_paint
        unified = ours("compat").unified_paint(scene.tool_settings)
        objects = bpy.context.view_layer.objects
        return {
            "active": objects.active.name,
            "mode": objects.active.mode,
            "selected": sorted(item.name for item in objects if item.select_get()),
            "paint mode": paint.mode,
            "canvas": paint.canvas,
            "strength": unified.strength,
            "colors": (tuple(unified.color), tuple(unified.secondary_color)),
        }

    def _begin(self) -> Any:
        """Change what painting changes, and start with an active point and two selected objects."""
        pair = self.add_pair(self.plane)
        cube = bpy.data.objects.new("Cube", bpy.data.meshes.new("Cube"))
        bpy.context.scene.collection.objects.link(cube)
        for item in bpy.context.view_layer.objects:
            item.select_set(item in (cube, pair.target))
        bpy.context.view_layer.objects.active = pair.target
        unified = ours("compat").unified_paint(bpy.context.scene.tool_settings)
        unified.strength, unified.color = 0.3, (0.1, 0.2, 0.3)
        return self._state()

    def test_painting_takes_the_mask_and_done_gives_everything_back(self) -> None:
        before = self._begin()
        self.assertEqual(press("mask_paint"), {"FINISHED"})
        mask = self.plane.draggan.mask
        self.assertTrue((levels(self.plane) == 1.0).all())
        during = self._state()
        self.assertEqual(during["active"], self.plane.name)
        self.assertEqual(during["mode"], "TEXTURE_PAINT")
        self.assertEqual((during["paint mode"], during["canvas"]), ("IMAGE", mask))
        self.assertEqual(during["colors"], ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
        self.assertEqual(during["strength"], 1.0)
        self.assertTrue(ours("scene.mask_painting").is_painting(self.plane))
        self.assertTrue(ours("ui.mask_tint").is_tinted(self.plane))
        press("mask_clear")
        self.region(BOTTOM_HALF, "ADD")
        self.assertEqual(press("mask_paint"), {"FINISHED"})
        self.assertEqual(self._state(), before)
        self.assertFalse(self.plane.draggan.mask.is_dirty)
        self.assertFalse(ours("ui.mask_tint").is_tinted(self.plane))
        self.plane.draggan.show_mask = True
        self.assertTrue(ours("ui.mask_tint").is_tinted(self.plane))

    def test_another_way_out_of_the_mode_gives_everything_back_too(self) -> None:
        before = self._begin()
        press("mask_paint")
        bpy.ops.object.mode_set(mode="OBJECT")
        ours("ui.mask_watch").look(bpy.context)
        self.assertEqual(self._state(), before)

    def test_edit_mode_comes_back_to_painting(self) -> None:
        press("mask_paint")
        bpy.ops.object.mode_set(mode="EDIT")
        ours("ui.mask_watch").look(bpy.context)
        bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
        self.assertTrue(ours("scene.mask_painting").is_painting(self.plane))
        press("mask_paint")
        self.assertEqual(self.plane.mode, "OBJECT")

    def test_a_drag_reads_what_is_painted_and_not_saved(self) -> None:
        press("mask_paint")
        press("mask_clear")
        self.region(LEFT_HALF, "ADD")
        self.assertTrue(self.plane.draggan.mask.is_dirty)
        self.assertEqual(self.plane.mode, "TEXTURE_PAINT")
        sent = np.frombuffer(ours("scene.masks").at_frame(self.plane, 1), np.uint8)
        self.assertAlmostEqual(float(sent.mean()), 127.5)
        press("mask_paint")

    def test_undo_while_painting_is_one_step_and_stays_in_the_mode(self) -> None:
        press("mask_paint")
        press("mask_clear")
        self.region(LEFT_HALF, "ADD")
        self.undo()
        self.assertFalse(levels(self.plane).any())
        self.undo()
        self.assertTrue((levels(self.plane) == 1.0).all())
        self.assertEqual(self.plane.mode, "TEXTURE_PAINT")
        self.redo()
        self.assertFalse(levels(self.plane).any())
        ours("scene.mask_painting").end_any(bpy.context)

    def test_the_redo_panel_changes_the_amount_while_painting(self) -> None:
        press("mask_paint")
        self.grow_and_adjust()
        self.assertTrue((levels(self.plane) == 1.0).all())
        self.assertEqual(self.plane.mode, "TEXTURE_PAINT")
        ours("scene.mask_painting").end_any(bpy.context)

    def test_undo_after_painting_keeps_what_was_painted_before(self) -> None:
        press("mask_paint")
        press("mask_clear")
        self.region(LEFT_HALF, "ADD")
        painted = levels(self.plane)
        press("mask_paint")
        self.plane.location.x = 1.0
        bpy.ops.ed.undo_push(message="Move")
        self.undo()
        np.testing.assert_array_equal(levels(self.plane), painted)
        self.undo()
        np.testing.assert_array_equal(levels(self.plane), painted)
        self.undo()
        self.assertFalse(levels(self.plane).any())
        self.redo()
        np.testing.assert_array_equal(levels(self.plane), painted)
        for _ in range(2):
            self.redo()
            np.testing.assert_array_equal(levels(self.plane), painted)
        ours("scene.mask_painting").end_any(bpy.context)

    def test_a_hidden_plane_is_not_painted(self) -> None:
        self.plane.hide_set(True)
        with self.assertRaisesRegex(RuntimeError, "is hidden"):
            press("mask_paint")
