# SPDX-License-Identifier: GPL-3.0-or-later
"""What the edit of an animated scene is, before anything is solved."""

from __future__ import annotations

import time

import bpy
import numpy as np
from baking import BakeCase
from support import ours


class SamplingTest(BakeCase):
    """The edit of an animated scene."""

    def test_keyed_constrained_driven_and_parented_targets_are_sampled_where_they_are(self) -> None:
        plane = self.animated()
        points, scene = ours("scene.points"), bpy.context.scene
        leader = bpy.data.objects.new("Leader", None)
        scene.collection.objects.link(leader)
        leader.location = (0.0, -0.5, 3.0)
        leader.keyframe_insert("location", frame=1)
        leader.location = (0.5, -0.5, 3.0)
        leader.keyframe_insert("location", frame=12)
        held, driven, child = (
            points.add_pair(plane, (0.5, 0.25 + 0.05 * number), (0.5, 0.25)) for number in range(3)
        )
        follow = held.target.constraints.new("COPY_LOCATION")
        follow.target = leader
        driver = driven.target.driver_add("location", 1).driver
        driver.expression = "-0.3 + frame / 100"
        child.target.parent = leader
        child.target.location = (0.1, 0.2, -3.0)
        scene.frame_set(5, subframe=0.25)
        found = self.targets_px(self.edit_of(plane))
        self.assertEqual((scene.frame_current, scene.frame_subframe), (5, 0.25))
        frames = np.arange(1, 13)
        parts = [ours("compat").find_fcurve(leader, "location", 0).evaluate(f) for f in frames]
        # The plane is 2 units wide and the image 64 px: 32 px per unit, y down.
        expected = np.stack(
            (
                np.column_stack((-0.2 + 0.6 * (frames - 1) / 11, np.zeros(12))),
                np.column_stack((parts, np.full(12, -0.5))),
                np.column_stack((np.zeros(12), -0.3 + frames / 100)),
                np.column_stack((np.array(parts) + 0.1, np.full(12, -0.3))),
            ),
            axis=1,
        )
        np.testing.assert_allclose(found, (expected * (1, -1) + 1) * 32, atol=2e-3)

    def test_the_nonlinear_animation_is_sampled_and_its_keys_are_poses(self) -> None:
        plane = self.animated(last=40)
        target = plane.draggan.pairs[0].target
        self.key_target(plane.draggan.pairs[0], {11: 0.4})
        animation = target.animation_data
        action, animation.action = animation.action, None
        strip = animation.nla_tracks.new().strips.new("Twice", 5, action)
        strip.action_frame_start, strip.action_frame_end = 1.0, 11.0
        strip.scale, strip.repeat = 0.5, 2.0
        # The key at frame 40 of the action is not played.
        self.assertEqual(action.frame_range[1], 40.0)
        edit = self.edit_of(plane)
        self.assertEqual(edit.poses, (1, 5, 10, 15, 40))
        found = self.targets_px(edit)[:, 0, 0]
        np.testing.assert_allclose(
            found[[4, 7, 8]], (np.array([-0.2, 0.16, 0.28]) + 1) * 32, atol=2e-3
        )

    def test_a_simulation_is_played_from_its_start(self) -> None:
        plane = self.animated()
        scene = bpy.context.scene
        plane.rotation_euler.x = np.pi / 2
        mesh = bpy.data.meshes.new("Ball")
        mesh.from_pydata(
            [(0, 0, 0), (0.1, 0, 0), (0, 0.1, 0), (0, 0, 0.1)], [], [(0, 1, 2), (0, 2, 3)]
        )
        ball = bpy.data.objects.new("Ball", mesh)
        scene.collection.objects.link(ball)
        ball.location.z = 0.9
        bpy.ops.rigidbody.world_add()
        collection = bpy.data.collections.new("Bodies")
        scene.rigidbody_world.collection = collection
        collection.objects.link(ball)
        target = plane.draggan.pairs[0].target
        target.constraints.new("COPY_LOCATION").target = ball
        self.assertTrue(ours("scene.sampling").is_animated(plane))
        make_edit = ours("jobs.bake").make_edit
        whole = self.targets_px(make_edit(plane, range(1, 11)))
        self.assertGreater(whole[9, 0, 1] - whole[0, 0, 1], 3.0)
        bpy.ops.ptcache.free_bake_all()
        part = self.targets_px(make_edit(plane, range(6, 11)))
        np.testing.assert_allclose(part, whole[5:], atol=1e-2)

    def test_a_plane_of_another_scene_is_sampled_on_that_scene_s_timeline(self) -> None:
        plane = self.animated()
        edit = self.edit_of(plane)
        other, here = bpy.data.scenes.new("Other"), bpy.context.scene
        for collection in list(here.collection.children):
            other.collection.children.link(collection)
            here.collection.children.unlink(collection)
        other.frame_start, other.frame_end = 1, 12
        here.frame_set(33)
        self.assertEqual(self.edit_of(plane), edit)
        self.assertEqual((here.frame_current, other.frame_current), (33, 1))

    def test_the_influence_of_a_pair_moves_its_target_towards_the_handle(self) -> None:
        plane = self.animated()
        pair = plane.draggan.pairs[0]
        for frame, influence in ((1, 0.0), (6, 0.0), (7, 1.0), (12, 1.0)):
            pair.influence = influence
            pair.keyframe_insert("influence", frame=frame)
        edit = self.edit_of(plane)
        found, home = self.targets_px(edit)[:, 0], edit.handles_px[0]
        np.testing.assert_array_equal(found[:6], [home] * 6)
        expected = ((-0.2 + 0.6 * np.arange(6, 12) / 11) + 1) * 32
        np.testing.assert_allclose(found[6:, 0], expected, atol=2e-3)
        self.assertTrue({1, 6, 7, 12} <= set(edit.poses))
        bpy.context.scene.frame_set(7)
        self.assertEqual(pair.influence, 1.0)
        # A target with an influence of 0 may be outside the image.
        self.key_target(pair, {6: 0.0})
        pair.target.location.x = -4.0
        pair.target.keyframe_insert("location", index=0, frame=2)
        np.testing.assert_array_equal(self.targets_px(self.edit_of(plane))[0, 0], home)

    def test_animated_settings_and_truncation_are_sampled_frame_by_frame(self) -> None:
        plane = self.animated()
        drag, source = plane.draggan.drag, plane.draggan.source
        self.assertEqual(self.edit_of(plane).truncation_psi, ())
        for frame, steps, psi in ((1, 50, 0.7), (12, 50, 0.2)):
            drag.max_steps, source.truncation_psi = steps, psi
            drag.keyframe_insert("max_steps", frame=frame)
            source.keyframe_insert("truncation_psi", frame=frame)
        drag.max_steps = 90
        drag.keyframe_insert("max_steps", frame=5)
        for key in ours("compat").find_fcurve(plane, "draggan.drag.max_steps", 0).keyframe_points:
            key.interpolation = "CONSTANT"
        edit = self.edit_of(plane)
        spans = [(entry.number, entry.settings.max_steps) for entry in edit.settings]
        self.assertEqual(spans, [(1, 50), (5, 90), (12, 50)])
        self.assertEqual(len(edit.truncation_psi), 12)
        self.assertAlmostEqual(edit.truncation_psi[0], 0.7, places=6)
        self.assertAlmostEqual(edit.truncation_psi[-1], 0.2, places=6)
        self.assertEqual((edit.seed, round(edit.sampled_psi, 6)), (1, 0.7))
        self.assertEqual(edit.poses, (1, 5, 12))

    def test_a_mask_sequence_is_read_by_the_numbers_of_its_files(self) -> None:
        plane = self.animated()
        for number, shade in ((3, 0.0), (4, 0.0), (6, 0.5), (9, 1.0)):
            image = bpy.data.images.new("Shade", 8, 8)
            image.pixels.foreach_set(np.tile(np.float32([shade, shade, shade, 1.0]), 8 * 8))
            image.file_format, image.filepath_raw = "PNG", str(self.folder / f"m_{number:03d}.png")
            image.save()
            bpy.data.images.remove(image)
        mask = bpy.data.images.load(str(self.folder / "m_003.png"))
        mask.source = "SEQUENCE"
        plane.draggan.mask = mask
        edit = self.edit_of(plane)
        spans = [(span.number, span.index) for span in edit.mask_spans]
        self.assertEqual(spans, [(1, 0), (6, 1), (9, -1)])
        levels = np.frombuffer(edit.masks, np.uint8).reshape(-1, 64 * 64)
        self.assertEqual([set(level.tolist()) for level in levels], [{0}, {128}])
        # A drag uses the mask of the current frame.
        at_frame = ours("scene.masks").at_frame
        self.assertEqual(set(at_frame(plane, 7)), {128})
        self.assertEqual(at_frame(plane, 40), b"")

    def test_a_hidden_or_excluded_target_is_sampled_as_well(self) -> None:
        plane = self.animated()
        edit, target = self.edit_of(plane), plane.draggan.pairs[0].target
        names = {item.name for item in bpy.data.objects}
        plane.hide_viewport = target.hide_viewport = True
        self.assertEqual(self.edit_of(plane), edit)
        plane.hide_viewport = target.hide_viewport = False
        (collection,) = target.users_collection
        layer = bpy.context.view_layer.layer_collection.children[collection.name]
        layer.exclude = True
        self.assertEqual(self.edit_of(plane), edit)
        self.assertEqual({item.name for item in bpy.data.objects}, names)

    def test_a_disabled_handle_that_a_script_moves_is_read_where_it_is(self) -> None:
        plane = self.animated()
        handle = plane.draggan.pairs[0].handle
        handle.hide_viewport = True
        bpy.context.view_layer.update()
        (before,) = self.edit_of(plane).handles_px
        handle.location.x += 0.25
        (now,) = self.edit_of(plane).handles_px
        self.assertAlmostEqual(now[0] - before[0], 0.125 * plane.draggan.size[0], 1)

    def test_what_cannot_be_baked_is_refused_with_its_name_and_frames(self) -> None:
        plane = self.animated()
        pair, error = plane.draggan.pairs[0], ours("errors").EditError
        self.key_target(pair, {12: 1.6})
        bpy.context.scene.frame_set(4)
        with self.assertRaisesRegex(error, "Target 001 is outside the image in frames 9 to 12"):
            self.bake(plane)
        self.assertEqual(bpy.context.scene.frame_current, 4)
        self.assertEqual((plane.draggan.request_id, plane.draggan.baking), (0, False))
        settings = plane.draggan.bake
        settings.use_own_range, settings.frame_start, settings.frame_end = True, 9, 8
        with self.assertRaisesRegex(error, "range 9-8 is empty"):
            self.bake(plane)

    def test_a_bake_uses_the_scene_s_the_preview_or_its_own_range(self) -> None:
        plane = self.animated()
        scene, frames_of = bpy.context.scene, ours("jobs.bake").frames_of
        scene.frame_start = 0
        self.assertEqual(frames_of(plane), range(1, 13))
        scene.use_preview_range = True
        scene.frame_preview_start, scene.frame_preview_end = 3, 7
        self.assertEqual(frames_of(plane), range(3, 8))
        settings = plane.draggan.bake
        settings.use_own_range, settings.frame_start, settings.frame_end = True, 5, 6
        self.assertEqual(frames_of(plane), range(5, 7))

    def test_the_time_of_sampling_is_proportional_to_the_frames(self) -> None:
        plane = self.animated()
        make_edit, seconds = ours("jobs.bake").make_edit, []
        for count in (500, 4000):
            started_s = time.perf_counter()
            self.assertEqual(make_edit(plane, range(1, count + 1)).frame_count, count)
            seconds.append(time.perf_counter() - started_s)
        # There are eight times as many frames; quadratic time would be 64 times as long.
        self.assertLess(seconds[1], 24 * seconds[0] + 0.2)


