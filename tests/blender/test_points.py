# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins, regions, states, deleted points, and the selection in list and viewport."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from support import SceneCase, ours


def delete(*objects: Any) -> None:
    """Delete objects as a person does: a pair still refers to them, so Blender keeps them."""
    with bpy.context.temp_override(selected_objects=list(objects)):
        bpy.ops.object.delete()
    bpy.context.view_layer.update()


def is_idle(state: Any) -> bool:
    """Return whether the engine has nothing to do."""
    return state.active is None and not state.queue


class PointsCase(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        planes = ours("scene.planes")
        self.points = ours("scene.points")
        self.paths = ours("scene.handle_paths")
        self.plane = planes.create(bpy.context)
        planes.fit_to_size(self.plane, 64, 64)
        self.plane.draggan.latent = "AAAA"
        bpy.context.view_layer.objects.active = self.plane

    def placed(self) -> Any:
        """Return the enabled pairs with their positions at the current frame."""
        bpy.context.view_layer.update()
        return ours("scene.placed_pairs").read_pairs(bpy.context, self.plane)

    def state_of(self, pair: Any, place_px: tuple[float, float], **found: Any) -> Any:
        """Return the state of a handle as the engine sends it."""
        state = ours("protocol.pairs").HandleState
        return state(key=pair.key, place_px=place_px, **({"distance_px": 0.0} | found))


class PinTest(PointsCase):
    def test_a_pin_is_one_point_that_is_to_stay(self) -> None:
        pin = self.points.add_pin(self.plane, (0.25, 0.75))
        self.assertEqual((pin.handle, pin.name, pin.is_pin), (pin.target, "Pin 1", True))
        self.assertEqual(len(self.plane.children), 1)
        (entry,) = self.placed()
        self.assertEqual((entry.handle_px, entry.target_px), ((16.0, 16.0), (16.0, 16.0)))

    def test_a_drag_and_a_reset_leave_a_pin_where_it_is(self) -> None:
        pair = self.points.add_pair(self.plane, (0.5, 0.5), (0.6, 0.5))
        pin = self.points.add_pin(self.plane, (0.25, 0.75))
        self.paths.begin([entry.pair for entry in self.placed()], self.plane)
        self.plane.draggan.dragging = True
        handles = [self.state_of(pair, (40.0, 32.0)), self.state_of(pin, (20.0, 20.0))]
        self.paths.move_handles(self.plane, handles)
        self.paths.write_paths(self.plane, 1, [[(32.0, 32.0), (16.0, 16.0)], [(40, 32), (20, 20)]])
        self.assertAlmostEqual(pair.handle.location.x, 0.0)
        self.assertIsNone(pin.handle.animation_data)
        self.assertEqual((pair.path_slot, pin.path_slot), (0, 1))
        self.plane.draggan.dragging = False
        self.paths.restore_handles(self.plane)
        self.paths.clear_paths(self.plane)
        self.paths.send_home(self.plane)
        np.testing.assert_allclose(pin.handle.location[:2], (-0.5, 0.5), atol=1e-6)

    def test_a_bake_keeps_a_pin_at_its_base_also_if_it_is_keyed(self) -> None:
        pin = self.points.add_pin(self.plane, (0.25, 0.75))
        for frame, x in ((1, -0.5), (3, 0.5)):
            pin.handle.location.x = x
            pin.handle.keyframe_insert("location", frame=frame)
        bpy.context.scene.frame_set(1)
        graph = bpy.context.evaluated_depsgraph_get()
        bases = ours("scene.placing").bases(graph, self.plane, is_base_shown=lambda: False)
        self.assertEqual(bases.tolist(), [[16.0, 16.0]])
        sampled = ours("scene.sampling").over_frames(self.plane, range(1, 4), bases)
        self.assertEqual(sampled.targets_px.tolist(), [[[16.0, 16.0]]] * 3)

    def test_removing_a_pin_removes_its_one_point(self) -> None:
        self.points.add_pin(self.plane, (0.25, 0.75))
        self.points.add_pin(self.plane, (0.5, 0.75))
        self.points.remove_pair(self.plane, 0)
        self.assertEqual([child.name for child in self.plane.children], ["Pin 002"])


class RegionTest(PointsCase):
    def region(self, radius: float = 0.25) -> Any:
        """Add a region whose target is turned by 0.5 and twice as large."""
        pair = self.points.add_pair(self.plane, (0.5, 0.5), (0.6, 0.5))
        pair.radius = radius
        pair.target.rotation_euler.z, pair.target.scale = 0.5, (2.0, 2.0, 2.0)
        return pair

    def test_radius_angle_and_scale_are_read_whatever_the_plane_s_transform(self) -> None:
        self.region()
        for scale in ((1.0, 1.0, 1.0), (-2.0, 2.0, 2.0), (3.0, 1.0, 1.0)):
            self.plane.rotation_euler, self.plane.scale = (0.4, 1.1, -0.7), scale
            (entry,) = self.placed()
            self.assertAlmostEqual(entry.radius_px, 8.0, places=4)
            self.assertAlmostEqual(entry.angle, 0.5, places=4)
            self.assertAlmostEqual(entry.scale, 2.0, places=4)

    def test_mirrored_uvs_mirror_the_turn(self) -> None:
        self.region()
        uv = self.plane.data.uv_layers.active.data
        uv.foreach_set("uv", [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
        (entry,) = self.placed()
        self.assertAlmostEqual(entry.angle, -0.5, places=4)

    def test_a_point_has_neither_angle_nor_scale(self) -> None:
        self.region(0.0)
        (entry,) = self.placed()
        self.assertEqual((entry.radius_px, entry.angle, entry.scale), (0.0, 0.0, 1.0))

    def test_influence_and_constraints_count(self) -> None:
        pair = self.region()
        pair.influence = 0.5
        pair.target.rotation_euler.z = 0.0
        leader = bpy.data.objects.new("Leader", None)
        bpy.context.scene.collection.objects.link(leader)
        leader.rotation_euler.z = 0.8
        pair.target.constraints.new("COPY_ROTATION").target = leader
        (entry,) = self.placed()
        self.assertAlmostEqual(entry.angle, 0.4, places=4)
        self.assertAlmostEqual(entry.scale, math.sqrt(2.0), places=4)

    def test_a_turn_over_the_back_takes_the_short_way(self) -> None:
        pair = self.region()
        pair.handle.rotation_euler.z, pair.target.rotation_euler.z = 3.0, -3.0
        (entry,) = self.placed()
        self.assertAlmostEqual(entry.angle, 2.0 * math.pi - 6.0, places=4)

    def test_a_target_without_size_is_refused(self) -> None:
        self.region().target.scale = (0.0, 0.0, 0.0)
        with self.assertRaisesRegex(ours("errors").EditError, "Pair 1: a point has no size"):
            self.placed()

    def test_a_drag_turns_the_handle_and_its_path_has_the_turns(self) -> None:
        pair = self.region()
        self.paths.begin([entry.pair for entry in self.placed()], self.plane)
        self.plane.draggan.dragging = True
        handle = self.state_of(pair, (35.0, 32.0), angle=0.25, scale=1.5)
        self.paths.move_handles(self.plane, [handle])
        self.assertAlmostEqual(pair.handle.rotation_euler.z, 0.25)
        self.assertAlmostEqual(pair.handle.scale.y, 1.5)
        # During a drag, the target counts from the start of the drag.
        (entry,) = self.placed()
        self.assertAlmostEqual(entry.angle, 0.5, places=4)
        self.assertAlmostEqual(entry.radius_px, 8.0, places=4)
        sequence = self.plane.draggan.sequence
        sequence.first_frame, sequence.frame_count = 1, 2
        turns = [[(0.0, 1.0)], [(0.5, 2.0)]]
        self.paths.use_keys([pair.key], self.plane)
        self.paths.write_paths(self.plane, 1, [[(32.0, 32.0)], [(38.4, 32.0)]], turns=turns)
        self.plane.draggan.dragging = False
        for frame, angle, scale in ((1, 0.0, 1.0), (2, 0.5, 2.0)):
            bpy.context.scene.frame_set(frame)
            self.assertAlmostEqual(pair.handle.rotation_euler.z, angle, places=5)
            self.assertAlmostEqual(pair.handle.scale.z, scale, places=5)
        read = ours("scene.timing").read_path(self.plane, pair.handle)
        np.testing.assert_allclose(read, [(0, 0, 0, 1), (0.2, 0, 0.5, 2)], atol=1e-5)
        # The handle is at its target: nothing is left to do. The region has grown with it.
        (entry,) = self.placed()
        self.assertAlmostEqual(entry.radius_px, 16.0, places=4)
        self.assertAlmostEqual(entry.angle, 0.0, places=4)
        self.assertAlmostEqual(entry.scale, 1.0, places=4)
        self.paths.clear_paths(self.plane)
        self.paths.send_home(self.plane)
        self.assertEqual(pair.handle.rotation_euler.z, 0.0)
        self.assertEqual(tuple(pair.handle.scale), (1.0, 1.0, 1.0))
        self.assertIsNone(pair.handle.animation_data)


class LiveDragTest(PointsCase):
    def test_handles_are_moved_by_key_and_pairs_may_come_and_go(self) -> None:
        first = self.points.add_pair(self.plane, (0.5, 0.5), (0.6, 0.5))
        keys = [first.key]
        self.paths.begin([entry.pair for entry in self.placed()], self.plane)
        self.plane.draggan.dragging = True
        self.points.add_pair(self.plane, (0.25, 0.25), (0.3, 0.25))
        first, second = self.plane.draggan.pairs
        self.paths.change([second, first], self.plane)
        self.paths.move_handles(
            self.plane,
            [self.state_of(second, (20.0, 48.0)), self.state_of(first, (40.0, 32.0))],
        )
        np.testing.assert_allclose(first.handle.location[:2], (0.25, 0.0), atol=1e-6)
        np.testing.assert_allclose(second.handle.location[:2], (-0.375, -0.5), atol=1e-6)
        # The rows of the result have the order that the engine says.
        keys = [second.key, first.key]
        self.paths.use_keys(keys, self.plane)
        rows = [[(16.0, 48.0), (32.0, 32.0)], [(20.0, 48.0), (40.0, 32.0)]]
        self.paths.write_paths(self.plane, 1, rows)
        bpy.context.scene.frame_set(2)
        np.testing.assert_allclose(first.handle.location[:2], (0.25, 0.0), atol=1e-6)
        self.assertEqual((first.path_slot, second.path_slot), (1, 0))
        # A drag that fails puts both back.
        self.paths.clear_paths(self.plane)
        self.paths.restore_handles(self.plane)
        np.testing.assert_allclose(second.handle.location[:2], (-0.5, -0.5), atol=1e-6)

    def test_the_influence_counts_from_the_start_of_the_drag(self) -> None:
        pair = self.points.add_pair(self.plane, (0.5, 0.5), (0.75, 0.5))
        pair.influence = 0.5
        self.paths.begin([entry.pair for entry in self.placed()], self.plane)
        self.plane.draggan.dragging = True
        self.paths.move_handles(self.plane, [self.state_of(pair, (38.0, 32.0))])
        (entry,) = self.placed()
        self.assertEqual((entry.handle_px, entry.target_px), ((38.0, 32.0), (40.0, 32.0)))


class StateTest(PointsCase):
    def test_how_a_drag_ended_is_shown_until_a_point_is_moved(self) -> None:
        for number, (found, expected) in enumerate(
            (
                ({"distance_px": 0.5}, "FINE"),
                ({"distance_px": 3.0}, "SHORT"),
                ({"distance_px": 3.0, "is_lost": True}, "LOST"),
                ({"is_flat": True}, "FLAT"),
                ({"is_held": True}, "MASKED"),
            )
        ):
            pair = self.points.add_pair(self.plane, (0.5, 0.1 * number), (0.6, 0.1 * number))
            self.paths.store_states(self.plane, [self.state_of(pair, (0.0, 0.0), **found)], 1.0)
            self.assertEqual(self.points.shown_state(pair), expected)
            pair.target.location.x += 0.1
            kept = "FINE" if expected == "SHORT" else expected
            self.assertEqual(self.points.shown_state(pair), kept)
            pair.handle.location.x += 0.1
            self.assertEqual(self.points.shown_state(pair), "FINE")

    def test_a_reset_forgets_the_states(self) -> None:
        pair = self.points.add_pair(self.plane, (0.5, 0.5), (0.6, 0.5))
        self.points.set_state(pair, "LOST")
        self.paths.send_home(self.plane)
        self.assertEqual(self.points.shown_state(pair), "FINE")

    def test_points_on_plain_areas_are_known_before_a_drag(self) -> None:
        self.use_fake_engine()
        plane = self.new_plane()
        left = self.points.add_pair(plane, (0.1, 0.5), (0.3, 0.5))
        right = self.points.add_pair(plane, (0.6, 0.5), (0.8, 0.5))
        self.points.add_pin(plane, (0.1, 0.1))
        left, right, pin = plane.draggan.pairs
        check = ours("jobs.point_check").check
        bpy.context.view_layer.update()
        self.assertIsNotNone(check(plane))
        self.run_until(is_idle, 20.0)
        states = [self.points.shown_state(pair) for pair in (left, right, pin)]
        self.assertEqual(states, ["FLAT", "FINE", "FINE"])
        # The same points are not checked again.
        self.assertIsNone(check(plane))
        left.handle.location.x = 0.5
        self.assertEqual(self.points.shown_state(left), "FINE")
        right.handle.location.x = -0.9
        bpy.context.view_layer.update()
        self.assertIsNotNone(check(plane))
        # The answer does not count for a handle that was moved on.
        right.handle.location.x = -0.8
        self.run_until(is_idle, 20.0)
        self.assertEqual(self.points.shown_state(right), "FINE")
        self.assertEqual(plane.draggan.request_id, 0)

    def test_a_check_is_due_when_a_handle_was_moved_while_the_engine_runs(self) -> None:
        module = ours("jobs.point_check")
        # Without a window, Blender calls no timers, so what other tests have noted is still there.
        module._waiting.clear()
        self.stop_engine()
        self.plane.draggan.pairs.clear()
        pair = self.points.add_pair(self.plane, (0.1, 0.5), (0.3, 0.5))
        bpy.context.view_layer.update()
        self.assertEqual(module._waiting, set())
        self.use_fake_engine()
        self.new_plane()
        pair = self.plane.draggan.pairs[0]
        pair.handle.location.x += 0.1
        bpy.context.view_layer.update()
        self.assertEqual(module._waiting, {self.plane.draggan.uuid})
        bpy.app.timers.unregister(module._on_timer)
        module._waiting.clear()


class SelectionTest(PointsCase):
    def setUp(self) -> None:
        super().setUp()
        for number in range(3):
            self.points.add_pair(self.plane, (0.2, 0.2 * number), (0.6, 0.2 * number))
        self.points.add_pin(self.plane, (0.9, 0.9))
        bpy.context.view_layer.update()

    def choose(self, point: Any) -> None:
        """Make an object the active and only selected one, as a click does."""
        for selected in bpy.context.selected_objects:
            selected.select_set(False)
        point.select_set(True)
        bpy.context.view_layer.objects.active = point
        bpy.context.view_layer.update()

    def test_a_row_selects_the_target_and_a_click_selects_the_row(self) -> None:
        settings = self.plane.draggan
        pairs = settings.pairs
        settings.active_pair = 1
        self.assertEqual(bpy.context.view_layer.objects.active, pairs[1].target)
        self.assertEqual(bpy.context.selected_objects, [pairs[1].target])
        self.choose(pairs[2].handle)
        self.assertEqual(settings.active_pair, 2)
        # The handle stays active: choosing its own row does not jump to the target.
        settings.active_pair = 2
        self.assertEqual(bpy.context.view_layer.objects.active, pairs[2].handle)
        settings.active_pair = 3
        self.assertEqual(bpy.context.view_layer.objects.active, pairs[3].handle)
        bpy.context.view_layer.update()
        self.assertEqual(settings.active_pair, 3)

    def test_remove_removes_the_pair_of_the_clicked_point(self) -> None:
        self.plane.draggan.active_pair = 1
        self.choose(self.plane.draggan.pairs[2].target)
        self.assertEqual(bpy.ops.draggan.remove_pair(), {"FINISHED"})
        names = [pair.name for pair in self.plane.draggan.pairs]
        self.assertEqual(names, ["Pair 1", "Pair 2", "Pin 1"])

    def test_a_hidden_row_can_be_chosen_and_stays_chosen(self) -> None:
        pairs, settings = self.plane.draggan.pairs, self.plane.draggan
        self.choose(pairs[0].target)
        pairs[1].target.hide_set(True)
        pairs[1].handle.hide_set(True)
        settings.active_pair = 1
        bpy.context.view_layer.update()
        self.assertEqual(settings.active_pair, 1)

    def test_nothing_is_selected_while_another_object_is_worked_on(self) -> None:
        other = bpy.data.objects.new("Other", None)
        bpy.context.scene.collection.objects.link(other)
        self.choose(other)
        self.plane.draggan.active_pair = 2
        self.assertEqual(bpy.context.view_layer.objects.active, other)


class DeletedTest(PointsCase):
    def test_a_deleted_target_is_named_and_restored_where_it_was(self) -> None:
        self.points.add_pair(self.plane, (0.5, 0.5), (0.6, 0.5))
        pair = self.plane.draggan.pairs[0]
        delete(pair.target)
        self.assertEqual(self.points.missing(pair, bpy.context.scene), ["target"])
        with self.assertRaisesRegex(ours("errors").EditError, "Pair 1: its target was deleted"):
            self.placed()
        self.assertEqual(bpy.ops.draggan.restore_point(index=0), {"FINISHED"})
        (entry,) = self.placed()
        np.testing.assert_allclose(entry.target_px, (38.4, 32.0), atol=1e-3)
        self.assertFalse(bpy.ops.draggan.restore_point.poll())

    def test_points_that_blender_has_forgotten_are_made_again(self) -> None:
        self.points.add_pair(self.plane, (0.5, 0.5), (0.6, 0.5))
        self.points.add_pin(self.plane, (0.1, 0.1))
        pair, pin = self.plane.draggan.pairs
        bpy.data.objects.remove(pair.handle)
        bpy.data.objects.remove(pin.handle)
        for index in (0, 1):
            self.assertEqual(bpy.ops.draggan.restore_point(index=index), {"FINISHED"})
        self.assertEqual((pair.handle.name, pin.handle.name), ("Handle 001", "Pin 001"))
        self.assertEqual(pin.handle, pin.target)
        self.assertEqual(len(self.placed()), 2)

    def test_a_pair_without_points_goes_away_alone(self) -> None:
        for v in (0.2, 0.5, 0.8):
            self.points.add_pair(self.plane, (0.5, v), (0.6, v))
        self.points.add_pin(self.plane, (0.1, 0.1))
        pairs, watch = self.plane.draggan.pairs, ours("ui.point_watch")
        delete(pairs[1].handle, pairs[1].target, pairs[2].handle, pairs[3].handle)
        self.assertTrue(bpy.app.timers.is_registered(watch.after_deletion))
        bpy.app.timers.unregister(watch.after_deletion)
        watch.after_deletion()
        self.assertEqual([pair.name for pair in pairs], ["Pair 1", "Pair 3"])
        # A second press of the key deletes nothing.
        self.assertEqual(bpy.context.selected_objects, [])

    def test_the_image_is_active_after_its_active_point_was_deleted(self) -> None:
        pair = self.points.add_pair(self.plane, (0.5, 0.5), (0.6, 0.5))
        layer, watch = bpy.context.view_layer, ours("ui.point_watch")
        layer.objects.active = pair.target
        layer.update()
        delete(pair.target)
        self.assertIsNone(layer.objects.active)
        bpy.app.timers.unregister(watch.after_deletion)
        watch.after_deletion()
        self.assertEqual(layer.objects.active, self.plane)


class RoomTest(PointsCase):
    def test_new_points_do_not_lie_on_others(self) -> None:
        for _ in range(12):
            self.assertEqual(bpy.ops.draggan.add_pair(), {"FINISHED"})
        self.assertEqual(bpy.ops.draggan.add_pin(), {"FINISHED"})
        pairs = self.plane.draggan.pairs
        places = [tuple(p.location[:2]) for pair in pairs for p in self.points.points_of(pair)]
        for index, place in enumerate(places):
            nearest = min(math.dist(place, other) for other in places[:index] + places[index + 1 :])
            self.assertGreater(nearest, 0.15, place)
        self.assertEqual(len({tuple(pair.color) for pair in pairs[:7]}), 7)
        self.assertEqual(len(self.placed()), 13)

    def test_handle_and_target_can_be_swapped(self) -> None:
        self.points.add_pair(self.plane, (0.5, 0.5), (0.6, 0.5))
        self.assertEqual(bpy.ops.draggan.swap_points(), {"FINISHED"})
        (entry,) = self.placed()
        np.testing.assert_allclose(entry.handle_px, (38.4, 32.0), atol=1e-3)
        np.testing.assert_allclose(entry.target_px, (32.0, 32.0), atol=1e-3)
        self.points.add_pin(self.plane, (0.1, 0.1))
        self.assertFalse(bpy.ops.draggan.swap_points.poll())

    def test_f_sets_a_radius_only_while_a_point_of_a_pair_is_active(self) -> None:
        self.points.add_pair(self.plane, (0.5, 0.5), (0.6, 0.5))
        self.points.add_pin(self.plane, (0.1, 0.1))
        pair, pin = self.plane.draggan.pairs
        layer = bpy.context.view_layer
        for chosen, expected in ((self.plane, False), (pin.handle, False), (pair.handle, True)):
            layer.objects.active = chosen
            self.assertEqual(bpy.ops.draggan.set_radius.poll(), expected)
        self.assertEqual(bpy.ops.draggan.set_radius(radius=0.3), {"FINISHED"})
        self.assertAlmostEqual(pair.radius, 0.3)
