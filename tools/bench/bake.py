# SPDX-License-Identifier: GPL-3.0-or-later
"""``bake``: the cost of a frame of a bake on this machine: solving, rendering and disk space.

Two targets move back and forth by one twenty-fifth of the image width to each side. The first frame
is a drag from the start image to targets that have already moved; each further frame starts from
the frame before. Each row is measured in a process of its own. On a CPU the times are CPU seconds
(all threads added up), which other programs on the machine change little and by which farms charge;
on other devices they are wall-clock seconds.

``--scenes`` counts the steps of the frames of real motions instead and compares them with cold
drags (``bake_scenes``)::

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

from .process import ROOT, make_generator, peak_mb

# The rows: the built-in model, and full-size networks with random weights by their resolution.
ROWS = ("suzanne", "256", "1024")

# Amplitude of the targets' motion, as a share of the image's width.
_SHARE = 0.04
# Its period in frames.
_PERIOD = 24


@dataclass(frozen=True)
class Measurement:
    """The figures of one row.

    Attributes:
        name: One of ``ROWS``.
        image_px: Height of the image.
        device: The device as torch names it.
        threads: CPU threads of torch.
        frames: Number of frames, the first included.
        first_s: Seconds to solve the first frame.
        first_steps: Steps of the first frame.
        solve_s: Seconds to solve each further frame, mean.
        solve_steps: Steps of each further frame, mean.
        render_s: Seconds to synthesise one frame, median.
        write_s: Seconds to encode a frame and write its file, median.
        png_bytes: Size of that file, median.
        track_bytes: Size of the track divided by the number of frames.
        start_s: Wall-clock seconds to load PyTorch and make the generator, once per process.
        peak_mb: The process's largest resident memory in 10^6 bytes; None where the system does
            not report it.
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
    """Solve and render one bake in this process, which is set up like the engine.

    Args:
        name: One of ``ROWS``.
        frames: Number of frames, at least 2.
        device_name: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: CPU threads; 0 leaves the choice to torch.
    """
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
    """Return an ``AnimatedEdit`` of a seed's image: two handles whose targets swing sideways."""
    import numpy as np

    from engine.baking.animated_edit import AnimatedEdit
    from engine.models import sample_latent
    from engine.solving.options import DragOptions

    height, width = generator.img_shape[1:]
    size = np.array([width, height], np.float32)
    handles = np.array([[0.35, 0.4], [0.6, 0.65]], np.float32) * size
    # The swing starts at its outermost point, so that the first frame has the longest distance.
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
    """Solve an edit; returns its rows, and the seconds of each."""
    from engine.baking.solve import BakeReport, solve

    marks = [clock()]
    report = BakeReport(on_row=lambda _row, _solved, _is_new: marks.append(clock()))
    rows = solve(generator, edit, edit.keys(""), {}, report)
    return rows, [after - before for before, after in itertools.pairwise(marks)]


def _render(
    generator: Any, latents: list[Any], clock: Callable[[], float]
) -> tuple[list[float], list[float], list[int]]:
    """Render and write each latent; returns the seconds of both, and the bytes of the file."""
    from engine.output.frames import write_png
    from engine.output.render import render_image

    rendering, writing, sizes = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.png"
        render_image(generator, latents[0])  # the first one in a process takes longer
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
    """Return the size in bytes of the track file of all rows."""
    from engine.output.track import Track
    from engine.pictures import Picture

    track = Track.from_pictures(
        [Picture(row.latent) for row in rows],
        model_name="",
        model_sha256="",
        first_number=edit.first_number,
        start=edit.latent,
    )
    return len(track.to_bytes())


def measure_apart(name: str, arguments: argparse.Namespace) -> Measurement:
    """Measure one row in a process of its own.

    Args:
        name: One of ``ROWS``.
        arguments: ``frames``, ``threads`` and ``device`` of the command line.

    Raises:
        subprocess.CalledProcessError: It failed; its message is on standard error.
    """
    command = [sys.executable, "-m", "tools.bench", "bake", "--row", name, "--apart"]
    command += ["--frames", str(arguments.frames), "--threads", str(arguments.threads)]
    command += ["--device", arguments.device]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Measurement(**json.loads(done.stdout))


def table(rows: list[Measurement]) -> str:
    """Return the measurements as a text table."""
    heading = ["model", "image", "device", "threads", "first s", "steps", "solve s", "steps"]
    heading += ["render s", "write s", "PNG kB", "track kB", "peak MB"]
    lines = ["".join(f"{text:>9}" for text in heading)]
    for row in rows:
        cells = (
            row.name,
            row.image_px,
            row.device,
            row.threads,
            f"{row.first_s:.2f}",
            row.first_steps,
            f"{row.solve_s:.2f}",
            f"{row.solve_steps:.1f}",
            f"{row.render_s:.3f}",
            f"{row.write_s:.3f}",
            f"{row.png_bytes / 1e3:.1f}",
            f"{row.track_bytes / 1e3:.1f}",
            "-" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        )
        lines.append("".join(f"{cell:>9}" for cell in cells))
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench bake``; returns the exit code, 1 if a measurement failed."""
    parser = argparse.ArgumentParser(prog="dev.py bench bake", description=__doc__.splitlines()[0])
    parser.add_argument("--row", choices=ROWS, action="append", help="only these; repeatable")
    parser.add_argument(
        "--frames", type=int, default=25, help="number of frames, the first included"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: torch decides")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures to this file"
    )
    parser.add_argument("--scenes", action="store_true", help="count steps of real motions instead")
    parser.add_argument(
        "--list", choices=("choosing", "test"), default="choosing", help="pairs for --scenes"
    )
    parser.add_argument("--apart", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    names = arguments.row or list(ROWS)
    if arguments.frames < 2:
        parser.error("--frames must be 2 or more: the first frame differs from all others")
    if arguments.scenes:
        from . import bake_scenes  # not above: it imports torch, whose import is timed here

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
