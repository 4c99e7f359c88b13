# SPDX-License-Identifier: GPL-3.0-or-later
"""`step`: how long a drag step takes, and how much memory it needs, on this machine.

Each row is measured in a process of its own, so that one row's memory does not count for the next;
this file starts itself again for that.  The step is one of motion supervision, a forward and a
backward pass; a step of least squares has two backward passes for each point.  Times are medians
over the steps of one drag of two points, after two steps that warm up; memory is the whole
process's peak, Python and torch included.

    python dev.py bench step [--quick] [--json FILE] [--threads N] [--device NAME]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROWS = ("suzanne", "256", "1024")
"""The built-in model; and full-size networks (channel base 32768, 512 numbers a w) of random
weights, whose speed is that of trained ones."""

_WARM_UP = 2


@dataclass(frozen=True)
class Measurement:
    """One row.

    Attributes:
        feature_px: the block that the drag reads.
        step_s: seconds for each step, median.
        start_s: seconds up to the first report of a drag.
        peak_mb: the process's largest resident memory, 10^6 bytes; None where it is not told.
    """

    name: str
    image_px: int
    feature_px: int
    device: str
    threads: int
    steps: int
    step_s: float
    start_s: float
    peak_mb: float | None


def measure(name: str, steps: int, device_name: str, threads: int) -> Measurement:
    """Time one drag in this process, set up as the engine is."""
    from engine.openmp import wait_without_spinning

    wait_without_spinning()
    import numpy as np
    import torch

    from engine.device import open_device
    from engine.drag import drag
    from engine.drag_options import DragOptions
    from engine.feature_source import feature_block
    from engine.models import sample_latent

    device = open_device(device_name, threads)
    generator = make_generator(name, device)
    height, width = generator.img_shape[1:]
    handles = np.array([[0.35, 0.4], [0.6, 0.65]]) * [width, height]
    # Targets that are not reached within the steps: every step does the whole work.
    options = DragOptions(
        method="draggan",
        latent_space="w+",
        max_steps=steps + _WARM_UP,
        patience=0,
        tolerance_px=0.0,
        step_size=1e-4,
    )
    times: list[float] = []
    started = time.perf_counter()
    drag(
        generator,
        sample_latent(generator, 0, 0.7),
        handles,
        handles + np.array([0.2, 0.1]) * [width, height],
        options,
        on_step=lambda step: times.append(time.perf_counter()),
    )
    durations = [after - before for before, after in itertools.pairwise(times)]
    return Measurement(
        name=name,
        image_px=height,
        feature_px=feature_block(generator),
        device=str(device),
        threads=torch.get_num_threads(),
        steps=steps,
        step_s=statistics.median(durations[_WARM_UP:]),
        start_s=times[0] - started,
        peak_mb=peak_mb(),
    )


def make_generator(name: str, device: Any) -> Any:
    """The generator of a row: a model by its name, or random weights by their resolution."""
    import torch

    from engine.models import model_path
    from stylegan2 import Generator, GeneratorConfig, load_generator

    if not name.isdigit():
        return load_generator(model_path(name), device)
    torch.manual_seed(0)
    return Generator(GeneratorConfig.standard(int(name))).freeze().to(device)


def peak_mb() -> float | None:
    """The largest resident memory of this process so far, in 10^6 bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The unit is bytes on macOS and KiB on the others.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def measure_apart(name: str, arguments: argparse.Namespace) -> Measurement:
    """Measure one row in a process of its own.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on standard error.
    """
    steps = 3 if arguments.quick else 20
    command = [sys.executable, "-m", "tools.bench", "step", "--row", name, "--steps", str(steps)]
    command += ["--threads", str(arguments.threads), "--device", arguments.device]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return Measurement(**json.loads(done.stdout))


def table(rows: list[Measurement]) -> str:
    """The measurements for people."""
    heading = ("model", "image", "block", "device", "threads", "s/step", "start s", "peak MB")
    lines = ["".join(f"{text:>9}" for text in heading)]
    for row in rows:
        peak = "-" if row.peak_mb is None else f"{row.peak_mb:.0f}"
        cells = (row.name, row.image_px, row.feature_px, row.device, row.threads)
        times = (f"{row.step_s:.3f}", f"{row.start_s:.3f}", peak)
        lines.append("".join(f"{cell:>9}" for cell in (*cells, *times)))
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="dev.py bench [step]",
        description=__doc__.splitlines()[0],
        epilog="How well we drag: dev.py bench drag --help",
    )
    parser.add_argument("--quick", action="store_true", help="3 steps a row instead of 20")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for torch's choice")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.row:
        row = measure(arguments.row, arguments.steps, arguments.device, arguments.threads)
        print(json.dumps(asdict(row)))
        return 0
    names = [name for name in ROWS if name.isdigit() or _is_there(name)]
    try:
        rows = [measure_apart(name, arguments) for name in names]
    except subprocess.CalledProcessError as error:
        print(f"error: the measurement failed with code {error.returncode}", file=sys.stderr)
        return 1
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


def _is_there(name: str) -> bool:
    """Whether the built-in model is in this checkout (it is trained, not written)."""
    return (ROOT / "stylegan2" / "models" / f"{name}.safetensors").is_file()
