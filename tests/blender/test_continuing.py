# SPDX-License-Identifier: GPL-3.0-or-later
"""A drag continues the sequence of an earlier drag: its images, paths, states and undo steps."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from support import SceneCase, ours

STEPS = 6


class ContinuingTest(SceneCase):
    def dragged(self, first: int = 10) -> Any:
        """Make a plane with a sequence of ``STEPS + 1`` images."""
        self.use_fake_engine("--steps", str(STEPS), "--step-s", "0")
        bpy.context.scene.frame_set(first)
        plane = self.new_plane()
        self.add_pair(plane)
        self.drag(plane, 1000)
        bpy.context.view_layer.objects.active = plane
        return plane

    def moved(self, plane: Any, index: int, x: float) -> None:
        plane.draggan.pairs[index].target.location.x = x
        bpy.context.view_layer.update()

    def xs(self, plane: Any, index: int, frames: range) -> list[float]:
        """Return the place of a handle at some frames."""
        handle = plane.draggan.pairs[index].handle
        curve = ours("compat").find_fcurve(handle, "location", 0)
        return [curve.evaluate(frame) for frame in frames]

    def test_the_frames_up_to_the_playhead_stay_with_the_paths_of_their_handles(self) -> None:
        plane = self.dragged()
        sequence = plane.draggan.sequence
        before = self.xs(plane, 0, range(10, 14))
        bpy.context.scene.frame_set(13)
        self.moved(plane, 0, -0.5)
        self.drag(plane, 1000)
        self.assertEqual((sequence.first_frame, sequence.frame_count), (10, 3 + STEPS + 1))
        self.assertEqual(bpy.context.scene.frame_current, 13 + STEPS)
        np.testing.assert_allclose(self.xs(plane, 0, range(10, 14)), before, atol=1e-4)
        self.assertAlmostEqual(self.xs(plane, 0, range(13 + STEPS, 14 + STEPS))[0], -0.5, places=4)
        places = ours("scene.tracks").handles_px(plane.draggan.track)
        self.assertEqual(places.shape, (10, 1, 2))
        # Another drag within the first one drops what the second has added.
        bpy.context.scene.frame_set(11)
        self.drag(plane, 1000)
        self.assertEqual((sequence.first_frame, sequence.frame_count), (10, 1 + STEPS + 1))

    def test_after_the_end_the_last_image_is_held_until_the_drag_begins(self) -> None:
        plane = self.dragged()
        end = 10 + STEPS
        bpy.context.scene.frame_set(end + 4)
        place = plane.draggan.pairs[0].handle.location.x
        self.moved(plane, 0, -0.5)
        self.drag(plane, 1000)
        sequence = plane.draggan.sequence
        self.assertEqual(sequence.frame_count, STEPS + 4 + STEPS + 1)
        for frame in range(end, end + 5):
            row = ours("scene.shown").rows(plane, [frame - 10])
            np.testing.assert_array_equal(row, ours("scene.shown").rows(plane, [STEPS]))
        np.testing.assert_allclose(self.xs(plane, 0, range(end, end + 5)), place, atol=1e-5)

    def test_a_handle_that_the_second_drag_does_not_move_keeps_its_path(self) -> None:
        plane = self.dragged()
        before = self.xs(plane, 0, range(10, 11 + STEPS))
        ours("scene.points").add_pair(plane, (0.3, 0.3), (0.3, 0.6))
        plane.draggan.pairs[0].enabled = False
        bpy.context.view_layer.update()
        self.drag(plane, 1000)
        first, second = plane.draggan.pairs
        self.assertEqual((first.path_slot, second.path_slot), (1, 0))
        np.testing.assert_allclose(self.xs(plane, 0, range(10, 11 + STEPS)), before, atol=1e-4)
        after = self.xs(plane, 0, range(11 + STEPS, 11 + 2 * STEPS))
        np.testing.assert_allclose(after, before[-1], atol=1e-5)
        held = self.xs(plane, 1, range(10, 11 + STEPS))
        np.testing.assert_allclose(held, held[0], atol=1e-5)
        # The first one goes on from where it is.
        first.enabled = True
        self.moved(plane, 0, -0.5)
        self.drag(plane, 1000)
        np.testing.assert_allclose(self.xs(plane, 0, range(10, 11 + STEPS)), before, atol=1e-4)
        places = ours("scene.tracks").handles_px(plane.draggan.track)
        self.assertEqual(places.shape, (1 + 3 * STEPS, 2, 2))

    def test_the_path_of_a_turned_region_stays(self) -> None:
        plane = self.dragged()
        pair = plane.draggan.pairs[0]
        pair.radius = 0.2
        timing = ours("scene.timing")
        path = timing.read_path(plane, pair.handle)
        turned = np.hstack((path, np.column_stack((np.linspace(0, 1, len(path)), path[:, 0] + 2))))
        timing.write_path(plane, pair.handle, 10, turned)
        bpy.context.scene.frame_set(10 + STEPS)
        self.moved(plane, 0, -0.5)
        self.drag(plane, 1000)
        found = timing.read_path(plane, pair.handle)
        self.assertEqual(found.shape, (1 + 2 * STEPS, 4))
        np.testing.assert_allclose(found[: STEPS + 1], turned, atol=1e-5)
        np.testing.assert_allclose(found[STEPS:, 2], 1.0, atol=1e-5)

    def test_undo_takes_one_drag_and_history_goes_to_each(self) -> None:
        plane = self.dragged()
        self.moved(plane, 0, -0.5)
        self.drag(plane, 1000)
        count = STEPS + 1, 2 * STEPS + 1
        states = {state.ordinal: state.number for state in plane.draggan.history.states}
        self.assertEqual(len(plane.draggan.history.states), 3)
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual(plane.draggan.sequence.frame_count, count[0])
        self.assertEqual(bpy.context.scene.frame_current, 10 + STEPS)
        bpy.ops.ed.redo()
        plane = self.find_plane()
        self.assertEqual(plane.draggan.sequence.frame_count, count[1])
        self.assertEqual(bpy.context.scene.frame_current, 10 + 2 * STEPS)
        numbers = [state.number for state in plane.draggan.history.states if state.kind == "DRAG"]
        self.assertIn(numbers[0], states.values())
        for index in (0, 1):
            ours("jobs.history").go_to(plane, numbers[index])
            self.assertEqual(plane.draggan.sequence.frame_count, count[index])
            path = ours("scene.timing").read_path(plane, plane.draggan.pairs[0].handle)
            self.assertEqual(len(path), count[index])

    def test_clear_bake_brings_both_drags_back(self) -> None:
        plane = self.dragged()
        self.moved(plane, 0, -0.5)
        self.drag(plane, 1000)
        before = self.xs(plane, 0, range(10, 11 + 2 * STEPS))
        plane.draggan.bake.use_own_range = True
        plane.draggan.bake.frame_start, plane.draggan.bake.frame_end = 1, 4
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), 60.0)
        self.assertEqual(plane.draggan.sequence.kind, "BAKE")
        ours("jobs.bake").clear(plane)
        self.assertEqual(plane.draggan.sequence.frame_count, 2 * STEPS + 1)
        after = self.xs(plane, 0, range(10, 11 + 2 * STEPS))
        np.testing.assert_allclose(after, before, atol=1e-4)

    def test_clear_bake_brings_the_turns_of_a_region_back(self) -> None:
        plane = self.dragged()
        pair = plane.draggan.pairs[0]
        pair.radius = 0.2
        timing = ours("scene.timing")
        path = timing.read_path(plane, pair.handle)
        turned = np.hstack((path, np.column_stack((np.linspace(0, 1, len(path)), path[:, 0] + 2))))
        timing.write_path(plane, pair.handle, 10, turned)
        pair.base_turn = turned[-1, 2:].tolist()
        bpy.context.scene.frame_set(10 + STEPS)
        plane.draggan.bake.use_own_range = True
        plane.draggan.bake.frame_start, plane.draggan.bake.frame_end = 1, 4
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), 60.0)
        self.assertEqual(plane.draggan.sequence.kind, "BAKE")
        # By way of the history: the state of the bake knows what it covers.
        states = plane.draggan.history.states
        baked = states[-1].number
        ours("jobs.history").go_to(plane, states[1].number)
        ours("jobs.history").go_to(plane, baked)
        ours("jobs.bake").clear(plane)
        np.testing.assert_allclose(timing.read_path(plane, pair.handle), turned, atol=1e-4)

    def test_a_drag_on_a_bake_or_after_another_seed_starts_a_sequence(self) -> None:
        plane = self.dragged()
        plane.draggan.bake.use_own_range = True
        plane.draggan.bake.frame_start, plane.draggan.bake.frame_end = 10, 16
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), 60.0)
        bpy.context.scene.frame_set(14)
        self.drag(plane, 1000)
        sequence = plane.draggan.sequence
        self.assertEqual((sequence.first_frame, sequence.frame_count), (14, STEPS + 1))
        plane.draggan.source.seed = 4
        ours("jobs.requests").wait(ours("jobs.image").sample(plane), 60.0)
        ours("scene.pair_images").use(plane)
        bpy.context.scene.frame_set(17)
        self.drag(plane, 1000)
        self.assertEqual((sequence.first_frame, sequence.frame_count), (17, STEPS + 1))

    def test_a_drag_at_the_end_of_a_bake_begins_earlier_so_that_it_ends_with_the_scene(
        self,
    ) -> None:
        plane, scene = self.dragged(), bpy.context.scene
        scene.frame_start, scene.frame_end = 3, 16
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), 60.0)
        self.assertEqual(plane.draggan.sequence.kind, "BAKE")
        sequence = plane.draggan.sequence
        for at, first in ((16, 10), (12, 10), (10, 10), (9, 9), (3, 3), (18, 18)):
            ours("jobs.history").go_to(plane, plane.draggan.history.states[-1].number)
            scene.frame_set(at)
            self.moved(plane, 0, -0.5)
            self.drag(plane, 1000)
            with self.subTest(at=at):
                self.assertEqual((sequence.first_frame, sequence.frame_count), (first, STEPS + 1))
                self.assertEqual(scene.frame_current, first + STEPS)
                self.assertEqual((scene.frame_start, scene.frame_end), (3, 16))
                said = f"; the images begin at frame {first}, so that they end in time"
                self.assertEqual(said in plane.draggan.status, first < at)
                self.assertNotIn("is played", plane.draggan.status)
                frames = range(first, first + STEPS + 1)
                self.assertEqual(len(set(self.xs(plane, 0, frames))), STEPS + 1)
                node = ours("scene.planes").texture_node(plane)
                self.assertEqual(node.image_user.frame_start, first)
                folder = ours("scene.images").sequence_folder(plane)
                names = sorted(path.name for path in folder.glob("*.png"))
                self.assertTrue(names[0].endswith(f"_{first - 1:04d}.png"), names)
            ours("jobs.history").delete(plane, plane.draggan.history.states[-1].number)

    def test_what_does_not_fit_into_the_scene_is_said_and_the_scene_stays(self) -> None:
        scene = bpy.context.scene
        scene.frame_start, scene.frame_end = 2, 5
        plane = self.dragged(first=4)
        sequence, last = plane.draggan.sequence, 2 + STEPS
        self.assertEqual((sequence.first_frame, scene.frame_current), (2, last))
        said = f"; the images end at frame {last}, after the last one that is played (5)"
        self.assertTrue(plane.draggan.status.endswith(said), plane.draggan.status)
        # Somebody who works after the end knows it.
        self.moved(plane, 0, -0.5)
        self.drag(plane, 1000)
        self.assertEqual(sequence.frame_count, 2 * STEPS + 1)
        self.assertNotIn("is played", plane.draggan.status)
        # A drag that continues another one begins where the playhead is.
        scene.frame_set(5)
        self.drag(plane, 1000)
        self.assertEqual((sequence.first_frame, sequence.frame_count), (2, 3 + STEPS + 1))
        said = f"; the images end at frame {5 + STEPS}, after the last one that is played (5)"
        self.assertTrue(plane.draggan.status.endswith(said), plane.draggan.status)
        self.assertEqual((scene.frame_start, scene.frame_end), (2, 5))

    def test_a_cancelled_drag_leaves_the_earlier_sequence_and_no_files(self) -> None:
        plane = self.dragged()
        folder = ours("scene.images").sequence_folder(plane)
        files = sorted(folder.glob("*.png"))
        self.use_fake_engine("--steps", "2000", "--step-s", "0.01")
        ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 3)
        ours("jobs.recovery").cancel(plane)
        self.run_until(lambda now: now.active is None)
        self.assertEqual(plane.draggan.sequence.frame_count, STEPS + 1)
        self.assertEqual(sorted(folder.glob("*.png")), files)
        others = [path for path in folder.parent.glob("drag-*") if path != folder]
        self.assertEqual(others, [])
