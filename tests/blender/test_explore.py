# SPDX-License-Identifier: GPL-3.0-or-later
"""The image follows its seed and truncation, and a sheet shows many seeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bpy
from support import TIMEOUT_S, SceneCase, ours


class ExploreTest(SceneCase):
    """Tests without a window, where no timer runs: they call what the timer calls."""

    def prepared(self, *options: str) -> Any:
        self.use_fake_engine(*options)
        plane = self.new_plane()
        bpy.context.view_layer.objects.active = plane
        return plane

    def change(self, plane: Any, seed: int, psi: float = 0.7) -> None:
        plane.draggan.source.seed, plane.draggan.source.truncation_psi = seed, psi
        ours("jobs.explore").changed(plane)

    def follow(self, until: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
        """Call the timer's function and the pump until a condition holds."""
        end_s = time.monotonic() + timeout_s
        while not until():
            self.assertLess(time.monotonic(), end_s, "the condition did not come true")
            ours("jobs.explore").look()
            ours("connection.pump").tick()
            time.sleep(0.005)

    def test_the_image_follows_a_changed_seed(self) -> None:
        plane = self.prepared()
        latent, node = plane.draggan.latent, ours("scene.planes").texture_node(plane)
        self.change(plane, 7)
        self.follow(lambda: plane.draggan.previewing)
        self.assertEqual(node.image.source, "GENERATED")
        self.assertEqual(plane.draggan.latent, latent)
        self.follow(lambda: plane.draggan.sampled_seed == 7 and not plane.draggan.request_id)
        self.assertNotEqual(plane.draggan.latent, latent)
        self.assertEqual(node.image, plane.draggan.still)
        self.assertFalse(plane.draggan.previewing)
        self.assertIsNone(ours("jobs.explore").look())
        self.assertFalse(plane.draggan.source_changed)

    def test_only_the_value_that_rests_becomes_a_state(self) -> None:
        plane = self.prepared()
        states = plane.draggan.history.states
        for seed in range(2, 9):
            self.change(plane, seed)
            for _ in range(4):
                ours("jobs.explore").look()
                ours("connection.pump").tick()
                time.sleep(0.005)
        self.follow(lambda: plane.draggan.sampled_seed == 8)
        self.assertEqual([state.seed for state in states], [1, 8])

    def test_a_value_that_rests_while_the_button_is_held_is_a_preview(self) -> None:
        plane = self.prepared()
        held, held_value = [True], ours("jobs.held_value")
        held_value.ask(lambda: held[0])
        self.addCleanup(held_value.ask, ours("ui.held_button").is_held)
        for seed, psi in ((2, 0.5), (3, 0.3)):
            self.change(plane, seed, psi)
            end_s = time.monotonic() + 0.6
            self.follow(lambda: time.monotonic() > end_s)  # noqa: B023
            self.assertTrue(plane.draggan.previewing)
        self.assertEqual(len(plane.draggan.history.states), 1)
        held[0] = False
        self.follow(lambda: not plane.draggan.source_changed)
        self.assertEqual([state.seed for state in plane.draggan.history.states], [1, 3])
        self.assertAlmostEqual(plane.draggan.sampled_psi, 0.3)

    def test_a_value_that_comes_back_leaves_the_image(self) -> None:
        plane = self.prepared()
        still = plane.draggan.still
        self.change(plane, 3)
        self.follow(lambda: plane.draggan.previewing)
        self.change(plane, 1)
        self.follow(lambda: not plane.draggan.source_changed)
        self.assertFalse(plane.draggan.previewing)
        self.assertEqual(ours("scene.planes").texture_node(plane).image, still)
        self.assertEqual(len(plane.draggan.history.states), 1)

    def test_a_running_drag_is_stopped_and_kept(self) -> None:
        plane = self.prepared("--steps", "2000", "--step-s", "0.01")
        self.add_pair(plane)
        ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 3)
        self.change(plane, 4)
        self.follow(lambda: plane.draggan.sampled_seed == 4)
        kinds = [state.kind for state in plane.draggan.history.states]
        self.assertEqual(kinds, ["SEED", "DRAG", "SEED"])

    def test_a_failure_is_reported_once(self) -> None:
        plane = self.prepared()
        plane.draggan.source.kind, plane.draggan.source.path = "FILE", ""
        self.change(plane, 4)
        self.follow(lambda: ours("jobs.explore").look() is None)
        self.assertTrue(plane.draggan.failed)
        self.assertEqual(plane.draggan.sampled_seed, 1)

    def test_a_keyed_truncation_does_not_change_the_image(self) -> None:
        plane = self.prepared()
        plane.keyframe_insert("draggan.source.truncation_psi", frame=1)
        self.change(plane, 1, 0.2)
        self.assertIsNone(ours("jobs.explore").look())
        self.assertEqual(len(plane.draggan.history.states), 1)

    def test_one_undo_reverts_a_changed_value(self) -> None:
        plane = self.prepared()
        bpy.ops.ed.undo_push(message="Before")
        latent = plane.draggan.latent
        self.change(plane, 6)
        bpy.ops.ed.undo_push(message="Seed")  # what Blender's field pushes
        self.follow(lambda: plane.draggan.sampled_seed == 6 and not plane.draggan.request_id)
        bpy.ops.ed.undo()
        ours("jobs.explore").step_again("undo")  # called by a timer
        plane = self.find_plane()
        self.assertEqual((plane.draggan.source.seed, plane.draggan.latent), (1, latent))
        self.assertFalse(plane.draggan.source_changed)
        bpy.ops.ed.redo()
        ours("jobs.explore").step_again("redo")
        plane = self.find_plane()
        self.assertEqual((plane.draggan.source.seed, plane.draggan.sampled_seed), (6, 6))
        self.assertNotEqual(plane.draggan.latent, latent)

    def test_the_buttons_change_the_seed(self) -> None:
        plane = self.prepared()
        self.assertEqual(bpy.ops.draggan.next_seed(), {"FINISHED"})
        self.assertEqual(plane.draggan.sampled_seed, 2)
        self.assertEqual(bpy.ops.draggan.previous_seed(), {"FINISHED"})
        self.assertEqual(plane.draggan.sampled_seed, 1)
        self.assertEqual(bpy.ops.draggan.pick_seed(chosen=40), {"FINISHED"})
        self.assertEqual(plane.draggan.sampled_seed, 40)
        self.assertEqual(bpy.ops.draggan.random_seed(), {"FINISHED"})
        self.assertEqual(plane.draggan.sampled_seed, plane.draggan.source.seed)

    def test_a_sheet_shows_sixteen_seeds_and_its_pages(self) -> None:
        plane = self.prepared()
        sheet = ours("jobs.seed_sheet")
        plane.draggan.source.seed = 37
        bpy.ops.draggan.seed_sheet(page="HERE")
        self.assertEqual(sheet.first_of(plane), 32)
        self.follow(lambda: not sheet.go_on())
        self.assertEqual([seed for seed, _ in sheet.icons(plane)], list(range(32, 48)))
        bpy.ops.draggan.seed_sheet(page="NEXT")
        self.assertEqual(sheet.first_of(plane), 48)
        self.follow(lambda: not sheet.go_on())
        bpy.ops.draggan.seed_sheet(page="CLOSE")
        self.assertIsNone(sheet.first_of(plane))

    def test_without_an_active_image_a_sheet_makes_a_new_one(self) -> None:
        self.use_fake_engine()
        sheet, scene = ours("jobs.seed_sheet"), bpy.context.scene
        scene.draggan.source.seed = 20
        self.assertTrue(bpy.ops.draggan.seed_sheet.poll())
        bpy.ops.draggan.seed_sheet(page="HERE")
        self.assertEqual(sheet.first_of(None), 16)
        self.follow(lambda: not sheet.go_on())
        self.assertEqual([seed for seed, _ in sheet.icons(None)], list(range(16, 32)))
        self.assertEqual(bpy.ops.draggan.pick_seed(chosen=23), {"FINISHED"})
        plane = self.find_plane()
        self.assertEqual(plane.draggan.sampled_seed, 23)
        self.assertIsNone(sheet.first_of(None))
        self.assertEqual(scene.draggan.source.seed, 20)

    def test_a_drag_does_not_wait_for_a_sheet(self) -> None:
        plane = self.prepared("--step-s", "0.05", "--steps", "3")
        self.add_pair(plane)
        sheet = ours("jobs.seed_sheet")
        sheet.show(plane, 0)
        request_id = ours("jobs.drag").start_drag(bpy.context, plane)
        self.follow(lambda: request_id in ours("jobs.requests").endings)
        self.assertEqual(ours("jobs.requests").endings[request_id], "")
        self.assertLess(len(sheet._sheet.icons), 16)
        # The rest follows.
        self.follow(lambda: not sheet.go_on())
        self.assertEqual(len(sheet._sheet.icons), 16)
