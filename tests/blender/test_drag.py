# SPDX-License-Identifier: GPL-3.0-or-later
"""Drags with the real engine: image, pair, drag, sequence and keys."""

from __future__ import annotations

import base64
import re
from dataclasses import fields
from typing import Any

import bpy
import numpy as np
import rendering
import support
from support import TIMEOUT_S, SceneCase, ours


class DragTest(SceneCase):
    def test_operators_do_the_whole_job(self) -> None:
        scene = bpy.context.scene
        scene.frame_set(10)
        made = bpy.ops.draggan.new_image(seed=3, model=support.model, location=(0.0, 0.0, 0.0))
        self.assertEqual(made, {"FINISHED"})
        plane = self.find_plane()
        settings = plane.draggan
        node = ours("scene.planes").texture_node(plane)
        self.assertEqual(node.image, settings.still)
        self.assertEqual(tuple(settings.still.size), tuple(settings.size))
        self.assertEqual(len(settings.model_sha256), 64)

        self.assertEqual(
            bpy.ops.draggan.add_pair(handle_uv=(0.4, 0.5), target_uv=(0.5, 0.5)), {"FINISHED"}
        )
        handle, target = settings.pairs[0].handle, settings.pairs[0].target
        settings.drag.max_steps = 16
        start = tuple(handle.location)
        self.assertEqual(bpy.ops.draggan.drag(), {"FINISHED"})

        sequence = settings.sequence
        self.assertEqual(sequence.first_frame, 10)
        self.assertEqual(scene.frame_current, 10 + sequence.frame_count - 1)
        folder = ours("scene.images").sequence_folder(plane)
        numbers = sorted(int(path.stem[-4:]) for path in folder.glob("*.png"))
        self.assertEqual(numbers, list(range(9, 10 + sequence.frame_count)))
        self.assertEqual(node.image, sequence.image)
        self.assertEqual(node.image.source, "SEQUENCE")
        user = node.image_user
        self.assertEqual(
            (user.frame_start, user.frame_offset, user.frame_duration),
            (10, 9, sequence.frame_count),
        )
        self.assertTrue(user.use_auto_refresh)
        self.assertNotEqual(settings.latent, settings.sampled_latent)
        self.assertTrue(base64.b64decode(settings.track))
        words = re.search(r": (\d+) images from (\d+) steps?, \S+ px left, ", settings.status)
        assert words is not None, settings.status
        self.assertEqual(int(words[1]), sequence.frame_count)
        self.assertLessEqual(int(words[2]), 16)
        # The live image has been removed.
        images = {image.name for image in bpy.data.images if "Marker" not in image.name}
        self.assertEqual(images, {settings.still.name, sequence.image.name})

        # The handle moves along its keys, and the target does not move.
        scene.frame_set(10)
        np.testing.assert_allclose(handle.matrix_world.translation, start, atol=1e-4)
        scene.frame_set(10 + sequence.frame_count - 1)
        moved = handle.matrix_world.translation - plane.matrix_world.translation
        self.assertGreater(moved.x, start[0] + 0.02)
        self.assertIsNone(target.animation_data)

        self.assertEqual(bpy.ops.draggan.reset(), {"FINISHED"})
        np.testing.assert_allclose(handle.location, start, atol=1e-6)
        self.assertIsNone(handle.animation_data)
        self.assertEqual(settings.latent, settings.sampled_latent)
        self.assertEqual(node.image, settings.still)

    def test_a_stopped_drag_keeps_its_result_so_far(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        request_id = self.start_endless_drag(plane)
        node = ours("scene.planes").texture_node(plane)
        self.assertEqual(node.image.source, "GENERATED")
        ours("jobs.drag").stop_drag(plane)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertIn("Stopped", plane.draggan.status)
        self.assertEqual(node.image.source, "SEQUENCE")
        self.assertGreaterEqual(plane.draggan.sequence.frame_count, 2)

    def test_handles_at_their_targets_make_one_image_and_no_step(self) -> None:
        plane = self.new_plane()
        pair = self.add_pair(plane)
        pair.target.location = pair.handle.location
        bpy.context.view_layer.update()
        self.drag(plane)
        self.assertEqual(plane.draggan.sequence.frame_count, 1)
        self.assertIn("Reached the targets: no step was needed, 0.0 px", plane.draggan.status)

    def test_a_second_drag_starts_from_the_first_and_writes_to_another_folder(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        self.drag(plane, 3)
        first_folder = ours("scene.images").sequence_folder(plane)
        first_latent, frame = plane.draggan.latent, bpy.context.scene.frame_current
        files = self.files(plane)
        self.drag(plane, 3)
        self.assertNotEqual(ours("scene.images").sequence_folder(plane), first_folder)
        self.assertNotEqual(plane.draggan.latent, first_latent)
        self.assertEqual(plane.draggan.sequence.first_frame, 1)
        self.assertTrue(list(first_folder.glob("*.png")))
        # The images of the first drag stay, and those of the second follow.
        joined = self.files(plane)
        self.assertEqual({number: joined[number] for number in files}, files)
        self.assertEqual(max(joined), bpy.context.scene.frame_current)
        self.assertGreater(max(joined), frame)

    def test_the_images_of_both_drags_are_rendered_again_from_the_joined_track(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        self.drag(plane, 3)
        second = ours("scene.points").add_pair(plane, (0.6, 0.4), (0.6, 0.5))
        plane.draggan.pairs[0].enabled = False
        bpy.context.view_layer.update()
        self.drag(plane, 3)
        before = self.files(plane)
        folder = ours("scene.images").sequence_folder(plane)
        for path in folder.glob("*.png"):
            path.unlink()
        bpy.context.view_layer.objects.active = plane
        self.assertEqual(bpy.ops.draggan.render_again(), {"FINISHED"})
        after = self.files(plane)
        self.assertEqual(set(after), set(before))
        folder = ours("scene.images").sequence_folder(plane)
        for number in after:
            (path,) = folder.glob(f"*_{number:04d}.png")
            seen = rendering.read(path)
            path.write_bytes(before[number])
            self.assertLessEqual(np.abs(rendering.read(path) - seen).max(), 1.0, number)
        places = ours("scene.tracks").handles_px(plane.draggan.track)
        self.assertEqual(places.shape, (plane.draggan.sequence.frame_count, 2, 2))
        slots = plane.draggan.pairs[0].path_slot, second.path_slot
        self.assertEqual(slots, (1, 0))

    def files(self, plane: Any) -> dict[int, bytes]:
        """Return the bytes of the sequence's files by their numbers."""
        folder = ours("scene.images").sequence_folder(plane)
        return {int(path.stem[-4:]): path.read_bytes() for path in folder.glob("*.png")}

    def test_a_drag_from_an_earlier_frame_starts_from_the_image_of_that_frame(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        images, scene = ours("scene.images"), bpy.context.scene
        scene.frame_set(5)
        self.drag(plane, 6)
        handle = plane.draggan.pairs[0].handle
        # At a frame within the sequence, then at one before the next sequence.
        for frame, shown in ((7, 7), (3, 5)):
            folder = images.sequence_folder(plane)
            numbers = (shown, scene.frame_current)
            paths = [next(folder.glob(f"*_{number:04d}.png")) for number in numbers]
            seen, last = (rendering.read(path) for path in paths)
            self.assertGreater(np.abs(seen - last).max(), 4.0)
            scene.frame_set(frame)
            where = tuple(handle.location)
            self.drag(plane, 3)
            (first,) = images.sequence_folder(plane).glob(f"*_{frame:04d}.png")
            started = rendering.read(first)
            self.assertLessEqual(np.abs(started - seen).max(), 1.0, f"frame {frame}")
            scene.frame_set(frame)
            np.testing.assert_allclose(handle.location, where, atol=1e-4)
            sequence = plane.draggan.sequence
            self.assertEqual(sequence.first_frame, min(frame, 5))
            scene.frame_set(sequence.first_frame + sequence.frame_count - 1)

    def test_a_track_that_cannot_be_read_is_reported(self) -> None:
        plane = self.new_plane()
        self.add_pair(plane)
        self.drag(plane, 3)
        plane.draggan.track = base64.b64encode(b"no track").decode()
        bpy.context.scene.frame_set(1)
        with self.assertRaisesRegex(ours("errors").EditError, "latent of frame 1 .* press Reset"):
            self.drag(plane, 3)
        self.assertEqual(plane.draggan.request_id, 0)

    def test_a_dark_mask_and_a_white_one_give_different_images(self) -> None:
        latents = []
        for shade in (1.0, 0.01):
            plane = self.new_plane()
            self.add_pair(plane)
            mask = bpy.data.images.new("Mask", 8, 8)
            mask.colorspace_settings.name = "Non-Color"
            mask.pixels.foreach_set(np.array([shade, shade, shade, 1.0] * 64, dtype=np.float32))
            plane.draggan.mask = mask
            self.drag(plane, 4)
            latents.append(plane.draggan.latent)
        self.assertNotEqual(*latents)

    def test_the_defaults_in_the_panel_are_those_of_the_protocol(self) -> None:
        defaults = ours("protocol.settings").DragSettings
        plane = ours("scene.planes").create(bpy.context)
        settings = ours("properties.drag").drag_settings(plane.draggan.drag)
        for item in fields(defaults):
            expected = getattr(defaults(), item.name)
            found = getattr(settings, item.name)
            if isinstance(expected, float):
                self.assertAlmostEqual(found, expected, places=6, msg=item.name)
            else:
                self.assertEqual(found, expected, item.name)
