# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of masked edits with the real engine: the image shows it, and everything keeps it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bpy
import numpy as np
from shown_case import ShownCase
from support import TIMEOUT_S, ours

# In UV: the muzzle and an eye, each with a box around it.
MUZZLE = ((0.5, 0.35), (0.5, 0.28))
MUZZLE_BOX = [(0.3, 0.1), (0.7, 0.1), (0.7, 0.5), (0.3, 0.5)]
EYE = ((0.4, 0.7), (0.4, 0.74))
EYES_BOX = [(0.2, 0.55), (0.8, 0.55), (0.8, 0.9), (0.2, 0.9)]
# Overlaps both.
MIDDLE_BOX = [(0.3, 0.4), (0.7, 0.4), (0.7, 0.7), (0.3, 0.7)]


class EditsTest(ShownCase):
    def setUp(self) -> None:
        """Make an image, and drag its muzzle and an eye under a mask each."""
        super().setUp()
        plane = self.new_plane(3)
        bpy.context.view_layer.objects.active = plane
        self.still = self.shown(plane)
        self.edit(plane, MUZZLE_BOX, MUZZLE)
        self.one = self.shown(plane)
        self.edit(plane, EYES_BOX, EYE)
        self.both = self.shown(plane)
        bpy.ops.ed.undo_push(message="Dragged")

    def edit(self, plane: Any, box: Any, pair: Any) -> None:
        if plane.draggan.pairs:
            ours("scene.points").remove_pair(plane, 0)
        path = [{"name": "", "loc": corner, "time": 0.0} for corner in box]
        self.assertEqual(bpy.ops.draggan.mask_region(corners_uv=path, how="REPLACE"), {"FINISHED"})
        ours("scene.points").add_pair(plane, *pair)
        bpy.context.view_layer.update()
        self.drag(plane, 3)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)

    def pull(self, plane: Any) -> None:
        """Move the target of the last pair on, and drag."""
        plane.draggan.pairs[0].target.location.x += 0.06
        bpy.context.view_layer.update()
        self.drag(plane, 2)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)

    def follow(self, until: Callable[[], bool]) -> None:
        """Call the timer's function and the pump until a condition holds."""
        end_s = time.monotonic() + TIMEOUT_S
        while not until():
            self.assertLess(time.monotonic(), end_s, "the condition did not come true")
            ours("jobs.edit_changes").look()
            ours("connection.pump").tick()
            time.sleep(0.005)

    def names(self, plane: Any) -> list[str]:
        return [row.name for row in plane.draggan.edits]

    def test_each_mask_is_an_edit_that_can_be_hidden_weakened_and_removed(self) -> None:
        plane = self.find_plane()
        rows = plane.draggan.edits
        self.assertEqual(self.names(plane), ["Edit 1", "Edit 2"])
        self.assertIsNone(ours("jobs.edits").start(plane))

        rows[1].visible = False
        self.near(self.render(plane), self.one)
        self.assertIsNone(plane.draggan.sequence.image)
        self.assertEqual(plane.draggan.history.states[-1].kind, "EDITS")
        rows[0].strength = 0.0
        np.testing.assert_array_equal(self.render(plane), self.still)
        rows[0].strength, rows[1].visible = 1.0, True
        self.near(self.render(plane), self.both)
        states = len(plane.draggan.history.states)

        rows[0].strength = 0.5
        half = self.render(plane)
        whole = float(np.abs(self.both - self.still).mean())
        self.assertLess(float(np.abs(half - self.still).mean()), whole)
        self.assertGreater(float(np.abs(half - self.both).mean()), 0.05 * whole)
        # A change of the list replaces the state of the change before.
        self.assertEqual(len(plane.draggan.history.states), states)

        plane.draggan.active_edit = 0
        self.assertEqual(bpy.ops.draggan.remove_edit(), {"FINISHED"})
        self.assertEqual(self.names(plane), ["Edit 2"])
        eyes = self.shown(plane)
        np.testing.assert_array_equal(eyes[: eyes.shape[0] // 3], self.still[: eyes.shape[0] // 3])
        self.assertEqual(bpy.ops.draggan.remove_edit(), {"FINISHED"})
        np.testing.assert_array_equal(self.shown(plane), self.still)
        self.assertFalse(bpy.ops.draggan.remove_edit.poll())

    def test_an_overlapping_edit_leaves_no_trace_of_a_hidden_one(self) -> None:
        plane = self.find_plane()
        self.edit(plane, MIDDLE_BOX, ((0.5, 0.5), (0.5, 0.54)))
        rows = plane.draggan.edits
        self.assertEqual(len(rows), 3)
        three = self.shown(plane)
        for row in rows:
            row.visible = False
        np.testing.assert_array_equal(self.render(plane), self.still)
        for row in rows:
            row.visible = True
        self.near(self.render(plane), three)
        # The order decides only what is blended into what at the borders.
        plane.draggan.active_edit = 2
        self.assertEqual(bpy.ops.draggan.move_edit(direction="UP"), {"FINISHED"})
        self.assertEqual(self.names(plane), ["Edit 1", "Edit 3", "Edit 2"])
        self.assertEqual(plane.draggan.active_edit, 1)
        moved = self.shown(plane)
        self.assertLess(float(np.abs(moved - three).mean()), 0.02)
        self.assertEqual(bpy.ops.draggan.move_edit(direction="DOWN"), {"FINISHED"})
        self.near(self.shown(plane), three)
        self.assertEqual(bpy.ops.draggan.move_edit(direction="DOWN"), {"CANCELLED"})

    def test_a_drag_goes_on_with_what_is_shown_of_its_edit(self) -> None:
        plane = self.find_plane()
        rows = plane.draggan.edits
        rows[0].name, rows[0].visible = "Muzzle", False
        rows[1].strength = 0.5
        self.render(plane)
        self.pull(plane)
        # The mask is still that of the second edit; the hidden one stays as it is.
        self.assertEqual(self.names(plane), ["Muzzle", "Edit 2"])
        self.assertEqual([(row.visible, row.strength) for row in rows], [(False, 1.0), (True, 1.0)])
        after = self.shown(plane)
        rows[0].visible = True
        self.render(plane)
        rows[0].visible = False
        self.near(self.render(plane), after)

    def test_a_drag_without_a_mask_takes_the_edits_along(self) -> None:
        plane = self.find_plane()
        changes = [row.change for row in plane.draggan.edits]
        plane.draggan.mask = None
        self.pull(plane)
        self.assertEqual([row.change for row in plane.draggan.edits], changes)
        for row in plane.draggan.edits:
            row.visible = False
        base = self.render(plane)
        self.assertGreater(float(np.abs(base - self.still).mean()), 0.001)

    def test_one_undo_reverts_a_change_and_files_and_states_keep_the_list(self) -> None:
        plane = self.find_plane()
        changed = ours("jobs.edit_changes")
        plane.draggan.edits[0].name = "Muzzle"
        bpy.ops.ed.undo_push(message="Before")
        plane.draggan.edits[0].strength = 0.3
        changed.changed(plane)
        self.follow(lambda: plane.draggan.previewing)
        bpy.ops.ed.undo_push(message="Strength")  # what Blender's slider pushes
        self.follow(lambda: not plane.draggan.edits_changed and not plane.draggan.request_id)
        self.assertFalse(plane.draggan.previewing)
        self.assertIsNone(changed.look())
        weak = self.shown(plane)

        bpy.ops.ed.undo()
        ours("jobs.explore").step_again("undo")  # called by a timer
        plane = self.find_plane()
        self.assertEqual(plane.draggan.edits[0].strength, 1.0)
        self.assertFalse(plane.draggan.edits_changed)
        np.testing.assert_array_equal(self.shown(plane), self.both)
        bpy.ops.ed.redo()
        ours("jobs.explore").step_again("redo")
        plane = self.find_plane()
        self.assertAlmostEqual(plane.draggan.edits[0].strength, 0.3, 5)
        np.testing.assert_array_equal(self.shown(plane), weak)

        path = str(self.folder / "edits.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        plane = self.find_plane()
        bpy.context.view_layer.objects.active = plane
        self.assertEqual(self.names(plane), ["Muzzle", "Edit 2"])
        np.testing.assert_array_equal(self.shown(plane), weak)

        # The state of the second drag has both edits in full, that of the seed has none.
        states = list(plane.draggan.history.states)
        self.assertEqual([state.kind for state in states], ["SEED", "DRAG", "DRAG", "EDITS"])
        ours("jobs.history").go_to(plane, states[0].number)
        self.assertEqual(self.names(plane), [])
        ours("jobs.history").go_to(plane, states[2].number)
        self.assertEqual([row.strength for row in plane.draggan.edits], [1.0, 1.0])
        self.assertEqual(self.names(plane), ["Muzzle", "Edit 2"])
        copy = ours("scene.copies").duplicate(bpy.context, plane)
        self.assertEqual(self.names(copy), ["Muzzle", "Edit 2"])
        copy.draggan.edits[1].visible = False
        self.near(self.render(copy), self.one)
        self.assertTrue(plane.draggan.edits[1].visible)
        bpy.context.view_layer.objects.active = plane
        bpy.ops.draggan.reset()
        self.assertEqual(self.names(plane), [])

    def test_each_edit_has_its_pairs_and_its_mask(self) -> None:
        plane = self.find_plane()
        settings = plane.draggan
        masks = ours("scene.masks")
        eyes, (eye,) = masks.at_frame(plane, 1), settings.pairs
        self.assertEqual((eye.edit, settings.worked_edit), (2, 2))

        self.assertEqual(bpy.ops.draggan.new_edit(), {"FINISHED"})
        self.assertEqual((eye.enabled, eye.rests, eye.handle.hide_viewport), (False, True, True))
        self.assertFalse(any(masks.at_frame(plane, 1)))
        with self.assertRaisesRegex(ours("errors").EditError, "enabled pair"):
            ours("jobs.drag").start_drag(bpy.context, plane)
        path = [{"name": "", "loc": corner, "time": 0.0} for corner in MUZZLE_BOX]
        bpy.ops.draggan.mask_region(corners_uv=path, how="ADD")
        muzzle = masks.at_frame(plane, 1)
        pair = ours("scene.points").add_pair(plane, (0.5, 0.3), (0.54, 0.3))
        bpy.context.view_layer.update()
        self.drag(plane, 2)
        # It has the mask of the first edit, so the drag went on with that one, and it came last.
        self.assertEqual(self.names(plane), ["Edit 2", "Edit 1"])
        self.assertEqual((pair.edit, settings.worked_edit), (1, 1))
        after = self.shown(plane)

        settings.active_edit = 0
        self.assertEqual(bpy.ops.draggan.edit_this(), {"FINISHED"})
        eye, pair = settings.pairs
        self.assertEqual((eye.enabled, eye.rests, eye.handle.hide_viewport), (True, False, False))
        self.assertEqual((pair.enabled, pair.rests, pair.handle.hide_viewport), (False, True, True))
        self.assertEqual(masks.at_frame(plane, 1), eyes)
        eye.target.location.y -= 0.05
        bpy.context.view_layer.update()
        self.drag(plane, 2)
        self.assertEqual(self.names(plane), ["Edit 1", "Edit 2"])
        # What is dragged below the eyes stays, but for what the borders have in common.
        third = after.shape[0] // 3
        apart = np.abs(self.shown(plane)[:third] - after[:third])
        self.assertLess(float(apart.max()), 16 / 255)
        self.assertLess(float(apart.mean()), 0.2 / 255)
        settings.active_edit = 0
        bpy.ops.draggan.edit_this()
        self.assertEqual(masks.at_frame(plane, 1), muzzle)
        settings.active_edit = 0
        self.assertEqual(bpy.ops.draggan.remove_edit(), {"FINISHED"})
        self.assertEqual([one.edit for one in settings.pairs], [2])
        bpy.ops.draggan.reset()
        (eye,) = settings.pairs
        self.assertEqual((eye.edit, eye.enabled, eye.rests), (0, True, False))

    def test_an_edit_at_a_strength_of_0_is_not_dragged(self) -> None:
        plane = self.find_plane()
        plane.draggan.edits[1].strength = 0.0
        self.render(plane)
        with self.assertRaisesRegex(ours("errors").EditError, "Edit 2 has a strength of 0"):
            ours("jobs.drag").start_drag(bpy.context, plane)

    def test_keyed_strengths_make_a_sequence(self) -> None:
        plane, scene = self.find_plane(), bpy.context.scene
        for frame, strength in ((1, 0.0), (5, 1.0)):
            plane.draggan.edits[1].strength = strength
            plane.keyframe_insert("draggan.edits[1].strength", frame=frame)
        scene.frame_start, scene.frame_end = 1, 5
        self.assertEqual(bpy.ops.draggan.render_edits(), {"FINISHED"})
        self.assertEqual(plane.draggan.sequence.kind, "LATENTS")
        changes = []
        for frame in range(1, 6):
            scene.frame_set(frame)
            changes.append(float(np.abs(self.shown(plane) - self.one).mean()))
        self.assertEqual(changes, sorted(changes))
        self.near(self.shown(plane), self.both)
        scene.frame_set(1)
        self.near(self.shown(plane), self.one)

        # A drag of an animated edit keeps its keys: the full change is larger.
        scene.frame_set(3)
        half = float(plane.draggan.edits[1].strength)
        self.assertTrue(0.1 < half < 0.9)
        self.pull(plane)
        after = self.shown(plane)
        self.assertEqual(len(plane.draggan.edits), 2)
        self.assertEqual(bpy.ops.draggan.render_edits(), {"FINISHED"})
        scene.frame_set(3)
        self.near(self.shown(plane), after)

        # Its animation moves and goes with it.
        plane.draggan.active_edit = 1
        bpy.ops.draggan.move_edit(direction="UP")
        find = ours("compat").find_fcurve
        self.assertIsNotNone(find(plane, "draggan.edits[0].strength", 0))
        self.assertIsNone(find(plane, "draggan.edits[1].strength", 0))
        bpy.ops.draggan.remove_edit()
        self.assertFalse(ours("compat").is_animated(plane, "draggan.edits"))

    def test_a_bake_goes_over_edits_with_keyed_strengths(self) -> None:
        plane, scene = self.find_plane(), bpy.context.scene
        for frame, strength in ((1, 0.0), (3, 1.0)):
            plane.draggan.edits[0].strength = strength
            plane.keyframe_insert("draggan.edits[0].strength", frame=frame)
        scene.frame_set(3)
        target = plane.draggan.pairs[0].target
        target.keyframe_insert("location", frame=1)
        target.location.y += 0.04
        target.keyframe_insert("location", frame=3)
        scene.frame_set(1)
        scene.frame_start, scene.frame_end = 1, 3
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(plane), TIMEOUT_S)
        self.assertFalse(plane.draggan.failed, plane.draggan.status)
        third = self.still.shape[0] // 3
        first = self.shown(plane)[:third]
        scene.frame_set(3)
        last = self.shown(plane)[:third]
        # Below the eyes there is only the muzzle, which comes in.
        self.assertLess(float(np.abs(first - self.still[:third]).max()), 4 / 255)
        self.assertLess(float(np.abs(last - self.both[:third]).max()), 4 / 255)
        self.assertGreater(float(np.abs(last - first).max()), 8 / 255)
