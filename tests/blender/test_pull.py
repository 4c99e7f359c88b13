# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulling at an image: points, drags, pins, taking back and undo."""

from __future__ import annotations

from typing import Any

import bpy
import support
from bl_ui.space_toolsystem_common import ToolSelectPanelHelper
from support import TIMEOUT_S, SceneCase, ours


class PullCase(SceneCase):
    def prepared(self, *options: str) -> Any:
        """Make a plane with the fake engine, and an undo step of that state."""
        self.use_fake_engine(*options)
        plane = self.new_plane()
        bpy.context.view_layer.objects.active = plane
        bpy.ops.ed.undo_push(message="New GAN Image")
        return plane

    def press(self, plane: Any, u: float, v: float) -> Any:
        """Press on a place of the image where there is no point."""
        pull = ours("jobs.pull")
        return pull.Pull(plane, (u, v), -1, pull.Part.IMAGE)

    def hold(self, plane: Any, index: int, part: str) -> Any:
        """Press on a point."""
        pull = ours("jobs.pull")
        return pull.Pull(plane, (0.0, 0.0), index, pull.Part(part))

    def move(self, pulled: Any, u: float, v: float, **options: Any) -> None:
        pulled.move(bpy.context, (u, v), **options)
        bpy.context.view_layer.update()

    def settle(self, plane: Any) -> None:
        """Wait until the drag has its result."""
        image_id = plane.draggan.uuid
        find = ours("scene.planes").find
        self.run_until(lambda now: not find(image_id).draggan.request_id)

    def place_uv(self, plane: Any, point: Any) -> tuple[float, float]:
        local = [tuple(point.location[:2])]
        view, planes = ours("scene.view"), ours("scene.planes")
        (u, v) = view.local_to_uv(planes.uv_map(plane), local)[0]
        return round(float(u), 3), round(float(v), 3)


