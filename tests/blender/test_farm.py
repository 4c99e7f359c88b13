# SPDX-License-Identifier: GPL-3.0-or-later
"""Farms: chunks by many processes, killed processes, and the Flamenco job, with the real engine.

Each test starts Blenders with their own command lines, so a real Blender is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import rendering
import support
from support import CHECKOUT, ours

FRAMES = range(1, 13)
SOLVED = re.compile(r"Solved: frame \d+, ")
WRITTEN = re.compile(r"Saved: '(.*_(\d+)\.png)'")
NODE = shutil.which("node")


def make_shot(path: Path) -> None:
    """Save a file with one image whose target moves to one side, holds, and comes back."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.preferences.addons[support.EXTENSION].preferences.cache_folder = str(path.parent)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = FRAMES.start, FRAMES[-1]
    edit, pump = ours("jobs.image"), ours("connection.pump")
    plane = edit.new_image(bpy.context, support.model, 1, 0.7)
    ours("jobs.requests").wait(plane.draggan.request_id, support.TIMEOUT_S)
    target = ours("scene.points").add_pair(plane, (0.5, 0.5), (0.5, 0.5)).target
    for frame, x in ((1, 0.0), (5, 0.06), (8, 0.06), (12, -0.04)):
        target.location.x = x
        target.keyframe_insert("location", index=0, frame=frame)
    scene.frame_set(1)
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    pump.stop()
    pump.run_until(pump.is_off, 15.0)


def blender(blend: Path, *arguments: str) -> list[str]:
    """Return the command line of a task that runs the ``draggan`` command on a file."""
    flags = ["-b", "--factory-startup", str(blend), "--addons", support.EXTENSION]
    return [bpy.app.binary_path, *flags, "-c", "draggan", *arguments]


def run(command: list[str]) -> str:
    """Run a task that must succeed, and return what it printed."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=support.TIMEOUT_S,
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def images_in(folder: Path) -> dict[str, bytes]:
    """Return the content of the images in a folder by their paths relative to it."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))
    }


