# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands in this process, with the fake engine: what they print and how they end.

``test_command`` tests that Blender's own command line reaches them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import threading
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import bpy
from support import SceneCase, ours


class CliCase(SceneCase):
    """Runs commands and keeps what they printed."""

    def use_fake_engine(self, *options: str) -> None:
        """Make the commands use the fake engine, too."""
        super().use_fake_engine(*options)
        settings = ours("connection.pump")._runtime.settings()
        patch = mock.patch.object(
            ours("preferences"), "engine_settings", lambda python=None: settings
        )
        patch.start()
        self.addCleanup(patch.stop)

    def setUp(self) -> None:
        """Make an image whose target moves from frame 1 to 6."""
        super().setUp()
        self.use_fake_engine()
        scene = bpy.context.scene
        scene.frame_start, scene.frame_end = 1, 6
        self.plane = self.new_plane()
        self.animate(self.add_pair(self.plane))
        self.stop_engine()
        self.out = self.folder / "out"

    def animate(self, pair: Any) -> None:
        start = pair.target.location.x
        for frame, x in ((1, start - 0.1), (6, start)):
            pair.target.location.x = x
            pair.target.keyframe_insert("location", index=0, frame=frame)

    def run_cli(self, *arguments: str) -> int:
        """Run a command, keep what it prints in ``lines`` and ``errors``, return its exit code."""
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code: int = ours("cli").run(list(arguments))
        self.lines = out.getvalue().splitlines()
        self.errors = errors.getvalue()
        return code

    def saved(self) -> list[Path]:
        matches = [re.fullmatch(r"Saved: '(.*)'", line) for line in self.lines]
        return [Path(match.group(1)) for match in matches if match]

    def count(self, start: str) -> int:
        return sum(line.startswith(start) for line in self.lines)


