# SPDX-License-Identifier: GPL-3.0-or-later
"""`bake`: what a frame of a bake costs on this machine: to solve, to render, and to keep.

Two handles go to and fro over one twenty-fifth of the image.  The first frame is a drag from
nothing to targets that have moved already, each further one starts from the frame before.  Each row
is measured in a process of its own.  On a CPU the times are seconds of a core (all threads added
up), which other programs on the machine do not change and which is what a farm is bought by; on
other devices they are seconds of the clock.

With `--scenes` it is counted instead how many steps the frames of real motions take, against cold
drags (`bake_scenes`).

    python dev.py bench bake [--row NAME] [--frames N] [--json FILE] [--threads N] [--device NAME]
    python dev.py bench bake --scenes [--list NAME] [--json FILE] [--threads N]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .step import ROOT, ROWS, make_generator, peak_mb

_SHARE = 0.04
"""How far the handles go to each side, as a part of the image's width."""
_PERIOD = 24
"""Frames of one way to and fro."""


@dataclass(frozen=True)
class Measurement:
    """One row.

    Attributes:
        first_s, first_steps: of the first frame.
        solve_s, solve_steps: of each further frame, on average.
        render_s: to synthesise one frame, median.
        write_s: to encode and write its file, median.
        png_bytes: the size of that file, median.
        track_bytes: of the track, divided by the frames.
        start_s: to load PyTorch and make the generator, once a process; of the clock.
        peak_mb: the process's largest resident memory, 10^6 bytes; None where it is not told.
    """

    name: str
    image_px: int
    device: str
    threads: int
    frames: int
    first_s: float
    first_steps: int
    solve_s: float
    solve_steps: float
    render_s: float
    write_s: float
    png_bytes: int
    track_bytes: int
    start_s: float
    peak_mb: float | None


def measure(name: str, frames: int, device_name: str, threads: int) -> Measurement:
    """Solve and render one bake in this process, set up as the engine is."""
    started = time.perf_counter()
    import torch

    from engine.machine.device import open_device
    from engine.machine.operators import await_operators

    device = open_device(device_name, threads)
    await_operators(device)
    generator = make_generator(name, device)
    start_s = time.perf_counter() - started
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    edit = _edit(generator, frames)
    rows, seconds = _solve(generator, edit, clock)
    rendering, writing, sizes = _render(generator, [row.latent for row in rows], clock)
    return Measurement(
        name=name,
        image_px=generator.img_shape[1],
        device=str(device),
        threads=torch.get_num_threads(),
        frames=frames,
        first_s=seconds[0],
        first_steps=rows[0].steps,
        solve_s=statistics.mean(seconds[1:]),
        solve_steps=statistics.mean(row.steps for row in rows[1:]),
        render_s=statistics.median(rendering),
        write_s=statistics.median(writing),
        png_bytes=int(statistics.median(sizes)),
        track_bytes=_track_bytes(edit, rows) // frames,
        start_s=start_s,
        peak_mb=peak_mb(),
    )


def _edit(generator: Any, frames: int) -> Any:
    """Two handles whose targets swing, from the image of a seed."""
    import numpy as np

    from engine.baking.animated_edit import AnimatedEdit
    from engine.models import sample_latent
    from engine.solving.options import DragOptions

    height, width = generator.img_shape[1:]
    size = np.array([width, height], np.float32)
    handles = np.array([[0.35, 0.4], [0.6, 0.65]], np.float32) * size
    # A quarter of the way in: the first frame has the longest way to go.
    phase = 2 * np.pi * (np.arange(frames) / _PERIOD + 0.25)
    targets = np.repeat(handles[None], frames, axis=0)
    targets[:, :, 0] += np.float32(_SHARE * width) * np.sin(phase).astype(np.float32)[:, None]
    return AnimatedEdit(
        first_number=1,
        latent=sample_latent(generator, 0, 0.7),
        handles_px=handles,
        targets_px=targets,
        image_size=(width, height),
        options=((0, DragOptions()),),
    )


