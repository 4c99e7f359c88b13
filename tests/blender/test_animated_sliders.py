# SPDX-License-Identifier: GPL-3.0-or-later
"""Sliders that are keyed: in sequences, in bakes, and at the playhead."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from slider_case import Pixels, SliderCase
from support import TIMEOUT_S, ours


class AnimatedSlidersTest(SliderCase):
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

    def test_a_preview_that_was_cancelled_is_not_shown(self) -> None:
        plane = self.find_plane()
        scrubbing, pump = ours("timeline.scrubbing"), ours("connection.pump")
        self.key_slider(plane.draggan.sliders[0], {1: 0.0, 5: 2.0})
        bpy.context.scene.frame_set(5)
        scrubbing.playhead_moved(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
        scrubbing.playhead_rests()
        request_id = pump.state().active.request.request_id
        take = ours("jobs.requests").taker_of(request_id)
        late = ours("protocol.drag_messages").Preview(
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
        memories, bake = ours("timeline.known_frames").memories, plane.draggan.bake
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
