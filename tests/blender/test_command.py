# SPDX-License-Identifier: GPL-3.0-or-later
"""``blender -b … -c draggan``: our commands through Blender's own command line, with the engine.

``test_cli`` tests what the commands print and how they end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

import bpy
import support
from support import SceneCase, ours


@unittest.skipIf(support.is_module(), "the bpy module has no command line")
class CommandTest(SceneCase):
    def setUp(self) -> None:
        """Save a file that has an image and a pair."""
        super().setUp()
        plane = self.new_plane()
        self.add_pair(plane)
        plane.draggan.drag.max_steps = 4
        self.blend = self.folder / "shot.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(self.blend))

    def command(self, *arguments: str) -> list[str]:
        flags = ["-b", "--factory-startup", str(self.blend), "--addons", support.EXTENSION]
        return [bpy.app.binary_path, *flags, "-c", "draggan", *arguments]

    def run_command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=support.TIMEOUT_S,
        )

    def test_a_drag_writes_frames_prints_them_and_saves(self) -> None:
        saved, out = self.folder / "saved.blend", self.folder / "out"
        arguments = ["drag", "--frame", "7", "--device", "cpu", "--out", str(out)]
        done = self.run_command(*arguments, "--save", str(saved), "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        files = [Path(path) for path in re.findall(r"^Saved: '(.*)'$", done.stdout, re.MULTILINE)]
        report = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
        (result,) = report["results"]
        self.assertEqual((report["exit_code"], result["first_frame"]), (0, 7))
        self.assertEqual(len(files), result["frame_count"] + 1)
        self.assertTrue(all(path.is_file() and path.is_relative_to(out) for path in files))
        bpy.ops.wm.open_mainfile(filepath=str(saved))
        self.assertEqual(ours("scene.images").sequence_folder(self.find_plane()), files[0].parent)

    def test_a_bake_is_saved_and_shows_the_same_when_opened(self) -> None:
        plane = self.find_plane()
        bpy.context.scene.frame_end = 3
        target = plane.draggan.pairs[0].target
        for frame in (1, 3):
            target.location.x += 0.02
            target.keyframe_insert("location", index=0, frame=frame)
        bpy.ops.wm.save_mainfile()
        saved, out = self.folder / "saved.blend", self.folder / "out"
        done = self.run_command(
            "bake", "--frames", "2-4", "--out", str(out), "--save", str(saved), "--device", "cpu"
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        bpy.ops.wm.open_mainfile(filepath=str(saved))
        sequence = self.find_plane().draggan.sequence
        self.assertEqual(
            (sequence.kind, sequence.first_frame, sequence.frame_count), ("BAKE", 2, 3)
        )
        self.assertTrue(ours("scene.images").sequence_folder(self.find_plane()).is_relative_to(out))

    def test_exit_codes_of_blender_are_those_of_the_command(self) -> None:
        for code, arguments in (
            (2, ("drag", "--no-such-option")),
            (2, ("bake-a-cake",)),
            (2, ("drag", "--object", "Nobody")),
            (3, ("drag", "--engine", str(self.folder / "no-python"))),
            (0, ("bake", "--help")),
        ):
            done = self.run_command(*arguments)
            self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
            self.assertNotIn("Traceback", done.stderr)

    def test_a_file_that_cannot_be_saved_is_told_before_the_work(self) -> None:
        out = self.folder / "out"
        for place in (self.folder, self.folder / "nowhere" / "a.blend", self.blend / "a.blend"):
            done = self.run_command("drag", "--out", str(out), "--save", str(place))
            self.assertEqual(done.returncode, 1, (place, done.stdout, done.stderr))
            self.assertIn("--save", done.stderr)
        self.assertFalse(out.exists())

    def test_a_checkpoint_is_converted_by_the_engine(self) -> None:
        golden = sorted((support.CHECKOUT / "tests" / "data" / "golden").glob("*.pkl"))
        result = self.folder / "converted.safetensors"
        done = self.run_command("convert", str(golden[0]), str(result), "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(result.is_file())
        shutil.copy(__file__, self.folder / "no-model.pkl")
        done = self.run_command("convert", str(self.folder / "no-model.pkl"), str(result))
        self.assertEqual(done.returncode, 1)
        self.assertIn("no-model.pkl", done.stderr)
        self.assertNotIn("error: ", done.stderr)
        done = self.run_command("convert", str(golden[0]), str(self.folder / "converted.pkl"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("does not end in .safetensors", done.stderr)

    @unittest.skipUnless(os.name == "posix", "needs POSIX signals")
    def test_a_terminated_command_ends_as_cancelled(self) -> None:
        support.make_endless(self.find_plane())
        bpy.ops.wm.save_mainfile()
        out = self.folder / "out"
        process = subprocess.Popen(
            self.command("drag", "--out", str(out)), stderr=subprocess.PIPE, text=True
        )
        support.ours("connection.pump").run_until(
            lambda _now: out.exists() or process.poll() is not None, 90
        )
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, errors)
        self.assertEqual(list(out.rglob("*.png")), [])
