# SPDX-License-Identifier: GPL-3.0-or-later
"""Selecting parts as masks: the operator, clicks that wait for the engine, one undo step."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mask_case import MaskCase, levels
from support import ours

# The fake engine's parts are the quarters of the image, its halves, and all of it.
TOP_LEFT = (0.2, 0.8)


def select(**values: Any) -> Any:
    return bpy.ops.draggan.select_part(place_uv=TOP_LEFT, margin=0.0, **values)


class PartTest(MaskCase):
    def setUp(self) -> None:
        super().setUp()
        # The parts of the same picture are known from the test before.
        ours("jobs.parts").unregister()

    def quarters(self) -> list[float]:
        """Return the mean of the mask in each quarter: top left, top right, bottom both."""
        found = levels(self.plane)
        height, width = found.shape
        lower, upper = found[: height // 2], found[height // 2 :]
        left, right = slice(0, width // 2), slice(width // 2, width)
        return [float(part.mean()) for part in (upper[:, left], upper[:, right])] + [
            float(part.mean()) for part in (lower[:, left], lower[:, right])
        ]

    def test_a_part_becomes_the_mask(self) -> None:
        self.assertEqual(select(), {"FINISHED"})
        inside, *outside = self.quarters()
        self.assertGreater(inside, 0.8)
        self.assertLess(max(outside), 0.2)
        self.assertEqual(tuple(self.plane.draggan.mask.size), tuple(self.plane.draggan.size))
        self.assertTrue(self.plane.draggan.mask.packed_file)
        self.assertTrue(self.plane.draggan.show_mask)
        self.assertTrue(self.plane.draggan.mask_follows)
        # The border is soft.
        found = levels(self.plane)
        self.assertTrue(((found > 0.2) & (found < 0.8)).any())

    def test_the_next_sizes_are_the_half_and_everything(self) -> None:
        select(size=1)
        self.assertGreater(min(self.quarters()[:2]), 0.8)
        self.assertLess(max(self.quarters()[2:]), 0.2)
        select(size=9)
        self.assertEqual(levels(self.plane).min(), 1.0)

    def test_parts_are_added_and_taken_away(self) -> None:
        select()
        bpy.ops.draggan.select_part(place_uv=(0.8, 0.2), margin=0.0, how="ADD")
        self.assertGreater(min(self.quarters()[0], self.quarters()[3]), 0.8)
        self.assertLess(max(self.quarters()[1:3]), 0.2)
        select(how="SUBTRACT")
        self.assertLess(max(self.quarters()[:3]), 0.2)
        self.assertGreater(self.quarters()[3], 0.8)

    def test_a_margin_makes_room_around_the_part(self) -> None:
        select()
        narrow = float(levels(self.plane).mean())
        bpy.ops.draggan.select_part(place_uv=TOP_LEFT, margin=0.1)
        self.assertGreater(float(levels(self.plane).mean()), narrow + 0.05)

    def test_it_is_one_undo_step(self) -> None:
        select()
        first = levels(self.plane)
        select(how="SUBTRACT")
        changed = levels(self.plane)
        self.undo()
        np.testing.assert_array_equal(levels(self.plane), first)
        self.redo()
        np.testing.assert_array_equal(levels(self.plane), changed)
        self.undo()
        self.undo()
        self.assertIsNone(self.plane.draggan.mask)

    def test_what_was_only_looked_at_leaves_nothing(self) -> None:
        preview_class = ours("scene.mask_preview").MaskPreview
        part = np.zeros((64, 64), dtype=np.float32)
        for has_mask in (False, True):
            if has_mask:
                select()
                before = levels(self.plane)
            self.plane.draggan.show_mask = False
            preview = preview_class(self.plane)
            width, height = preview.size(self.plane)
            part = np.zeros((height, width), dtype=np.float32)
            preview.show(self.plane, part, "REPLACE")
            self.assertEqual(levels(self.plane).max(), 0.0)
            preview.take_back(self.plane)
            self.assertFalse(self.plane.draggan.show_mask)
            if has_mask:
                np.testing.assert_array_equal(levels(self.plane), before)
            else:
                self.assertIsNone(self.plane.draggan.mask)

    def test_the_engine_is_asked_once_for_a_picture(self) -> None:
        pump, parts = ours("connection.pump"), ours("jobs.parts")
        select()
        number = pump.new_request_id()
        select(size=1)
        self.assertEqual(pump.new_request_id(), number + 1)
        self.assertIsNotNone(parts.of(self.plane))
        self.drag_one()
        self.assertIsNone(parts.of(self.plane))

    def drag_one(self) -> None:
        self.add_pair(self.plane)
        self.drag(self.plane)

    def test_a_click_before_the_parts_are_there_is_answered_when_they_are(self) -> None:
        parts = ours("jobs.parts")
        answered: list[Any] = []
        parts.ask(self.plane, lambda plane, tree: answered.append((plane.name, tree)))
        self.assertEqual(answered, [])
        self.run_until(lambda _state: bool(answered))
        self.assertEqual(answered[0][0], self.plane.name)
        parts.ask(self.plane, lambda plane, tree: answered.append(tree))
        self.assertEqual(len(answered), 2)

    def test_a_click_while_the_picture_changes_means_the_new_picture(self) -> None:
        parts = ours("jobs.parts")
        answered: list[Any] = []
        self.add_pair(self.plane)
        request_id = ours("jobs.drag").start_drag(bpy.context, self.plane)
        parts.ask(self.plane, lambda plane, tree: answered.append(tree))
        ours("jobs.requests").wait(request_id)
        self.run_until(lambda _state: bool(answered))
        self.assertIs(answered[0], parts.of(self.plane))

    def test_a_failure_is_a_sentence(self) -> None:
        self.use_fake_engine("--fault", "fail")
        with self.assertRaisesRegex(RuntimeError, "asked to fail"):
            select()
        self.assertIsNone(self.plane.draggan.mask)
