# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from a person's own picture: the operators, the frame and the history."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any
from unittest import mock

import bpy
import numpy as np
from own_picture_case import HEIGHT, WIDTH, OwnPictureCase, write_picture
from support import TIMEOUT_S, ours
from test_cli import CliCase


class OwnPictureTest(OwnPictureCase):
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

    def add_slider(self, plane: Any) -> Any:
        """Add a slider to an image, at a strength of 2."""
        change = np.ones((1, plane.draggan.w_dim), np.float32)
        direction = ours("protocol.directions").Direction(
            name="Age", change=change, first=0, last=99
        )
        slider = ours("scene.sliders").add(plane, direction)
        ours("scene.sliders").set_shown(plane, slider, 2.0)
        return slider

    def test_a_search_treats_sliders_labels_and_alpha_as_a_new_seed_does(self) -> None:
        plane = self.invert()
        settings = plane.draggan
        self.add_slider(plane)
        settings.label_count, settings.sampled_label = 7, 3
        bpy.ops.draggan.find_picture()
        self.wait(plane)
        (slider,) = settings.sliders
        self.assertEqual((slider.strength, settings.sliders_shown), (0.0, ""))
        # The fake engine's models have no labels.
        no_label = ours("protocol.pictures").NO_LABEL
        self.assertEqual((settings.label_count, settings.sampled_label), (0, no_label))
        shown: list[str] = []
        alpha, show = ours("scene.alpha"), ours("scene.alpha").show
        self.addCleanup(setattr, alpha, "show", show)
        alpha.show = lambda other: shown.append(other.name)
        settings.own.tune = True
        # A tuned model has the latents of the one that it is made from.
        for _ in range(2):
            bpy.ops.draggan.find_picture()
            self.wait(plane)
            self.assertEqual(len(settings.sliders), 1)
        self.assertEqual(shown, [plane.name] * 2)
        settings.source.kind, settings.source.path = "FILE", str(self.other_model())
        bpy.ops.draggan.find_picture()
        self.wait(plane)
        self.assertEqual(len(settings.sliders), 0)

    def other_model(self) -> Path:
        """Write a file that the fake engine takes for a model."""
        path = self.folder / "other.safetensors"
        path.write_bytes(b"other")
        return path

    def test_a_blender_image_that_is_no_file_is_a_picture_too(self) -> None:
        image = bpy.data.images.new("Drawn", 40, 30)
        self.assertEqual(bpy.ops.draggan.image_from_picture(image=image.name), {"FINISHED"})
        plane = self.find_plane()
        self.wait(plane)
        self.assertEqual(plane.draggan.own.picture, image)
        self.assertTrue(plane.draggan.own.latent)
        with self.assertRaisesRegex(RuntimeError, "no image named"):
            bpy.ops.draggan.image_from_picture(image="nothing")

    def test_painted_packed_and_float_pictures_are_read_as_they_are_shown(self) -> None:
        levels = np.linspace(0, 1, 12 * 8 * 4, dtype=np.float32).reshape(8, 12, 4)
        levels[..., 3] = 1.0
        levels[0, 0] = (0.5, 0.25, 1.0, 0.5)
        expected = (levels * 255).round()
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        linear[..., 3:] = levels[..., 3:]
        # Blender multiplies the colours of float images by alpha.
        linear[..., :3] *= levels[..., 3:]
        plane = self.invert()
        painted, packed = (bpy.data.images.load(str(self.path)) for _ in range(2))
        for image in (painted, packed):
            image.scale(12, 8)
            image.pixels.foreach_set(levels.ravel())
        packed.pack()
        self.assertTrue(painted.is_dirty)
        floats = bpy.data.images.new("float", 12, 8, alpha=True, float_buffer=True)
        floats.pixels.foreach_set(linear.astype(np.float32).ravel())
        raw = bpy.data.images.new("raw", 12, 8, alpha=True, float_buffer=True, is_data=True)
        multiplied = levels.copy()
        multiplied[..., :3] *= levels[..., 3:]
        raw.pixels.foreach_set(multiplied.ravel())
        for image in (painted, packed, floats, raw):
            plane.draggan.own.picture = image
            with self.subTest(image.name):
                found = self.sent_picture(plane)
                self.assertLessEqual(np.abs(found - expected).max(), 1.0)

    def sent_picture(self, plane: Any) -> Any:
        """Return what a search sends to the engine, in [0, 255]; and see that no file is left."""
        job, found = ours("jobs.own_picture"), []
        remove = job.remove_file

        def read(request: Any) -> None:
            image = bpy.data.images.load(request.picture_path)
            image.alpha_mode = "CHANNEL_PACKED"
            width, height = image.size
            pixels = np.empty((height, width, 4), np.float32)
            image.pixels.foreach_get(pixels.ravel())
            found.append((pixels * 255).round())
            bpy.data.images.remove(image)
            remove(request)
            self.assertFalse(Path(request.picture_path).exists())

        job.remove_file = read
        try:
            bpy.ops.draggan.find_picture()
            self.wait(plane)
        finally:
            job.remove_file = remove
        return found[0]

    def test_a_cancelled_search_leaves_no_folder(self) -> None:
        plane, pump = self.invert(), ours("connection.pump")
        pump.stop()
        self.run_until(pump.is_off)
        self.use_fake_engine("--steps", "100000", "--step-s", "0.01")
        parent = ours("jobs.folders")._parent(plane)
        before = sorted(parent.iterdir())
        own = plane.draggan.own
        own.picture = bpy.data.images.new("Drawn", 40, 30)
        request_id = ours("jobs.own_picture").invert_again(plane)
        self.run_until(lambda now: now.fraction > 0)
        self.assertGreater(len(sorted(parent.iterdir())), len(before))
        ours("jobs.recovery").cancel(plane)
        self.run_until(lambda now: request_id in ours("jobs.requests").endings)
        self.assertEqual(sorted(parent.iterdir()), before)
        # Nor does one that cannot begin.
        own.picture = None
        with self.assertRaisesRegex(Exception, "its picture is missing"):
            ours("jobs.own_picture").invert_again(plane)
        source = plane.draggan.source
        source.kind, source.path = "FILE", ""
        own.picture = bpy.data.images.new("Drawn", 40, 30)
        with self.assertRaisesRegex(Exception, "No model was chosen"):
            ours("jobs.own_picture").invert_again(plane)
        self.assertEqual(sorted(parent.iterdir()), before)

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
        self.assertTrue(ours("scene.models").is_tuned(plane))

    def test_noise_maps_belong_to_the_image_as_a_tuned_model_does(self) -> None:
        plane = self.invert(loss="vgg", loss_path=str(self.folder / "vgg.pth"))
        own, source = plane.draggan.own, plane.draggan.source
        self.assertEqual((source.kind, own.tuned_path), ("BUILT_IN", ""))
        self.assertEqual((own.noise, own.loss), (False, "vgg"))
        own.noise = True
        asked: list[Any] = []
        requests = ours("jobs.requests")
        submit = requests.submit

        def watch(plane: Any, request: Any, title: str) -> int:
            asked.append(request)
            return int(submit(plane, request, title))

        with mock.patch.object(requests, "submit", watch):
            self.assertEqual(bpy.ops.draggan.find_picture(), {"FINISHED"})
        self.wait(plane)
        (request,) = asked
        self.assertEqual((request.loss, request.loss_path), ("vgg", own.loss_path))
        self.assertEqual((request.noise, request.tune), (True, False))
        self.assertEqual((source.kind, source.path), ("FILE", own.tuned_path))
        self.assertTrue(Path(bpy.path.abspath(source.path)).is_file())

    def test_the_panel_asks_for_weights_only_where_a_loss_needs_some(self) -> None:
        plane = self.invert()
        bpy.context.view_layer.objects.active = plane
        panel = ours("ui.panels.own_picture").DRAGGAN_PT_own_picture_expert
        self.assertTrue(panel.poll(bpy.context))

        def drawn(loss: str) -> list[str]:
            plane.draggan.own.loss = loss
            layout = mock.Mock()
            panel.draw(mock.Mock(layout=layout), bpy.context)
            return [call.args[1] for call in layout.prop.call_args_list]

        self.assertEqual(drawn("pixels"), ["loss", "noise"])
        self.assertEqual(drawn("vgg"), ["loss", "loss_path", "noise"])
        self.assertEqual(drawn("discriminator"), ["loss", "loss_path", "noise"])
        bpy.context.view_layer.objects.active = self.new_plane()
        self.assertFalse(panel.poll(bpy.context))

    def test_a_new_image_has_the_model_that_was_tuned_unless_the_tuned_one_is_chosen(self) -> None:
        path = str(self.other_model())
        plane = self.invert(model=path, tune=True)
        tuned = plane.draggan.source.path
        self.assertNotEqual(tuned, path)
        # A name says nothing: another file of the same name is a model like others.
        namesake = self.folder / Path(tuned).name
        namesake.write_bytes(b"namesake")
        made = []
        for chosen in ("", tuned, str(namesake)):
            for name in ("new_image", "image_from_picture"):
                bpy.context.view_layer.objects.active = plane
                values = {"filepath": str(self.path)} if name != "new_image" else {}
                getattr(bpy.ops.draggan, name)(model=chosen, **values)
                new = bpy.context.view_layer.objects.active
                self.wait(new)
                made.append(new.draggan.source.path)
        self.assertEqual(made, [path] * 2 + [tuned] * 2 + [str(namesake)] * 2)
        bpy.context.view_layer.objects.active = new
        bpy.ops.draggan.find_picture()
        self.wait(new)
        self.assertEqual(new.draggan.source.path, str(namesake))
        # The latents of a tuned model are those of the one before, so both can be mixed.
        style, first = ours("scene.own_directions").style_of, ours("scene.planes").everywhere()
        (beside,) = (
            one for one in first if one.draggan.source.path == path and not one.draggan.own.picture
        )
        self.assertEqual(style(plane, beside).kind, "STYLE")
        with self.assertRaisesRegex(Exception, "another model"):
            style(plane, new)

    def test_the_model_before_tuning_is_relinked_with_the_others(self) -> None:
        path = self.other_model()
        plane = self.invert(model=str(path), tune=True)
        own, relinking = plane.draggan.own, ours("jobs.relinking")
        state = plane.draggan.history.states[0].own
        sha256 = own.untuned_sha256
        self.assertTrue(sha256)
        tuned = own.tuned_path
        relinking._replace("", sha256, "/elsewhere/other.safetensors")
        for owner in (own, state):
            self.assertEqual(owner.untuned_path, "/elsewhere/other.safetensors")
            self.assertEqual(owner.tuned_path, tuned)
        relinking._replace("", own.tuned_sha256, "/elsewhere/tuned.safetensors")
        self.assertTrue(ours("scene.models").is_tuned(plane))
        self.assertEqual(state.tuned_path, "/elsewhere/tuned.safetensors")

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

    def test_the_history_brings_back_what_was_found_and_blends_it(self) -> None:
        self.use_fake_engine("--steps", "2")
        plane = self.invert(tune=True)
        own, history = plane.draggan.own, plane.draggan.history
        names = ("latent", "angle", "size_px", "coverage", "sentence")
        kinds = ("untuned_kind", "untuned_path", "untuned_sha256", "tuned_path", "tuned_sha256")
        names = (*names, *kinds)

        def found() -> list[Any]:
            return [*own.centre_px, *(getattr(own, name) for name in names)]

        first = found()
        bpy.ops.draggan.picture_frame()
        own.frame.location.x += 0.2
        own.frame.scale = (0.4, 0.4, 0.001)
        own.tune = False
        bpy.context.view_layer.update()
        # The fake engine finds the same latent in each picture; the real one another one.
        sent = self.latent_of_the_next_search()
        bpy.ops.draggan.find_picture()
        self.wait(plane)
        second = found()
        self.assertEqual(own.latent, sent)
        self.assertNotEqual(second, first)
        numbers = [state.number for state in history.states]
        frames = ours("scene.picture_frame")
        for number, expected in zip([*numbers, numbers[0]], [first, second, first], strict=True):
            bpy.ops.draggan.go_to_state(number=number)
            self.assertEqual(found(), expected)
            bpy.context.view_layer.update()
            self.assertAlmostEqual(frames.read(plane).size_px, own.size_px, places=3)
            self.assertEqual(bpy.ops.draggan.blend_back(), {"FINISHED"})
            self.wait(plane)
            self.assertIn("Blended onto", plane.draggan.status)
        # A state of an earlier version knows nothing of it.
        history.states[1].own.size_px = 0.0
        bpy.ops.draggan.go_to_state(number=numbers[1])
        self.assertEqual(found(), first)

    def latent_of_the_next_search(self) -> str:
        """Let the next search find another latent, and return it as base64."""
        stored = ours("properties.stored")
        finishers = ours("jobs.delivery")._FINISHERS
        invert = ours("protocol.own_picture").InvertPicture
        finish, part = finishers[invert]
        base = stored.to_bytes(self.find_plane().draggan.own.latent)
        latent = (np.frombuffer(base, "<f4") + 1.0).astype("<f4").tobytes()

        def with_another(plane: Any, request: Any, result: Any) -> None:
            finish(plane, request, dataclasses.replace(result, latent=latent))

        patch = mock.patch.dict(finishers, {invert: (with_another, part)})
        patch.start()
        self.addCleanup(patch.stop)
        return str(stored.to_text(latent))

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
        arguments += ["--noise", "--loss", "vgg", "--loss-file", "vgg.pth"]
        code = self.run_cli("invert", *arguments, "--save", str(saved))
        self.assertEqual(code, 0)
        self.assertTrue(saved.is_file())
        planes = ours("scene.planes").everywhere()
        (plane,) = (one for one in planes if one.draggan.own.latent)
        own = plane.draggan.own
        self.assertEqual((*own.centre_px, own.size_px), (50.0, 30.0, 40.0))
        self.assertAlmostEqual(math.degrees(own.angle), 10.0, places=3)
        self.assertEqual((own.noise, own.loss), (True, "vgg"))
        self.assertEqual(own.loss_path, str(Path("vgg.pth").absolute()))
        self.assertTrue(own.tuned_path)

    def test_a_wrong_frame_is_a_wrong_argument(self) -> None:
        path = write_picture(self.folder)
        self.assertEqual(self.run_cli("invert", str(path), "--alignment", "1,2,3,-4"), 2)
        self.assertEqual(self.run_cli("invert", str(self.folder / "none.png")), 1)