def child_engine(pid: int) -> int | None:
    """Return the process id of the engine that a Blender has started, or None."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            is_engine = b"engine/__main__.py" in (stat.parent / "cmdline").read_bytes()
            if parent == pid and is_engine:
                return int(stat.parent.name)
    return None


@unittest.skipIf(support.is_module(), "the bpy module has no command line")
class FarmTest(unittest.TestCase):
    """Bakes by several or killed processes, compared with a bake by one undisturbed process."""

    folder: Path
    blend: Path
    expected: dict[str, bytes]

    @classmethod
    def setUpClass(cls) -> None:
        """Make the file, and the bake that all others must be equal to."""
        cls.folder = Path(tempfile.mkdtemp(prefix="draggan-test-"))
        cls.blend = cls.folder / "shot.blend"
        make_shot(cls.blend)
        run(blender(cls.blend, "bake", "--device", "cpu", "--out", str(cls.folder / "alone")))
        cls.expected = images_in(cls.folder / "alone")

    @classmethod
    def tearDownClass(cls) -> None:
        """Remove the folder."""
        shutil.rmtree(cls.folder)

    def bake(self, out: Path, *arguments: str) -> list[str]:
        return blender(
            self.blend, "bake", "--device", "cpu", "--resume", "--out", str(out), *arguments
        )

    def assert_is_whole(self, out: Path) -> None:
        """Check that the images are those of the undisturbed bake, and no other files are left."""
        found = images_in(out)
        self.assertEqual(sorted(found), sorted(self.expected))
        different = [name for name, data in found.items() if data != self.expected[name]]
        self.assertEqual(different, [])
        left = {path.name for path in out.rglob("*") if path.is_file() and path.suffix != ".png"}
        self.assertEqual(left, {"edit.draggan", "track.npz"})

    def test_the_bake_moves_the_image_and_holds_it_where_the_target_holds(self) -> None:
        self.assertEqual(len(self.expected), len(FRAMES) + 1)
        frames = [data for _, data in sorted(self.expected.items())]
        self.assertEqual(len(set(frames[5:9])), 1)
        self.assertGreater(len(set(frames)), 6)

    def test_four_workers_on_chunks_write_what_one_process_writes(self) -> None:
        out = self.folder / "chunks"
        run(self.bake(out, "--only", "solve"))
        self.assertEqual(images_in(out), {})
        # Two chunks overlap, as after a farm gave up a worker that was only slow.
        chunks = ("1-3", "4-6", "4-9", "10-12")
        workers = [
            subprocess.Popen(
                self.bake(out, "--only", "frames", "--frames", chunk),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for chunk in chunks
        ]
        for worker in workers:
            text, _ = worker.communicate(timeout=support.TIMEOUT_S)
            self.assertEqual(worker.returncode, 0, text)
        self.assert_is_whole(out)

    @unittest.skipUnless(Path("/proc/self/stat").exists(), "finds processes by /proc")
    def test_after_a_kill_9_of_the_engine_the_bake_continues_to_the_same_result(self) -> None:
        out = self.folder / "engine"
        process, text = self.start(out, SOLVED, 3)
        engine = child_engine(process.pid)
        assert engine is not None
        os.kill(engine, signal.SIGKILL)
        rest, _ = process.communicate(timeout=support.TIMEOUT_S)
        self.assertEqual(process.returncode, 4, text + rest)
        self.assertIn("The engine was lost", rest)
        self.assertLess(len(images_in(out)), len(self.expected))
        again = run(self.bake(out))
        # Frames that were solved are not solved again.
        self.assertLess(len(SOLVED.findall(again)), len(FRAMES))
        self.assert_is_whole(out)

    @unittest.skipUnless(Path("/proc/self/stat").exists(), "finds processes by /proc")
    def test_after_a_kill_9_of_blender_the_bake_continues_to_the_same_result(self) -> None:
        out = self.folder / "blender"
        process, _ = self.start(out, WRITTEN, 2)
        engine = child_engine(process.pid)
        assert engine is not None
        process.kill()
        process.communicate(timeout=support.TIMEOUT_S)
        deadline_s = time.monotonic() + 20
        while support.is_running(engine) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        self.assertFalse(support.is_running(engine), "the engine outlived its Blender")
        self.assertLess(len(images_in(out)), len(self.expected))
        run(self.bake(out))
        self.assert_is_whole(out)

    def start(self, out: Path, line: re.Pattern[str], count: int) -> tuple[Any, str]:
        """Start a bake, and wait until it has printed ``count`` lines that match.

        Returns:
            The running process, and what it has printed.
        """
        process = subprocess.Popen(
            self.bake(out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        seen = ""
        for text in process.stdout:
            seen += text
            if len(line.findall(seen)) >= count:
                return process, seen
        raise AssertionError(f"the bake ended before it could be killed:\n{seen}")


@unittest.skipIf(support.is_module(), "the bpy module has no command line")
@unittest.skipIf(NODE is None, "node is not installed")
class FlamencoTest(unittest.TestCase):
    """The tasks of the Flamenco job type, run as its workers run them."""

    def setUp(self) -> None:
        """Prepare a file as packing leaves it: it refers to copies of the placeholders."""
        self.folder = Path(tempfile.mkdtemp(prefix="draggan-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.base = self.folder / "shared"
        make_shot(self.folder / "shot.blend")
        scene, plane = bpy.context.scene, ours("scene.planes").everywhere()[0]
        scene.frame_end = 4
        rendering.look_at(plane)
        ours("export.farm").prepare(scene, self.base)
        self.images = scene.draggan_farm.images
        image = plane.draggan.sequence.image
        packed = self.folder / "job" / "_outside_project"
        shutil.copytree(Path(image.filepath).parent, packed)
        self.blend = self.folder / "job" / "shot.flamenco.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(self.blend))
        image.filepath = f"//_outside_project/{Path(image.filepath).name}"
        bpy.ops.wm.save_mainfile()

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return the job's tasks by name."""
        settings = {
            "frames": "1-4",
            "chunk_size": 2,
            "bake_chunk_size": 2,
            "bake_dir": str(self.base),
            "render_output_root": str(self.folder),
            "render_output_path": str(self.folder / "renders" / "######"),
            "device": "cpu",
            "images": self.images,
            "blendfile": str(self.blend),
            "fps": 24.0,
            "format": "PNG",
            "image_file_extension": ".png",
            "has_previews": False,
        }
        script = CHECKOUT / "extras" / "flamenco" / "draggan_bake.js"
        done = subprocess.run(
            [str(NODE), str(CHECKOUT / "tests" / "flamenco" / "manager.js")],
            input=json.dumps({"script": str(script), "settings": settings, "jobname": "shot"}),
            capture_output=True,
            text=True,
            check=True,
        )
        return {task["name"]: task for task in json.loads(done.stdout)["tasks"]}

    def test_two_workers_do_the_whole_job(self) -> None:
        tasks = self.tasks()
        (video,) = tasks.pop("video")["commands"]
        printed: dict[str, str] = {}
        queue = Queue(tasks)
        workers = [
            threading.Thread(target=self.work, args=(queue, printed), daemon=True) for _ in "12"
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(support.TIMEOUT_S)
        self.assertEqual(queue.failed, "")
        self.assertEqual(sorted(printed), sorted(tasks))
        for name, task in tasks.items():
            (command,) = task["commands"]
            lines = re.findall(r"^(?:.*\| +)?Time: [0-9:.]+", printed[name], re.MULTILINE)
            self.assertGreaterEqual(len(lines), command["totalStepCount"], printed[name])
        rendered = sorted((self.folder / "renders").glob("*.png"))
        self.assertEqual([path.name for path in rendered], [f"{n:06d}.png" for n in range(1, 5)])
        (entry,) = json.loads(self.images)
        first = self.base / entry["file"]
        for number, path in enumerate(rendered, start=1):
            baked = first.with_name(first.name.replace("0001", f"{number:04d}"))
            np.testing.assert_array_equal(rendering.read(path), rendering.read(baked))
        self.assertGreater(len({path.read_bytes() for path in rendered}), 2)
        pattern = Path(video["parameters"]["inputGlob"])
        self.assertEqual(sorted(pattern.parent.glob(pattern.name)), rendered)

    def work(self, queue: Queue, printed: dict[str, str]) -> None:
        """Run tasks as a worker does, one after the other, until there are no more."""
        for name, task in queue:
            (command,) = task["commands"]
            parts = command["parameters"]
            arguments = ["-b", "-y", "--factory-startup", *parts["argsBefore"], parts["blendfile"]]
            try:
                printed[name] = run([bpy.app.binary_path, *arguments, *parts["args"]])
            except (AssertionError, subprocess.SubprocessError, OSError) as error:
                queue.fail(f"{name}: {error}")
                return
            queue.finish(name)


class Queue:
    """The tasks of a job: each is handed out once, after those that it depends on."""

    def __init__(self, tasks: dict[str, dict[str, Any]]) -> None:
        self._waiting = dict(tasks)
        self._finished: set[str] = set()
        self._changed = threading.Condition()
        self.failed = ""

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.failed or not self._waiting or self._ready())
                if self.failed or not self._waiting:
                    return
                name = self._ready()[0]
                task = self._waiting.pop(name)
            yield name, task

    def _ready(self) -> list[str]:
        return [
            name
            for name, task in self._waiting.items()
            if set(task["dependencies"]) <= self._finished
        ]

    def finish(self, name: str) -> None:
        """Mark a task as finished."""
        with self._changed:
            self._finished.add(name)
            self._changed.notify_all()

    def fail(self, text: str) -> None:
        """Mark the job as failed: no further task is handed out."""
        with self._changed:
            self.failed = text
            self._changed.notify_all()
