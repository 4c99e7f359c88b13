# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks that grow along pulls, with the real engine."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray
from support import TIMEOUT_S, SceneCase, ours

# In UV: the muzzle with a narrow box around it, and a place below the box.
MUZZLE, BELOW = (0.5, 0.35), (0.5, 0.2)
BOX = [(0.4, 0.28), (0.6, 0.28), (0.6, 0.45), (0.4, 0.45)]

Levels = NDArray[np.uint8]


class MaskFollowingTest(SceneCase):
    def setUp(self) -> None:
        """Make an image with a mask that follows, and a pair whose target is outside the mask."""
        super().setUp()
        self.plane = self.new_plane(3)
        bpy.context.view_layer.objects.active = self.plane
        path = [{"name": "", "loc": corner, "time": 0.0} for corner in BOX]
        self.assertEqual(bpy.ops.draggan.mask_region(corners_uv=path, how="REPLACE"), {"FINISHED"})
        self.plane.draggan.mask_follows = True
        ours("scene.points").add_pair(self.plane, MUZZLE, BELOW)
        bpy.context.view_layer.update()
        self.before = self.levels()
        bpy.ops.ed.undo_push(message="Before")

    def levels(self) -> Levels:
        """Return the mask as the engine gets it, top row first."""
        width, height = self.find_plane().draggan.size
        data = ours("scene.masks").at_frame(self.find_plane(), 1)
        return np.frombuffer(data, np.uint8).reshape(height, width)

    def at(self, uv: tuple[float, float], levels: Levels) -> int:
        height, width = levels.shape
        return int(levels[int((1 - uv[1]) * height), int(uv[0] * width)])

    def image(self) -> NDArray[np.uint8]:
        """Return the last image of the sequence, ``H x W x 4``, top row first."""
        plane = self.find_plane()
        sequence = plane.draggan.sequence
        number = sequence.first_frame + sequence.frame_count - 1
        folder = ours("scene.images").sequence_folder(plane)
        path = ours("scene.frame_files").frame_path(folder, sequence.stem, number)
        return self.pixels(bpy.data.images.load(str(path)))

    def pixels(self, image: Any) -> NDArray[np.uint8]:
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        found = values.reshape(image.size[1], image.size[0], 4)[::-1]
        return np.rint(found * 255).astype(np.uint8)

    def check_grown(self) -> Levels:
        """Check that the mask has room at the target, and that nothing outside has changed."""
        grown = self.levels()
        self.assertEqual(self.at(BELOW, self.before), 0)
        self.assertEqual(self.at(BELOW, grown), 255)
        self.assertTrue((grown >= self.before).all())
        still = self.pixels(self.find_plane().draggan.still)
        image = self.image()
        np.testing.assert_array_equal(image[grown == 0], still[grown == 0])
        added = (grown > 0) & (self.before == 0)
        self.assertGreater(int((image[added] != still[added]).sum()), 50)
        return grown

    def test_a_drag_takes_the_room_that_it_needs(self) -> None:
        self.drag(self.plane, 12)
        self.assertFalse(self.plane.draggan.failed, self.plane.draggan.status)
        grown = self.check_grown()
        self.assertEqual(len(self.plane.draggan.edits), 1)

        # The next drag goes on with the same edit, and takes more room.
        self.plane.draggan.pairs[0].target.location.x += 0.3
        bpy.context.view_layer.update()
        self.drag(self.plane, 4)
        self.assertEqual(len(self.plane.draggan.edits), 1)
        self.assertGreater(int((self.levels() > 0).sum()), int((grown > 0).sum()))

    def test_a_mask_that_does_not_follow_stays(self) -> None:
        self.plane.draggan.mask_follows = False
        self.drag(self.plane, 4)
        np.testing.assert_array_equal(self.levels(), self.before)

    def test_undo_and_redo_take_the_mask_along(self) -> None:
        self.drag(self.plane, 4)
        grown = self.levels()
        self.assertFalse(np.array_equal(grown, self.before))
        bpy.ops.ed.undo()
        np.testing.assert_array_equal(self.levels(), self.before)
        bpy.ops.ed.redo()
        np.testing.assert_array_equal(self.levels(), grown)

    def test_the_history_takes_the_mask_back_with_the_edit(self) -> None:
        plane = self.plane
        self.drag(plane, 4)
        first, states = self.levels(), plane.draggan.history.states
        plane.draggan.pairs[0].target.location.x += 0.3
        bpy.context.view_layer.update()
        self.drag(plane, 4)
        self.assertFalse(np.array_equal(self.levels(), first))
        ours("jobs.history").go_to(plane, states[1].number)
        np.testing.assert_array_equal(self.levels(), first)
        # So the next drag goes on with the same edit.
        self.drag(plane, 4)
        self.assertEqual(len(plane.draggan.edits), 1)

    def test_a_live_drag_takes_room_while_its_target_moves(self) -> None:
        plane = self.plane
        target = plane.draggan.pairs[0].target
        place = tuple(target.location)
        target.location = plane.draggan.pairs[0].handle.location
        bpy.context.view_layer.update()
        plane.draggan.drag.max_steps = 40
        request_id = ours("jobs.drag").start_drag(bpy.context, plane, is_open=True)
        self.run_until(lambda now: now.text.startswith("Step"))
        for share in (0.3, 0.6, 1.0):
            home = plane.draggan.pairs[0].handle.location
            target.location = [home[i] + share * (place[i] - home[i]) for i in range(3)]
            bpy.context.view_layer.update()
            ours("jobs.live").follow(plane)
            step = ours("connection.pump").state().step
            self.run_until(lambda now, last=step: now.step > last)
        target.location = place
        bpy.context.view_layer.update()
        ours("jobs.live").follow(plane)
        ours("jobs.live").close(plane)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
        self.check_grown()
        self.assertEqual(len(plane.draggan.edits), 1)

    def test_a_drag_that_is_taken_back_leaves_the_mask(self) -> None:
        self.start_endless_drag(self.plane)
        ours("jobs.recovery").cancel(self.plane)
        np.testing.assert_array_equal(self.levels(), self.before)

    def test_a_bake_has_room_for_all_its_frames(self) -> None:
        plane = self.plane
        target = plane.draggan.pairs[0].target
        target.keyframe_insert("location", frame=4)
        target.location = plane.draggan.pairs[0].handle.location
        target.keyframe_insert("location", frame=1)
        edit = ours("jobs.bake").make_edit(plane, range(1, 5))
        height, width = self.before.shape
        masks = np.frombuffer(edit.masks, np.uint8).reshape(-1, height, width)
        self.assertEqual(len(masks), 1)
        self.assertEqual(self.at(BELOW, masks[0]), 255)
        self.assertTrue((masks[0] >= self.before).all())
        plane.draggan.mask_follows = False
        edit = ours("jobs.bake").make_edit(plane, range(1, 5))
        np.testing.assert_array_equal(np.frombuffer(edit.masks, np.uint8), self.before.ravel())

    def test_drawing_a_mask_ends_following_and_a_softened_one_goes_on(self) -> None:
        path = [{"name": "", "loc": corner, "time": 0.0} for corner in BOX]
        bpy.ops.draggan.mask_region(corners_uv=path, how="ADD")
        self.assertTrue(self.plane.draggan.mask_follows)
        bpy.ops.draggan.mask_region(corners_uv=path, how="REPLACE")
        self.assertFalse(self.plane.draggan.mask_follows)
