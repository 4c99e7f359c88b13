# SPDX-License-Identifier: GPL-3.0-or-later
"""Does random things for a long time, and reports what is left over and how the memory grows.

The operations come from a seed, so a run can be repeated::

    blender -b --factory-startup --python-exit-code 1 -P tools/soak.py -- --zip ZIP \
        --engine-python .venv/bin/python --out soak.txt --minutes 60 --seed 1

An operation that the extension refuses counts as refused; any other exception ends the run with
code 1. At the end no engine may be running, no temporary file of ours may be left, and the .blend
must reopen with the same images. The memory is read from ``/proc``, so this runs on Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXTENSION = "bl_ext.user_default.draggan_blender"
_TIMEOUT_S = 600.0
_MOST_PLANES = 3
_REPORT_EVERY_S = 60.0


def _module(name: str) -> Any:
    return sys.modules[f"{EXTENSION}.draggan_blender.{name}"]


def _memory_mib(pid: int | None) -> float:
    """Return the resident memory of a process; 0 if there is none."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((one for one in text.splitlines() if one.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1024


class Soak:
    """A scene, a source of chance, and the operations.

    Attributes:
        counts: How often each operation was done, refused or without anything to do.
    """

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._chance = chance
        self._blend = folder / "soak.blend"
        self._operations: list[Callable[[], str]] = [
            self.new_image,
            self.drag,
            self.drag,
            self.stop,
            self.cancel,
            self.undo,
            self.bake,
            self.mask,
            self.seed,
            self.delete,
            self.save,
            self.reopen,
        ]

    def step(self) -> None:
        """Do one operation and wait until the engine is idle."""
        operation = self._chance.choice(self._operations)
        try:
            result = operation()
        except (_module("errors").EditError, RuntimeError) as error:
            result = "refused" if "Traceback" not in str(error) else "failed"
            if result == "failed":
                raise
        self.counts[f"{operation.__name__}: {result}"] += 1
        pump = _module("connection.pump")
        pump.run_until(lambda now: now.active is None and not now.queue, _TIMEOUT_S)

    def _plane(self) -> Any:
        found = _module("scene.planes").everywhere()
        return self._chance.choice(found) if found else None

    def _started(self) -> int | None:
        """Start a drag with one or two pairs, and return its request; None without an image."""
        import bpy

        plane = self._plane()
        if plane is None:
            return None
        pairs = plane.draggan.pairs
        while len(pairs) > 1:
            _module("scene.points").remove_pair(plane, 0)
        handle = self._chance.uniform(0.2, 0.8), self._chance.uniform(0.2, 0.8)
        target = tuple(min(max(one + self._chance.uniform(-0.1, 0.1), 0), 1) for one in handle)
        _module("scene.points").add_pair(plane, handle, target)
        bpy.context.view_layer.update()
        plane.draggan.drag.max_steps = self._chance.randint(1, 6)
        started: int = _module("jobs.drag").start_drag(bpy.context, plane)
        return started

    def new_image(self) -> str:
        import bpy

        if len(_module("scene.planes").everywhere()) >= _MOST_PLANES:
            return "nothing to do"
        plane = _module("jobs.image").new_image(bpy.context, seed=self._chance.randrange(1000))
        _module("jobs.requests").wait(plane.draggan.request_id, _TIMEOUT_S)
        return "done"

    def drag(self) -> str:
        started = self._started()
        if started is None:
            return "nothing to do"
        _module("jobs.requests").wait(started, _TIMEOUT_S)
        return "done"

    def stop(self) -> str:
        started = self._started()
        if started is None:
            return "nothing to do"
        pump = _module("connection.pump")
        pump.run_until(lambda now: now.step >= 1 or now.active is None, _TIMEOUT_S)
        for plane in _module("scene.planes").everywhere():
            _module("jobs.drag").stop_drag(plane)
        _module("jobs.requests").wait(started, _TIMEOUT_S)
        return "done"

    def cancel(self) -> str:
        started = self._started()
        if started is None:
            return "nothing to do"
        pump = _module("connection.pump")
        pump.run_until(lambda _now: False, self._chance.uniform(0, 1))
        for plane in _module("scene.planes").everywhere():
            _module("jobs.recovery").cancel(plane)
        return "done"

    def undo(self) -> str:
        import bpy

        (bpy.ops.ed.undo if self._chance.random() < 0.7 else bpy.ops.ed.redo)()
        return "done"

    def bake(self) -> str:
        import bpy

        plane = self._plane()
        if plane is None or not len(plane.draggan.pairs):
            return "nothing to do"
        target = plane.draggan.pairs[0].target
        target.keyframe_insert("location", frame=1)
        bake = plane.draggan.bake
        bake.use_own_range, bake.frame_start, bake.frame_end = True, 1, self._chance.randint(2, 4)
        bpy.context.view_layer.update()
        _module("jobs.requests").wait(_module("jobs.bake").start_bake(plane), _TIMEOUT_S)
        return "done"

    def mask(self) -> str:
        import numpy as np

        plane = self._plane()
        if plane is None or not all(plane.draggan.size):
            return "nothing to do"
        width, height = plane.draggan.size
        levels = np.ones((height, width), np.float32)
        levels[: height // self._chance.randint(2, 5)] = 0
        _module("scene.mask_images").create(plane, levels)
        return "done"

    def seed(self) -> str:
        plane = self._plane()
        if plane is None:
            return "nothing to do"
        plane.draggan.source.seed = self._chance.randrange(1000)
        return "done"

    def delete(self) -> str:
        plane = self._plane()
        if plane is None or self._chance.random() < 0.7:
            return "nothing to do"
        _module("scene.planes").remove(plane)
        return "done"

    def save(self) -> str:
        import bpy

        bpy.ops.wm.save_as_mainfile(filepath=str(self._blend))
        return "done"

    def reopen(self) -> str:
        """Save, open the file again, and check that its images are the same."""
        import bpy

        bpy.ops.wm.save_as_mainfile(filepath=str(self._blend))
        before = self._images()
        bpy.ops.wm.open_mainfile(filepath=str(self._blend))
        if self._images() != before:
            raise AssertionError("the .blend did not reopen with the same images")
        return "done"

    def _images(self) -> list[tuple[str, str, str, int]]:
        return sorted(
            (
                plane.draggan.uuid,
                plane.draggan.latent,
                plane.draggan.track,
                plane.draggan.sequence.frame_count,
            )
            for plane in _module("scene.planes").everywhere()
        )


def _soak(options: argparse.Namespace, folder: Path) -> list[str]:
    """Do operations until the time is over; return the lines of the report."""
    import bpy

    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    bpy.ops.ed.undo_push(message="Original")
    soak, pump = Soak(random.Random(options.seed), folder), _module("connection.pump")
    started, said, lines, count = time.monotonic(), 0.0, [], 0
    while (now := time.monotonic()) - started < 60 * options.minutes:
        soak.step()
        count += 1
        if now - said >= _REPORT_EVERY_S:
            said = now
            ours, engine = _memory_mib(os.getpid()), _memory_mib(pump.engine_pid())
            minutes = (now - started) / 60
            text = f"{minutes:6.1f} min {count:5} operations, {ours:.0f} + {engine:.0f} MiB"
            lines.append(text)
            print(text, flush=True)
    lines.append(f"{count} operations in {options.minutes:g} minutes, seed {options.seed}")
    lines += [f"  {number:5} {name}" for name, number in sorted(soak.counts.items())]
    soak.reopen()
    return lines


def _left_over(pid: int | None, folder: Path) -> list[str]:
    """Return what should not be there any more."""
    found = [f"the engine {pid} is running"] if _memory_mib(pid) else []
    found += [f"{path} is left" for path in folder.rglob("*.part")]
    found += [f"{path} is left" for path in Path(tempfile.gettempdir()).glob("draggan-preview-*")]
    return found


def main() -> None:
    """Install the extension, soak it, and report."""
    import addon_utils
    import bpy

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--engine-python", type=Path, required=True, help="a Python with PyTorch")
    parser.add_argument("--out", type=Path, required=True, help="file for the report")
    parser.add_argument("--minutes", type=float, default=60.0, help="duration")
    parser.add_argument("--seed", type=int, default=1, help="seed of the operations")
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    os.environ["DRAGGAN_ENGINE_PYTHON"] = str(options.engine_python.absolute())
    folder = Path(tempfile.mkdtemp(prefix="draggan-soak-"))
    tempfile.tempdir = str(folder / "temporary")
    Path(tempfile.tempdir).mkdir()
    addon_utils.enable("bl_pkg")
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(options.zip.absolute()), enable_on_install=True
    )
    preferences = bpy.context.preferences.addons[EXTENSION].preferences
    setattr(preferences, "cache_folder", str(folder / "cache"))  # noqa: B010  (not known to mypy)
    lines = _soak(options, folder)
    pid = _module("connection.pump").engine_pid()
    addon_utils.disable(EXTENSION)
    left = _left_over(pid, folder)
    lines += left or ["no orphan and no temporary file is left"]
    text = "\n".join(lines)
    print(text, flush=True)
    options.out.write_text(text + "\n")
    shutil.rmtree(folder)
    if left:
        sys.exit(1)


if __name__ == "__main__":
    main()
