# SPDX-License-Identifier: GPL-3.0-or-later
"""One undo reverts a drag, during the drag and after it."""

from __future__ import annotations

from typing import Any

import bpy
from support import TIMEOUT_S, SceneCase, ours


class UndoTest(SceneCase):
    def prepared(self, *options: str) -> Any:
        """Make a plane with one pair, and an undo step of that state."""
        self.use_fake_engine(*options)
        bpy.context.scene.frame_set(4)
        plane = self.new_plane()
        self.add_pair(plane)
        bpy.ops.ed.undo_push(message="Add Point Pair")
        return plane

    def seen(self) -> dict[str, object]:
        """Return everything that a drag changes."""
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

    def test_an_undo_during_a_drag_takes_the_drag_and_nothing_else(self) -> None:
        plane = self.prepared()
        plane.location.x = 3.0
        bpy.ops.ed.undo_push(message="Move")
        self.start_endless_drag(plane)
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual(plane.location.x, 3.0)
        self.assertFalse(plane.draggan.dragging or plane.draggan.request_id)
        bpy.ops.ed.undo()
        self.assertEqual(self.find_plane().location.x, 0.0)

    def test_one_undo_reverts_a_drag_and_one_redo_repeats_it(self) -> None:
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

    def test_undo_during_a_drag_cancels_it(self) -> None:
        plane = self.prepared("--steps", "2000", "--step-s", "0.01")
        before = self.seen()
        request_id = ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 3)
        self.assertNotEqual(self.seen()["handle"], before["handle"])
        self.assertEqual(self.seen()["source"], "GENERATED")
        # The person selects something during the drag, then undoes that.
        bpy.ops.ed.undo_push(message="Select")
        self.run_until(lambda now: now.step >= 5)
        bpy.ops.ed.undo()
        self.assertEqual(self.seen(), before)
        self.run_until(lambda now: now.active is None)
        self.assertIn("cancelled", ours("jobs.requests").endings[request_id])
        self.assertEqual(self.seen(), before)
        bpy.ops.ed.redo()
        self.assertEqual(self.seen(), before)
        # The next drag works.
        plane = self.find_plane()
        self.drag(plane, 3)
        self.assertEqual(self.seen()["source"], "SEQUENCE")

    def test_after_an_undo_the_plane_shows_the_image_of_the_current_frame(self) -> None:
        plane = self.prepared()
        self.drag(plane)
        last = self.find_plane().draggan.sequence
        number = last.first_frame + last.frame_count - 1
        bpy.ops.object.empty_add()
        bpy.ops.ed.undo_push(message="Add")
        bpy.ops.ed.undo()
        tree = self.find_plane().active_material.node_tree
        evaluated = tree.evaluated_get(bpy.context.evaluated_depsgraph_get())
        shown = [node for node in evaluated.nodes if node.type == "TEX_IMAGE"]
        self.assertEqual([node.image_user.frame_current for node in shown], [number])

    def test_an_undo_after_a_move_during_a_drag_takes_the_drag_first(self) -> None:
        """Blender's undo does not restore what is equal in two steps: here, the moved handle."""
        plane = self.prepared("--steps", "2000", "--step-s", "0.01")
        before = self.seen()
        ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 3)
        plane.location.x = 1.0
        bpy.ops.ed.undo_push(message="Move")
        for left in (1.0, 0.0):
            bpy.ops.ed.undo()
            self.assertEqual(self.find_plane().location.x, left)
            self.assertEqual(self.seen(), before)
        self.run_until(lambda now: now.active is None)
        self.assertEqual(self.seen(), before)

    def test_undoing_a_new_image_before_it_is_ready_cancels_it(self) -> None:
        self.use_fake_engine("--fault", "slow_ready=1")
        bpy.ops.ed.undo_push(message="Before")
        plane = ours("jobs.image").new_image(bpy.context)
        request_id = plane.draggan.request_id
        bpy.ops.ed.undo_push(message="Select")
        bpy.ops.ed.undo()
        self.assertEqual(ours("scene.planes").everywhere(), [])
        with self.assertRaisesRegex(ours("errors").EditError, "was cancelled"):
            ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertEqual(ours("scene.planes").everywhere(), [])