class PullTest(PullCase):
    def test_a_pull_makes_a_pair_that_the_image_follows_and_one_undo_step(self) -> None:
        plane = self.prepared()
        before = plane.draggan.latent
        pulled = self.press(plane, 0.4, 0.5)
        self.move(pulled, 0.45, 0.5)
        live = ours("jobs.live")
        self.assertTrue(live.is_open(plane))
        self.run_until(lambda now: now.step >= 2)
        for u in (0.5, 0.55, 0.6):
            self.move(pulled, u, 0.55)
        pair = plane.draggan.pairs[0]
        self.run_until(lambda now: self.place_uv(plane, pair.handle) == (0.6, 0.55))
        self.assertTrue(live.is_open(plane))
        self.assertEqual(pulled.release(bpy.context), "")
        self.settle(plane)
        settings = plane.draggan
        self.assertEqual(settings.sequence.kind, "DRAG")
        self.assertIn("Reached", settings.status)
        self.assertIsNotNone(pair.handle.animation_data)
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual(len(plane.draggan.pairs), 0)
        self.assertEqual(plane.draggan.latent, before)
        self.assertEqual(ours("jobs.pull")._released, {})

    def test_a_target_that_may_wait_moves_with_the_next_image(self) -> None:
        plane = self.prepared("--steps", "2000")
        pulled = self.press(plane, 0.4, 0.5)
        self.assertTrue(pulled.move(bpy.context, (0.45, 0.5), may_wait=True))
        bpy.context.view_layer.update()
        self.run_until(lambda now: now.step >= 1)
        pair = plane.draggan.pairs[0]
        self.assertFalse(pulled.move(bpy.context, (0.6, 0.55), may_wait=True))
        self.assertEqual(self.place_uv(plane, pair.target), (0.45, 0.5))
        (sent,) = ours("jobs.live")._running.values()
        width, height = plane.draggan.size
        self.assertAlmostEqual(sent.pairs[0].target_px[0], 0.6 * width, delta=0.01)
        self.assertAlmostEqual(sent.pairs[0].target_px[1], 0.45 * height, delta=0.01)
        self.run_until(lambda now: self.place_uv(plane, pair.target) == (0.6, 0.55))
        # An update of the scene in the meantime must not send the old place.
        self.assertFalse(pulled.move(bpy.context, (0.7, 0.55), may_wait=True))
        plane.update_tag()
        bpy.context.view_layer.update()
        (sent,) = ours("jobs.live")._running.values()
        self.assertAlmostEqual(sent.pairs[0].target_px[0], 0.7 * width, delta=0.01)
        pulled.release(bpy.context)
        self.assertEqual(self.place_uv(plane, pair.target), (0.7, 0.55))

    def test_taking_back_a_target_that_waits_puts_it_where_it_was(self) -> None:
        plane = self.prepared("--steps", "2000")
        pair = self.add_pair(plane)
        pulled = self.hold(plane, 0, "target")
        self.move(pulled, 0.7, 0.5)
        self.run_until(lambda now: now.step >= 1)
        pulled.move(bpy.context, (0.8, 0.8), may_wait=True)
        pulled.take_back()
        self.assertEqual(self.place_uv(plane, pair.target), (0.55, 0.5))
        self.assertEqual(ours("jobs.pull")._waiting, {})
        self.assertEqual(ours("jobs.live")._held, {})

    def test_a_click_sets_a_pin(self) -> None:
        plane = self.prepared()
        pulled = self.press(plane, 0.3, 0.7)
        self.assertEqual(pulled.release(bpy.context), "Add Pin")
        (pair,) = plane.draggan.pairs
        self.assertTrue(pair.is_pin)
        self.assertEqual(self.place_uv(plane, pair.target), (0.3, 0.7))
        self.assertEqual(plane.draggan.request_id, 0)

    def test_a_pull_that_is_taken_back_leaves_nothing(self) -> None:
        plane = self.prepared()
        node = ours("scene.planes").texture_node(plane)
        image = node.image
        pulled = self.press(plane, 0.4, 0.5)
        self.move(pulled, 0.6, 0.5)
        self.run_until(lambda now: now.step >= 3)
        pulled.take_back()
        self.assertEqual(len(plane.draggan.pairs), 0)
        self.assertEqual(plane.draggan.request_id, 0)
        self.assertEqual(node.image, image)
        self.run_until(lambda now: now.active is None)
        self.assertEqual(len(plane.children), 0)

    def test_a_pull_of_a_target_is_taken_back_to_where_it_was(self) -> None:
        plane = self.prepared()
        pair = self.add_pair(plane)
        pulled = self.hold(plane, 0, "target")
        self.move(pulled, 0.8, 0.8, radius=0.2, turn=(0.5, 1.5))
        self.assertAlmostEqual(pair.radius, 0.2)
        self.run_until(lambda now: now.step >= 3)
        pulled.take_back()
        self.assertEqual(self.place_uv(plane, pair.handle), (0.4, 0.5))
        self.assertEqual(self.place_uv(plane, pair.target), (0.55, 0.5))
        self.assertEqual(pair.radius, 0.0)
        self.assertEqual(tuple(pair.target.scale), (1.0, 1.0, 1.0))

    def test_a_cancel_while_a_pull_settles_takes_the_whole_gesture_back(self) -> None:
        plane = self.prepared("--steps", "2000")
        pulled = self.press(plane, 0.4, 0.5)
        self.move(pulled, 0.6, 0.5)
        self.run_until(lambda now: now.step >= 2)
        pulled.release(bpy.context)
        self.assertEqual(bpy.ops.draggan.cancel(), {"FINISHED"})
        self.assertEqual(len(plane.draggan.pairs), 0)
        self.assertEqual(plane.draggan.request_id, 0)

    def test_an_undo_while_a_pull_settles_takes_back_the_pull_and_no_more(self) -> None:
        plane = self.prepared("--steps", "2000")
        latent = plane.draggan.latent
        pulled = self.press(plane, 0.4, 0.5)
        self.move(pulled, 0.6, 0.5)
        self.run_until(lambda now: now.step >= 2)
        pulled.release(bpy.context)
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual(len(plane.draggan.pairs), 0)
        self.assertEqual(plane.draggan.latent, latent)
        self.assertEqual(plane.draggan.request_id, 0)
        self.run_until(lambda now: now.active is None)

    def test_a_second_pull_ends_the_drag_that_settles_and_has_an_undo_step_of_its_own(self) -> None:
        plane = self.prepared("--steps", "200")
        first = self.press(plane, 0.4, 0.5)
        self.move(first, 0.6, 0.5)
        first.release(bpy.context)
        self.run_until(lambda now: now.step >= 2)
        request_id = plane.draggan.request_id
        second = self.press(plane, 0.2, 0.2)
        self.move(second, 0.2, 0.3)
        # The result of the first pull has nothing of the second one.
        self.assertTrue(second.is_waiting)
        self.assertEqual(len(plane.draggan.pairs), 1)
        self.assertEqual(plane.draggan.request_id, request_id)
        self.settle(plane)
        self.assertIn("Stopped", plane.draggan.status)
        stopped_at = plane.draggan.latent
        self.move(second, 0.2, 0.3)
        self.assertFalse(second.is_waiting)
        self.assertNotIn(plane.draggan.request_id, (0, request_id))
        self.assertTrue(ours("jobs.live").is_open(plane))
        second.release(bpy.context)
        self.settle(plane)
        first_pair, second_pair = plane.draggan.pairs
        self.assertEqual((first_pair.path_slot, second_pair.path_slot), (0, 1))
        # What the first one had not reached is reached now.
        self.assertEqual(self.place_uv(plane, first_pair.handle), (0.6, 0.5))
        bpy.ops.ed.undo()
        plane = self.find_plane()
        self.assertEqual((len(plane.draggan.pairs), plane.draggan.latent), (1, stopped_at))
        bpy.ops.ed.undo()
        self.assertEqual(len(self.find_plane().draggan.pairs), 0)

    def test_a_second_pull_that_is_taken_back_leaves_the_first_one(self) -> None:
        plane = self.prepared("--steps", "200")
        first = self.press(plane, 0.4, 0.5)
        self.move(first, 0.6, 0.5)
        first.release(bpy.context)
        self.run_until(lambda now: now.step >= 2)
        second = self.press(plane, 0.2, 0.2)
        self.move(second, 0.2, 0.3)
        second.take_back()
        self.settle(plane)
        self.assertEqual(plane.draggan.sequence.kind, "DRAG")
        third = self.press(plane, 0.2, 0.2)
        self.move(third, 0.2, 0.3)
        self.run_until(lambda now: now.step >= 2)
        latent = plane.draggan.latent
        third.take_back()
        self.assertEqual((len(plane.draggan.pairs), plane.draggan.latent), (1, latent))
        self.run_until(lambda now: now.active is None)

    def test_a_second_pull_waits_for_a_drag_that_has_not_begun(self) -> None:
        plane = self.prepared()
        self.stop_engine()
        first = self.press(plane, 0.4, 0.5)
        self.move(first, 0.6, 0.5)
        first.release(bpy.context)
        second = self.press(plane, 0.2, 0.2)
        self.move(second, 0.2, 0.3)
        self.assertTrue(second.is_waiting)
        self.settle(plane)
        self.assertEqual(self.place_uv(plane, plane.draggan.pairs[0].handle), (0.6, 0.5))

    def test_a_drag_that_ends_during_the_next_pull_is_followed_by_another(self) -> None:
        plane = self.prepared()
        first = self.press(plane, 0.4, 0.5)
        self.move(first, 0.6, 0.5)
        first.release(bpy.context)
        second = self.press(plane, 0.2, 0.2)
        self.settle(plane)
        self.move(second, 0.2, 0.3)
        second.release(bpy.context)
        self.settle(plane)
        self.assertEqual(self.place_uv(plane, plane.draggan.pairs[1].handle), (0.2, 0.3))

    def test_a_pull_waits_for_an_engine_that_is_off(self) -> None:
        plane = self.prepared()
        self.stop_engine()
        pulled = self.press(plane, 0.4, 0.5)
        self.move(pulled, 0.5, 0.5)
        self.move(pulled, 0.6, 0.6)
        pulled.release(bpy.context)
        self.settle(plane)
        self.assertEqual(plane.draggan.failed, False, plane.draggan.status)
        self.assertEqual(self.place_uv(plane, plane.draggan.pairs[0].handle), (0.6, 0.6))

    def test_a_pull_without_an_engine_python_reports_it_and_leaves_nothing(self) -> None:
        plane = self.prepared()
        pump, launcher = ours("connection.pump"), ours("connection.launcher")
        self.stop_engine()

        def none() -> Any:
            raise launcher.LaunchError("No Python with PyTorch is configured")

        pump.configure(none)
        pulled = self.press(plane, 0.4, 0.5)
        with self.assertRaisesRegex(ours("errors").EditError, "No Python"):
            self.move(pulled, 0.5, 0.5)
        pulled.take_back()
        self.assertEqual(len(plane.draggan.pairs), 0)
        self.assertEqual(plane.draggan.request_id, 0)

    def test_an_engine_that_crashes_during_a_pull_ends_it(self) -> None:
        plane = self.prepared("--fault", "crash_at_step=3")
        pulled = self.press(plane, 0.4, 0.5)
        self.move(pulled, 0.6, 0.5)
        self.run_until(lambda now: now.error != "")
        with self.assertRaisesRegex(ours("errors").EditError, "engine was lost"):
            self.move(pulled, 0.7, 0.5)
        pulled.take_back()
        self.assertEqual(len(plane.draggan.pairs), 0)

    def test_a_handle_and_a_pin_are_moved_without_a_drag(self) -> None:
        plane = self.prepared()
        pair = self.add_pair(plane)
        handle = self.hold(plane, 0, "handle")
        self.move(handle, 0.3, 0.3)
        self.assertEqual(handle.release(bpy.context), "Move Handle")
        self.assertEqual(self.place_uv(plane, pair.handle), (0.3, 0.3))
        self.press(plane, 0.7, 0.7).release(bpy.context)
        pin = self.hold(plane, 1, "pin")
        self.move(pin, 0.8, 0.7)
        self.assertEqual(pin.release(bpy.context), "Move Pin")
        self.assertEqual(plane.draggan.request_id, 0)
        again = self.hold(plane, 1, "pin")
        self.move(again, 0.1, 0.1)
        again.take_back()
        self.assertEqual(self.place_uv(plane, plane.draggan.pairs[1].target), (0.8, 0.7))

    def test_an_image_that_is_being_made_cannot_be_pulled_at(self) -> None:
        plane = self.prepared()
        settings = plane.draggan
        ours("jobs.image").resample(plane)
        self.assertNotEqual(settings.request_id, 0)
        with self.assertRaises(ours("errors").EditError):
            self.press(plane, 0.5, 0.5)
        ours("jobs.requests").wait(settings.request_id, TIMEOUT_S)

    def test_another_file_in_the_middle_of_a_pull_leaves_nothing(self) -> None:
        plane = self.prepared("--steps", "2000")
        pulled = self.press(plane, 0.4, 0.5)
        self.move(pulled, 0.6, 0.5)
        self.run_until(lambda now: now.step >= 2)
        bpy.ops.wm.read_homefile(use_empty=True)
        pulled.take_back()
        with self.assertRaises(ours("errors").EditError):
            pulled.release(bpy.context)
        self.run_until(lambda now: now.active is None)
        self.assertEqual(ours("jobs.live")._running, {})
        self.assertEqual(ours("jobs.pull")._released, {})

    def test_a_disabled_extension_in_the_middle_of_a_pull_leaves_no_points(self) -> None:
        plane = self.prepared("--steps", "2000")
        pulled = self.press(plane, 0.4, 0.5)
        self.move(pulled, 0.6, 0.5)
        self.run_until(lambda now: now.step >= 2)
        self.assertTrue(ours("jobs.pull").is_held())
        ours("jobs.pull").unregister()
        ours("jobs.pull").register()
        self.assertFalse(ours("jobs.pull").is_held())
        self.assertEqual(len(plane.draggan.pairs), 0)
        self.assertEqual(plane.draggan.request_id, 0)


