# SPDX-License-Identifier: GPL-3.0-or-later
"""*Apply to Many* with the real engine: other images and new ones come to the same end."""

from __future__ import annotations

import time
from typing import Any
from unittest import mock

import bpy
import numpy as np
from numpy.typing import NDArray
from support import TIMEOUT_S, SceneCase, ours


class _ManyCase(SceneCase):
    def setUp(self) -> None:
        """Make an image, drag it, and keep the drag as a slider."""
        super().setUp()
        preferences = ours("preferences")
        self.addCleanup(setattr, preferences, "user_folder", preferences.user_folder)
        preferences.user_folder = lambda: self.folder / "user"
        self.addCleanup(ours("jobs.many_sheet").close)
        plane = self.new_plane(3)
        bpy.context.view_layer.objects.active = plane
        self.add_pair(plane)
        self.drag(plane, 3)
        self.assertEqual(bpy.ops.draggan.keep_as_slider(), {"FINISHED"})
        self.uuid = plane.draggan.uuid

    @property
    def plane(self) -> Any:
        return ours("scene.planes").find(self.uuid)

    @property
    def row(self) -> Any:
        return self.plane.draggan.sliders[-1]

    def latent(self, plane: Any) -> NDArray[np.float32]:
        values: NDArray[np.float32] = ours("scene.sliders").base(plane)
        return values

    def change(self, plane: Any) -> NDArray[np.float32]:
        row = plane.draggan.sliders[-1]
        values: NDArray[np.float32] = ours("scene.sliders").whole_change(plane, row)
        return values

    def select(self, *planes: Any) -> None:
        for one in bpy.context.selected_objects:
            one.select_set(False)
        for one in planes:
            one.select_set(True)
        bpy.context.view_layer.objects.active = planes[-1]

    def pixels(self, plane: Any) -> NDArray[np.float32]:
        """Return what the file of the shown image has."""
        image = bpy.data.images.load(plane.draggan.still.filepath_raw)
        values = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(values)
        bpy.data.images.remove(image)
        return values

    def rendered(self, plane: Any) -> NDArray[np.float32]:
        """Let the engine render what is stored, and return it."""
        ours("jobs.requests").wait(ours("jobs.image").render_again(plane), TIMEOUT_S)
        return self.pixels(plane)


