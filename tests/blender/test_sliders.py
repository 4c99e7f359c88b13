# SPDX-License-Identifier: GPL-3.0-or-later
"""Sliders with the real engine: the image follows them, and drags, history and files keep them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray
from support import TIMEOUT_S, SceneCase, ours

Pixels = NDArray[np.float32]


class SlidersTest(SceneCase):
    def setUp(self) -> None:
        """Make an image, and find the directions of its model in a user folder of this test."""
        super().setUp()
        preferences = ours("preferences")
        self.addCleanup(setattr, preferences, "user_folder", preferences.user_folder)
        preferences.user_folder = lambda: self.folder / "user"
        plane = self.new_plane(3)
        bpy.context.view_layer.objects.active = plane
        self.still = self.shown(plane)
        # As the operator in a window does: the result arrives later, with an undo step.
        add_first = ours("ui.operators.sliders").add_first
        request_id = ours("jobs.directions").find(plane, add_first)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)

    def tearDown(self) -> None:
        """Close the strip, whose picture is in the test's folder."""
        ours("jobs.slider_strip").close()
        super().tearDown()

    def shown(self, plane: Any) -> Pixels:
        """Return what the file of the shown image has, ``H x W x 4``, bottom row first."""
        image, sequence = plane.draggan.still, plane.draggan.sequence
        if sequence.image is not None:
            number = sequence.first_frame + ours("scene.timing").shown_row(plane)
            image = self.frame(plane, number)
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        return values.reshape(image.size[1], image.size[0], 4)

    def frame(self, plane: Any, number: int) -> Any:
        folder = ours("scene.images").sequence_folder(plane)
        stem = plane.draggan.sequence.stem
        return bpy.data.images.load(str(ours("scene.frame_files").frame_path(folder, stem, number)))

    def render(self, plane: Any) -> Pixels:
        """Let the image follow its sliders, and return it."""
        request_id = ours("jobs.edits").start(plane)
        self.assertIsNotNone(request_id)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
        return self.shown(plane)

    def near(self, one: Pixels, other: Pixels) -> None:
        """Compare images but for rounding: a latent is computed in another order."""
        self.assertLessEqual(float(np.abs(one - other).max()), 1.01 / 255)

    def differs(self, one: Pixels, other: Pixels) -> None:
        self.assertGreater(float(np.abs(one - other).max()), 8 / 255)

    def follow(self, until: Callable[[], bool], *looks: str) -> None:
        """Call the timers' functions and the pump until a condition holds."""
        end_s = time.monotonic() + TIMEOUT_S
        while not until():
            self.assertLess(time.monotonic(), end_s, "the condition did not come true")
            ours("jobs.edit_changes").look()
            ours("jobs.slider_strip").go_on()
            ours("connection.pump").tick()
            time.sleep(0.005)

    def latent(self, plane: Any) -> NDArray[np.float32]:
        values: NDArray[np.float32] = ours("scene.sliders").base(plane)
        return values

    def pull(self, plane: Any, steps: int = 3) -> None:
        if not plane.draggan.pairs:
            self.add_pair(plane)
        plane.draggan.pairs[0].target.location.x += 0.04
        bpy.context.view_layer.update()
        self.drag(plane, steps)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)

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

    def test_keyed_strengths_make_a_sequence_and_a_drag_goes_on_from_its_frames(self) -> None:
        plane = self.find_plane()
        row = plane.draggan.sliders[0]
        for frame, strength in ((1, 0.0), (5, 2.0)):
            row.strength = strength
            row.keyframe_insert("strength", frame=frame)
        bpy.context.scene.frame_set(5)
        # Animated strengths belong to sequences: the still image does not follow them.
        self.assertIsNone(ours("jobs.edits").start(plane))
        plane.draggan.sliders[1].strength = 0.5
        still = self.render(plane)
        base = self.latent(plane)
        bake = plane.draggan.bake
        bake.frame_start, bake.frame_end = 1, 5
        bake.use_own_range = True
        self.assertEqual(bpy.ops.draggan.render_sliders(), {"FINISHED"})
        self.assertEqual(plane.draggan.sequence.frame_count, 5)
        bpy.context.scene.frame_set(1)
        self.near(self.shown(plane), still)
        bpy.context.scene.frame_set(3)
        shown = ours("scene.shown").latent(plane)
        middle = np.frombuffer(shown, "<f4").reshape(base.shape)
        change = ours("scene.sliders").change_of(plane, plane.draggan.sliders[0])
        step = float(((middle - base) * change).sum() / (change**2).sum() / len(base))
        np.testing.assert_allclose(middle, base + step * change, atol=1e-5)
        self.assertGreater(step, 0.5)

        self.pull(plane)
        # The drag has started at the frame: that strength is in the latent now.
        settings = ours("scene.sliders").wanted_settings(plane)
        key = plane.draggan.sliders[0].key
        self.assertAlmostEqual(settings[key].strength, step, places=3)
        self.assertIsNone(ours("jobs.edits").start(plane))

    def test_a_bake_has_animated_sliders(self) -> None:
        plane = self.find_plane()
        row = plane.draggan.sliders[0]
        row.strength = 0.5
        self.render(plane)
        base = self.latent(plane)
        row = plane.draggan.sliders[0]
        for frame, strength in ((1, 0.5), (3, 1.5)):
            row.strength = strength
            row.keyframe_insert("strength", frame=frame)
        self.add_pair(plane)
        lock, only = plane.draggan.sliders[1], plane.draggan.sliders[2]
        lock.in_drags, only.in_drags = "LOCKED", "ONLY"
        edit = ours("jobs.bake").make_edit(plane, range(1, 4))
        for held, data in ((lock, edit.locked), (only, edit.held_to)):
            whole = ours("scene.sliders").whole_change(plane, held)
            np.testing.assert_array_equal(np.frombuffer(data, "<f4"), whole.ravel())
        self.assertEqual(len(edit.slider_changes), 3)
        self.assertAlmostEqual(edit.slider_changes[0], 0.0, places=5)
        self.assertAlmostEqual(edit.slider_changes[2], 1.0, places=5)
        change = np.frombuffer(edit.sliders, "<f4").reshape(base.shape)
        direction = ours("scene.sliders").change_of(plane, row)
        np.testing.assert_allclose(change, np.broadcast_to(direction, base.shape))
        np.testing.assert_array_equal(np.frombuffer(edit.latent, "<f4").reshape(base.shape), base)

    def test_a_bake_is_solved_over_a_slider_that_moves(self) -> None:
        plane = self.find_plane()
        row = plane.draggan.sliders[3]  # the colour of the background, which no drag needs
        for frame, strength in ((1, 0.0), (3, 1.0)):
            row.strength = strength
            row.keyframe_insert("strength", frame=frame)
        self.add_pair(plane)
        plane.draggan.drag.max_steps = 2
        bake = plane.draggan.bake
        bake.use_own_range, bake.frame_start, bake.frame_end = True, 1, 3
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), TIMEOUT_S)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
        track = ours("properties.stored").to_bytes(plane.draggan.track)
        first, last = (
            np.frombuffer(one, "<f4").reshape(-1, plane.draggan.w_dim)
            for one in ours("scene.tracks").pictures_of(track, [0, 2])
        )
        change = ours("scene.sliders").change_of(plane, plane.draggan.sliders[3])[0]
        along = (last - first) @ change / (change @ change)
        self.assertAlmostEqual(float(along.mean()), 1.0, delta=0.2)

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

    def go_to(self, frame: int) -> Pixels | None:
        """Do what a frame change does in a window; return the preview, or None at rest."""
        scrubbing, pump = ours("timeline.scrubbing"), ours("connection.pump")
        bpy.context.scene.frame_set(frame)
        scrubbing.playhead_moved(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
        scrubbing.playhead_rests()
        self.assertTrue(pump.run_until(lambda now: now.active is None, TIMEOUT_S))
        return self.preview(self.find_plane())

    def preview(self, plane: Any) -> Pixels | None:
        if not plane.draggan.previewing:
            return None
        image = ours("scene.planes").texture_node(plane).image
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        return values.reshape(image.size[1], image.size[0], 4)

    def test_a_preview_that_was_cancelled_is_not_shown(self) -> None:
        plane = self.find_plane()
        scrubbing, pump = ours("timeline.scrubbing"), ours("connection.pump")
        self.key_slider(plane.draggan.sliders[0], {1: 0.0, 5: 2.0})
        bpy.context.scene.frame_set(5)
        scrubbing.playhead_moved(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
        scrubbing.playhead_rests()
        request_id = pump.state().active.request.request_id
        take = ours("jobs.requests").taker_of(request_id)
        late = ours("protocol.messages").Preview(
            request_id=request_id, drag_id=0, step=0, width=2, height=2, pixels=bytes(2 * 2 * 16)
        )
        take(late)
        self.assertTrue(plane.draggan.previewing)
        # An undo, a save and a render end the preview, and the engine has sent its image already.
        ours("jobs.recovery").end_preview(plane)
        self.assertTrue(pump.state().ending_asked)
        take(late)
        self.assertIsNone(self.preview(plane))
        self.run_until(lambda now: now.active is None)
        self.assertIsNone(self.preview(plane))

    def key_slider(self, row: Any, strengths: dict[int, float]) -> None:
        for frame, strength in strengths.items():
            row.strength = strength
            row.keyframe_insert("strength", frame=frame)

    def test_the_playhead_shows_keyed_sliders_without_solving(self) -> None:
        plane = self.find_plane()
        self.key_slider(plane.draggan.sliders[0], {1: 0.0, 5: 2.0})
        before = plane.draggan.latent
        self.assertIsNone(self.go_to(1), "the still image is that of a strength of 0")
        seen = {frame: self.go_to(frame) for frame in (5, 3)}
        sheet: dict[int, Pixels] = {}
        self.assertEqual(plane.draggan.latent, before)
        request_id = ours("timeline.edit_frames").render(plane, range(1, 6))
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        for frame, preview in seen.items():
            bpy.context.scene.frame_set(frame)
            sheet[frame] = self.shown(plane)
            assert preview is not None
            self.near(preview, sheet[frame])
        self.differs(sheet[3], sheet[5])
        # The sequence shows its frames itself; after a change of the keys, it is not theirs.
        self.assertIsNone(self.go_to(5))
        self.assertIsNone(self.go_to(3))
        self.key_slider(plane.draggan.sliders[0], {5: -2.0})
        changed = self.go_to(5)
        assert changed is not None
        self.differs(changed, sheet[5])

    def test_a_solved_preview_is_that_of_a_bake_with_its_sliders_and_locks(self) -> None:
        plane = self.find_plane()
        rows = plane.draggan.sliders
        self.key_slider(rows[3], {1: 0.0, 3: 1.0})
        rows[0].in_drags = "LOCKED"
        target = self.add_pair(plane).target
        x = target.location.x
        for frame, way in ((1, 0.0), (3, 0.06)):
            target.location.x = x - 0.3 + way
            target.keyframe_insert("location", index=0, frame=frame)
        plane.draggan.drag.max_steps = 2
        memories, bake = ours("timeline.scrubbing")._memories, plane.draggan.bake
        bake.use_own_range = True
        changes = {}
        for frame, expected in ((3, 1.0), (2, 0.5)):
            self.assertIsNotNone(self.go_to(frame))
            known = memories[plane.draggan.uuid].solved[-1]
            bake.frame_start = bake.frame_end = frame
            self.assertIsNotNone(self.go_to(frame))
            edit = ours("jobs.bake").make_edit(plane, range(frame, frame + 1))
            self.assertAlmostEqual(edit.slider_changes[0], expected, places=4)
            ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), TIMEOUT_S)
            track = ours("properties.stored").to_bytes(plane.draggan.track)
            (baked,) = ours("scene.tracks").pictures_of(track, [0])
            np.testing.assert_allclose(
                np.frombuffer(known.latent, "<f4"), np.frombuffer(baked, "<f4"), atol=1e-6
            )
            self.assertIsNone(self.go_to(frame), "the bake shows it")
            changes[frame] = np.frombuffer(baked, "<f4").reshape(-1, plane.draggan.w_dim)
            # Another strength or lock is solved again.
            rows[0].in_drags = "FREE"
            self.assertIsNotNone(self.go_to(frame))
            rows[0].in_drags = "LOCKED"
            self.assertIsNone(self.go_to(frame))
            ours("jobs.bake").clear(plane)
        self.key_slider(plane.draggan.sliders[3], {2: 0.0})
        self.assertIsNotNone(self.go_to(2))
        again = memories[plane.draggan.uuid].solved[-1]
        one = np.frombuffer(again.latent, "<f4").reshape(changes[2].shape) - changes[2]
        unit = ours("scene.sliders").change_of(plane, plane.draggan.sliders[3])[0]
        self.assertAlmostEqual(float((one @ unit / (unit @ unit)).mean()), -0.5, delta=0.15)