class RegionTest(BakeCase):
    """How regions of an animated scene should be turned and scaled."""

    def test_without_a_radius_an_edit_says_nothing_of_turns(self) -> None:
        plane = self.animated()
        self.key_turn(plane.draggan.pairs[0], {1: 0.0, 12: 1.0})
        edit = self.edit_of(plane)
        self.assertEqual((edit.radii_px, edit.turns), ((), b""))

    def test_keyed_turns_and_scales_are_sampled_as_influence_and_handle_say(self) -> None:
        plane = self.animated()
        pair = plane.draggan.pairs[0]
        pair.radius, pair.influence = 0.25, 0.5
        pair.handle.rotation_euler.z, pair.handle.scale = 0.2, (2.0, 2.0, 2.0)
        pair.target.scale = (8.0, 8.0, 8.0)
        self.key_turn(pair, {1: 0.2, 12: 1.3})
        self.add_pair(plane)
        # The plane is 2 units wide and the image 64 px; the handle is twice as large.
        for scale in ((1.0, 1.0, 1.0), (-2.0, 2.0, 2.0)):
            plane.rotation_euler, plane.scale = (0.4, 1.1, -0.7), scale
            edit = self.edit_of(plane)
            self.assertEqual(edit.radii_px, (16.0, 0.0))
            turns = self.turns(edit)
            np.testing.assert_allclose(turns[:, 0, 0], np.linspace(0, 0.55, 12), atol=1e-3)
            np.testing.assert_allclose(turns[:, 0, 1], 2.0, atol=1e-3)
            self.assertTrue((turns[:, 1] == (0.0, 1.0)).all())

    def test_a_turn_over_the_back_goes_on(self) -> None:
        plane = self.animated()
        pair = plane.draggan.pairs[0]
        pair.radius, pair.influence = 0.25, 0.5
        self.key_turn(pair, {1: 0.0, 12: 5.5})
        turns = self.turns(self.edit_of(plane))
        np.testing.assert_allclose(turns[:, 0, 0], np.linspace(0, 2.75, 12), atol=1e-3)

    def test_a_target_without_size_is_refused(self) -> None:
        plane = self.animated()
        pair = plane.draggan.pairs[0]
        pair.radius, pair.target.scale = 0.25, (0.0, 0.0, 0.0)
        with self.assertRaisesRegex(ours("errors").EditError, "Pair 1: a point has no size"):
            self.edit_of(plane)
