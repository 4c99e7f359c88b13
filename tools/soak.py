# SPDX-License-Identifier: GPL-3.0-or-later
"""Does random things for a long time, and reports what is left over and how the memory grows.

The operations come from a seed, so a run can be repeated::

    blender -b --factory-startup --python-exit-code 1 -P tools/soak.py -- --zip ZIP \
        --engine-python .venv/bin/python --out soak.txt --minutes 60 --seed 1

What is done is in ``soak_operations.py``, and what goes wrong meanwhile, such as an engine that is
killed, in ``soak_faults.py``. An operation that the extension refuses counts as refused; any other
exception ends the run with code 1. At the end no engine may be running, no temporary file of ours
may be left, and the .blend must reopen with the same images. The memory is read from ``/proc``, so
this runs on Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.soak_faults import FAULTS
from tools.soak_operations import USUAL, reopen
from tools.soak_scene import EXTENSION, TIMEOUT_S, SoakScene, module, push

_REPORT_EVERY_S = 60.0
_FAULT_SHARE = 0.06


def _memory_mib(pid: int | None) -> float:
    """Return the resident memory of a process; 0 if there is none."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((one for one in text.splitlines() if one.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1024


class Memory:
    """The memory of Blender and of the engine over time, in MiB.

    Attributes:
        samples: The minute, and both, once a minute.
        peaks: The most of each that was seen after an operation.
    """

    def __init__(self) -> None:
        self.samples: list[tuple[float, float, float]] = []
        self.peaks = [0.0, 0.0]

    def look(self, minute: float, engine: int | None, *, keep: bool) -> None:
        """Measure both; ``keep`` makes it one of the samples."""
        both = _memory_mib(os.getpid()), _memory_mib(engine)
        self.peaks = [max(pair) for pair in zip(self.peaks, both, strict=True)]
        if keep:
            self.samples.append((minute, *both))

    def lines(self) -> list[str]:
        """Return the peaks, and the middle value of each quarter of the time."""
        text = " + ".join(f"{peak:.0f}" for peak in self.peaks)
        lines = [f"peaks: {text} MiB (Blender + engine)"]
        size = len(self.samples) // 4
        for quarter in range(4 if size else 0):
            part = self.samples[quarter * size : (quarter + 1) * size]
            blender, engine = (statistics.median(one[index] for one in part) for index in (1, 2))
            lines.append(f"  quarter {quarter + 1}: {blender:.0f} + {engine:.0f} MiB, the median")
        return lines


def _step(scene: SoakScene, seed: int, number: int, counts: Counter[str]) -> None:
    """Do one operation, and wait until the engine is idle."""
    # Each has its own chance, so that it is the same without those before it.
    scene.chance = chance = random.Random(f"{seed} {number}")
    is_fault = chance.random() < _FAULT_SHARE
    operation = chance.choice(FAULTS if is_fault else USUAL)
    # If Blender crashes, the last line names the operation.
    print(f"{number:5} {operation.__name__}", flush=True)
    try:
        result = operation(scene)
        push(operation.__name__)
    except (module("errors").EditError, RuntimeError) as error:
        if "Traceback" in str(error):
            raise
        result = "refused"
    name = f"fault {operation.__name__}" if is_fault else operation.__name__
    counts[f"{name}: {result}"] += 1
    module("connection.pump").run_until(lambda now: now.active is None and not now.queue, TIMEOUT_S)
    scene.note_engine()


def _soak(options: argparse.Namespace, scene: SoakScene) -> list[str]:
    """Do operations until the time is over; return the lines of the report."""
    import bpy

    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    bpy.ops.ed.undo_push(message="Original")
    counts: Counter[str] = Counter()
    memory = Memory()
    started, said, count = time.monotonic(), 0.0, 0
    while (now := time.monotonic()) - started < 60 * options.minutes:
        if count not in options.skip:
            _step(scene, options.seed, count, counts)
        count += 1
        is_time = now - said >= _REPORT_EVERY_S
        memory.look((now - started) / 60, module("connection.pump").engine_pid(), keep=is_time)
        if is_time:
            said = now
            minute, blender, engine = memory.samples[-1]
            print(f"{minute:6.1f} min {count:5} operations, {blender:.0f} + {engine:.0f} MiB")
            sys.stdout.flush()
    faults = sum(number for name, number in counts.items() if name.startswith("fault"))
    lines = [
        f"{count} operations, {faults} of them faults, in {options.minutes:g} minutes, seed "
        f"{options.seed}, Blender {bpy.app.version_string}",
        *memory.lines(),
        *(f"  {number:5} {name}" for name, number in sorted(counts.items())),
    ]
    reopen(scene)
    return [*lines, f"{len(scene.images())} images, reopened equal"]


def _left_over(engines: set[int], folder: Path) -> list[str]:
    """Return what should not be there any more."""
    found = [f"the engine {pid} is running" for pid in sorted(engines) if _memory_mib(pid)]
    found += [f"{path} is left" for path in folder.rglob("*.part")]
    # PyTorch's optimisers make an empty folder, once for each user.
    temporary = [one for one in Path(tempfile.gettempdir()).iterdir() if one.name[:5] != "torch"]
    found += [f"{path} is left" for path in temporary]
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
    parser.add_argument(
        "--skip", type=int, nargs="*", default=(), help="operations to leave out, to find a cause"
    )
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    os.environ["DRAGGAN_ENGINE_PYTHON"] = str(options.engine_python.absolute())
    folder = Path(tempfile.mkdtemp(prefix="draggan-soak-"))
    # The engine's as well.
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "temporary")
    Path(tempfile.tempdir).mkdir()
    addon_utils.enable("bl_pkg")
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(options.zip.absolute()), enable_on_install=True
    )
    preferences = bpy.context.preferences.addons[EXTENSION].preferences
    setattr(preferences, "cache_folder", str(folder / "cache"))  # noqa: B010  (not known to mypy)
    scene = SoakScene(folder)
    lines = _soak(options, scene)
    addon_utils.disable(EXTENSION)
    left = _left_over(scene.engines, folder)
    lines += left or [f"no orphan of {len(scene.engines)} engines and no temporary file is left"]
    text = "\n".join(lines)
    print(text, flush=True)
    options.out.write_text(text + "\n")
    shutil.rmtree(folder)
    if left:
        sys.exit(1)


if __name__ == "__main__":
    main()
