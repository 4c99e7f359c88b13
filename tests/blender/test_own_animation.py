# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person has animated or set in the scene, where results would meet it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from support import TIMEOUT_S, SceneCase, ours


class OwnAnimationTest(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine("--steps", "6")
        self.plane: Any = self.new_plane()
        self.pair: Any = self.add_pair(self.plane)

    def keyed(self) -> list[tuple[float, float]]:
        """Key the handle at two frames, with a key of its visibility; return the keys of x."""
        handle = self.pair.handle
        handle.keyframe_insert("location", frame=1)
        handle.location.x += 0.05
        handle.keyframe_insert("location", frame=40)
        handle.keyframe_insert("hide_render", frame=3)
        bpy.context.scene.frame_set(1)
        return self.keys_of(handle.animation_data.action)

    def keys_of(self, action: Any) -> list[tuple[float, float]]:
        holder = bpy.data.objects.new("holder", None)
        holder.animation_data_create().action = action
        compat = ours("compat")
        if hasattr(action, "slots"):
            holder.animation_data.action_slot = action.slots[0]
        curve = compat.find_fcurve(holder, "location", 0)
        keys = [tuple(point.co) for point in curve.keyframe_points]
        bpy.data.objects.remove(holder)
        return keys

    def test_keys_of_a_handle_are_kept_as_an_action(self) -> None:
        keys = self.keyed()
        self.drag(self.plane)
        status = self.plane.draggan.status
        self.assertRegex(status, "; keyframes of your own are kept in the action .* Keys$")
        kept = bpy.data.actions[status.rpartition("in the action ")[2]]
        self.assertTrue(kept.use_fake_user)
        self.assertEqual(self.keys_of(kept), keys)
        # What is no path stays on the handle, which follows the result.
        handle = self.pair.handle
        self.assertIsNotNone(ours("compat").find_fcurve(handle, "hide_render", 0))
        path = ours("scene.timing").read_path(self.plane, handle)
        self.assertEqual(len(path), self.plane.draggan.sequence.frame_count)
        # The keys of a result are no keys of the person.
        self.drag(self.plane)
        self.assertNotIn("of your own", self.plane.draggan.status)
        self.assertEqual(sum(" Keys" in one.name for one in bpy.data.actions), 1)

    def test_keys_of_a_handle_are_kept_by_a_bake(self) -> None:
        keys = self.keyed()
        self.plane.draggan.bake.use_own_range = True
        self.plane.draggan.bake.frame_start, self.plane.draggan.bake.frame_end = 1, 3
        ours("jobs.requests").wait(ours("jobs.bake").start_bake(self.plane), TIMEOUT_S)
        kept = bpy.data.actions[self.plane.draggan.status.rpartition("in the action ")[2]]
        self.assertEqual(self.keys_of(kept), keys)

    def test_drivers_of_a_handle_are_asked_about_before_anything_is_solved(self) -> None:
        self.pair.handle.driver_add("location", 1).driver.expression = "0.1"
        for start in (
            lambda: ours("jobs.drag").start_drag(bpy.context, self.plane),
            lambda: ours("jobs.bake").start_bake(self.plane),
        ):
            with self.assertRaisesRegex(ours("errors").EditError, "is moved by drivers"):
                start()
        self.assertEqual(self.plane.draggan.request_id, 0)
        self.assertEqual(list(self.folder.rglob("drag-*")), [])

    def stretch(self, new: int) -> None:
        render = bpy.context.scene.render
        render.frame_map_old, render.frame_map_new = 100, new

    def test_time_stretching_is_told_and_refused(self) -> None:
        sentence = ours("scene.time_stretching").sentence
        self.drag(self.plane)
        self.assertEqual(sentence(self.plane), "")
        self.stretch(200)
        # It is so: the key of frame 15 is played at frame 30.
        path = ours("scene.timing").read_path(self.plane, self.pair.handle)
        frame = self.plane.draggan.sequence.frame_count - 1
        bpy.context.scene.frame_set(frame)
        self.assertGreater(abs(self.pair.handle.location.x - path[frame - 1, 0]), 1e-3)
        self.assertIn("(100 to 200)", sentence(self.plane))
        for start in (
            lambda: ours("jobs.drag").start_drag(bpy.context, self.plane),
            lambda: ours("jobs.bake").start_bake(self.plane),
        ):
            with self.assertRaisesRegex(ours("errors").EditError, "Time Stretching"):
                start()
        self.stretch(100)
        self.assertEqual(sentence(self.plane), "")
        self.drag(self.plane)

    def test_a_retimed_image_and_its_handles_agree_under_time_stretching(self) -> None:
        self.drag(self.plane)
        timing = ours("scene.timing")
        path = timing.read_path(self.plane, self.pair.handle)
        ours("timeline.retiming").retime(self.plane)
        self.stretch(200)
        self.assertEqual(ours("scene.time_stretching").sentence(self.plane), "")
        for frame in (3, 6, 9):
            bpy.context.scene.frame_set(frame)
            row = timing.shown_row(self.plane)
            user = ours("scene.planes").texture_node(self.plane).image_user
            self.assertEqual(user.frame_offset, self.plane.draggan.sequence.first_frame - 1 + row)
            shown = self.pair.handle.evaluated_get(bpy.context.evaluated_depsgraph_get())
            np.testing.assert_allclose(shown.location[:2], path[row, :2], atol=1e-5)

    def test_an_image_of_another_aspect_on_a_bent_plane_says_so(self) -> None:
        bpy.context.view_layer.objects.active = self.plane
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.subdivide(number_cuts=1)
        bpy.ops.object.mode_set(mode="OBJECT")
        self.plane.data.uv_layers.active.data[5].uv.x += 0.2
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "wide.png"
            image = bpy.data.images.new("wide", 80, 48)
            image.filepath_raw, image.file_format = str(path), "PNG"
            image.save()
            said = ours("scene.images").show_still(self.plane, path)
        self.assertIn("The image is 80 x 48, and", said)
        self.assertIn("keeps its own shape", said)


class ModesTest(SceneCase):
    """Drags, bakes and renders while the plane is in another mode, or has other materials."""

    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine("--steps", "6")
        self.plane: Any = self.new_plane()
        self.add_pair(self.plane)
        for other in bpy.context.selected_objects:
            other.select_set(False)
        self.plane.select_set(True)
        bpy.context.view_layer.objects.active = self.plane

    def test_everything_works_in_every_mode(self) -> None:
        settings = self.plane.draggan
        settings.bake.use_own_range = True
        settings.bake.frame_start, settings.bake.frame_end = 1, 3
        wait, jobs = ours("jobs.requests").wait, ours("jobs.bake")
        for mode in ("EDIT", "SCULPT", "VERTEX_PAINT", "WEIGHT_PAINT", "TEXTURE_PAINT"):
            with self.subTest(mode):
                bpy.ops.object.mode_set(mode=mode)
                self.drag(self.plane, 3)
                self.assertEqual(settings.sequence.kind, "DRAG")
                wait(jobs.start_bake(self.plane), TIMEOUT_S)
                self.assertEqual(settings.sequence.frame_count, 3)
                jobs.clear(self.plane)
                ours("jobs.drag").reset(self.plane)
                settings.source.seed += 1
                wait(ours("jobs.image").resample(self.plane), TIMEOUT_S)
                ours("scene.pair_images").use(self.plane)
                self.assertEqual(self.plane.mode, mode)
                bpy.ops.object.mode_set(mode="OBJECT")
                self.assertEqual(len(self.plane.data.vertices), 4)

    def test_several_material_slots_and_a_changed_active_one(self) -> None:
        settings, planes = self.plane.draggan, ours("scene.planes")
        ours_index = self.plane.active_material_index
        self.plane.data.materials.append(bpy.data.materials.new("another"))
        self.drag(self.plane, 3)
        node = planes.texture_node(self.plane)
        self.assertEqual(node.image, settings.sequence.image)
        # The slot that is chosen in the interface is not the one that shows the image.
        self.plane.active_material_index = 1
        self.drag(self.plane, 3)
        self.assertEqual(planes.texture_node(self.plane).image, settings.sequence.image)
        self.assertEqual(self.plane.active_material_index, 1)
        # A copy gets a material of its own.
        (mine,) = {slot.material for slot in self.plane.material_slots} - {
            bpy.data.materials["another"]
        }
        bpy.ops.object.duplicate()
        copy = bpy.context.active_object
        ours("scene.copies").separate(copy)
        self.assertEqual(copy.material_slots[1].material, bpy.data.materials["another"])
        self.assertNotEqual(copy.material_slots[0].material, mine)
        bpy.data.objects.remove(copy)
        self.plane.active_material_index = ours_index
        self.assertEqual(planes.texture_node(self.plane).image, settings.sequence.image)

    def test_a_plane_without_its_material_is_refused_before_anything_is_solved(self) -> None:
        self.plane.data.materials.clear()
        with self.assertRaisesRegex(ours("errors").EditError, "has no Image Texture node"):
            ours("jobs.drag").start_drag(bpy.context, self.plane)
        self.assertEqual(self.plane.draggan.request_id, 0)
        self.assertEqual(list(self.folder.rglob("drag-*")), [])
