# SPDX-License-Identifier: GPL-3.0-or-later
"""``step``: how long a drag step takes, and how much memory it needs, on this machine.

Each case (a model, a number of points, with or without a mask) is measured in several ways, one
directly after the other, so that they are comparable even if the machine is busy with other work at
times: (a) the public programs' step, implemented literally; (b) ours with full maps; (c) ours with
windows, with torch alone and with the fused operators; and, for information, ours by least squares.
(d) is the lower bound of each: the time of its multiply-adds at the speed at which this machine
multiplies matrices. Each measurement has a process of its own, so that its peak memory (Python and
torch included) contains nothing else. All cases take about half an hour on two cores::

    python dev.py bench step [--quick] [--model NAME] [--points N] [--mask yes|no] [--markdown]
                             [--json FILE] [--threads N] [--device NAME] [--way NAME]

On a CUDA GPU there are also rows with CUDA graphs; the others are computed without them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from .process import ROOT, is_there
from .step_rows import (
    MASKS,
    MODELS,
    POINTS,
    WAYS,
    Case,
    Measurement,
    cases,
    notes_on,
    table_of,
    ways_on,
)

STEPS = 20
FEW_STEPS = 3
QUICK_MODELS = ("suzanne", "256")
QUICK_POINTS = (2,)
QUICK_MASKS: tuple[bool, ...] = (False,)


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench step``; returns the exit code, 1 if a measurement failed."""
    arguments = _parser().parse_args(argv)
    if arguments.apart:
        _measure_here(arguments)
        return 0
    rows: list[Measurement] = []
    failures = 0
    for case in _chosen(arguments):
        for way in arguments.way or ways_on(arguments.device):
            try:
                row = measure_apart(case, way, arguments)
            except subprocess.CalledProcessError as error:
                failures += 1
                print(
                    f"error: {way} of {case} failed with code {error.returncode}", file=sys.stderr
                )
                continue
            rows.append(row)
            print(f"{_name(case)}, {WAYS[way].label}: {row.step_s:.3f} s", file=sys.stderr)
    if rows:
        _print(rows, markdown=arguments.markdown)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dev.py bench [step]",
        description=__doc__.splitlines()[0],
        epilog="The quality of drags: dev.py bench drag --help",
    )
    add = parser.add_argument
    add("--model", choices=MODELS, action="append", help="only these; repeatable")
    add("--points", type=int, choices=POINTS, action="append", help="only these; repeatable")
    add("--mask", choices=("yes", "no"), help="only cases with a mask, or only without")
    quick = "3 steps per row instead of 20, and few cases unless they are named"
    add("--quick", action="store_true", help=quick)
    add("--markdown", action="store_true", help="print the table in Markdown")
    add("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    add("--threads", type=int, default=0, help="CPU threads; 0: torch decides")
    add("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps")
    add("--way", choices=WAYS, action="append", help="only these ways; repeatable")
    add("--apart", choices=WAYS, help=argparse.SUPPRESS)
    return parser


def _chosen(arguments: argparse.Namespace) -> list[Case]:
    """Return the cases to measure; leaves out models whose file is missing."""
    quick = arguments.quick
    models = arguments.model or (QUICK_MODELS if quick else MODELS)
    points = arguments.points or (QUICK_POINTS if quick else POINTS)
    masks = QUICK_MASKS if quick else MASKS
    if arguments.mask:
        masks = (arguments.mask == "yes",)
    return cases([name for name in models if is_there(name)], points, masks)


def measure_apart(case: Case, way: str, arguments: argparse.Namespace) -> Measurement:
    """Measure one case in one way in a process of its own.

    Args:
        case: The case.
        way: A key of ``WAYS``.
        arguments: ``threads``, ``device`` and ``quick`` of the command line.

    Raises:
        subprocess.CalledProcessError: It failed; its message is on standard error.
    """
    command = [sys.executable, "-m", "tools.bench", "step", "--apart", way]
    command += ["--model", case.model, "--points", str(case.points)]
    command += ["--mask", "yes" if case.mask else "no"]
    command += ["--threads", str(arguments.threads), "--device", arguments.device]
    command += ["--quick"] if arguments.quick else []
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **variables_of(way)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return Measurement(**json.loads(done.stdout))


def variables_of(way: str) -> dict[str, str]:
    """Return the variables that switch off what a way is measured without."""
    switches = {"DRAGGAN_FUSED": WAYS[way].fused, "DRAGGAN_GRAPHS": WAYS[way].graphs}
    return {name: "0" for name, is_on in switches.items() if not is_on}


def _measure_here(arguments: argparse.Namespace) -> None:
    """Measure in this process and print JSON: the command that ``measure_apart`` starts."""
    from .step_measure import measure

    (case,) = _chosen(arguments)
    steps = FEW_STEPS if arguments.quick else STEPS
    row = measure(case, arguments.apart, steps, arguments.device, arguments.threads)
    print(json.dumps(asdict(row)))


def _name(case: Case) -> str:
    return f"{case.model}, {case.points} points, {'' if case.mask else 'no '}mask"


def _print(rows: list[Measurement], *, markdown: bool) -> None:
    from .summary import as_markdown, as_text  # imports torch, which is needed only here

    lines = table_of(rows)
    print(as_markdown(lines) if markdown else as_text(lines))
    print(f"\n{notes_on(rows)}")