class ManyTest(_ManyCase):
    def test_a_kept_drag_knows_where_its_handles_were(self) -> None:
        kept = ours("scene.kept_drags").read(self.row)
        width, height = self.plane.draggan.size
        np.testing.assert_allclose(kept.handles_px, [(0.4 * width, 0.5 * height)], atol=0.05)
        self.assertEqual(kept.pins_px, ())
        origin = np.frombuffer(kept.origin, "<f4").reshape(self.latent(self.plane).shape)
        np.testing.assert_allclose(
            origin + self.change(self.plane), self.latent(self.plane), atol=1e-5
        )

    def test_a_kept_drag_has_its_own_start(self) -> None:
        plane, kept_drags = self.plane, ours("scene.kept_drags")
        first, job = kept_drags.read(self.row), ours("jobs.history")
        states = plane.draggan.history.states
        seed, drag_a = states[0].number, states[1].number
        job.go_to(plane, seed)
        plane.draggan.pairs[0].handle.location.y += 0.2
        plane.draggan.pairs[0].target.location.y += 0.2
        bpy.context.view_layer.update()
        self.drag(plane, 2)
        job.go_to(plane, drag_a)
        self.assertEqual(bpy.ops.draggan.keep_as_slider(), {"FINISHED"})
        again = kept_drags.read(self.row)
        self.assertEqual((again.handles_px, again.origin), (first.handles_px, first.origin))

        # A drag from an earlier frame begins with the image and the handle of that frame.
        bpy.context.scene.frame_set(plane.draggan.sequence.first_frame + 1)
        before = ours("scene.shown").latent(plane)
        self.assertNotIn(before, (first.origin, self.latent(plane).tobytes()))
        place = plane.draggan.pairs[0].handle.location[:2]
        (place_px,) = ours("scene.placing").to_px(plane, [place])
        self.drag(plane, 2)
        self.assertEqual(bpy.ops.draggan.keep_as_slider(), {"FINISHED"})
        kept = kept_drags.read(self.row)
        self.assertEqual(kept.origin, before)
        np.testing.assert_allclose(kept.handles_px, [place_px], atol=0.05)

    def test_selected_images_get_the_slider_with_one_undo_step(self) -> None:
        others = [self.new_plane(seed) for seed in (8, 11)]
        before = [self.latent(one) for one in others]
        ids = [one.draggan.uuid for one in others]
        stills = [self.pixels(one) for one in others]
        bpy.ops.ed.undo_push(message="Before")
        self.select(*others, self.plane)
        self.assertEqual(bpy.ops.draggan.apply_to_many(), {"FINISHED"})
        find = ours("scene.planes").find
        strengths = []
        for image_id, latent, still in zip(ids, before, stills, strict=True):
            one = find(image_id)
            row = one.draggan.sliders[-1]
            self.assertEqual(row.name, self.row.name)
            strengths.append(row.strength)
            np.testing.assert_allclose(
                self.latent(one), latent + row.strength * self.change(one), atol=1e-5
            )
            self.assertTrue(ours("scene.edits").is_shown(one))
            states = [state.kind for state in one.draggan.history.states]
            self.assertEqual(states, ["SEED", "SLIDERS"])
            shown = self.pixels(one)
            self.assertGreater(float(np.abs(shown - still).max()), 8 / 255)
            self.assertLessEqual(float(np.abs(shown - self.rendered(one)).max()), 1.01 / 255)
        self.assertNotAlmostEqual(strengths[0], strengths[1], places=3)

        # Again: each has the slider already, and it is solved as without it.
        self.select(*map(find, ids), self.plane)
        self.assertEqual(bpy.ops.draggan.apply_to_many(), {"FINISHED"})
        for image_id, strength in zip(ids, strengths, strict=True):
            rows = find(image_id).draggan.sliders
            self.assertEqual(len(rows), 1)
            self.assertAlmostEqual(rows[0].strength, strength, delta=0.02)

    def test_one_undo_takes_all_images_back(self) -> None:
        others = [self.new_plane(seed) for seed in (8, 11)]
        before = [self.latent(one) for one in others]
        ids = [one.draggan.uuid for one in others]
        bpy.ops.ed.undo_push(message="Before")
        self.select(*others, self.plane)
        # As the operator in a window does: the results arrive later, with an undo step.
        many = ours("jobs.many")
        index = self.plane.draggan.active_slider
        request_id = many.to_images(self.plane, index, others)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        find = ours("scene.planes").find
        self.assertEqual([len(find(one).draggan.sliders) for one in ids], [1, 1])
        bpy.ops.ed.undo()
        for image_id, latent in zip(ids, before, strict=True):
            one = find(image_id)
            self.assertEqual(len(one.draggan.sliders), 0)
            np.testing.assert_array_equal(self.latent(one), latent)
            self.assertEqual(len(one.draggan.history.states), 1)

    def test_the_exact_place_makes_a_slider_of_its_own_at_1(self) -> None:
        other = self.new_plane(8)
        before = self.latent(other)
        self.row.exact = True
        self.select(other, self.plane)
        for _ in range(2):
            self.assertEqual(bpy.ops.draggan.apply_to_many(), {"FINISHED"})
            self.assertEqual(len(other.draggan.sliders), 1)
            self.assertEqual(other.draggan.sliders[0].strength, 1.0)
            np.testing.assert_allclose(self.latent(other), before + self.change(other), atol=1e-5)
        self.assertGreater(float(np.abs(self.change(other) - self.change(self.plane)).max()), 1e-3)

    def test_a_sheet_of_seeds_and_a_new_image_of_one(self) -> None:
        seed_sheet = ours("jobs.seed_sheet")
        self.addCleanup(setattr, seed_sheet, "COUNT", seed_sheet.COUNT)
        seed_sheet.COUNT = 4
        sheet, plane = ours("jobs.many_sheet"), self.plane
        index = plane.draggan.active_slider
        self.assertEqual(bpy.ops.draggan.applied_sheet(page="HERE"), {"FINISHED"})
        self.assertEqual(sheet.first_of(plane, index), 0)
        end_s = time.monotonic() + TIMEOUT_S
        while sheet.go_on() is not None:
            self.assertLess(time.monotonic(), end_s, "the sheet was not finished")
            ours("connection.pump").tick()
            time.sleep(0.005)
        tiles = sheet.tiles_of(self.plane, index)
        self.assertEqual([tile.seed for tile in tiles], list(range(4)))
        self.assertTrue(all(tile.strength is not None for tile in tiles), plane.draggan.status)

        bpy.ops.ed.undo_push(message="Before")
        self.assertEqual(bpy.ops.draggan.pick_applied(seed=2), {"FINISHED"})
        (made,) = (one for one in ours("scene.planes").everywhere() if one != self.plane)
        settings = made.draggan
        self.assertEqual(settings.source.seed, 2)
        self.assertAlmostEqual(settings.sliders[0].strength, tiles[2].strength, places=4)
        states = settings.history.states
        self.assertEqual([state.kind for state in states], ["SEED", "SLIDERS"])
        moved = self.pixels(made)
        self.assertLessEqual(float(np.abs(moved - self.rendered(made)).max()), 1.01 / 255)
        ours("jobs.drag").reset(made)
        self.assertGreater(float(np.abs(moved - self.pixels(made)).max()), 8 / 255)

    def test_one_undo_removes_the_new_image(self) -> None:
        bpy.ops.ed.undo_push(message="Before")
        place = ours("scene.free_place").Place((3.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        index = self.plane.draggan.active_slider
        request_id = ours("jobs.many_sheet").pick(self.plane, index, 6, place)
        ours("jobs.requests").wait(request_id, TIMEOUT_S)
        self.assertEqual(len(ours("scene.planes").everywhere()), 2)
        bpy.ops.ed.undo()
        self.assertEqual(len(ours("scene.planes").everywhere()), 1)

    def test_what_cannot_be_done_is_said(self) -> None:
        self.select(self.plane)
        with self.assertRaisesRegex(RuntimeError, "Select other GAN images"):
            bpy.ops.draggan.apply_to_many()
        other = self.new_plane(8)
        self.select(other, self.plane)
        other.draggan.model_sha256 = "0" * 64
        with self.assertRaisesRegex(RuntimeError, "has another model"):
            bpy.ops.draggan.apply_to_many()
        self.row.origin = ""
        with self.assertRaisesRegex(RuntimeError, "kept from a drag"):
            bpy.ops.draggan.applied_sheet(page="HERE")

    def test_the_history_keeps_what_a_slider_remembers(self) -> None:
        plane = self.plane
        self.row.exact = True
        ours("jobs.requests").wait(self._moved(plane), TIMEOUT_S)
        kept = ours("scene.kept_drags").read(self.row)
        job, number = ours("jobs.history"), plane.draggan.history.active
        job.go_to(plane, plane.draggan.history.states[0].number)
        job.go_to(plane, number)
        self.assertEqual(ours("scene.kept_drags").read(self.row), kept)
        self.assertTrue(self.row.exact)

    def _moved(self, plane: Any) -> int:
        plane.draggan.sliders[-1].strength = 0.5
        request_id: int = ours("jobs.edits").start(plane)
        return request_id


class ManyMeantimeTest(_ManyCase):
    """What changes before, while and after a slider is applied."""

    def setUp(self) -> None:
        """Let no test inherit what another has left running."""
        super().setUp()
        self.addCleanup(ours("jobs.many").forget)
        self.place = ours("scene.free_place").Place((3.0, 0.0, 0.0), (0.0, 0.0, 0.0))

    @property
    def index(self) -> int:
        return len(self.plane.draggan.sliders) - 1

    def apply(self, *others: Any) -> int:
        request_id: int = ours("jobs.many").to_images(self.plane, self.index, others)
        return request_id

    def ending(self, request_id: int) -> str:
        """Wait for a request, and return what went wrong."""
        endings = ours("jobs.requests").endings
        self.run_until(lambda _now: request_id in endings)
        return str(endings[request_id])

    def submitted(self) -> list[Any]:
        """Return a list that gets the requests from now on, instead of the engine."""
        found: list[Any] = []
        pump = ours("connection.pump")
        patch = mock.patch.object(pump, "submit", lambda job: found.append(job.request))
        patch.start()
        self.addCleanup(patch.stop)
        return found

    def test_each_model_gets_a_request_and_seeds_the_one_before_tuning(self) -> None:
        plain, tuned = self.new_plane(8), self.new_plane(11)
        sha256, path = plain.draggan.model_sha256, str(self.folder / "tuned.draggan")
        for one in (tuned, self.plane):
            own, source = one.draggan.own, one.draggan.source
            own.untuned_kind, own.untuned_sha256 = source.kind, sha256
            own.untuned_path = source.path
            own.tuned_path, own.tuned_sha256 = path, "1" * 64
        settings = tuned.draggan
        settings.source.kind, settings.source.path = "FILE", path
        settings.model_sha256 = "1" * 64
        found = self.submitted()
        usual = ours("scene.models").model_path(plain.draggan.source)
        self.apply(tuned, plain)
        self.assertEqual(
            [(one.model_path, one.model_sha256) for one in found],
            [(path, "1" * 64), (usual, sha256)],
        )
        self.assertEqual([len(one.sizes) for one in found], [1, 1])
        mine = self.plane.draggan
        mine.source.kind, mine.source.path, mine.model_sha256 = "FILE", path, "1" * 64
        asked = ours("jobs.many_seeds").ask(self.plane, self.index, [1])
        self.assertEqual((asked.request.model_path, asked.request.model_sha256), (usual, sha256))
        self.assertEqual(asked.model, (plain.draggan.source.kind, plain.draggan.source.path))

    def test_the_sheet_has_one_strength_and_a_pick_has_it_too(self) -> None:
        sheet, found, row = ours("jobs.many_sheet"), self.submitted(), self.row
        sheet.show(self.plane, self.index, 0)
        sheet.go_on()
        row.strength, row.exact = 0.25, True
        sheet._sheet.request_id = 0
        sheet.go_on()
        sheet.pick(self.plane, self.index, 2, self.place)
        wanted = [one for one in found if one.kind == "apply_to_many"]
        self.assertEqual([(one.strength, one.exact) for one in wanted], [(1.0, False)] * 3)
        self.assertEqual(wanted[2].seeds, (2,))

    def test_an_undo_leaves_it_alone_and_cancel_and_another_file_end_it(self) -> None:
        other, many = self.new_plane(8), ours("jobs.many")
        image_id, find = other.draggan.uuid, ours("scene.planes").find
        bpy.ops.ed.undo_push(message="Before")
        self.plane.location.x = 5.0
        bpy.ops.ed.undo_push(message="Unrelated")
        request_id = self.apply(other)
        bpy.ops.ed.undo()
        self.assertEqual(many.progress(self.plane), (0, 1))
        with self.assertRaisesRegex(ours("errors").EditError, "is being applied"):
            self.apply(find(image_id))
        self.assertEqual(self.ending(request_id), "")
        self.assertIsNone(many.progress(self.plane))
        rows, latent = find(image_id).draggan.sliders, find(image_id).draggan.latent
        self.assertEqual(len(rows), 1)

        # Hidden in the other image, it is shown when it is applied.
        rows[0].visible = False
        self.assertEqual(self.ending(self.apply(find(image_id))), "")
        self.assertTrue(find(image_id).draggan.sliders[0].visible)

        latent = find(image_id).draggan.latent
        request_id = self.apply(find(image_id))
        self.select(self.plane)
        self.assertEqual(bpy.ops.draggan.cancel_many(), {"FINISHED"})
        self.assertEqual(self.ending(request_id), many.CANCELLED)
        self.assertEqual(find(image_id).draggan.latent, latent)
        with self.assertRaisesRegex(RuntimeError, "No slider of this image"):
            bpy.ops.draggan.cancel_many()

        request_id = self.apply(find(image_id))
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        self.assertEqual(self.ending(request_id), many.CANCELLED)

    def test_images_that_changed_or_fail_do_not_stop_the_others(self) -> None:
        broken, moved, fine = (self.new_plane(seed) for seed in (8, 11, 12))
        direction = ours("jobs.many").slider_of(self.plane, self.index).direction
        ours("scene.sliders").add(moved, direction)
        latents = [one.draggan.latent for one in (broken, moved)]
        request_id = self.apply(broken, moved, fine)
        broken.data.materials.clear()
        moved.draggan.sliders[0].strength = 0.5
        problem = self.ending(request_id)
        self.assertRegex(problem, f"{broken.name}: ")
        self.assertRegex(problem, f"{moved.name} changed in the meantime")
        self.assertEqual([one.draggan.latent for one in (broken, moved)], latents)
        self.assertEqual(fine.draggan.history.states[-1].kind, "SLIDERS")
        self.assertEqual(moved.draggan.sliders[0].strength, 0.5)

        with mock.patch.object(
            ours("jobs.many"), "show", side_effect=ours("errors").EditError("It is gone")
        ):
            pick = ours("jobs.many_sheet").pick(self.plane, self.index, 6, self.place)
            self.assertEqual(self.ending(pick), "It is gone")
        self.assertEqual(len(ours("scene.planes").everywhere()), 4)
