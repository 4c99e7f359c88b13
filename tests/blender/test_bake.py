# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes: their results, every way to end early, and a bake with the real engine."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import rendering
from baking import BakeCase
from support import TIMEOUT_S, ours


class ResultTest(BakeCase):
    """The scene after a bake, and after drags, further bakes, and clearing."""

    def test_a_bake_shows_a_sequence_and_the_handle_follows_the_target(self) -> None:
        plane = self.animated()
        settings, scene = plane.draggan, bpy.context.scene
        latent = settings.latent
        scene.frame_set(7)
        self.assertEqual(bpy.ops.draggan.bake(), {"FINISHED"})
        sequence, node = settings.sequence, ours("scene.planes").texture_node(plane)
        self.assertEqual(
            (sequence.kind, sequence.first_frame, sequence.frame_count), ("BAKE", 1, 12)
        )
        self.assertEqual((node.image, node.image.source), (sequence.image, "SEQUENCE"))
        self.assertEqual((node.image_user.frame_start, node.image_user.frame_duration), (1, 12))
        self.assertEqual(scene.frame_current, 7)
        self.assertEqual((settings.request_id, settings.baking), (0, False))
        self.assertIn("Baked: 12 frames", settings.status)
        self.assertEqual(len(self.files(plane)), 13)
        self.assertFalse([image for image in bpy.data.images if image.name.startswith(".")])
        self.assertEqual(settings.latent, latent)
        handle = settings.pairs[0].handle
        self.assertAlmostEqual(handle.location.x, -0.2 + 0.6 * 6 / 11, places=3)
        for frame in (1, 5, 12, 20):
            expected = -0.2 + 0.6 * (min(frame, 12) - 1) / 11
            self.assertAlmostEqual(self.handle_x(plane, frame), expected, places=3)
        # The keys of the targets are the person's and do not change.
        curve = ours("compat").find_fcurve(settings.pairs[0].target, "location", 0)
        self.assertEqual([key.co.x for key in curve.keyframe_points], [1.0, 12.0])

    def test_a_region_turns_its_handle_and_a_second_bake_is_the_same(self) -> None:
        plane = self.animated()
        pair = plane.draggan.pairs[0]
        pair.radius, pair.handle.rotation_euler.z = 0.25, 0.1
        self.key_turn(pair, {1: 0.1, 12: 0.65})
        self.bake(plane)
        first = self.edit_of(plane)
        for frame, angle in ((1, 0.1), (7, 0.4), (12, 0.65)):
            turn, scale = self.handle_turn(plane, frame)
            self.assertAlmostEqual(turn, angle, places=3)
            self.assertAlmostEqual(scale, 1.0, places=3)
        # The turns count from the image of the latent, and not from where the handle is now.
        for frame in (12, 1):
            bpy.context.scene.frame_set(frame)
            self.assertEqual(self.edit_of(plane), first)
            self.bake(plane)
            self.assertAlmostEqual(self.handle_turn(plane, 12)[0], 0.65, places=3)
        self.key_turn(pair, {12: 1.2})
        self.bake(plane)
        self.assertAlmostEqual(self.handle_turn(plane, 12)[0], 1.2, places=3)
        bpy.ops.draggan.clear_bake()
        self.assertAlmostEqual(self.handle_turn(plane, 12)[0], 0.1, places=5)

    def test_clearing_a_bake_over_a_drag_turns_the_handle_back(self) -> None:
        plane = self.animated()
        pair = plane.draggan.pairs[0]
        pair.radius = 0.25
        self.drag(plane)
        before = tuple(pair.base_turn)
        self.key_turn(pair, {1: before[0], 12: before[0] + 0.5})
        self.bake(plane)
        self.assertAlmostEqual(self.handle_turn(plane, 12)[0], before[0] + 0.5, places=3)
        bpy.ops.draggan.clear_bake()
        self.assertAlmostEqual(self.handle_turn(plane, 12)[0], before[0], places=5)

    def test_a_second_bake_is_the_same_whatever_frame_it_is_started_at(self) -> None:
        plane = self.animated()
        self.bake(plane)
        first, files = self.edit_of(plane), self.files(plane)
        folder = ours("scene.images").sequence_folder(plane)
        for frame in (1, 8, 30):
            bpy.context.scene.frame_set(frame)
            self.assertEqual(self.edit_of(plane), first)
        # Moving the plane does not matter, although its transforms are float32.
        plane.location, plane.rotation_euler = (1.1, -2.7, 0.3), (0.4, 0.5, 0.6)
        bpy.context.view_layer.update()
        self.assertEqual(self.edit_of(plane), first)
        self.bake(plane)
        self.assertEqual(ours("scene.images").sequence_folder(plane), folder)
        self.assertIn("0 of them solved", plane.draggan.status)
        self.assertEqual(self.files(plane), files)

    def test_a_changed_key_takes_over_the_frames_before_it(self) -> None:
        plane = self.animated()
        self.bake(plane)
        folder = ours("scene.images").sequence_folder(plane)
        pair = plane.draggan.pairs[0]
        self.key_target(pair, {6: -0.2 + 0.6 * 5 / 11, 12: 0.2})
        self.bake(plane)
        self.assertNotEqual(ours("scene.images").sequence_folder(plane), folder)
        self.assertTrue(list(folder.glob("*.png")))
        self.assertIn("12 frames, 6 of them solved", plane.draggan.status)
        self.assertAlmostEqual(self.handle_x(plane, 12), 0.2, places=3)

    def test_refine_solves_the_same_frames_to_half_of_the_tolerance(self) -> None:
        plane = self.animated()
        with self.assertRaisesRegex(RuntimeError, "no bake"):
            bpy.ops.draggan.refine_bake()
        self.bake(plane)
        # Refining must not use the scene's range, which is another now.
        bpy.context.scene.frame_end = 40
        tolerances = []
        for _ in range(2):
            self.assertEqual(bpy.ops.draggan.refine_bake(), {"FINISHED"})
            folder = ours("scene.images").sequence_folder(plane)
            edit = ours("jobs.bake_folder").find_edit(folder)
            self.assertEqual((edit.first_number, edit.frame_count), (1, 12))
            self.assertTrue(edit.refined_track)
            tolerances.append(edit.settings[0].settings.tolerance_px)
        self.assertEqual(tolerances, [0.5, 0.25])
        change = np.ones((1, plane.draggan.w_dim), np.float32)
        age = ours("protocol.directions").Direction(name="Age", change=change, first=0, last=9)
        row = ours("scene.sliders").add(plane, age)
        row.in_drags = "LOCKED"
        with self.assertRaisesRegex(RuntimeError, "other locks"):
            bpy.ops.draggan.refine_bake()
        row.in_drags = "FREE"
        self.add_pair(plane)
        bpy.context.scene.frame_set(1)
        with self.assertRaisesRegex(RuntimeError, "baked with 1 pairs, but 2 are enabled"):
            bpy.ops.draggan.refine_bake()

    def test_a_drag_at_a_baked_frame_starts_from_that_frame_s_image(self) -> None:
        plane = self.animated()
        self.bake(plane)
        files, scene = self.files(plane), bpy.context.scene
        # The frames of the drag fit into the scene, so they begin where the playhead is.
        scene.frame_end = 40
        scene.frame_set(8)
        latent = ours("scene.shown").latent(plane)
        self.assertNotEqual(latent, base64.b64decode(plane.draggan.latent))
        place = self.handle_x(plane, 8)
        plane.draggan.pairs[0].target.animation_data_clear()
        plane.draggan.pairs[0].target.location = (0.0, 0.5, 0.0)
        bpy.context.view_layer.update()
        self.drag(plane)
        settings = plane.draggan
        self.assertEqual((settings.sequence.kind, settings.sequence.first_frame), ("DRAG", 8))
        (start,) = (data for name, data in self.files(plane).items() if name.endswith("_0008.png"))
        (seen,) = (data for name, data in files.items() if name.endswith("_0008.png"))
        self.assertEqual(start, seen)
        self.assertAlmostEqual(self.handle_x(plane, 8), place, places=4)
        self.assertIsNone(settings.bake.under.image)
        # A bake starts from the result of the drag.
        reached = base64.b64decode(settings.latent)
        edit = self.edit_of(plane)
        self.assertEqual(edit.latent, reached)
        np.testing.assert_allclose(edit.handles_px[0], (32.0, 16.0), atol=2e-3)

    def test_a_bake_after_a_drag_is_cleared_to_the_drag(self) -> None:
        plane = self.animated()
        scene, settings = bpy.context.scene, plane.draggan
        scene.frame_set(12)
        self.drag(plane)
        dragged = self.files(plane), settings.track, settings.latent
        places = [self.handle_x(plane, frame) for frame in (10, 15, 30)]
        for _ in range(2):
            self.bake(plane)
            self.assertEqual(settings.sequence.kind, "BAKE")
            self.assertEqual(settings.latent, dragged[2])
            self.key_target(settings.pairs[0], {5: 0.1})
        self.assertEqual(bpy.ops.draggan.clear_bake(), {"FINISHED"})
        self.assertEqual(settings.sequence.kind, "DRAG")
        self.assertEqual((self.files(plane), settings.track, settings.latent), dragged)
        found = [self.handle_x(plane, frame) for frame in (10, 15, 30)]
        np.testing.assert_allclose(found, places, atol=1e-4)
        self.assertIsNone(settings.bake.under.image)

    def test_clear_and_reset_put_image_and_handle_back(self) -> None:
        for clear in (bpy.ops.draggan.clear_bake, bpy.ops.draggan.reset):
            plane = self.animated()
            edit = self.edit_of(plane)
            self.bake(plane)
            bpy.context.scene.frame_set(9)
            self.assertEqual(clear(), {"FINISHED"})
            settings = plane.draggan
            handle = settings.pairs[0].handle
            self.assertEqual(ours("scene.planes").texture_node(plane).image, settings.still)
            self.assertAlmostEqual(handle.location.x, -0.2, places=4)
            self.assertIsNone(handle.animation_data)
            self.assertEqual((settings.track, settings.sequence.image), ("", None))
            self.assertEqual(self.edit_of(plane), edit)
            ours("scene.planes").remove(plane)

    def test_a_handle_that_was_moved_or_added_on_a_baked_image_is_refused(self) -> None:
        plane = self.animated()
        self.bake(plane)
        scene, error = bpy.context.scene, ours("errors").EditError
        scene.frame_set(9)
        handle = plane.draggan.pairs[0].handle
        handle.location.x += 0.1
        with self.assertRaisesRegex(error, "Handle 001 was placed on another image"):
            self.bake(plane)
        scene.frame_set(9)
        added = ours("scene.points").add_pair(plane, (0.5, 0.5), (0.5, 0.6))
        with self.assertRaisesRegex(error, "Handle 002 was placed on another image .* Clear Bake"):
            self.bake(plane)
        added.enabled = False
        self.bake(plane)

    def test_the_handle_of_a_pair_that_is_not_baked_again_stops_moving(self) -> None:
        plane = self.animated()
        second = ours("scene.points").add_pair(plane, (0.5, 0.25), (0.6, 0.25))
        self.bake(plane)
        self.assertIsNotNone(second.handle.animation_data)
        second.enabled = False
        bpy.context.scene.frame_set(6)
        place = second.handle.location.x
        self.bake(plane)
        self.assertIsNone(second.handle.animation_data)
        self.assertAlmostEqual(second.handle.location.x, place, places=5)

    def test_a_retimed_image_is_baked_again_and_stays_retimed(self) -> None:
        plane = self.animated()
        edit = self.edit_of(plane)
        self.bake(plane)
        self.assertEqual(bpy.ops.draggan.retime(), {"FINISHED"})
        bpy.context.scene.frame_set(8)
        self.assertEqual(self.edit_of(plane), edit)
        self.key_target(plane.draggan.pairs[0], {12: 0.2})
        self.bake(plane)
        # Progress is still keyed from 0 to 1 over the twelve frames.
        self.assertAlmostEqual(self.handle_x(plane, 12), 0.2, places=3)
        self.assertAlmostEqual(self.handle_x(plane, 1), -0.2, places=3)
        self.assertEqual(bpy.ops.draggan.clear_bake(), {"FINISHED"})
        self.assertAlmostEqual(plane.draggan.pairs[0].handle.location.x, -0.2, places=4)

    def test_restoring_images_keeps_the_kind_of_a_bake(self) -> None:
        plane = self.animated()
        self.bake(plane)
        files, folder = self.files(plane), ours("scene.images").sequence_folder(plane)
        for path in folder.glob("*.png"):
            path.unlink()
        self.assertEqual(bpy.ops.draggan.render_again(), {"FINISHED"})
        self.assertEqual(plane.draggan.sequence.kind, "BAKE")
        self.assertEqual(self.files(plane), files)

    def test_removing_a_pair_removes_the_keys_of_its_influence(self) -> None:
        plane = self.animated()
        self.add_pair(plane)
        for pair, value in zip(plane.draggan.pairs, (0.25, 0.75), strict=True):
            pair.influence = value
            pair.keyframe_insert("influence", frame=1)
        ours("scene.points").remove_pair(plane, 0)
        bpy.context.scene.frame_set(2)
        self.assertEqual(plane.draggan.pairs[0].influence, 0.75)


