# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks in Blender: making, painting, filters, undo, keeping them, and refusing black ones."""

from __future__ import annotations

from inspect import isfunction
from types import SimpleNamespace
from typing import Any
from unittest import mock

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector
from support import SceneCase, ours


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


LEFT_HALF = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
BOTTOM_HALF = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)]


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


class DrawingTest(MaskCase):
    """Shift-drag with the Pull tool, by its events; ``tools/pull_pictures.py`` has a real mouse."""

    def draw(self, kind: str, places: Any, **keys: bool) -> set[str]:
        """Draw over a view in which the image fills 100 x 100 px, and return the result."""
        module = ours("ui.operators.mask_draw")
        shown = module.DRAGGAN_OT_mask_draw
        functions = {name: value for name, value in vars(shown).items() if isfunction(value)}
        drawing: Any = type("Drawing", (), functions)()
        drawing.kind, drawing.how = kind, "REPLACE"
        drawing.starts_at_once = keys.get("starts", True)
        drawing.bl_label, drawing._uuid = shown.bl_label, self.plane.draggan.uuid
        drawing._path, drawing._view, drawing._is_drawing = [], None, False
        drawing.errors = []
        drawing.report = lambda _kind, text: drawing.errors.append(text)
        drawing._finish = lambda _context, result: result
        region = SimpleNamespace(x=0, y=0, width=100, height=100)
        area = SimpleNamespace(tag_redraw=lambda: None)
        context: Any = SimpleNamespace(area=area, region=region)
        events = [
            SimpleNamespace(
                type="MOUSEMOVE",
                value="NOTHING",
                mouse_x=x,
                mouse_y=y,
                shift=keys.get("shift", True),
                ctrl=keys.get("ctrl", False),
            )
            for x, y in places
        ]
        events[-1].type, events[-1].value = "LEFTMOUSE", "RELEASE"
        with (
            mock.patch.object(module.pointing, "view_index", return_value=0),
            mock.patch.object(module.pointing, "view_of", return_value=(region, None)),
            mock.patch.object(
                module.pointing,
                "uv_at",
                side_effect=lambda _plane, _region, _view, at: (at[0] / 100.0, at[1] / 100.0),
            ),
        ):
            self.assertTrue(drawing._start(context, events[0]))
            for event in events[1:]:
                result = drawing.modal(context, event)
        self.assertEqual(drawing.errors, [])
        return set(result)

    def mean(self) -> float:
        return float(levels(self.plane).mean())

    def test_a_rectangle_is_a_new_mask_and_one_undo_step(self) -> None:
        self.assertEqual(self.draw("BOX", [(0, 0), (80, 20), (50, 100)]), {"FINISHED"})
        self.assertAlmostEqual(self.mean(), 0.5)
        self.assertTrue(self.plane.draggan.show_mask)
        self.draw("BOX", [(50, 0), (100, 50)])
        self.assertAlmostEqual(self.mean(), 0.75)
        self.undo()
        self.assertAlmostEqual(self.mean(), 0.5)
        self.undo()
        self.assertIsNone(self.plane.draggan.mask)
        self.redo()
        self.assertAlmostEqual(self.mean(), 0.5)

    def test_ctrl_takes_away(self) -> None:
        self.draw("BOX", [(0, 0), (50, 100)])
        self.draw("BOX", [(0, 0), (50, 50)], ctrl=True)
        self.assertAlmostEqual(self.mean(), 0.25)

    def test_a_lasso_joins_its_ends(self) -> None:
        self.assertEqual(self.draw("LASSO", [(0, 0), (100, 0), (100, 100)]), {"FINISHED"})
        self.assertAlmostEqual(self.mean(), 0.5, delta=0.02)

    def test_a_tiny_outline_masks_nothing(self) -> None:
        self.assertEqual(self.draw("BOX", [(50, 50), (52, 51)], starts=False), {"CANCELLED"})
        self.assertIsNone(self.plane.draggan.mask)


class PointingTest(MaskCase):
    def test_the_ray_through_a_place_of_a_turned_plane_finds_its_uv(self) -> None:
        self.plane.matrix_world = (
            Matrix.Translation((1.0, -2.0, 0.5))
            @ Euler((0.7, -0.4, 1.1)).to_matrix().to_4x4()
            @ Matrix.Diagonal((1.5, 0.6, 1.0, 1.0))
        )
        bpy.context.view_layer.update()
        region = SimpleNamespace(width=640, height=480)
        eye = Matrix.Translation((3.0, -6.0, 5.0)) @ Euler((0.8, 0.0, 0.45)).to_matrix().to_4x4()
        width, height = ours("scene.view").plane_size(*self.plane.draggan.size)
        for is_perspective in (True, False):
            window = (
                Matrix.Diagonal((1.5, 2.0, -1.0, 1.0))
                if is_perspective
                else Matrix.Diagonal((0.15, 0.2, -0.01, 1.0))
            )
            if is_perspective:
                window[2][3], window[3][2], window[3][3] = -0.2, -1.0, 0.0
            region_3d = SimpleNamespace(
                is_perspective=is_perspective,
                view_matrix=eye.inverted(),
                perspective_matrix=window @ eye.inverted(),
                window_matrix=window,
                view_perspective="PERSP" if is_perspective else "ORTHO",
            )
            for u, v in ((0.1, 0.2), (0.5, 0.5), (1.2, 0.9)):
                local = Vector(((u - 0.5) * width, (v - 0.5) * height, 0.0, 1.0))
                seen = region_3d.perspective_matrix @ self.plane.matrix_world @ local
                place = (
                    region.width * (0.5 + 0.5 * seen.x / seen.w),
                    region.height * (0.5 + 0.5 * seen.y / seen.w),
                )
                found = ours("scene.pointing").uv_at(self.plane, region, region_3d, place)
                np.testing.assert_allclose(found, (u, v), atol=1e-4)
