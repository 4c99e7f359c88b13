# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks in Blender: regions, filters, undo, keeping them, and refusing black ones."""

from __future__ import annotations

import bpy
import numpy as np
from mask_case import BOTTOM_HALF, LEFT_HALF, MaskCase, levels, press
from support import ours


class MaskToolTest(MaskCase):
    def test_a_region_makes_a_mask_of_the_size_of_the_image(self) -> None:
        self.region(LEFT_HALF)
        mask = self.plane.draggan.mask
        self.assertEqual(tuple(mask.size), tuple(self.plane.draggan.size))
        self.assertEqual(mask.colorspace_settings.name, "Non-Color")
        self.assertTrue(mask.packed_file)
        self.assertIn(self.plane.name, mask.name)
        found = levels(self.plane)
        self.assertTrue((found[:, : found.shape[1] // 2] == 1.0).all())
        self.assertTrue((found[:, found.shape[1] // 2 :] == 0.0).all())

    def test_regions_are_added_and_subtracted(self) -> None:
        self.region(LEFT_HALF)
        self.region(BOTTOM_HALF, "ADD")
        self.assertAlmostEqual(float(levels(self.plane).mean()), 0.75)
        self.region(BOTTOM_HALF, "SUBTRACT")
        self.assertAlmostEqual(float(levels(self.plane).mean()), 0.25)
        # The request has the top row first.
        sent = np.frombuffer(ours("scene.masks").at_frame(self.plane, 1), np.uint8)
        width, height = self.plane.draggan.size
        sent = sent.reshape(height, width)
        self.assertTrue((sent[: height // 2, : width // 2] == 255).all())
        self.assertFalse(sent[height // 2 :].any())

    def test_a_region_that_is_added_to_a_white_mask_is_all_that_may_change(self) -> None:
        self.assertEqual(press("mask_fill"), {"FINISHED"})
        self.region(LEFT_HALF, "ADD")
        self.assertAlmostEqual(float(levels(self.plane).mean()), 0.5)

    def test_an_outline_of_two_corners_is_refused(self) -> None:
        path = [{"name": "", "loc": corner, "time": 0.0} for corner in LEFT_HALF[:2]]
        with self.assertRaisesRegex(RuntimeError, "at least three corners, but has 2"):
            press("mask_region", corners_uv=path)

    def test_fill_clear_invert_and_filters_change_the_levels(self) -> None:
        width = self.plane.draggan.size[0]
        self.region(LEFT_HALF)
        press("mask_invert")
        self.assertEqual(float(levels(self.plane)[0, 0]), 0.0)
        self.assertEqual(float(levels(self.plane)[0, -1]), 1.0)
        press("mask_grow", radius=3)
        self.assertEqual(int((levels(self.plane)[0] == 1.0).sum()), width // 2 + 3)
        press("mask_shrink", radius=5)
        self.assertEqual(int((levels(self.plane)[0] == 1.0).sum()), width // 2 - 2)
        press("mask_soften", radius=4)
        row = levels(self.plane)[0]
        self.assertGreater(int(((row > 0.02) & (row < 0.98)).sum()), 3)
        press("mask_clear")
        self.assertFalse(levels(self.plane).any())
        press("mask_fill")
        self.assertTrue((levels(self.plane) == 1.0).all())
        self.assertEqual(ours("scene.masks").at_frame(self.plane, 1), b"")

    def test_one_undo_takes_back_one_operation_and_redo_repeats_it(self) -> None:
        self.region(LEFT_HALF)
        half = levels(self.plane)
        press("mask_grow", radius=3)
        grown = levels(self.plane)
        press("mask_invert")
        inverted = levels(self.plane)
        self.assertFalse(np.array_equal(half, grown))
        for expected in (grown, half):
            self.undo()
            np.testing.assert_array_equal(levels(self.plane), expected)
        self.undo()
        self.assertIsNone(self.plane.draggan.mask)
        for expected in (half, grown, inverted):
            self.redo()
            np.testing.assert_allclose(levels(self.plane), expected, atol=1e-3)
        self.undo()
        np.testing.assert_array_equal(levels(self.plane), grown)

    def test_the_redo_panel_changes_the_amount(self) -> None:
        self.grow_and_adjust()
        self.assertIsNone(self.plane.draggan.mask)

    def test_an_operation_that_changes_nothing_leaves_the_undo_of_the_one_before(self) -> None:
        self.region(LEFT_HALF)
        half = levels(self.plane)
        press("mask_fill")
        press("mask_grow", radius=3)
        self.undo()
        self.assertTrue((levels(self.plane) == 1.0).all())
        self.undo()
        np.testing.assert_array_equal(levels(self.plane), half)
        self.undo()
        self.assertIsNone(self.plane.draggan.mask)

    def test_pixels_that_come_back_are_a_step_of_their_own(self) -> None:
        self.region(LEFT_HALF)
        half = levels(self.plane)
        for _ in range(2):
            press("mask_invert")
        press("mask_clear")
        for expected in (half, 1.0 - half, half):
            self.undo()
            np.testing.assert_array_equal(levels(self.plane), expected)
        for expected in (1.0 - half, half, 0.0 * half):
            self.redo()
            np.testing.assert_array_equal(levels(self.plane), expected)

    def test_another_step_between_two_operations_is_undone_alone(self) -> None:
        self.region(LEFT_HALF)
        half = levels(self.plane)
        self.plane.location.x = 1.0
        bpy.ops.ed.undo_push(message="Move")
        press("mask_grow", radius=3)
        self.plane.location.x = 2.0
        bpy.ops.ed.undo_push(message="Move")
        grown = levels(self.plane)
        for x, expected in ((1.0, grown), (1.0, half), (0.0, half)):
            self.undo()
            self.assertEqual(self.plane.location.x, x)
            np.testing.assert_array_equal(levels(self.plane), expected)
        for x, expected in ((1.0, half), (1.0, grown), (2.0, grown)):
            self.redo()
            self.assertEqual(self.plane.location.x, x)
            np.testing.assert_array_equal(levels(self.plane), expected)

    def test_the_area_around_selected_points_has_the_radius_of_the_pair(self) -> None:
        pair = self.add_pair(self.plane)
        other = ours("scene.points").add_pair(self.plane, (0.2, 0.2), (0.2, 0.2))
        bpy.context.view_layer.update()
        pair.radius = 0.2
        for item in bpy.context.view_layer.objects:
            item.select_set(item == pair.target)
        press("mask_from_selection")
        found = levels(self.plane)
        height, width = found.shape

        def at(u: float, v: float) -> float:
            return float(found[int(v * height), int(u * width)])

        # The plane is two units wide: 0.1 of the image around the way from (0.4, 0.5) to
        # (0.55, 0.5).
        for u, v in ((0.4, 0.5), (0.47, 0.5), (0.55, 0.58), (0.32, 0.5)):
            self.assertEqual(at(u, v), 1.0, (u, v))
        for u, v in ((0.2, 0.2), (0.47, 0.65), (0.7, 0.5)):
            self.assertEqual(at(u, v), 0.0, (u, v))
        # Without selected points, the active pair of the list counts.
        bpy.ops.object.select_all(action="DESELECT")
        bpy.context.view_layer.objects.active = self.plane
        self.plane.draggan.active_pair = 1
        self.assertEqual(self.plane.draggan.pairs[1], other)
        press("mask_from_selection", how="ADD")
        found = levels(self.plane)
        self.assertEqual((at(0.2, 0.2), at(0.47, 0.5)), (1.0, 1.0))

    def test_a_sequence_is_not_painted_over(self) -> None:
        mask = bpy.data.images.new("m_001", 8, 8)
        mask.source = "SEQUENCE"
        self.plane.draggan.mask = mask
        with self.assertRaisesRegex(RuntimeError, "not a single image"):
            press("mask_invert")

    def test_a_black_mask_is_refused_unless_it_is_ignored(self) -> None:
        self.add_pair(self.plane)
        bpy.context.view_layer.objects.active = self.plane
        press("mask_clear")
        with self.assertRaisesRegex(RuntimeError, "black everywhere, .* press Fill"):
            bpy.ops.draggan.drag()
        make_edit = ours("jobs.bake").make_edit
        with self.assertRaisesRegex(ours("errors").EditError, "black everywhere"):
            make_edit(self.plane, range(1, 3))
        self.plane.draggan.drag.mask_weight = 0.0
        with self.assertRaisesRegex(RuntimeError, "black everywhere"):
            bpy.ops.draggan.drag()
        self.plane.draggan.drag.mask_mode = "soft"
        make_edit(self.plane, range(1, 3))
        self.drag(self.plane, 2)
        self.assertFalse(self.plane.draggan.failed, self.plane.draggan.status)

    def test_saving_leaves_the_undo_of_what_came_before(self) -> None:
        self.region(LEFT_HALF)
        half = levels(self.plane)
        press("mask_grow", radius=3)
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / "mask.blend"))
        self.undo()
        np.testing.assert_array_equal(levels(self.plane), half)

    def test_saving_between_two_operations_leaves_the_undo_of_both(self) -> None:
        self.region(LEFT_HALF)
        half = levels(self.plane)
        press("mask_grow", radius=3)
        grown = levels(self.plane)
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / "mask.blend"))
        press("mask_invert")
        bpy.ops.wm.save_as_mainfile(filepath=str(self.folder / "mask.blend"))
        for expected in (grown, half):
            self.undo()
            np.testing.assert_array_equal(levels(self.plane), expected)
        for expected in (grown, 1.0 - grown):
            self.redo()
            np.testing.assert_array_equal(levels(self.plane), expected)

    def test_saving_keeps_painted_pixels(self) -> None:
        press("mask_fill")
        press("mask_clear")
        self.region(LEFT_HALF, "ADD")
        before = levels(self.plane)
        path = str(self.folder / "mask.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        np.testing.assert_array_equal(levels(self.find_plane()), before)