class EndingTest(BakeCase):
    """A bake that ends early and is continued."""

    def at_rest(self, plane: Any) -> None:
        """Check that the plane shows its still, and the handle is where it was placed."""
        node = ours("scene.planes").texture_node(plane)
        self.assertEqual(node.image, plane.draggan.still)
        self.assertAlmostEqual(plane.draggan.pairs[0].handle.location.x, -0.2, places=5)
        self.assertEqual((plane.draggan.request_id, plane.draggan.baking), (0, False))
        self.assertFalse([image for image in bpy.data.images if image.name.startswith(".")])

    def test_a_stopped_bake_keeps_its_frames_and_can_be_continued(self) -> None:
        plane = self.animated("--step-s", "0.03", last=40)
        request_id = self.start_bake(plane)
        self.assertEqual(ours("scene.planes").texture_node(plane).image.source, "GENERATED")
        self.assertEqual(bpy.ops.draggan.stop(), {"FINISHED"})
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        sequence = plane.draggan.sequence
        count, folder = sequence.frame_count, ours("scene.images").sequence_folder(plane)
        self.assertIn(f"Stopped: {count} of 40 frames", plane.draggan.status)
        self.assertTrue(8 <= count < 40)
        self.bake(plane)
        self.assertEqual(sequence.frame_count, 40)
        self.assertEqual(ours("scene.images").sequence_folder(plane), folder)
        self.assertIn(f"{40 - count} of them solved", plane.draggan.status)

    def test_a_cancelled_bake_leaves_the_scene_as_it_was_and_can_be_continued(self) -> None:
        plane = self.animated("--step-s", "0.03", last=40)
        self.start_bake(plane, 0.5)
        bpy.context.scene.frame_set(5)
        self.assertEqual(bpy.ops.draggan.cancel(), {"FINISHED"})
        self.at_rest(plane)
        self.assertIn("press Bake to continue it", plane.draggan.status)
        self.run_until(lambda now: now.active is None)
        self.at_rest(plane)
        self.bake(plane)
        self.assertRegex(plane.draggan.status, r"Baked: 40 frames, (1\d|20) of them solved")
        self.assertEqual(len(list(self.folder.rglob("bake-*"))), 1)

    def test_a_crash_of_the_engine_is_reported_and_the_bake_can_be_continued(self) -> None:
        plane = self.animated("--fault", "crash_at_step=7")
        with self.assertRaisesRegex(ours("errors").EditError, "asked to crash"):
            self.bake(plane)
        self.at_rest(plane)
        self.assertTrue(plane.draggan.failed)
        self.use_fake_engine()
        self.bake(plane)
        self.assertIn("6 of them solved", plane.draggan.status)

    def test_one_undo_takes_a_bake_back(self) -> None:
        plane = self.animated()
        self.bake(plane)
        track, folder = plane.draggan.track, ours("scene.images").sequence_folder(plane)
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.at_rest(plane)
        self.assertEqual(plane.draggan.track, "")
        self.assertIsNone(plane.draggan.pairs[0].handle.animation_data)
        bpy.ops.ed.redo()
        plane = self.find_plane()
        self.assertEqual(plane.draggan.track, track)
        self.assertEqual(ours("scene.images").sequence_folder(plane), folder)

    def test_undo_and_save_during_a_bake(self) -> None:
        plane = self.animated("--step-s", "0.03", last=40)
        request_id = self.start_bake(plane)
        blend = self.folder / "shot.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(blend), copy=True)
        self.assertEqual((plane.draggan.request_id, plane.draggan.baking), (request_id, True))
        bpy.ops.ed.undo_push(message="Select")
        bpy.ops.ed.undo()
        self.at_rest(self.find_plane())
        self.run_until(lambda now: now.active is None)
        bpy.ops.wm.open_mainfile(filepath=str(blend))
        plane = self.find_plane()
        self.at_rest(plane)
        # The file does not store the interrupted bake, but its folder does.
        self.bake(plane)
        self.assertRegex(plane.draggan.status, r"Baked: 40 frames, \d+ of them solved")

    def test_a_bake_whose_engine_does_not_start_leaves_no_folder(self) -> None:
        plane = self.animated()
        pump = ours("connection.pump")
        self.stop_engine()
        settings = pump.EngineSettings(
            python=Path("/nowhere/python"), root=self.folder, device="cpu", log_folder=self.folder
        )
        pump.configure(lambda: settings)
        with self.assertRaises(ours("errors").EditError):
            self.bake(plane)
        self.at_rest(plane)
        self.assertEqual(list(self.folder.rglob("bake-*")), [])


