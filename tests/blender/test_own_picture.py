# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from a person's own picture: the operators, the frame, history, and blending back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from support import TIMEOUT_S, SceneCase, ours
from test_cli import CliCase

WIDTH, HEIGHT = 96, 64


def write_picture(folder: Path) -> Path:
    """Write a PNG of ``WIDTH x HEIGHT`` pixels."""
    image = bpy.data.images.new("picture", WIDTH, HEIGHT)
    pixels = np.random.default_rng(1).random((HEIGHT, WIDTH, 4), dtype=np.float32)
    image.pixels.foreach_set(pixels.ravel())
    path = folder / "picture.png"
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)
    return path


class OwnPictureTest(SceneCase):
    def setUp(self) -> None:
        super().setUp()
        self.use_fake_engine()
        self.path = write_picture(self.folder)

    def invert(self, **values: Any) -> Any:
        """Make an image of the picture and wait for it."""
        self.assertEqual(
            bpy.ops.draggan.image_from_picture(filepath=str(self.path), **values), {"FINISHED"}
        )
        plane = self.find_plane()
        self.wait(plane)
        return plane

    def wait(self, plane: Any) -> None:
        """Wait for the request of a plane, if it is still running."""
        if plane.draggan.request_id:
            ours("jobs.requests").wait(plane.draggan.request_id, TIMEOUT_S)

    def test_a_picture_becomes_an_image_like_every_other(self) -> None:
        plane = self.invert()
        settings, own = plane.draggan, plane.draggan.own
        self.assertEqual(settings.latent, own.latent)
        self.assertEqual(settings.sampled_latent, own.latent)
        self.assertEqual(settings.status, "The model covers it roughly")
        self.assertEqual(tuple(own.centre_px), (WIDTH / 2 + 1, HEIGHT / 2))
        self.assertEqual(own.size_px, HEIGHT)
        self.assertIsNotNone(settings.still.packed_file)
        self.assertFalse(settings.inverting)
        (state,) = settings.history.states
        self.assertEqual((state.kind, state.parent), ("PICTURE", 0))
        self.assertEqual(ours("scene.history").label(state), "Picture 1")
        self.add_pair(plane)
        self.drag(plane)
        self.assertNotEqual(settings.latent, own.latent)
        bpy.ops.draggan.reset()
        self.assertEqual(settings.latent, own.latent)
        self.assertEqual(settings.history.active, state.number)

    def test_a_blender_image_that_is_no_file_is_a_picture_too(self) -> None:
        image = bpy.data.images.new("Drawn", 40, 30)
        self.assertEqual(bpy.ops.draggan.image_from_picture(image=image.name), {"FINISHED"})
        plane = self.find_plane()
        self.wait(plane)
        self.assertEqual(plane.draggan.own.picture, image)
        self.assertTrue(plane.draggan.own.latent)
        with self.assertRaisesRegex(RuntimeError, "no image named"):
            bpy.ops.draggan.image_from_picture(image="nothing")

    def test_a_file_that_is_no_picture_leaves_no_plane(self) -> None:
        self.path.write_text("no picture")
        with self.assertRaisesRegex(RuntimeError, "picture"):
            bpy.ops.draggan.image_from_picture(filepath=str(self.path))
        self.assertEqual(ours("scene.planes").everywhere(), [])

    def test_a_tuned_model_belongs_to_the_image_and_goes_back_with_the_history(self) -> None:
        plane = self.invert(tune=True)
        source = plane.draggan.source
        self.assertEqual(source.kind, "FILE")
        self.assertTrue(Path(source.path).is_file())
        tuned = source.path
        plane.draggan.own.tune = False
        self.assertEqual(bpy.ops.draggan.find_picture(), {"FINISHED"})
        self.wait(plane)
        # It was looked for with the model that was tuned, and not with the tuned one.
        self.assertEqual(source.kind, "BUILT_IN")
        first = plane.draggan.history.states[0].number
        bpy.ops.draggan.go_to_state(number=first)
        self.assertEqual((source.kind, source.path), ("FILE", tuned))

    def test_the_frame_is_read_where_it_was_moved(self) -> None:
        plane = self.invert()
        frames = ours("scene.picture_frame")
        self.assertEqual(bpy.ops.draggan.picture_frame(), {"FINISHED"})
        bpy.context.view_layer.update()
        own = plane.draggan.own
        found = frames.read(plane)
        self.assertAlmostEqual(found.centre_px[0], WIDTH / 2 + 1, places=3)
        self.assertAlmostEqual(found.size_px, HEIGHT, places=3)
        # Two units are the picture's longer side.
        own.frame.location.x += 2.0 * 10 / WIDTH
        own.frame.location.y += 2.0 * 5 / WIDTH
        own.frame.rotation_euler.z = math.radians(30)
        own.frame.scale.x = own.frame.scale.y = own.frame.scale.x / 2
        own.board.location.x -= 3.0
        own.board.rotation_euler.x = 0.5
        bpy.context.view_layer.update()
        found = frames.read(plane)
        self.assertAlmostEqual(found.centre_px[0], WIDTH / 2 + 11, places=3)
        self.assertAlmostEqual(found.centre_px[1], HEIGHT / 2 - 5, places=3)
        self.assertAlmostEqual(found.angle, math.radians(30), places=4)
        self.assertAlmostEqual(found.size_px, HEIGHT / 2, places=3)
        plane.draggan.own.refine = False
        bpy.ops.draggan.find_picture()
        self.wait(plane)
        self.assertAlmostEqual(own.centre_px[0], WIDTH / 2 + 11, places=3)
        bpy.ops.draggan.whole_picture()
        bpy.context.view_layer.update()
        self.assertAlmostEqual(frames.read(plane).size_px, HEIGHT, places=3)
        own.frame.location.x += 9.0
        bpy.context.view_layer.update()
        with self.assertRaisesRegex(RuntimeError, "not on the picture"):
            bpy.ops.draggan.find_picture()
        bpy.ops.draggan.picture_frame()
        self.assertFalse(frames.is_shown(plane))

    def test_cancel_keeps_the_best(self) -> None:
        self.use_fake_engine("--steps", "100000", "--step-s", "0.01")
        pump = ours("connection.pump")
        image = ours("jobs.own_picture").load(self.path)
        plane = ours("jobs.own_picture").new_image(bpy.context, image)
        request_id = plane.draggan.request_id
        self.run_until(lambda now: now.fraction > 0)
        self.assertTrue(plane.draggan.inverting)
        bpy.context.view_layer.objects.active = plane
        bpy.ops.draggan.cancel()
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertTrue(self.find_plane().draggan.latent)
        self.assertIsNone(pump.state().active)

    def test_an_edit_is_blended_as_an_image_and_a_drag_as_a_sequence(self) -> None:
        plane = self.invert()
        own = plane.draggan.own
        self.assertEqual(bpy.ops.draggan.blend_back(), {"FINISHED"})
        self.wait(plane)
        self.assertIsNotNone(own.blended.packed_file)
        self.add_pair(plane)
        self.drag(plane)
        bpy.ops.draggan.blend_back()
        self.wait(plane)
        self.assertEqual(own.blended.source, "SEQUENCE")
        self.assertTrue(Path(bpy.path.abspath(own.blended.filepath)).is_file())
        self.assertEqual(len(plane.draggan.history.states), 2)
        plane.draggan.source.seed = 3
        ours("jobs.requests").wait(ours("jobs.image").resample(plane), TIMEOUT_S)
        with self.assertRaisesRegex(RuntimeError, "image of a seed"):
            bpy.ops.draggan.blend_back()

    def test_it_is_kept_in_the_file(self) -> None:
        latent = self.invert().draggan.own.latent
        bpy.ops.draggan.picture_frame()
        path = str(self.folder / "saved.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        plane = self.find_plane()
        self.assertEqual(plane.draggan.own.latent, latent)
        self.assertTrue(ours("scene.picture_frame").is_shown(plane))
        copy = ours("scene.copies").duplicate(bpy.context, plane)
        self.assertIsNone(copy.draggan.own.frame)

    def test_an_image_of_a_seed_has_no_picture(self) -> None:
        plane = self.new_plane()
        bpy.context.view_layer.objects.active = plane
        for name in ("find_picture", "picture_frame", "whole_picture", "blend_back"):
            self.assertFalse(getattr(bpy.ops.draggan, name).poll(), name)


class InvertCommandTest(CliCase):
    def test_a_picture_is_added_and_the_file_saved(self) -> None:
        path, saved = write_picture(self.folder), self.folder / "saved.blend"
        arguments = [str(path), "--alignment", "50,30,10,40", "--keep-alignment"]
        code = self.run_cli("invert", *arguments, "--save", str(saved))
        self.assertEqual(code, 0)
        self.assertTrue(saved.is_file())
        planes = ours("scene.planes").everywhere()
        (plane,) = (one for one in planes if one.draggan.own.latent)
        own = plane.draggan.own
        self.assertEqual((*own.centre_px, own.size_px), (50.0, 30.0, 40.0))
        self.assertAlmostEqual(math.degrees(own.angle), 10.0, places=3)

    def test_a_wrong_frame_is_a_wrong_argument(self) -> None:
        path = write_picture(self.folder)
        self.assertEqual(self.run_cli("invert", str(path), "--alignment", "1,2,3,-4"), 2)
        self.assertEqual(self.run_cli("invert", str(self.folder / "none.png")), 1)