def _solve(generator: Any, edit: Any, clock: Callable[[], float]) -> tuple[list[Any], list[float]]:
    """The rows, and the seconds that each has taken."""
    from engine.baking.solve import BakeReport, solve

    marks = [clock()]
    report = BakeReport(on_row=lambda _row, _solved, _is_new: marks.append(clock()))
    rows = solve(generator, edit, edit.keys(""), {}, report)
    return rows, [after - before for before, after in itertools.pairwise(marks)]


def _render(
    generator: Any, latents: list[Any], clock: Callable[[], float]
) -> tuple[list[float], list[float], list[int]]:
    """Seconds to render and to write, and bytes, of each frame."""
    from engine.output.frames import write_png
    from engine.output.render import render_image

    rendering, writing, sizes = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.png"
        render_image(generator, latents[0])  # the first one of a process also sets things up
        for latent in latents:
            marks = [clock()]
            image = render_image(generator, latent)
            marks.append(clock())
            write_png(path, image)
            marks.append(clock())
            rendering.append(marks[1] - marks[0])
            writing.append(marks[2] - marks[1])
            sizes.append(path.stat().st_size)
    return rendering, writing, sizes


def _track_bytes(edit: Any, rows: list[Any]) -> int:
    """The size of the track of all rows, as a file."""
    import numpy as np

    from engine.output.track import Track

    track = Track.from_latents(
        np.stack([row.latent for row in rows]),
        model_name="",
        model_sha256="",
        first_number=edit.first_number,
        start=edit.latent,
    )
    return len(track.to_bytes())


def measure_apart(name: str, arguments: argparse.Namespace) -> Measurement:
    """Measure one row in a process of its own.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on standard error.
    """
    command = [sys.executable, "-m", "tools.bench", "bake", "--row", name, "--apart"]
    command += ["--frames", str(arguments.frames), "--threads", str(arguments.threads)]
    command += ["--device", arguments.device]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Measurement(**json.loads(done.stdout))


def table(rows: list[Measurement]) -> str:
    """The measurements for people."""
    heading = ["model", "image", "device", "threads", "first s", "steps", "solve s", "steps"]
    heading += ["render s", "write s", "PNG kB", "track kB", "peak MB"]
    lines = ["".join(f"{text:>9}" for text in heading)]
    for row in rows:
        cells = (
            *(row.name, row.image_px, row.device, row.threads),
            *(f"{row.first_s:.2f}", row.first_steps, f"{row.solve_s:.2f}"),
            *(f"{row.solve_steps:.1f}", f"{row.render_s:.3f}", f"{row.write_s:.3f}"),
            *(f"{row.png_bytes / 1e3:.1f}", f"{row.track_bytes / 1e3:.1f}"),
            "-" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        )
        lines.append("".join(f"{cell:>9}" for cell in cells))
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="dev.py bench bake", description=__doc__.splitlines()[0])
    parser.add_argument("--row", choices=ROWS, action="append", help="only these; repeatable")
    parser.add_argument("--frames", type=int, default=25, help="how many, the first included")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for torch's choice")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--scenes", action="store_true", help="count steps of real motions instead")
    parser.add_argument(
        "--list", choices=("choosing", "test"), default="choosing", help="of pairs, for the scenes"
    )
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    names = arguments.row or list(ROWS)
    if arguments.frames < 2:
        parser.error("--frames must be 2 or more: the first is not like the others")
    if arguments.scenes:
        from . import bake_scenes  # not above: it loads torch, which is measured here

        bake_scenes.run(arguments.list, arguments.threads, arguments.json)
        return 0
    if arguments.apart:
        row = measure(names[0], arguments.frames, arguments.device, arguments.threads)
        print(json.dumps(asdict(row)))
        return 0
    try:
        rows = [measure_apart(name, arguments) for name in names]
    except subprocess.CalledProcessError as error:
        print(f"error: the measurement failed with code {error.returncode}", file=sys.stderr)
        return 1
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0
