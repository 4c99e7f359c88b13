# SPDX-License-Identifier: GPL-3.0-or-later
"""Sliders with the real engine: the image follows them, and drags, history and files keep them."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from slider_case import SliderCase
from support import TIMEOUT_S, ours


class SlidersTest(SliderCase):
    def test_the_image_follows_its_sliders_and_comes_back_to_the_bit(self) -> None:
        plane = self.find_plane()
        rows = plane.draggan.sliders
        self.assertEqual(rows[0].name, "Direction 1")
        self.assertIsNone(ours("jobs.edits").start(plane))
        before = self.latent(plane)
        rows[0].strength = 1.5
        moved = self.render(plane)
        self.differs(moved, self.still)
        change = ours("scene.sliders").change_of(plane, rows[0])
        np.testing.assert_allclose(self.latent(plane), before + 1.5 * change, atol=1e-5)
        self.assertEqual(plane.draggan.history.states[-1].kind, "SLIDERS")
        rows[1].strength = -1.0
        both = self.render(plane)
        rows[1].visible = False
        self.near(self.render(plane), moved)
        rows[1].visible, rows[0].first = True, 4
        self.differs(self.render(plane), both)
        rows[0].first = 0
        self.near(self.render(plane), both)
        self.assertEqual(bpy.ops.draggan.zero_sliders(), {"FINISHED"})
        self.near(self.shown(plane), self.still)
        np.testing.assert_allclose(self.latent(plane), before, atol=1e-6)

    def test_a_slider_adds_its_difference_to_what_drags_have_changed(self) -> None:
        plane = self.find_plane()
        row = plane.draggan.sliders[0]
        row.strength = 1.0
        self.render(plane)
        start = self.latent(plane)
        self.pull(plane)
        dragged = self.latent(plane)
        track = ours("scene.tracks").pictures_of(
            ours("properties.stored").to_bytes(plane.draggan.track), [0]
        )
        first = np.frombuffer(track[0], "<f4").reshape(start.shape)
        np.testing.assert_array_equal(first, start)
        row = plane.draggan.sliders[0]
        row.strength = 0.25
        self.render(plane)
        change = ours("scene.sliders").change_of(plane, row)
        np.testing.assert_allclose(self.latent(plane), dragged - 0.75 * change, atol=1e-5)
        self.assertIsNone(plane.draggan.sequence.image)

    def test_the_history_brings_strengths_and_image_back(self) -> None:
        plane = self.find_plane()
        plane.draggan.sliders[0].strength = 1.0
        moved = self.render(plane)
        plane.draggan.sliders[0].name = "Turn"
        self.pull(plane)
        states = plane.draggan.history.states
        self.assertEqual([state.kind for state in states], ["SEED", "SLIDERS", "DRAG"])
        job = ours("jobs.history")
        job.go_to(plane, states[0].number)
        self.near(self.shown(plane), self.still)
        rows = plane.draggan.sliders
        self.assertEqual([row.strength for row in rows], [0.0] * len(rows))
        job.go_to(plane, plane.draggan.history.states[1].number)
        self.near(self.shown(plane), moved)
        row = plane.draggan.sliders[0]
        self.assertEqual((row.strength, row.name), (1.0, "Turn"))
        self.assertIsNone(ours("jobs.edits").start(plane))

    def test_names_order_and_sign_are_kept_for_the_model(self) -> None:
        plane = self.find_plane()
        settings = plane.draggan
        library = ours("jobs.direction_library")
        first = library.load(plane)[0].change
        settings.sliders[0].name = "Turn"
        settings.active_slider = 0
        settings.sliders[0].strength = 1.0
        moved = self.render(plane)
        self.assertEqual(bpy.ops.draggan.flip_slider(), {"FINISHED"})
        self.assertEqual(settings.sliders[0].strength, -1.0)
        self.assertIsNone(ours("jobs.edits").start(plane))
        self.near(self.shown(plane), moved)
        self.assertEqual(bpy.ops.draggan.move_slider(direction="DOWN"), {"FINISHED"})
        found = library.load(plane)
        self.assertEqual([one.name for one in found[:3]], ["Direction 2", "Turn", "Direction 3"])
        np.testing.assert_array_equal(found[1].change, -first)

        other = self.new_plane(5)
        bpy.context.view_layer.objects.active = other
        self.assertEqual(bpy.ops.draggan.find_directions(), {"FINISHED"})
        self.assertEqual(other.draggan.sliders[1].name, "Turn")
        self.assertEqual(bpy.ops.draggan.add_slider(direction="1"), {"FINISHED"})
        self.assertEqual(other.draggan.sliders[-1].name, "Turn.001")
        other.draggan.active_slider = 1
        self.assertEqual(bpy.ops.draggan.remove_slider(forget=True), {"FINISHED"})
        self.assertNotIn("Turn", [one.name for one in library.load(other)])

    def test_sliders_of_another_model_do_not_come_along_in_the_history(self) -> None:
        plane = self.find_plane()
        golden = Path(__file__).parents[1] / "data" / "golden" / "sg3repo_r32.pkl"
        library = ours("jobs.direction_library")
        own = len(library.load(plane))
        first = plane.draggan.history.active
        plane.draggan.source.kind, plane.draggan.source.path = "FILE", str(golden)
        ours("jobs.requests").wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        add_first = ours("ui.operators.sliders").add_first
        ours("jobs.requests").wait(ours("jobs.directions").find(plane, add_first), TIMEOUT_S)
        self.assertGreater(len(plane.draggan.sliders), 0)
        other = plane.draggan.sliders[0].change
        states = plane.draggan.history.states
        state = next(state for state in states if state.number == first)
        ours("jobs.history").go_to(plane, state.number)
        self.assertNotIn(other, [row.change for row in plane.draggan.sliders])
        library.remember(plane)
        self.assertEqual(len(library.load(plane)), own)

    def test_files_are_exchanged(self) -> None:
        plane = self.find_plane()
        for name in ("a.npz", "b.safetensors"):
            path = self.folder / name
            bpy.ops.draggan.export_directions(filepath=str(path))
            count = len(plane.draggan.sliders)
            self.assertEqual(bpy.ops.draggan.import_directions(filepath=str(path)), {"FINISHED"})
            self.assertEqual(len(plane.draggan.sliders), 2 * count)
        np.savez(self.folder / "c.npz", wrong=np.zeros((3, 3), np.float32))
        with self.assertRaisesRegex(RuntimeError, "no direction of this model"):
            bpy.ops.draggan.import_directions(filepath=str(self.folder / "c.npz"))

    def test_removing_a_slider_takes_its_effect_away(self) -> None:
        plane = self.find_plane()
        settings = plane.draggan
        settings.sliders[0].strength, settings.sliders[1].strength = 1.0, 1.0
        self.render(plane)
        settings.active_slider = 0
        self.assertEqual(bpy.ops.draggan.remove_slider(), {"FINISHED"})
        self.assertEqual(settings.sliders[0].name, "Direction 2")
        settings.sliders[0].strength = 0.0
        self.near(self.render(plane), self.still)
        self.assertEqual(settings.sliders_taken, "")

    def test_a_drag_becomes_a_slider_that_takes_it_back_and_is_used_elsewhere(self) -> None:
        plane = self.find_plane()
        with self.assertRaisesRegex(RuntimeError, "does not show the result of a drag"):
            bpy.ops.draggan.keep_as_slider()
        self.pull(plane)
        dragged = self.shown(plane)
        self.assertEqual(bpy.ops.draggan.keep_as_slider(), {"FINISHED"})
        row = plane.draggan.sliders[-1]
        self.assertEqual((row.name, row.strength), ("Drag 1", 1.0))
        self.assertIsNone(ours("jobs.edits").start(plane))
        row.strength = 0.0
        self.near(self.render(plane), self.still)
        row.strength = 1.0
        self.near(self.render(plane), dragged)

        other = self.new_plane(8)
        bpy.context.view_layer.objects.active = other
        names = [one.name for one in ours("jobs.direction_library").load(other)]
        index = names.index("Drag 1")
        self.assertEqual(bpy.ops.draggan.add_slider(direction=str(index)), {"FINISHED"})
        before = self.latent(other)
        other.draggan.sliders[-1].strength = 1.0
        self.render(other)
        self.assertGreater(float(np.abs(self.latent(other) - before).max()), 1e-3)

    def test_styles_are_mixed_swapped_and_chosen_by_their_crossing(self) -> None:
        plane, other = self.find_plane(), self.new_plane(8)
        wanted, start = self.latent(other), self.latent(plane)
        for one in bpy.context.selected_objects:
            one.select_set(False)
        other.select_set(True)
        plane.select_set(True)
        bpy.context.view_layer.objects.active = plane
        self.assertEqual(bpy.ops.draggan.mix_style(), {"FINISHED"})
        half = len(start) // 2
        mixed = self.latent(plane)
        np.testing.assert_allclose(mixed[half:], wanted[half:], atol=1e-5)
        np.testing.assert_array_equal(mixed[:half], start[:half])
        plane.draggan.active_slider = len(plane.draggan.sliders) - 1
        self.assertEqual(bpy.ops.draggan.swap_style(), {"FINISHED"})
        swapped = self.latent(plane)
        np.testing.assert_allclose(swapped[half:], start[half:], atol=1e-5)
        np.testing.assert_allclose(swapped[:half], wanted[:half], atol=1e-5)

        self.assertEqual(bpy.ops.draggan.slider_strip(what="CROSSINGS"), {"FINISHED"})
        strip, index = ours("jobs.slider_strip"), plane.draggan.active_slider
        self.follow(lambda: strip.go_on() is None)
        self.assertFalse(strip._strip.failed, plane.draggan.status)
        tiles = strip.tiles_of(plane, index)
        self.assertEqual(tiles[0][0].setting.first, 0)
        self.assertEqual(len(strip._strip.icons), len(tiles))
        self.assertEqual(bpy.ops.draggan.pick_strip(number=0), {"FINISHED"})
        np.testing.assert_allclose(self.latent(plane), wanted, atol=1e-5)

        with self.assertRaisesRegex(RuntimeError, "images are equal"):
            bpy.ops.draggan.direction_from_images()
        self.assertEqual(bpy.ops.draggan.pick_strip(number=6), {"FINISHED"})
        self.assertEqual(bpy.ops.draggan.direction_from_images(), {"FINISHED"})
        self.assertEqual(plane.draggan.sliders[-1].name, f"To {plane.name}")

    def test_a_strip_shows_strengths_and_a_click_takes_one(self) -> None:
        plane = self.find_plane()
        plane.draggan.active_slider = 1
        self.assertEqual(bpy.ops.draggan.slider_strip(what="STRENGTHS"), {"FINISHED"})
        strip = ours("jobs.slider_strip")
        self.follow(lambda: strip.go_on() is None)
        tiles = strip.tiles_of(plane, 1)
        self.assertEqual(
            [tile.text for tile, _ in tiles], ["-3", "-2", "-1", "0", "+1", "+2", "+3"]
        )
        self.assertEqual(strip.tiles_of(plane, 0), [])
        self.assertEqual(bpy.ops.draggan.pick_strip(number=6), {"FINISHED"})
        self.assertEqual(plane.draggan.sliders[1].strength, 3.0)
        self.differs(self.shown(plane), self.still)

    def test_a_drag_is_kept_out_of_locked_sliders_and_held_to_others(self) -> None:
        plane = self.find_plane()
        start = self.latent(plane)
        for row in list(plane.draggan.sliders)[:2]:
            row.in_drags = "LOCKED"
        self.pull(plane)
        change = self.latent(plane) - start
        rows = plane.draggan.sliders
        units = [ours("scene.sliders").change_of(plane, row)[0] for row in rows]
        along = [np.abs(change @ one / (one @ one)).max() for one in units]
        self.assertLess(max(along[:2]), 1e-3)
        self.assertGreater(max(along[2:]), 1e-3)

        ours("jobs.drag").reset(plane)
        for row in plane.draggan.sliders:
            row.in_drags = "ONLY"
        self.pull(plane)
        change = self.latent(plane) - start
        basis = np.stack(units)
        weights = change @ np.linalg.pinv(basis)
        np.testing.assert_allclose(change, weights @ basis, atol=1e-4)
        self.assertGreater(float(np.abs(weights).max()), 1e-3)

    def test_pull_back_leads_to_an_image_of_the_model(self) -> None:
        plane = self.find_plane()
        plane.draggan.sliders[0].strength = 9.0
        far = self.render(plane)
        self.assertEqual(bpy.ops.draggan.pull_back(), {"FINISHED"})
        plane = self.find_plane()
        row = plane.draggan.sliders[-1]
        self.assertRegex(row.name, r"^Pull Back from [23]\.\d$")
        self.assertEqual(row.strength, 1.0)
        near = self.latent(plane)
        np.testing.assert_allclose(near, np.broadcast_to(near[0], near.shape), atol=1e-4)
        self.differs(self.shown(plane), far)
        row.strength = 0.0
        self.near(self.render(plane), far)

    def test_masked_edits_stay_over_an_image_that_a_slider_moves(self) -> None:
        plane = self.find_plane()
        corners = [(0.3, 0.2), (0.7, 0.2), (0.7, 0.6), (0.3, 0.6)]
        path = [{"name": "", "loc": corner, "time": 0.0} for corner in corners]
        bpy.ops.draggan.mask_region(corners_uv=path, how="REPLACE")
        self.pull(plane)
        self.assertEqual(len(plane.draggan.edits), 1)
        edit = plane.draggan.edits[0].change
        dragged = self.shown(plane)
        plane.draggan.sliders[0].strength = 1.5
        self.differs(self.render(plane), dragged)
        self.assertEqual(plane.draggan.edits[0].change, edit)
        plane.draggan.edits[0].visible = False
        without = self.render(plane)
        self.assertEqual(plane.draggan.history.states[-1].kind, "EDITS")
        plane.draggan.edits[0].visible = True
        plane.draggan.sliders[0].strength = 0.0
        self.near(self.render(plane), dragged)
        self.differs(without, dragged)

    def test_a_new_seed_and_a_reset_set_sliders_to_0(self) -> None:
        plane = self.find_plane()
        plane.draggan.sliders[0].strength = 2.0
        self.render(plane)
        ours("jobs.drag").reset(plane)
        self.near(self.shown(plane), self.still)
        self.assertEqual(plane.draggan.sliders[0].strength, 0.0)
        plane.draggan.sliders[0].strength = 2.0
        self.render(plane)
        plane.draggan.source.seed = 4
        ours("jobs.requests").wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        self.assertEqual(plane.draggan.sliders[0].strength, 0.0)
        self.assertIsNone(ours("jobs.edits").start(plane))
        self.assertEqual(plane.draggan.latent, plane.draggan.sampled_latent)

    def test_sliders_are_in_a_saved_file(self) -> None:
        plane = self.find_plane()
        plane.draggan.sliders[0].strength = 1.0
        moved = self.render(plane)
        path = self.folder / "saved.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        bpy.ops.wm.open_mainfile(filepath=str(path))
        plane = self.find_plane()
        self.near(self.shown(plane), moved)
        self.assertIsNone(ours("jobs.edits").start(plane))
        plane.draggan.sliders[0].strength = 0.0
        self.near(self.render(plane), self.still)

    def test_previews_and_one_undo_step_follow_a_slider(self) -> None:
        plane = self.find_plane()
        changes, held = ours("jobs.edit_changes"), ours("jobs.held_value")
        self.addCleanup(held.ask, None)
        held.ask(lambda: True)
        plane.draggan.sliders[0].strength = 1.0
        changes.changed(plane)
        self.assertTrue(plane.draggan.edits_changed)
        self.follow(lambda: self.find_plane().draggan.previewing)
        plane.draggan.sliders[0].strength = 2.0
        changes.changed(plane)
        held.ask(None)
        self.follow(lambda: not changes._changes)
        plane = self.find_plane()
        self.assertFalse(plane.draggan.previewing or plane.draggan.edits_changed)
        self.differs(self.shown(plane), self.still)
        kinds = [state.kind for state in plane.draggan.history.states]
        self.assertEqual(kinds, ["SEED", "SLIDERS"])
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual(plane.draggan.sliders[0].strength, 0.0)
        self.near(self.shown(plane), self.still)
