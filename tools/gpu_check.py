# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and measures everything that a GPU changes, in one run of less than eight minutes.

It needs PyTorch and what else the engine needs, and no network; pytest if the tests are to run::

    python tools/gpu_check.py --out gpu_check

Each part is a process with a limit of its own, so one that hangs or crashes does not take the
others with it. The most valuable parts come first; a part that does not fit into the time that is
left is named and not run. On a GPU, steps, live drags and bakes are measured with CUDA graphs,
without them, and with convolutions in float16. The report, ``report.md`` in the folder, has figures
in the form of ``docs/performance.md``; the whole output of each part is beside it. Without a GPU
the same parts run on the CPU; ``--quick`` makes each as short as possible, to test this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # it is run as a file

from engine.machine.device import describe_device  # noqa: E402
from stylegan2.ops import precision  # noqa: E402
from stylegan2.ops.fused import BuildError, FusedOperators, build, nvrtc  # noqa: E402
from stylegan2.ops.fused.build import cuda_target  # noqa: E402
from stylegan2.windows import graph_start  # noqa: E402
from stylegan2.windows.fused_proof import difference, speed_up  # noqa: E402
from tools.bench.step_rows import WAYS  # noqa: E402

TOTAL_S = 460.0
# A part that has less time than this is not begun.
_LEAST_S = 10.0
# How long a part has to end after it was told to.
_GRACE_S = 5.0
_LINES_SHOWN = 60
# Ways of ``dev.py bench step``: with and without CUDA graphs, and those that round, as the fused
# operators have float32 only.
_GRAPH_WAYS = ("fused", "fused-graphs", "fused-squares", "fused-graphs-squares")
_HALF_WAYS = ("windows", "windows-squares", "graphs-squares")


@dataclass(frozen=True)
class Part:
    """A part of the check.

    Attributes:
        title: What it measures, and on what.
        command: The arguments of this Python.
        limit_s: The longest time that it may take.
        is_table: Whether its output is Markdown.
        environment: Variables to set for it.
    """

    title: str
    command: tuple[str, ...]
    limit_s: float
    is_table: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a part has ended.

    Attributes:
        part: The part.
        verdict: ``ok``, ``FAILED (...)``, or why it was not run.
        seconds: How long it took.
        output: All that it printed.
    """

    part: Part
    verdict: str
    seconds: float = 0.0
    output: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the part has done its work."""
        return self.verdict == "ok"


def parts_of(devices: list[str], *, quick: bool, has_pytest: bool) -> list[Part]:
    """Return the parts of a check, the most valuable ones first.

    Args:
        devices: ``cuda`` and ``cpu``, or only one of them; the first one is examined first.
        quick: Whether each part is as short as possible.
        has_pytest: Whether the tests can run.
    """
    this = str(Path(__file__).resolve())
    parts = [
        Part(f"Fused operators on {device}", (this, "--proof", device), 60.0) for device in devices
    ]
    if "cuda" in devices:
        proof = (this, "--proof", "cuda", "--nvrtc")
        parts.insert(1, Part("Fused operators on cuda by NVRTC", proof, 60.0))
    if has_pytest:
        places = ("tests/engine/test_gpu.py", "tests/stylegan2")
        command = ("-m", "pytest", "-q", "-m", "gpu", "-rs", "-p", "no:cacheprovider", *places)
        parts.append(Part("Tests that need a GPU", command, 90.0))
    for device in devices:
        parts += _measurements(device, quick=quick)
    return parts


def _measurements(device: str, *, quick: bool) -> list[Part]:
    """Return the parts that measure a device.

    On a GPU steps have rows with and without CUDA graphs; live drags and bakes are measured with
    graphs first, and then without. What float16 would gain and cost comes last.
    """
    bench, where = ("-m", "tools.bench"), ("--device", device)
    steps = ("--quick",) if quick else ("--model", "1024", "--points", "2")
    small = ("--model", "suzanne", "--points", "2", "--mask", "no")
    # A step of the public programs takes ten seconds on a CPU at 1024 px: only the small model.
    chosen = (*small, "--quick") if quick or device == "cpu" else steps
    step = (*bench, "step", "--markdown", *chosen, *where)
    live = (*bench, "live", "--seconds", "2" if quick else "8", *where)
    rows = ("--row", "suzanne") if quick else ("--row", "suzanne", "--row", "1024")
    bake = (*bench, "bake", *rows, "--frames", "2" if quick else "12", *where)
    test = ("-m", "engine", "selftest", *where)
    parts = [
        Part(f"Steps on {device}", step, 120.0, True),
        Part(f"Self-test on {device}", test, 90.0),
        Part(f"Live drag on {device}", live, 60.0),
        Part(f"Bake on {device}", bake, 90.0),
    ]
    if device != "cuda":
        return parts
    plain, half = {graph_start.SWITCH: "0"}, {precision.SWITCH: "float16"}
    rounded = ("--mask", "no", *_ways(_HALF_WAYS))
    without = [name for name, way in WAYS.items() if not way.graphs]
    return [
        Part(f"Steps on {device} with graphs", (*step, *_ways(_GRAPH_WAYS)), 120.0, True),
        Part(parts[0].title, (*step, *_ways(without)), parts[0].limit_s, True),
        *parts[1:],
        Part(f"Live drag on {device} without graphs", live, 60.0, environment=plain),
        Part(f"Bake on {device} without graphs", bake, 90.0, environment=plain),
        Part(f"Steps on {device}, float16", (*step, *rounded), 60.0, True, half),
        Part(f"Self-test on {device}, float16", test, 90.0, environment=half),
        Part(f"Live drag on {device}, float16", live, 60.0, environment=half),
        Part(f"Bake on {device}, float16", bake, 90.0, environment=half),
    ]


