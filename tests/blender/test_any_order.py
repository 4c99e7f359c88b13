# SPDX-License-Identifier: GPL-3.0-or-later
"""Sliders, drags, style mixing, tuning and bakes on one image in a shuffled order.

With the real engine. After each of them, undo, redo and a reopened file bring back all that it has
made; and a farm that works on the file writes what the local bake has written.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
from typing import Any

import bpy
import numpy as np
from support import TIMEOUT_S, SceneCase, ours

# Shuffles the works: one in which a bake follows on tuning, which any order may do.
SEED = 53
WORKS = ("slide", "pull", "mix", "tune", "bake", "slide", "bake")
FRAMES = range(1, 4)
_STORED = ("latent", "sampled_latent", "model_sha256", "sliders_shown", "sliders_taken", "track")
_FOUND = ("latent", "size_px", "untuned_kind", "tuned_sha256", "sentence")


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:8]


class AnyOrderTest(SceneCase):
    def setUp(self) -> None:
        """Make an image from a picture, with sliders, and another image beside it."""
        super().setUp()
        preferences = ours("preferences")
        self.addCleanup(setattr, preferences, "user_folder", preferences.user_folder)
        preferences.user_folder = lambda: self.folder / "user"
        self.works = random.Random(SEED)
        scene = bpy.context.scene
        scene.frame_start, scene.frame_end = FRAMES.start, FRAMES[-1]
        beside = self.new_plane(8)
        self.beside = beside.draggan.uuid
        picture = self.folder / "picture.png"
        picture.write_bytes(beside.draggan.still.packed_file.data)
        job = ours("jobs.own_picture")
        plane = job.new_image(bpy.context, job.load(picture), seconds=1.0, refine=False)
        self.uuid = plane.draggan.uuid
        self.wait(plane.draggan.request_id)
        plane = self.plane()
        plane.draggan.own.tune_seconds = 0.5
        plane.draggan.drag.max_steps = 2
        add_first = ours("ui.operators.sliders").add_first
        self.wait(ours("jobs.directions").find(plane, add_first))
        bpy.ops.ed.undo_push(message="Begin")
        # What each state of the history is of.
        self.states: dict[int, tuple[str, str]] = {}

    def plane(self, uuid: str = "") -> Any:
        found = ours("scene.planes").find(uuid or self.uuid)
        assert found is not None
        return found

    def wait(self, request_id: int) -> None:
        ours("jobs.requests").wait(request_id, TIMEOUT_S)

    def test_each_work_is_undone_saved_and_done_by_a_farm(self) -> None:
        order = list(WORKS)
        self.works.shuffle(order)
        last_bake = max(number for number, name in enumerate(order) if name == "bake")
        for number, name in enumerate(order):
            where = f"{number} of {order}"
            before = self.all_of()
            getattr(self, name)()
            after = self.all_of()
            self.assertNotEqual(after, before, where)
            bpy.ops.ed.undo()
            self.assertEqual(self.all_of(), before, where)
            bpy.ops.ed.redo()
            self.assertEqual(self.all_of(), after, where)
            self.check_image()
            self.reopen()
            self.assertEqual(self.all_of(), after, where)
            if number == last_bake:
                self.check_farm()
            settings = self.plane().draggan
            self.states[settings.history.active] = settings.latent, settings.source.path
        self.check_history()

    # ------------------------------------------------------------ the works

    def slide(self) -> None:
        """Move one of the first two sliders."""
        plane = self.plane()
        row = plane.draggan.sliders[self.works.randrange(2)]
        row.strength += self.works.choice((-0.5, 0.5))
        self.follow_sliders(plane)

    def follow_sliders(self, plane: Any) -> None:
        request_id = ours("jobs.edits").start(plane)
        assert request_id is not None
        self.wait(request_id)

    def pull(self) -> None:
        """Drag from the image that is shown, with a lock or without."""
        plane = self.plane()
        self.point(plane).target.location.x += 0.04
        plane.draggan.sliders[0].in_drags = self.works.choice(("FREE", "LOCKED"))
        bpy.context.view_layer.update()
        self.wait(ours("jobs.drag").start_drag(bpy.context, plane))

    def point(self, plane: Any) -> Any:
        """Return the pair of an image, without keys of an earlier bake."""
        pairs = plane.draggan.pairs
        pair = pairs[0] if pairs else ours("scene.points").add_pair(plane, (0.5, 0.5), (0.5, 0.5))
        pair.target.animation_data_clear()
        return pair

    def mix(self) -> None:
        """Take the finer layers of the other image."""
        plane = self.plane()
        style = ours("scene.own_directions").style_of(plane, self.plane(self.beside))
        style.strength = 0.5
        self.follow_sliders(plane)

    def tune(self) -> None:
        """Look for the picture again, and tune the model to it."""
        plane = self.plane()
        plane.draggan.own.tune = True
        self.wait(ours("jobs.own_picture").invert_again(plane))
        plane = self.plane()
        self.assertTrue(ours("scene.models").is_tuned(plane))
        self.assertEqual({row.strength for row in plane.draggan.sliders}, {0.0})

    def bake(self) -> None:
        """Key a target and a slider that nothing else moves, and bake."""
        plane = self.plane()
        row, target = plane.draggan.sliders[3], self.point(plane).target
        for frame, way in ((FRAMES.start, 0.0), (FRAMES[-1], 1.0)):
            row.strength = 0.5 * way
            row.keyframe_insert("strength", frame=frame)
            target.location.x += 0.03 * way
            target.keyframe_insert("location", index=0, frame=frame)
        bpy.context.scene.frame_set(FRAMES.start)
        self.wait(ours("jobs.bake").start_bake(plane))

    # ------------------------------------------------------------ the checks

    def all_of(self) -> dict[str, Any]:
        """Return what the works change of the image."""
        plane = self.plane()
        settings, own, sequence = plane.draggan, plane.draggan.own, plane.draggan.sequence
        found = {name: getattr(settings, name) for name in _STORED}
        found |= {f"own {name}": getattr(own, name) for name in _FOUND}
        found["sliders"] = [(row.name, row.first, row.change) for row in settings.sliders]
        found["sequence"] = (sequence.kind, sequence.first_frame, sequence.frame_count)
        found["history"] = [(one.number, one.kind, one.latent) for one in settings.history.states]
        found["active"] = settings.history.active
        found["files"] = self.files()
        # Short, so that a failure says what differs.
        return {name: repr(value)[:60] + _digest(value) for name, value in found.items()}

    def files(self) -> list[bytes]:
        """Return the files of the images that the plane shows."""
        plane = self.plane()
        sequence = plane.draggan.sequence
        if sequence.image is None:
            return [bytes(plane.draggan.still.packed_file.data)]
        folder = ours("scene.images").sequence_folder(plane)
        numbers = range(sequence.first_frame, sequence.first_frame + sequence.frame_count)
        path = ours("scene.frame_files").frame_path
        return [path(folder, sequence.stem, number).read_bytes() for number in numbers]

    def check_image(self) -> None:
        """Render what is stored again, and compare."""
        before = self.files()
        self.wait(ours("jobs.image").render_again(self.plane()))
        self.assertEqual(self.files(), before)

    def reopen(self) -> None:
        path = str(self.folder / "shot.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        bpy.ops.ed.undo_push(message="Reopened")

    def check_farm(self) -> None:
        """Bake the saved file as a task of a farm does, and open it again."""
        pump, name, out = ours("connection.pump"), self.plane().name, self.folder / "farm"
        expected, folder_of = self.files(), ours("jobs.bake_folder").folder_of
        pump.stop()
        self.run_until(pump.is_off)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            command = ["bake", "--object", name, "--device", "cpu", "--out", str(out)]
            code = ours("cli").run(command)
        self.assertEqual(code, 0, printed.getvalue()[-2000:])
        folder, stem = folder_of(self.plane(), out), ours("jobs.folders").stem_of(self.plane())
        path = ours("scene.frame_files").frame_path
        found = [path(folder, stem, number).read_bytes() for number in FRAMES]
        same = [one == other for one, other in zip(found, expected, strict=True)]
        self.assertEqual(same, [True] * len(FRAMES))
        self.assertGreater(len(set(found)), 1)
        bpy.ops.wm.open_mainfile(filepath=str(self.folder / "shot.blend"))

    def check_history(self) -> None:
        """Go to each state, and find what was made; the first one is blended onto the picture."""
        plane = self.plane()
        numbers = [one.number for one in plane.draggan.history.states if one.number in self.states]
        self.assertGreater(len(numbers), 4)
        bpy.context.view_layer.objects.active = plane
        for number in numbers:
            bpy.ops.draggan.go_to_state(number=number)
            settings = self.plane().draggan
            self.assertEqual((settings.latent, settings.source.path), self.states[number])
        self.wait(ours("jobs.own_picture").blend_back(self.plane()))
        blended = self.plane().draggan.own.blended
        values = np.empty(len(blended.pixels), np.float32)
        blended.pixels.foreach_get(values)
        self.assertGreater(float(values.std()), 0.0)