class ToolTest(PullCase):
    def test_a_disabled_extension_leaves_no_tool_and_no_keys(self) -> None:
        helper = ToolSelectPanelHelper._tool_class_from_space_type("VIEW_3D")
        idname = ours("ui.tool").DRAGGAN_WT_pull.bl_idname

        def known() -> list[str]:
            tools = helper._tools_flatten(helper._tools["OBJECT"])
            return [item.idname for item in tools if item is not None]

        self.assertEqual(known().count(idname), 1)
        (tool, *_) = (
            workspace.tools.from_space_view3d_mode("OBJECT", create=True)
            for workspace in bpy.data.workspaces
        )
        # Blender crashes if a text is left out.
        texts = ("gizmo_group", "data_block", "operator", "idname_fallback", "keymap_fallback")
        keymap = "3D View Tool: Object, Pull"
        tool.setup(idname=idname, keymap=keymap, cursor="CROSSHAIR", **dict.fromkeys(texts, ""))
        self.assertEqual(tool.idname, idname)
        support.disable()
        self.addCleanup(support.enable)
        self.assertNotIn(idname, known())
        self.assertEqual(tool.idname, "builtin.select_box")
        keymaps = bpy.context.window_manager.keyconfigs.addon.keymaps
        self.assertFalse([keymap.name for keymap in keymaps if "Pull" in keymap.name])
        support.enable()
        self.assertEqual(known().count(idname), 1)
