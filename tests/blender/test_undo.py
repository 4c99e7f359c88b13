# SPDX-License-Identifier: GPL-3.0-or-later
"""One Ctrl-Z takes a drag back, whenever it comes."""

from __future__ import annotations

from typing import Any

import bpy
from support import TIMEOUT_S, SceneCase, ours


class UndoTest(SceneCase):
    def prepared(self, *options: str) -> Any:
        """A plane with one pair, as the last undo step has it."""
        self.use_fake_engine(*options)
        bpy.context.scene.frame_set(4)
        plane = self.new_plane()
        self.add_pair(plane)
        bpy.ops.ed.undo_push(message="Add Point Pair")
        return plane

    def seen(self) -> dict[str, object]:
        """All that a drag changes."""
        plane = self.find_plane()
        settings = plane.draggan
        handle = settings.pairs[0].handle
        node = ours("scene.planes").texture_node(plane)
        user = node.image_user
        return {
            "image": node.image.name,
            "source": node.image.source,
            "mapping": (user.frame_start, user.frame_offset, user.frame_duration),
            "latent": settings.latent,
            "track": settings.track,
            "status": settings.status,
            "request": (settings.request_id, settings.dragging),
            "handle": tuple(round(value, 5) for value in handle.location),
            "keyed": handle.animation_data is not None and handle.animation_data.action is not None,
            "frame": bpy.context.scene.frame_current,
            "live": [image.name for image in bpy.data.images if image.name.startswith(".")],
        }

    def test_one_undo_takes_a_drag_back_and_one_redo_brings_it_again(self) -> None:
        plane = self.prepared()
        before = self.seen()
        self.drag(plane)
        after = self.seen()
        for name in ("image", "latent", "track", "handle", "keyed", "frame"):
            self.assertNotEqual(before[name], after[name], name)
        bpy.ops.ed.undo()
        self.assertEqual(self.seen(), before)
        bpy.ops.ed.redo()
        self.assertEqual(self.seen(), after)

    def test_the_undone_sequence_still_has_its_files_after_another_drag(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        first = ours("scene.images").sequence_folder(plane)
        contents = {path.name: path.read_bytes() for path in first.glob("*.png")}
        bpy.ops.ed.undo()
        plane = self.find_plane()
        plane.draggan.pairs[0].target.location.y = 0.4
        bpy.context.view_layer.update()
        self.drag(plane)
        self.assertNotEqual(ours("scene.images").sequence_folder(plane), first)
        self.assertEqual({path.name: path.read_bytes() for path in first.glob("*.png")}, contents)

    def test_undo_in_the_middle_of_a_drag_gives_it_up(self) -> None:
        plane = self.prepared("--steps", "2000", "--step-s", "0.01")
        before = self.seen()
        pump = ours("connection.pump")
        request_id = ours("jobs.drag").start_drag(bpy.context, plane)
        self.assertTrue(pump.run_until(lambda now: now.step >= 3, TIMEOUT_S))
        self.assertNotEqual(self.seen()["handle"], before["handle"])
        self.assertEqual(self.seen()["source"], "GENERATED")
        # The person selects something in the middle of it, and presses Ctrl-Z twice.
        bpy.ops.ed.undo_push(message="Select")
        self.assertTrue(pump.run_until(lambda now: now.step >= 5, TIMEOUT_S))
        bpy.ops.ed.undo()
        self.assertEqual(self.seen(), before)
        self.assertTrue(pump.run_until(lambda now: now.active is None, TIMEOUT_S))
        self.assertIn("cancelled", ours("jobs.requests").endings[request_id])
        self.assertEqual(self.seen(), before)
        bpy.ops.ed.redo()
        self.assertEqual(self.seen(), before)
        # And the next drag is a drag like any other.
        plane = self.find_plane()
        self.drag(plane, 3)
        self.assertEqual(self.seen()["source"], "SEQUENCE")

    def test_undo_of_something_else_in_the_middle_of_a_drag_gives_it_up_as_well(self) -> None:
        """Blender's undo leaves alone what two steps have in common: here, the moved handle."""
        plane = self.prepared("--steps", "2000", "--step-s", "0.01")
        before = self.seen()
        plane.location.x = 1.0
        bpy.ops.ed.undo_push(message="Move")
        ours("jobs.drag").start_drag(bpy.context, plane)
        pump = ours("connection.pump")
        self.assertTrue(pump.run_until(lambda now: now.step >= 3, TIMEOUT_S))
        bpy.ops.ed.undo()
        self.assertEqual(self.find_plane().location.x, 0.0)
        self.assertEqual(self.seen(), before)
        self.assertTrue(pump.run_until(lambda now: now.active is None, TIMEOUT_S))
        self.assertEqual(self.seen(), before)

    def test_undoing_a_new_image_while_it_is_made_drops_it(self) -> None:
        self.use_fake_engine("--fault", "slow_ready=1")
        bpy.ops.ed.undo_push(message="Before")
        edit, pump = ours("jobs.image"), ours("connection.pump")
        plane = edit.new_image(bpy.context)
        request_id = plane.draggan.request_id
        bpy.ops.ed.undo_push(message="Select")
        bpy.ops.ed.undo()
        self.assertEqual(ours("scene.planes").everywhere(), [])
        self.assertTrue(
            pump.run_until(lambda _now: request_id in ours("jobs.requests").endings, TIMEOUT_S)
        )
        self.assertEqual(ours("scene.planes").everywhere(), [])
