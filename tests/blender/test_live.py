# SPDX-License-Identifier: GPL-3.0-or-later
"""Running drags follow their points, whoever moves, adds or removes them."""

from __future__ import annotations

from typing import Any

import bpy
import support
from support import TIMEOUT_S, SceneCase, ours


def place(plane: Any, point: Any) -> Any:
    """Return where a point is in the plane's space."""
    return plane.matrix_world.inverted() @ point.matrix_world.translation


class LiveTest(SceneCase):
    def start(self, seed: int = 4) -> Any:
        """Start an open drag of a pair whose target is at its handle."""
        plane = self.new_plane(seed)
        plane.draggan.drag.tolerance_px = 1.0
        pair = ours("scene.points").add_pair(plane, (0.513, 0.446), (0.513, 0.446))
        bpy.context.view_layer.update()
        self.assertEqual(pair.key, 1)
        ours("jobs.drag").start_drag(bpy.context, plane, is_open=True)
        self.run_until(lambda now: now.distance_px is not None)
        return plane

    def move(self, plane: Any, x: float, y: float) -> None:
        """Move the first target in the plane's space, as a script does."""
        plane.draggan.pairs[0].target.location.x += x
        plane.draggan.pairs[0].target.location.y += y
        bpy.context.view_layer.update()

    def apart(self, plane: Any, pair: Any) -> float:
        """Return the distance of a handle from its target in px."""
        bpy.context.view_layer.update()
        distance = (place(plane, pair.handle) - place(plane, pair.target)).length
        return float(distance) * plane.draggan.size[0] / 2

    def until_close(self, plane: Any) -> None:
        self.run_until(lambda now: self.apart(plane, plane.draggan.pairs[0]) <= 1.5)

    def finish(self, plane: Any) -> None:
        request_id = plane.draggan.request_id
        ours("jobs.live").close(plane)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)

    def test_the_handle_follows_a_target_that_is_moved_while_an_open_drag_is_running(self) -> None:
        plane = self.start()
        for x, y in ((0.1, 0.0), (0.1, -0.05), (-0.15, 0.1)):
            self.move(plane, x, y)
            self.until_close(plane)
            self.assertNotEqual(plane.draggan.request_id, 0)
        self.finish(plane)
        settings = plane.draggan
        self.assertEqual(settings.sequence.kind, "DRAG")
        self.assertIn("Reached", settings.status)
        self.assertLessEqual(self.apart(plane, settings.pairs[0]), 1.0)
        self.assertEqual(ours("jobs.live")._running, {})
        # The sequence begins with the image of the start.
        bpy.context.scene.frame_set(settings.sequence.first_frame)
        handle = place(plane, settings.pairs[0].handle)
        self.assertAlmostEqual(handle.x, 0.026, places=3)

    def test_an_ordinary_drag_follows_a_target_that_a_constraint_moves(self) -> None:
        plane = self.new_plane(4)
        points = ours("scene.points")
        pair = points.add_pair(plane, (0.513, 0.446), (0.6, 0.446))
        mover = bpy.data.objects.new("Mover", None)
        bpy.context.scene.collection.objects.link(mover)
        follow = pair.target.constraints.new("COPY_LOCATION")
        follow.target = mover
        mover.location = (0.2, -0.108, 0.0)
        bpy.context.view_layer.update()
        request_id = ours("jobs.drag").start_drag(bpy.context, plane)
        self.run_until(lambda now: now.step >= 1)
        mover.location = (-0.1, -0.108, 0.0)
        bpy.context.view_layer.update()
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        bpy.context.view_layer.update()
        self.assertLess(abs(place(plane, pair.handle).x + 0.1), 0.03)

    def test_pairs_are_added_switched_off_and_removed_while_a_drag_is_running(self) -> None:
        plane = self.start()
        self.move(plane, 0.1, 0.0)
        self.until_close(plane)
        bpy.context.view_layer.objects.active = plane
        self.assertEqual(
            bpy.ops.draggan.add_pair(handle_uv=(0.18, 0.49), target_uv=(0.165, 0.57)), {"FINISHED"}
        )
        bpy.context.view_layer.update()
        second = plane.draggan.pairs[1]
        self.run_until(lambda now: self.apart(plane, second) <= 2.0)
        plane.draggan.pairs[1].enabled = False
        plane.update_tag()
        bpy.context.view_layer.update()
        self.move(plane, -0.1, 0.0)
        self.until_close(plane)
        self.finish(plane)
        self.assertEqual(len(ours("scene.tracks").handles_px(plane.draggan.track)[0]), 1)
        self.assertEqual([pair.path_slot for pair in plane.draggan.pairs], [0, -1])

    def test_a_target_that_leaves_the_image_keeps_its_last_place_for_the_engine(self) -> None:
        plane = self.start()
        self.move(plane, 0.1, 0.0)
        self.until_close(plane)
        self.move(plane, 5.0, 0.0)
        sent = ours("jobs.live")._running[plane.draggan.request_id].pairs
        self.assertLess(sent[0].target_px[0], plane.draggan.size[0])
        self.move(plane, -5.0, 0.0)
        self.finish(plane)
        self.assertIn("Reached", plane.draggan.status)

    def test_the_other_targets_are_followed_while_one_is_outside_or_deleted(self) -> None:
        plane = self.start()
        points = ours("scene.points")
        second = points.add_pair(plane, (0.18, 0.49), (0.165, 0.57))
        bpy.context.view_layer.update()

        def sent() -> dict[int, Any]:
            request_id = plane.draggan.request_id
            return {pair.key: pair for pair in ours("jobs.live")._running[request_id].pairs}

        first_key, second_key = (pair.key for pair in plane.draggan.pairs)
        before = sent()
        self.assertEqual(set(before), {first_key, second_key})
        second.target.location.x = 5.0
        self.move(plane, 0.1, 0.0)
        now = sent()
        self.assertGreater(now[first_key].target_px[0], before[first_key].target_px[0] + 2.0)
        self.assertEqual(now[second_key].target_px, before[second_key].target_px)
        # As with X in the view: the pair still refers to it.
        for collection in second.target.users_collection:
            collection.objects.unlink(second.target)
        self.move(plane, -0.1, 0.0)
        self.assertEqual(sent()[first_key].target_px, before[first_key].target_px)
        self.assertEqual(set(sent()), {first_key})
        self.finish(plane)
        self.assertEqual(plane.draggan.pairs[1].path_slot, -1)

    def test_a_drag_stops_when_its_only_pair_or_a_point_of_it_is_deleted(self) -> None:
        for name in ("target", "handle", "pair"):
            with self.subTest(name):
                plane = self.new_plane(4)
                self.add_pair(plane)
                self.start_endless_drag(plane)
                if name == "pair":
                    ours("scene.points").remove_pair(plane, 0)
                else:
                    point = getattr(plane.draggan.pairs[0], name)
                    for collection in point.users_collection:
                        collection.objects.unlink(point)
                bpy.context.view_layer.update()
                self.run_until(lambda now: now.active is None)
                settings = plane.draggan
                self.assertEqual((settings.request_id, settings.sequence.kind), (0, "DRAG"))
                self.assertFalse(settings.failed, settings.status)
                self.assertIn("Stopped", settings.status)
                self.assertEqual(ours("jobs.live")._running, {})

    def test_a_drag_goes_on_while_its_only_pair_is_switched_off(self) -> None:
        plane = self.start()
        plane.draggan.pairs[0].enabled = False
        plane.update_tag()
        bpy.context.view_layer.update()
        self.assertFalse(ours("jobs.live")._running[plane.draggan.request_id].is_stopping)
        plane.draggan.pairs[0].enabled = True
        self.move(plane, 0.1, 0.0)
        self.until_close(plane)
        self.finish(plane)

    def test_a_paused_drag_goes_on_where_it_was(self) -> None:
        plane = self.start()
        bpy.context.view_layer.objects.active = plane
        self.assertEqual(bpy.ops.draggan.pause(), {"FINISHED"})
        self.assertTrue(ours("jobs.live").is_paused(plane))
        self.move(plane, 0.1, 0.0)
        pump = ours("connection.pump")
        steps = pump.state().step
        self.assertFalse(pump.run_until(lambda now: now.step > steps + 1, 1.0))
        self.assertEqual(bpy.ops.draggan.pause(), {"FINISHED"})
        self.until_close(plane)
        self.finish(plane)

    def test_an_undo_ends_an_open_drag_and_takes_one_step_back(self) -> None:
        plane = self.start()
        bpy.ops.ed.undo_push(message="Pair")
        self.move(plane, 0.1, 0.0)
        self.until_close(plane)
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual(plane.draggan.request_id, 0)
        self.run_until(lambda now: now.active is None)
        self.assertEqual(ours("jobs.live")._running, {})

    def test_a_disabled_extension_leaves_no_handler(self) -> None:
        before = len(bpy.app.handlers.depsgraph_update_post)
        support.disable()
        self.addCleanup(support.enable)
        self.assertLess(len(bpy.app.handlers.depsgraph_update_post), before)