class LinesTest(CliCase):
    """The lines that a farm reads."""

    def test_a_bake_prints_each_frame_when_it_is_solved_and_when_its_file_is_written(self) -> None:
        self.assertEqual(self.run_cli("bake", "--out", str(self.out)), 0, self.errors)
        self.assertEqual(self.count("Solved: frame "), 6)
        files = self.saved()
        # One more file is for the time before the first frame; it is not a frame.
        self.assertEqual((len(files), self.count("Time: ")), (7, 6))
        self.assertTrue(all(path.is_file() and path.is_relative_to(self.out) for path in files))
        for line in self.lines:
            if line.startswith("Time:"):
                self.assertRegex(line, r"^Time: (\d\d:)?\d\d:\d\d\.\d\d$")
        sequence = self.plane.draggan.sequence
        self.assertEqual((sequence.kind, sequence.frame_count), ("BAKE", 6))

    def test_a_folder_above_the_current_one_is_named_without_dots(self) -> None:
        (self.folder / "here").mkdir()
        with contextlib.chdir(self.folder / "here"):
            self.assertEqual(self.run_cli("bake", "--out", "../out"), 0, self.errors)
        folders = {path.parents[1] for path in self.saved()}
        self.assertEqual(folders, {self.out})

    def test_solving_alone_counts_solved_frames_and_leaves_the_scene_alone(self) -> None:
        code = self.run_cli("bake", "--out", str(self.out), "--only", "solve", "--json")
        self.assertEqual(code, 0, self.errors)
        self.assertEqual((self.count("Time: "), self.saved()), (6, []))
        report = json.loads(self.lines[-1])
        (result,) = report["results"]
        self.assertEqual((report["exit_code"], report["command"]), (0, "bake"))
        self.assertEqual((result["object"], result["frame_count"]), (self.plane.name, 6))
        folder = Path(result["folder"])
        self.assertEqual(sorted(path.suffix for path in folder.iterdir()), [".draggan", ".npz"])
        self.assertIsNone(self.plane.draggan.sequence.image)

    def test_chunks_of_frames_are_rendered_from_what_was_solved(self) -> None:
        self.assertEqual(self.run_cli("bake", "--out", str(self.out), "--only", "solve"), 0)
        only = ("bake", "--out", str(self.out), "--only", "frames")
        self.assertEqual(self.run_cli(*only, "--frames", "3,4"), 0, self.errors)
        self.assertEqual([path.stem[-4:] for path in self.saved()], ["0003", "0004"])
        self.assertEqual(self.run_cli(*only, "--frames", "3-6", "--resume"), 0, self.errors)
        self.assertEqual([path.stem[-4:] for path in self.saved()], ["0005", "0006"])
        self.assertEqual(self.count("skipping existing frame"), 2)

    def test_without_out_the_folders_are_those_of_the_panel(self) -> None:
        self.assertEqual(self.run_cli("bake", "--only", "solve"), 0, self.errors)
        (folder,) = ours("jobs.folders").bakes_of(self.plane)
        self.assertEqual(self.run_cli("bake", "--only", "solve", "--resume"), 0, self.errors)
        self.assertEqual(ours("jobs.folders").bakes_of(self.plane), [folder])
        self.assertEqual(self.run_cli("bake", "--only", "frames"), 0, self.errors)
        self.assertEqual({path.parent for path in self.saved()}, {folder})
        # Without --resume the bake gets a new folder: the scene may show the images of the other.
        self.assertEqual(self.run_cli("bake"), 0, self.errors)
        self.assertNotEqual(self.saved()[0].parent, folder)

    def test_a_prepared_file_knows_where_its_bake_goes(self) -> None:
        base = self.folder / "shared"
        ours("export.farm").prepare(bpy.context.scene, base)
        shown = ours("scene.images").sequence_folder(self.plane)
        self.assertEqual(self.run_cli("bake", "--only", "solve"), 0, self.errors)
        self.assertEqual(self.run_cli("bake", "--only", "frames"), 0, self.errors)
        self.assertEqual({path.parent for path in self.saved()}, {shown})
        self.assertTrue(shown.is_relative_to(base))

    def test_two_images_are_baked_into_separate_folders(self) -> None:
        other = self.new_plane(2)
        self.animate(self.add_pair(other))
        code = self.run_cli("bake", "--out", str(self.out), "--json")
        self.assertEqual(code, 0, self.errors)
        results = json.loads(self.lines[-1])["results"]
        self.assertEqual({item["object"] for item in results}, {self.plane.name, other.name})
        self.assertEqual(len({item["folder"] for item in results}), 2)

    def test_render_writes_a_sequence_again_from_the_file(self) -> None:
        self.assertEqual(self.run_cli("bake", "--out", str(self.out)), 0, self.errors)
        before = {path.name: path.read_bytes() for path in self.saved()}
        again = self.folder / "again"
        self.assertEqual(self.run_cli("render", "--out", str(again)), 0, self.errors)
        self.assertEqual({path.name: path.read_bytes() for path in self.saved()}, before)
        self.assertEqual(self.run_cli("render", "--out", str(again), "--frames", "2"), 0)
        self.assertEqual(len(self.saved()), 1)

    def test_info_lists_the_images_without_an_engine(self) -> None:
        self.assertEqual(self.run_cli("bake", "--out", str(self.out)), 0, self.errors)
        self.saved()[2].unlink()
        with mock.patch.object(ours("preferences"), "engine_settings", side_effect=AssertionError):
            self.assertEqual(self.run_cli("info", "--out", str(self.out), "--json"), 0)
        (facts,) = json.loads(self.lines[-1])["results"]
        self.assertEqual((facts["sequence"]["frame_count"], facts["sequence"]["missing"]), (6, 1))
        self.assertEqual((facts["bake"]["frame_count"], facts["animated"]), (6, True))
        self.run_cli("info")
        self.assertIn("frames 1-6, 1 files missing", "\n".join(self.lines))


