# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs belong to the image that they were dragged on: on another one they are off, until asked."""

from __future__ import annotations

from typing import Any

import bpy
from recording_layout import RecordingLayout
from support import TIMEOUT_S, SceneCase, ours


class PairImagesTest(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine("--steps", "3", "--step-s", "0")
        self.plane = self.new_plane(seed=1)
        bpy.context.view_layer.objects.active = self.plane

    def add(self, v: float) -> Any:
        """Add a pair, and return its index: a later one moves the others in memory."""
        ours("scene.points").add_pair(self.plane, (0.3, v), (0.6, v))
        bpy.context.view_layer.update()
        return len(self.plane.draggan.pairs) - 1

    def seed(self, number: int) -> None:
        self.plane.draggan.source.seed = number
        ours("jobs.requests").wait(ours("jobs.image").resample(self.plane), TIMEOUT_S)

    def enabled(self) -> list[bool]:
        return [pair.enabled for pair in self.plane.draggan.pairs]

    def sentence(self) -> list[str]:
        """Return what the panel says of pairs of another image."""
        layout = RecordingLayout()
        with_names = [pair.name for pair in ours("scene.pair_images").left(self.plane)]
        ours("ui.panels.points")._draw_left(layout, with_names)
        return [" ".join(layout.labels), *layout.operators]

    def test_a_dragged_pair_is_off_on_another_seed_and_one_to_come_stays_on(self) -> None:
        self.add(0.3)
        self.drag(self.plane)
        self.add(0.7)
        self.seed(2)
        self.assertEqual(self.enabled(), [False, True])
        self.assertEqual(
            self.sentence(), ["Pair 1 belongs to another image, and is off", "draggan.use_pairs"]
        )
        # The next drag leaves its handle alone, and so does a pull.
        place = tuple(self.plane.draggan.pairs[0].handle.location)
        self.drag(self.plane)
        self.assertEqual(tuple(self.plane.draggan.pairs[0].handle.location), place)
        self.assertEqual(self.plane.draggan.pairs[0].path_slot, -1)
        self.assertEqual(self.plane.draggan.pairs[1].path_slot, 0)
        # Each is on where it belongs.
        self.seed(1)
        self.assertEqual(self.enabled(), [True, False])
        self.seed(2)
        self.assertEqual(self.enabled(), [False, True])
        self.seed(3)
        self.assertEqual(self.enabled(), [False, False])
        names = "Pair 1 and Pair 2 belong to another image, and are off"
        self.assertEqual(self.sentence()[0], names)

    def test_pins_and_pairs_that_were_never_dragged_are_on_at_each_seed(self) -> None:
        self.add(0.3)
        ours("scene.points").add_pin(self.plane, (0.8, 0.8))
        self.seed(2)
        self.assertEqual(self.enabled(), [True, True])
        self.drag(self.plane)
        self.seed(3)
        self.assertEqual(self.enabled(), [False, True])

    def test_the_same_image_at_another_truncation_keeps_its_pairs_and_so_does_reset(self) -> None:
        self.add(0.3)
        self.drag(self.plane)
        self.plane.draggan.source.truncation_psi = 0.5
        self.seed(1)
        self.assertEqual(self.enabled(), [True])
        self.drag(self.plane)
        ours("jobs.drag").reset(self.plane)
        self.assertEqual(self.enabled(), [True])
        # The pair is of this image also after a reset.
        self.seed(2)
        self.assertEqual(self.enabled(), [False])

    def test_use_here_switches_them_on_for_this_image_and_further_ones(self) -> None:
        handle = tuple(self.plane.draggan.pairs[self.add(0.3)].handle.location)
        self.drag(self.plane)
        self.assertFalse(bpy.ops.draggan.use_pairs.poll())
        self.seed(2)
        self.assertFalse(bpy.ops.draggan.drag.poll())
        with self.assertRaisesRegex(ours("errors").EditError, "Use Here"):
            ours("jobs.drag").start_drag(bpy.context, self.plane)
        self.assertEqual(bpy.ops.draggan.use_pairs(), {"FINISHED"})
        self.assertEqual(tuple(self.plane.draggan.pairs[0].handle.location), handle)
        self.assertEqual((self.enabled(), self.sentence()), ([True], [""]))
        # It is as one that is to be dragged yet.
        self.seed(3)
        self.assertEqual(self.enabled(), [True])
        self.drag(self.plane)
        self.seed(4)
        self.assertEqual(self.enabled(), [False])

    def test_a_pair_that_was_switched_off_by_hand_is_not_switched_on(self) -> None:
        self.add(0.3)
        self.drag(self.plane)
        self.plane.draggan.pairs[0].enabled = False
        self.seed(2)
        self.assertEqual(self.sentence(), [""])
        self.seed(1)
        self.assertEqual(self.enabled(), [False])

    def test_with_keep_for_other_images_all_stay_on(self) -> None:
        self.add(0.3)
        self.plane.draggan.keep_pairs = True
        for number in (2, 3, 4):
            self.drag(self.plane)
            self.seed(number)
            self.assertEqual(self.enabled(), [True])
        self.plane.draggan.keep_pairs = False
        self.drag(self.plane)
        self.seed(5)
        self.assertEqual(self.enabled(), [False])

    def test_the_pairs_of_a_bake_stay_on(self) -> None:
        self.add(0.3)
        bake = self.plane.draggan.bake
        bake.use_own_range, bake.frame_start, bake.frame_end = True, 1, 3
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(self.plane), TIMEOUT_S)
        self.seed(2)
        self.assertEqual(self.enabled(), [True])

    def test_history_and_undo_bring_back_which_pairs_are_on(self) -> None:
        self.add(0.3)
        self.drag(self.plane)
        dragged = self.plane.draggan.history.active
        self.seed(2)
        other = self.plane.draggan.history.active
        self.add(0.7)
        self.drag(self.plane)
        go_to = ours("jobs.history").go_to
        go_to(self.plane, dragged)
        # The state does not know the second pair.
        self.assertEqual(self.enabled(), [True, False])
        self.assertEqual(self.sentence()[0], "Pair 2 belongs to another image, and is off")
        go_to(self.plane, other)
        self.assertEqual(self.enabled(), [False, True])
        self.assertEqual(self.sentence()[0], "Pair 1 belongs to another image, and is off")
        go_to(self.plane, dragged)
        bpy.ops.ed.undo_push(message="Go to State")
        self.seed(3)
        self.assertEqual(self.enabled(), [False, False])
        bpy.ops.ed.undo()
        self.plane = self.find_plane()
        self.assertEqual(self.enabled(), [True, False])

    def test_a_pull_that_is_taken_back_leaves_the_pair_off_and_says_so(self) -> None:
        self.add(0.3)
        self.drag(self.plane)
        self.seed(2)
        pull = ours("jobs.pull")
        gesture = pull.Pull(self.plane, (0.0, 0.0), 0, pull.Part.TARGET)
        gesture.move(bpy.context, (0.7, 0.3))
        self.assertEqual(self.enabled(), [True])
        gesture.take_back()
        self.run_until(lambda now: now.active is None)
        self.assertEqual(self.enabled(), [False])
        self.assertEqual(self.sentence()[0], "Pair 1 belongs to another image, and is off")
        self.seed(1)
        self.assertEqual(self.enabled(), [True])

    def test_another_saved_latent_is_another_image(self) -> None:
        image = ours("jobs.image")
        self.add(0.3)
        self.drag(self.plane)
        still, sampled = self.plane.draggan.still, self.plane.draggan.sampled_latent
        path = self.folder / "image.png"
        still.save(filepath=str(path))
        latent = ours("properties.stored").to_bytes(sampled)
        made = ours("protocol.messages").Sampled(request_id=1, latent=latent)
        seed = (1, 0.7, -1)
        image.take_sampled(self.plane, str(path), made, seed, is_of_seed=False)
        self.assertEqual(self.enabled(), [False])