def _ways(names: Iterable[str]) -> list[str]:
    """Return the words of the command line that choose ways of ``dev.py bench step``."""
    return [word for name in names for word in ("--way", name)]


def run(part: Part, limit_s: float) -> Outcome:
    """Run a part, and end it after a time."""
    started_s = time.monotonic()
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(
            [sys.executable, *part.command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_without_nvcc(), **part.environment, "PYTHONPATH": str(ROOT)},
        )
        try:
            code = process.wait(timeout=limit_s)
            verdict = "ok" if code == 0 else f"FAILED (exit code {code})"
        except subprocess.TimeoutExpired:
            verdict = f"FAILED (ended after {limit_s:.0f} s)"
            process.terminate()
            try:
                process.wait(timeout=_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        file.seek(0)
        output = file.read().decode(errors="replace")
    return Outcome(part, verdict, time.monotonic() - started_s, output)


def _without_nvcc() -> dict[str, str]:
    """Return the variable that asks for NVRTC, on a machine without CUDA's compiler."""
    try:
        cuda_target((9, 0))
    except BuildError:
        return {nvrtc.SWITCH: "1"}
    return {}


def run_all(parts: list[Part], total_s: float, out: Path) -> list[Outcome]:
    """Run parts in turn within a time, and write the output of each into a folder."""
    until_s, outcomes = time.monotonic() + total_s, list[Outcome]()
    for number, part in enumerate(parts, start=1):
        left_s = until_s - time.monotonic()
        if left_s < _LEAST_S:
            outcomes.append(Outcome(part, "not run: no time was left"))
            continue
        print(f"== {part.title} ...", flush=True)
        outcome = run(part, min(part.limit_s, left_s))
        print(f"== {part.title} ... {outcome.verdict}, {outcome.seconds:.0f} s", flush=True)
        (out / f"{number:02d}.txt").write_text(outcome.output, encoding="utf-8")
        outcomes.append(outcome)
    return outcomes


def report(machine: list[str], outcomes: list[Outcome]) -> str:
    """Return the report in Markdown: the machine, a list of the parts, and what each printed."""
    lines = ["# GPU check", "", *(f"- {line}" for line in machine), ""]
    lines += ["| part | result | s |", "|---|---|---:|"]
    lines += [f"| {o.part.title} | {o.verdict} | {o.seconds:.0f} |" for o in outcomes]
    for outcome in outcomes:
        shown = outcome.output.rstrip().splitlines()[-_LINES_SHOWN:]
        if shown:
            fence = [] if outcome.part.is_table and outcome.is_good else ["```"]
            lines += ["", f"## {outcome.part.title}", "", *fence, *shown, *fence]
    return "\n".join(lines) + "\n"


def machine_facts(devices: list[str]) -> list[str]:
    """Return what the figures depend on, a line each."""
    facts = [
        f"{platform.platform()}, Python {platform.python_version()}, PyTorch {torch.__version__}",
        *(f"{name}: {describe_device(torch.device(name))}" for name in devices),
        f"{torch.get_num_threads()} threads",
    ]
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        kind = f"compute capability {properties.major}.{properties.minor}"
        memory = f"{properties.total_memory / 1e9:.0f} GB"
        facts.append(f"CUDA {torch.version.cuda}, {kind}, {memory}")
    return facts


def prove(name: str) -> int:
    """Build the fused operators of a device, compare them with torch, and measure them.

    Returns:
        The exit code: 1 if they are wrong. A machine without a compiler has none, which is allowed.
    """
    device = torch.device(name)
    with tempfile.TemporaryDirectory() as folder:
        started_s = time.monotonic()
        try:
            library = build(Path(folder), device)
        except BuildError as error:
            print(f"not built: {error}")
            return 0
        print(f"built in {time.monotonic() - started_s:.1f} s")
        operators = FusedOperators(library, device)
        wrong = difference(operators)
        print(f"WRONG: {wrong}" if wrong else "equal to torch's but for rounding")
        if device.type != "cpu":  # there they are used whatever this says, and it takes long
            print(f"{speed_up(operators):.2f} times as fast as torch's")
    return 1 if wrong else 0


def main(arguments: list[str] | None = None) -> int:
    """Check this machine; returns 1 if a part has failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu_check"), help="folder of the report")
    parser.add_argument("--quick", action="store_true", help="as short as possible, to test this")
    parser.add_argument("--seconds", type=float, default=TOTAL_S, help="the time for all parts")
    parser.add_argument("--only", default="", help="only parts whose titles contain this")
    parser.add_argument("--proof", metavar="DEVICE", help="only prove the fused operators, here")
    parser.add_argument("--nvrtc", action="store_true", help="with --proof: compile by NVRTC")
    options = parser.parse_args(arguments)
    if options.proof:
        os.environ[nvrtc.SWITCH] = str(int(options.nvrtc))
        return prove(options.proof)
    devices = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    has_pytest = importlib.util.find_spec("pytest") is not None
    parts = parts_of(devices, quick=options.quick, has_pytest=has_pytest)
    chosen = [part for part in parts if options.only in part.title]
    if not chosen:
        parser.error(f"--only {options.only}: no part has this in its title")
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    outcomes = run_all(chosen, options.seconds, out)
    text = report(machine_facts(devices), outcomes)
    (out / "report.md").write_text(text, encoding="utf-8")
    print(text)
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