class ExitCodesTest(CliCase):
    """The exit codes, and what is printed to standard error."""

    def test_wrong_arguments_are_2_and_say_what_is_expected(self) -> None:
        for arguments, words in (
            (("bake", "--only", "everything"), "invalid choice"),
            (("bake", "--frames", "9-3"), "not a frame range"),
            (("bake", "--frames", "0-3"), "frames are 1 to"),
            (("bake", "--frames", "1-3,5"), "one range"),
            (("bake", "--object", "Nobody"), "there are: GAN Image"),
            (("bake", "--only", "solve", "--save", "x.blend"), "leave --only out"),
        ):
            self.assertEqual(self.run_cli(*arguments), 2, arguments)
            self.assertIn(words, self.errors)

    def test_a_still_edit_is_baked_only_by_name(self) -> None:
        self.plane.draggan.pairs[0].target.animation_data_clear()
        self.assertEqual(self.run_cli("bake", "--out", str(self.out)), 1)
        self.assertIn("none has an animated edit", self.errors)
        self.assertEqual(self.run_cli("bake", "--out", str(self.out), "--object", "GAN Image"), 0)

    def test_a_bake_or_frames_that_are_not_possible_are_1(self) -> None:
        solve = ("bake", "--out", str(self.out), "--only", "solve")
        for name in ((), ("--object", "GAN Image")):
            arguments = ("bake", "--out", str(self.out), "--only", "frames", *name)
            self.assertEqual(self.run_cli(*arguments), 1)
            self.assertIn("--only solve first", self.errors)
        self.assertEqual(self.run_cli(*solve), 0)
        frames = ("bake", "--out", str(self.out), "--only", "frames", "--frames", "5-9")
        self.assertEqual(self.run_cli(*frames), 1)
        self.assertIn("not in the track of GAN Image, which has 1-6", self.errors)
        self.plane.draggan.pairs[0].enabled = False
        self.assertEqual(self.run_cli(*solve, "--object", "GAN Image", "--json"), 1)
        self.assertIn("enabled pair", json.loads(self.lines[-1])["error"])

    def test_no_engine_is_3_and_a_sentence(self) -> None:
        mock.patch.stopall()
        code = self.run_cli("bake", "--out", str(self.out), "--engine", str(self.folder / "none"))
        self.assertEqual(code, 3)
        self.assertRegex(self.errors, r"draggan: .*Python was expected at .*none.*\n$")

    def test_an_engine_lost_before_the_first_frame_is_1_and_later_4(self) -> None:
        for step, code in ((1, 1), (4, 4)):
            self.use_fake_engine("--fault", f"crash_at_step={step}")
            out = str(self.folder / f"out{step}")
            self.assertEqual(self.run_cli("bake", "--out", out), code, self.errors)
            self.assertIn("The engine was lost", self.errors)

    def test_one_image_of_two_that_cannot_be_baked_is_4(self) -> None:
        other = self.new_plane(2)
        pair = self.add_pair(other)
        self.animate(pair)
        pair.target.parent = None
        pair.target.location = (50.0, 0.0, 0.0)
        pair.target.keyframe_insert("location", frame=6)
        code = self.run_cli("bake", "--out", str(self.out), "--json")
        self.assertEqual(code, 4, self.errors)
        results = {item["object"]: item for item in json.loads(self.lines[-1])["results"]}
        self.assertIn("is outside the image", results[other.name]["error"])
        self.assertEqual(results[self.plane.name]["frame_count"], 6)

    def test_a_drag_that_lost_a_handle_is_5_names_its_pair_and_is_saved(self) -> None:
        second = self.add_pair(self.plane)
        second.name = "Left Ear"
        self.use_fake_engine("--fault", "lose_handle=2")
        saved = self.folder / "saved.blend"
        code = self.run_cli("drag", "--out", str(self.out), "--save", str(saved), "--json")
        self.assertEqual(code, 5, self.errors)
        self.assertIn("GAN Image: Left Ear was lost", self.errors)
        self.assertNotIn(self.plane.draggan.pairs[0].name, self.errors)
        report = json.loads(self.lines[-1])
        self.assertEqual((report["exit_code"], report["results"][0]["lost"]), (5, ["Left Ear"]))
        self.assertEqual(len(self.saved()), report["results"][0]["frame_count"] + 1)
        self.assertTrue(saved.is_file())
        # A pair that the next drag does not use keeps its state, but is not reported again.
        second.enabled = False
        self.use_fake_engine()
        self.assertEqual(self.run_cli("drag", "--out", str(self.out)), 0, self.errors)
        self.assertNotIn("lost", self.errors)

    @unittest.skipUnless(os.name == "posix", "needs POSIX signals")
    def test_a_signal_is_130_and_the_same_command_continues(self) -> None:
        self.use_fake_engine("--step-s", "0.2")
        command = ("bake", "--out", str(self.out), "--only", "solve", "--resume")

        def end_it_when_it_is_half_done() -> None:
            deadline_s = time.monotonic() + 60
            while time.monotonic() < deadline_s:
                (journal, *_) = (*self.out.rglob("solve.journal"), self.out)
                if journal.is_file() and len(journal.read_text().splitlines()) >= 2:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                time.sleep(0.02)

        watcher = threading.Thread(target=end_it_when_it_is_half_done)
        watcher.start()
        self.assertEqual(self.run_cli(*command), 130, self.errors)
        watcher.join()
        self.assertIn("cancelled", self.errors)
        self.assertEqual(self.run_cli(*command), 0, self.errors)