class RealBakeTest(BakeCase):
    """A bake with the real engine: handles follow their targets, and holds are still."""

    def three_pairs(self, plane: Any, step: float) -> None:
        """Add pairs with a keyed, a constrained and a driven target.

        Each moves ``step`` units of the plane to the right until frame 9, holds still until frame
        16, and moves back until frame 24.
        """
        points, scene = ours("scene.points"), bpy.context.scene
        places = ((0.32, 0.56), (0.68, 0.56), (0.5, 0.42))
        keyed, constrained, driven = (points.add_pair(plane, uv, uv) for uv in places)
        x = keyed.target.location.x
        self.key_target(keyed, {1: x, 9: x + step, 16: x + step, 24: x})
        leader = bpy.data.objects.new("Leader", None)
        scene.collection.objects.link(leader)
        leader.location = constrained.target.location
        for frame, by in ((1, step), (9, 0.0), (16, -step), (24, 0.0)):
            leader.keyframe_insert("location", frame=frame)
            leader.location.x += by
        constrained.target.constraints.new("COPY_LOCATION").target = leader
        driver = driven.target.driver_add("location", 0).driver
        part = "min(max(min((frame - 1) / 8, (24 - frame) / 8), 0), 1)"
        driver.expression = f"{step} * {part}"
        scene.frame_set(1)

    def test_handles_follow_keyed_constrained_and_driven_targets_and_holds_are_still(self) -> None:
        plane = self.new_plane()
        settings, scene = plane.draggan, bpy.context.scene
        scene.frame_start, scene.frame_end = 1, 24
        self.three_pairs(plane, 6.0 / (settings.size[0] / 2))
        targets_px = self.targets_px(self.edit_of(plane))
        self.assertAlmostEqual(float(np.ptp(targets_px[:, :, 0], axis=0).min()), 6.0, places=2)
        self.bake(plane)

        handles_px = ours("scene.tracks").handles_px(settings.track)
        apart_px = np.hypot(*np.moveaxis(handles_px - targets_px, 2, 0)).max(axis=1)
        self.assertGreaterEqual(np.mean(apart_px <= 2.0), 0.95, apart_px)
        # The keys of the handles agree with the track.
        for frame in (1, 9, 20, 24):
            scene.frame_set(frame)
            places = [tuple(pair.handle.location[:2]) for pair in settings.pairs]
            found_px = ours("scene.placing").to_px(plane, places)
            np.testing.assert_allclose(found_px, handles_px[frame - 1], atol=2e-3)

        files = [rendering.read(path) for path in sorted(self.folder.rglob("bake-*/*.png"))]
        self.assertEqual(len(files), 25)
        hold = files[9:17]
        self.assertLessEqual(max(np.abs(image - hold[0]).max() for image in hold), 2.0)
        # The comparison can fail: the image changes with the handles.
        self.assertGreater(np.abs(files[1] - hold[0]).max(), 30.0)

    def test_a_keyed_turn_turns_the_head_and_repeats_to_the_byte(self) -> None:
        plane = self.new_plane()
        settings, scene = plane.draggan, bpy.context.scene
        scene.frame_start, scene.frame_end = 1, 6
        pair = ours("scene.points").add_pair(plane, (0.5, 0.52), (0.5, 0.52))
        pair.radius = 2.0 * 28.0 / 128.0
        self.key_turn(pair, {1: 0.0, 6: np.radians(20.0)})
        self.bake(plane)
        self.assertIn("all reached their targets", settings.status)
        for frame in range(1, 7):
            degrees = np.degrees(self.handle_turn(plane, frame)[0])
            self.assertLess(abs(degrees - 4.0 * (frame - 1)), 2.0, (frame, degrees))
        track, files = settings.track, self.files(plane)
        bakes = ours("jobs.bake")
        bakes.clear(plane)
        for folder in self.folder.rglob("bake-*"):
            shutil.rmtree(folder)
        self.bake(plane)
        self.assertEqual((settings.track, self.files(plane)), (track, files))
        self.assertGreater(len(set(files.values())), 5)
