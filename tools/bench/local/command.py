# SPDX-License-Identifier: GPL-3.0-or-later
"""``local``: drags as artists make them, against truth from Blender.

The command is::

    python dev.py bench local [--list choosing|test] [--rows A,B] [--set OPTION=VALUE ...]

Each drag is made with and without its mask. Results are stored in ``dist/bench/local``, one file
for each list, so that an interrupted run can be continued and a further row costs only its own
drags. Use only the list ``choosing`` to choose methods and settings.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stylegan2 import ModelError, sha256_of

from ..landmarks import WEIGHTS, DetectorError
from ..models import model_file
from ..process import ROOT
from ..results import Result, ResultStore
from ..rows import OTHERS, OURS, ROWS, Row, parse_row
from ..sources import fingerprint
from .drags import DATA, FIRST_SEEDS, LocalDrag, load_drags
from .kinds import NAMES
from .plan import Plan
from .runs import run_jobs
from .sheets import save_sheet, save_worst
from .tables import SETTINGS, table

# As in the benchmark of landmarks.
MAX_STEPS = 300
_HERE = __name__.rpartition(".")[0]


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench local``: measure and print.

    Returns:
        The exit code: 0, 1 after an error, 130 after Ctrl-C.
    """
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except (DetectorError, ModelError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command to continue", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    plan = _plan(options)
    store = ResultStore(options.out / f"{plan.name}.jsonl", fresh=options.fresh)
    (options.out / "ends").mkdir(parents=True, exist_ok=True)
    _measure(plan, store, options)
    for setting in plan.settings:
        print(f"\n{SETTINGS[setting]}: {len(plan.drags)} drags of the list {plan.name}")
        print(table("row", plan.results(store, setting), markdown=options.markdown))
    if options.kinds:
        _print_kinds(plan, store, options.markdown)
    if options.sheet:
        save_sheet(plan, store, options.sheet)
    if options.worst:
        save_worst(plan, store, options.worst)
    return 0


def _measure(plan: Plan, store: ResultStore, options: argparse.Namespace) -> None:
    """Run the drags whose results are missing, and print the progress."""
    jobs = plan.jobs(store)
    started, total = time.monotonic(), len(jobs)
    runs = run_jobs(jobs, plan.model, plan.detector, workers=options.jobs, threads=options.threads)
    for done, result in enumerate(runs, start=1):
        store.add([result])
        rate = (time.monotonic() - started) / done
        print(f"\r{done} of {total} drags, {rate * (total - done) / 60:.0f} min left ", end="")
        sys.stdout.flush()
    if total:
        print()


def _print_kinds(plan: Plan, store: ResultStore, markdown: bool) -> None:
    names = dict.fromkeys(drag.kind for drag in plan.drags)
    for setting in plan.settings:
        for row in plan.rows:
            lines: Mapping[str, Sequence[Result]] = {
                name: plan.results(
                    store, setting, [drag for drag in plan.drags if drag.kind == name]
                )[row.name]
                for name in names
            }
            print(f"\n{row.name}, {SETTINGS[setting]}")
            print(table("kind", lines, markdown=markdown))


def _plan(options: argparse.Namespace) -> Plan:
    rows = _rows(options)
    for row in rows:
        row.key(options.max_steps)  # raises if its options are wrong, before the first drag
    only = options.only or list(NAMES)
    unknown = [name for name in only if name not in NAMES]
    if unknown:
        names = "; ".join(NAMES)
        raise ValueError(f"there is no kind {unknown[0]!r}; there are {names}")
    drags = _first_of_each_kind(load_drags(options.list), options.each)
    drags = [drag for drag in drags if drag.kind in only]
    model = model_file(options.model)
    files = (f"{options.list}.json", f"{options.list}_truth.png", "features.npz")
    data = "".join(sha256_of(DATA / name)[:8] for name in files)
    code = f"{fingerprint(f'{_HERE}.measures', f'{_HERE}.damage')} {data}"
    return Plan(
        name=options.list,
        drags=tuple(drags),
        settings=tuple(SETTINGS) if options.mask == "both" else (options.mask,),
        rows=tuple(rows),
        model=model,
        detector=options.detector,
        max_steps=options.max_steps,
        code=code,
        model_sha256=sha256_of(model),
        detector_sha256=sha256_of(options.detector),
        out=options.out,
    )


def _first_of_each_kind(drags: Sequence[LocalDrag], count: int) -> list[LocalDrag]:
    """Return the first drags of each kind, all if ``count`` is 0."""
    seen: Counter[str] = Counter()
    chosen = []
    for drag in drags:
        seen[drag.kind] += 1
        if not count or seen[drag.kind] <= count:
            chosen.append(drag)
    return chosen


def _rows(options: argparse.Namespace) -> list[Row]:
    """Return the rows to measure; ``--set`` changes the engine's ones."""
    known = ROWS | OTHERS
    names = [name.strip() for name in options.rows.split(",")] if options.rows else list(ROWS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"there is no row {unknown[0]!r}; there are {', '.join(known)}")
    changes = parse_row("set:" + ",".join(options.set)).options
    label = " ".join(options.set)
    rows = []
    for name in names:
        row = known[name]
        if name == OURS:
            row = replace(row, options={"mask_mode": "exact", **row.options})
        if changes and row.kind == "engine":
            row = replace(row, name=f"{name} {label}", options={**row.options, **changes})
        rows.append(row)
    return rows + [parse_row(text) for text in options.row]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dev.py bench local", description=__doc__.split("\n\n", maxsplit=1)[0]
    )
    add = parser.add_argument
    add("--list", choices=tuple(FIRST_SEEDS), default="choosing", help="the list of drags")
    add(
        "--rows",
        default="",
        metavar="A,B",
        help=f"rows, out of {', '.join(ROWS | OTHERS)}; default: {', '.join(ROWS)}",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="change an option of the engine in all of its rows; repeatable",
    )
    add(
        "--row",
        action="append",
        default=[],
        metavar="NAME:OPTION=VALUE,...",
        help="add a row: the engine with other options; repeatable",
    )
    only = "a kind of drags; repeatable; default: all"
    add("--only", action="append", default=[], metavar="KIND", help=only)
    add("--each", type=int, default=0, metavar="N", help="only the first N drags of each kind")
    add("--mask", choices=("both", *SETTINGS), default="both", help="with or without the masks")
    add("--kinds", action="store_true", help="print a table with a line for each kind as well")
    add("--markdown", action="store_true", help="print the tables as Markdown")
    add("--sheet", type=Path, metavar="FILE", help="write a picture of all drags and results")
    worst = "write pictures of the N worst drags of each row, with what went wrong in figures"
    add("--worst", type=int, default=0, metavar="N", help=worst)
    add("--jobs", type=int, default=1, help="number of processes")
    add("--threads", type=int, default=1, help="CPU threads of each process")
    add("--max-steps", type=int, default=MAX_STEPS, help="largest number of steps of a drag")
    add("--model", default="suzanne", help="suzanne, twin, adversarial, or a file")
    add("--detector", type=Path, default=WEIGHTS, help="the file of the landmark detector")
    add("--out", type=Path, default=ROOT / "dist" / "bench" / "local", help="folder for results")
    add("--fresh", action="store_true", help="delete the stored results of this list first")
    return parser
