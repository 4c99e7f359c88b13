# SPDX-License-Identifier: GPL-3.0-or-later
"""Retiming: an animated progress selects the shown image, with and without the extension."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import rendering
import support
from numpy.typing import NDArray
from support import TIMEOUT_S, SceneCase, ours

PATH = '["draggan_progress"]'
STEPS = 9
FIRST = 5


def progress_curve(plane: Any) -> Any:
    """Return the F-curve of a plane's progress."""
    curve = ours("compat").find_fcurve(plane, PATH, 0)
    assert curve is not None
    return curve


def shape(plane: Any, frames: tuple[int, int], values: tuple[float, float], easing: str) -> None:
    """Move the two keys of the progress and put a cubic between them, as in the Graph Editor."""
    curve = progress_curve(plane)
    for key, frame, value in zip(curve.keyframe_points, frames, values, strict=True):
        key.co = (frame, value)
        key.interpolation, key.easing = "CUBIC", easing
    curve.update()


def eased(frame: float, first: float, last: float) -> float:
    """Compute Penner's cubic ease-in, 0 at ``first`` and 1 at ``last``."""
    return min(max((frame - first) / (last - first), 0.0), 1.0) ** 3


class RetimingTest(SceneCase):
    def dragged(self, steps: int = STEPS) -> Any:
        """Make a plane with a sequence of ``steps + 1`` images that all differ."""
        self.use_fake_engine("--steps", str(steps), "--step-s", "0")
        bpy.context.scene.frame_set(FIRST)
        plane = self.new_plane()
        pair = self.add_pair(plane)
        pair.target.location.x = 0.8
        bpy.context.view_layer.update()
        self.drag(plane, 1000)
        bpy.context.view_layer.objects.active = plane
        bpy.ops.ed.undo_push(message="Drag")
        return plane

    def number(self, plane: Any) -> int:
        """Return the number of the file that the texture node shows at the current frame."""
        user = ours("scene.planes").texture_node(plane).image_user
        frame = bpy.context.scene.frame_current
        part = min(max(frame - user.frame_start + 1, 0), user.frame_duration)
        return max(part + user.frame_offset, FIRST)

    def numbers(self, plane: Any, frames: range) -> list[int]:
        found = []
        for frame in frames:
            bpy.context.scene.frame_set(frame)
            found.append(self.number(plane))
        return found

    def places(self, plane: Any, frames: range) -> NDArray[Any]:
        found = []
        for frame in frames:
            bpy.context.scene.frame_set(frame)
            found.append(tuple(plane.draggan.pairs[0].handle.matrix_world.translation[:2]))
        return np.array(found)

    def check_render(self, frame: int, expected: Path) -> None:
        found = rendering.render(frame, self.folder / "render.png")
        difference = np.abs(found - rendering.read(expected)).max()
        self.assertLessEqual(difference, 2.0, f"frame {frame}, {expected.name}")

    def test_switching_retiming_on_and_off_changes_nothing(self) -> None:
        plane, around = self.dragged(), range(FIRST - 3, FIRST + STEPS + 6)
        numbers, places = self.numbers(plane, around), self.places(plane, around)
        self.assertEqual(len(set(numbers)), STEPS + 1)
        actions = len(bpy.data.actions)
        bpy.context.scene.frame_set(FIRST + 4)
        self.assertEqual(bpy.ops.draggan.retime(), {"FINISHED"})
        self.assertEqual(self.number(plane), FIRST + 4)
        self.assertAlmostEqual(plane["draggan_progress"], 4 / STEPS, places=6)
        self.assertEqual(self.numbers(plane, around), numbers)
        np.testing.assert_allclose(self.places(plane, around), places, atol=1e-6)

        bpy.context.scene.frame_set(FIRST + 4)
        self.assertEqual(bpy.ops.draggan.unretime(), {"FINISHED"})
        self.assertNotIn("draggan_progress", plane)
        self.assertEqual(self.number(plane), FIRST + 4)
        self.assertEqual(self.numbers(plane, around), numbers)
        np.testing.assert_allclose(self.places(plane, around), places, atol=1e-6)
        tree = plane.active_material.node_tree
        handle = plane.draggan.pairs[0].handle
        for owner in (tree, handle):
            animation = owner.animation_data
            self.assertEqual(list(animation.drivers) if animation is not None else [], [])
        self.assertIsNone(plane.animation_data)
        self.assertEqual(len(bpy.data.actions), actions)

    def test_every_expression_works_if_scripts_are_not_allowed(self) -> None:
        plane = self.dragged()
        ours("timeline.retiming").retime(plane)
        bpy.context.scene.frame_set(FIRST + 2)
        tree = plane.active_material.node_tree
        curves = [
            *tree.animation_data.drivers,
            *plane.draggan.pairs[0].handle.animation_data.drivers,
        ]
        self.assertEqual(len(curves), 3)
        for curve in curves:
            self.assertTrue(curve.driver.is_simple_expression)
            self.assertTrue(curve.driver.is_valid)

    def test_an_eased_progress_renders_the_right_image_with_and_without_the_extension(self) -> None:
        plane = self.dragged()
        rendering.look_at(plane)
        blend = self.folder / "shot.blend"
        ours("timeline.retiming").retime(plane)
        shape(plane, (10, 50), (0.0, 1.0), "EASE_IN")
        folder, stem = ours("scene.images").sequence_folder(plane), plane.draggan.sequence.stem
        frames = (2, 10, 24, 30, 35, 40, 45, 48, 50, 90)
        rows = [math.floor(eased(frame, 10, 50) * STEPS + 0.5) for frame in frames]
        self.assertEqual((rows[0], rows[1], rows[-1]), (0, 0, STEPS))
        self.assertGreater(len(set(rows)), 5)
        # With an ease-in it shows an earlier image than at a constant speed.
        self.assertLess(rows[3], math.floor(0.5 * STEPS))
        files = [folder / f"{stem}_{FIRST + row:04d}.png" for row in rows]
        levels = [rendering.read(path) for path in files]
        self.assertGreater(np.abs(levels[3] - levels[4]).max(), 20.0)
        for frame, path in zip(frames, files, strict=True):
            self.check_render(frame, path)
        bpy.ops.wm.save_as_mainfile(filepath=str(blend))

        support.disable()
        try:
            self.assertFalse(bpy.context.preferences.filepaths.use_scripts_auto_execute)
            bpy.ops.wm.open_mainfile(filepath=str(blend))
            self.assertFalse(hasattr(bpy.types.Object, "draggan"))
            for frame, path in zip(frames, files, strict=True):
                self.check_render(frame, path)
            # It can still be animated: with another key, and backwards.
            plane = bpy.data.objects["GAN Image"]
            plane["draggan_progress"] = 0.5
            plane.keyframe_insert(PATH, frame=60)
            plane["draggan_progress"] = 0.0
            plane.keyframe_insert(PATH, frame=70)
            half = folder / f"{stem}_{FIRST + math.floor(0.5 * STEPS + 0.5):04d}.png"
            self.check_render(60, half)
            self.check_render(70, files[0])
        finally:
            support.enable()

    def test_the_progress_can_go_backwards(self) -> None:
        plane = self.dragged()
        ours("timeline.retiming").retime(plane)
        forwards = self.places(plane, range(FIRST, FIRST + STEPS + 1))
        curve = progress_curve(plane)
        for key, value in zip(curve.keyframe_points, (1.0, 0.0), strict=True):
            key.co.y = value
        curve.update()
        around = range(FIRST, FIRST + STEPS + 1)
        self.assertEqual(self.numbers(plane, around), list(reversed(around)))
        np.testing.assert_allclose(self.places(plane, around), forwards[::-1], atol=1e-6)

    def test_a_progress_outside_0_to_1_shows_the_first_or_last_image(self) -> None:
        plane = self.dragged()
        ours("timeline.retiming").retime(plane)
        curve = progress_curve(plane)
        for key, value in zip(curve.keyframe_points, (-0.5, 1.5), strict=True):
            key.co.y = value
        curve.update()
        self.assertEqual(
            self.numbers(plane, range(FIRST, FIRST + STEPS + 1))[::STEPS],
            [FIRST, FIRST + STEPS],
        )

    def test_the_progress_can_be_driven_by_another_object(self) -> None:
        plane = self.dragged()
        ours("timeline.retiming").retime(plane)
        ours("compat").remove_fcurves(plane, PATH)
        leader = bpy.data.objects.new("Leader", None)
        bpy.context.scene.collection.objects.link(leader)
        driver = plane.driver_add(PATH).driver
        driver.type = "AVERAGE"
        variable = driver.variables.new()
        variable.targets[0].id = leader
        variable.targets[0].data_path = "location.x"
        leader.location.x = 3 / STEPS
        bpy.context.view_layer.update()
        self.assertEqual(self.number(plane), FIRST + 3)
        leader.location.x = 1.0
        bpy.context.view_layer.update()
        self.assertEqual(self.number(plane), FIRST + STEPS)
        ours("timeline.retiming").unretime(plane)
        self.assertEqual(len(plane.animation_data.drivers), 0)

    def test_the_shown_row_is_the_image_that_is_shown(self) -> None:
        plane, timing = self.dragged(), ours("scene.timing")
        for retimed in (False, True):
            if retimed:
                ours("timeline.retiming").retime(plane)
                shape(plane, (1, 40), (0.0, 1.0), "EASE_IN_OUT")
            for frame in range(46):
                bpy.context.scene.frame_set(frame)
                self.assertEqual(timing.shown_row(plane), self.number(plane) - FIRST, frame)

    def test_a_new_result_with_another_length_uses_the_same_progress(self) -> None:
        plane = self.dragged()
        ours("timeline.retiming").retime(plane)
        shape(plane, (1, 41), (0.0, 1.0), "EASE_IN")
        scene = bpy.context.scene
        scene.frame_set(30)
        pair = plane.draggan.pairs[0]
        self.use_fake_engine("--steps", "24", "--step-s", "0")
        scene.frame_set(41)
        pair.target.location.x = -0.6
        bpy.context.view_layer.update()
        self.drag(plane, 1000)
        # The person's keys define what is shown when, so the playhead is not moved.
        self.assertEqual(scene.frame_current, 41)
        self.assertEqual(plane.draggan.sequence.first_frame, FIRST)
        last = STEPS + 24
        self.assertEqual(plane.draggan.sequence.frame_count, last + 1)
        timing = ours("scene.timing")
        for frame in (1, 20, 31, 38, 41, 60):
            scene.frame_set(frame)
            row = math.floor(eased(frame, 1, 41) * last + 0.5)
            self.assertEqual(timing.shown_row(plane), row)
            user = ours("scene.planes").texture_node(plane).image_user
            self.assertEqual(1 + user.frame_offset, FIRST + row)
        # The handle arrives with the last image.
        self.assertAlmostEqual(pair.handle.matrix_world.translation.x, -0.6, places=2)

    def test_handles_move_during_a_drag_and_return_when_it_is_cancelled(self) -> None:
        plane = self.dragged()
        ours("timeline.retiming").retime(plane)
        handle = plane.draggan.pairs[0].handle
        bpy.context.scene.frame_set(FIRST + STEPS)
        before = handle.matrix_world.translation.x
        plane.draggan.pairs[0].target.location.x = -0.9
        bpy.context.view_layer.update()
        pump = ours("connection.pump")
        self.use_fake_engine("--steps", "500", "--step-s", "0.01")
        plane.draggan.drag.max_steps = 1000
        ours("jobs.drag").start_drag(bpy.context, plane)
        self.assertTrue(pump.run_until(lambda now: now.step >= 20, TIMEOUT_S))
        bpy.context.view_layer.update()
        self.assertLess(handle.matrix_world.translation.x, before - 0.02)
        ours("jobs.recovery").cancel(plane)
        bpy.context.view_layer.update()
        self.assertAlmostEqual(handle.matrix_world.translation.x, before, places=5)
        # The handle follows the progress again.
        bpy.context.scene.frame_set(FIRST)
        self.assertLess(handle.matrix_world.translation.x, before - 0.02)

    def test_one_undo_removes_the_retiming(self) -> None:
        plane = self.dragged()
        bpy.context.scene.frame_set(FIRST + 2)
        bpy.ops.ed.undo_push(message="Frame")
        bpy.ops.draggan.retime()
        bpy.ops.ed.undo_push(message="Retime")
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertFalse(ours("scene.timing").is_retimed(plane))
        around = range(FIRST, FIRST + STEPS + 1)
        self.assertEqual(self.numbers(plane, around), list(around))
        bpy.ops.ed.redo()
        plane = self.find_plane()
        self.assertTrue(ours("scene.timing").is_retimed(plane))
        self.assertEqual(self.numbers(plane, around), list(around))

    def test_a_duplicate_has_its_own_progress(self) -> None:
        plane = self.dragged()
        ours("timeline.retiming").retime(plane)
        for selected in bpy.context.selected_objects:
            selected.select_set(False)
        plane.select_set(True)
        bpy.context.view_layer.objects.active = plane
        bpy.ops.object.duplicate()
        twin = bpy.context.view_layer.objects.active
        self.assertNotEqual(twin, plane)
        ours("jobs.recovery").own(twin)
        if twin.animation_data is not None:
            twin.animation_data_clear()
        twin["draggan_progress"] = 1.0
        twin.update_tag()
        bpy.context.scene.frame_set(FIRST + 1)
        self.assertEqual(self.number(plane), FIRST + 1)
        self.assertEqual(self.number(twin), FIRST + STEPS)

    def test_a_reset_keeps_the_progress_for_the_next_result(self) -> None:
        plane = self.dragged()
        ours("timeline.retiming").retime(plane)
        ours("jobs.drag").reset(plane)
        node = ours("scene.planes").texture_node(plane)
        self.assertEqual(node.image, plane.draggan.still)
        self.assertFalse(plane.active_material.node_tree.animation_data.drivers)
        self.assertTrue(ours("scene.timing").is_retimed(plane))
        self.drag(plane, 1000)
        self.assertTrue(plane.active_material.node_tree.animation_data.drivers)

    def test_what_cannot_be_retimed_is_refused_with_a_message(self) -> None:
        self.use_fake_engine()
        plane, retiming = self.new_plane(), ours("timeline.retiming")
        error = ours("errors").EditError
        self.assertFalse(bpy.ops.draggan.retime.poll())
        with self.assertRaisesRegex(error, "no sequence to retime"):
            retiming.retime(plane)
        with self.assertRaisesRegex(error, "not retimed"):
            retiming.unretime(plane)
        self.add_pair(plane)
        self.drag(plane, 3)
        retiming.retime(plane)
        with self.assertRaisesRegex(error, "already retimed"):
            retiming.retime(plane)
