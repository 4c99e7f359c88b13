# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact masks with the real engine: everything that shows the image keeps what was held."""

from __future__ import annotations

import shutil
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray
from support import TIMEOUT_S, SceneCase, ours

# In UV: the muzzle, with a box around it, and a box above with the eyes.
MUZZLE = ((0.5, 0.35), (0.5, 0.28))
MUZZLE_BOX = [(0.3, 0.1), (0.7, 0.1), (0.7, 0.5), (0.3, 0.5)]
EYES_BOX = [(0.2, 0.55), (0.8, 0.55), (0.8, 0.9), (0.2, 0.9)]


class ExactMaskTest(SceneCase):
    def setUp(self) -> None:
        """Make an image with a pair in a masked area, and drag it."""
        super().setUp()
        self.plane = self.new_plane(3)
        bpy.context.view_layer.objects.active = self.plane
        self.still = self.pixels(self.plane.draggan.still)
        self.mask(MUZZLE_BOX)
        self.held = self.black()
        ours("scene.points").add_pair(self.plane, *MUZZLE)
        bpy.context.view_layer.update()
        self.drag(self.plane, 4)

    def pixels(self, image: Any) -> NDArray[np.float32]:
        """Return the pixels of an image file, ``H x W x 4``, bottom row first."""
        image.reload()
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        return values.reshape(image.size[1], image.size[0], 4)

    def frame(self, plane: Any, row: int) -> NDArray[np.float32]:
        """Return the pixels of the file of a row of the sequence."""
        folder, sequence = ours("scene.images").sequence_folder(plane), plane.draggan.sequence
        number = sequence.first_frame + row
        (path,) = folder.glob(f"*_{number:04d}.png")
        image = bpy.data.images.load(str(path))
        try:
            return self.pixels(image)
        finally:
            bpy.data.images.remove(image)

    def last(self, plane: Any) -> NDArray[np.float32]:
        return self.frame(plane, plane.draggan.sequence.frame_count - 1)

    def mask(self, corners: Any) -> None:
        path = [{"name": "", "loc": corner, "time": 0.0} for corner in corners]
        self.assertEqual(bpy.ops.draggan.mask_region(corners_uv=path, how="REPLACE"), {"FINISHED"})

    def black(self) -> NDArray[np.bool_]:
        levels = np.frombuffer(ours("scene.masks").at_frame(self.plane, 1), np.uint8)
        return np.flipud(levels.reshape(self.still.shape[:2]) == 0)

    def check_held(self, image: NDArray[np.float32]) -> None:
        np.testing.assert_array_equal(image[self.held], self.still[self.held])
        self.assertGreater(float(np.abs(image - self.still)[~self.held].mean()), 0.002)

    def wait(self, request_id: int) -> None:
        ours("jobs.requests").wait(request_id, TIMEOUT_S)

    def test_a_pair_that_the_mask_holds_is_named_and_keeps_no_other_from_arriving(self) -> None:
        (first,) = self.plane.draggan.pairs
        ours("scene.points").add_pair(self.plane, (0.35, 0.75), (0.35, 0.85))
        bpy.context.view_layer.update()
        self.drag(self.plane, 80)
        self.assertEqual([one.state for one in self.plane.draggan.pairs], ["FINE", "MASKED"])
        self.assertRegex(self.plane.draggan.status, "^Reached the targets: ")
        first.target.location = first.handle.location
        bpy.context.view_layer.update()
        self.drag(self.plane, 80)
        self.assertRegex(
            self.plane.draggan.status, "^The mask is black under Pair 2, where nothing moves: "
        )

    def test_what_is_held_stays_in_all_that_shows_the_image(self) -> None:
        plane, settings = self.plane, self.plane.draggan
        self.assertFalse(settings.failed, settings.status)
        dragged = self.last(plane)
        self.check_held(dragged)

        # Restored without solving.
        folder = ours("scene.images").sequence_folder(plane)
        shutil.rmtree(folder)
        self.wait(ours("jobs.image").render_again(plane))
        np.testing.assert_array_equal(self.last(plane), dragged)

        # In a copy, and from a file.
        path = str(self.folder / "masked.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        self.plane = plane = self.find_plane()
        shutil.rmtree(ours("scene.images").sequence_folder(plane))
        self.wait(ours("jobs.image").render_again(plane))
        np.testing.assert_array_equal(self.last(plane), dragged)

        # As an image key, alone and between two.
        bpy.context.view_layer.objects.active = plane
        latent_keys, scene = ours("timeline.latent_keys"), bpy.context.scene
        sequence = plane.draggan.sequence
        scene.frame_set(sequence.first_frame + sequence.frame_count - 1)
        latent_keys.add_key(plane).frame = 5
        scene.frame_set(sequence.first_frame)
        latent_keys.add_key(plane).frame = 1
        self.wait(latent_keys.render_keys(plane))
        np.testing.assert_array_equal(self.frame(plane, 4), dragged)
        self.check_held(self.frame(plane, 2))
        np.testing.assert_array_equal(self.frame(plane, 0), self.still)

    def test_a_drag_under_another_mask_keeps_what_was_dragged(self) -> None:
        first = self.last(self.plane)
        ours("scene.points").remove_pair(self.plane, 0)
        self.mask(EYES_BOX)
        held = self.black()
        ours("scene.points").add_pair(self.plane, (0.4, 0.7), (0.4, 0.74))
        bpy.context.view_layer.update()
        self.drag(self.plane, 3)
        last = self.last(self.plane)
        np.testing.assert_array_equal(last[held], first[held])
        picture = ours("protocol.pictures").decode_picture(
            ours("properties.stored").to_bytes(self.plane.draggan.latent)
        )
        self.assertEqual(len(picture.layers), 2)

    def test_a_bake_holds_in_every_frame(self) -> None:
        plane, scene = self.plane, bpy.context.scene
        bpy.ops.draggan.reset()
        scene.frame_set(1)
        target = plane.draggan.pairs[0].target
        target.keyframe_insert("location", frame=1)
        target.location.y -= 0.05
        target.keyframe_insert("location", frame=3)
        scene.frame_set(1)
        scene.frame_start, scene.frame_end = 1, 3
        self.wait(ours("jobs.bake").start_bake(plane))
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
        for row in range(3):
            image = self.frame(plane, row)
            np.testing.assert_array_equal(image[self.held], self.still[self.held])
        self.assertGreater(float(np.abs(image - self.still).max()), 0.02)
