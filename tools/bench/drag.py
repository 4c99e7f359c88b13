# SPDX-License-Identifier: GPL-3.0-or-later
"""`drag`: how well we drag the built-in model, measured against ground truth.

    python dev.py bench drag [--list choosing|test] [--rows A,B] [--row NAME:OPTION=VALUE,...]

Results are kept in `dist/bench/drag`, one file for each list of pairs, so that an interrupted run
goes on and a further row costs only its own drags.  A run of the list `test` with all rows and
settings writes `docs/benchmark.md` and its picture.  Choose methods and settings by the list
`choosing` alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.machine.device import open_device
from engine.models import model_path
from stylegan2 import ModelError, load_generator, sha256_of

from .landmarks import WEIGHTS, Detector, DetectorError
from .pairs import FIRST_SEEDS, SETTINGS, Pair, find_pairs
from .report import write_report
from .results import Drag, Result, ResultStore
from .rows import OTHERS, OURS, ROWS, Row, parse_row
from .runs import Bench, Job, run_jobs
from .summary import against_reference, as_text, table_of

ROOT = Path(__file__).resolve().parents[2]
PAIRS = 100
FEWER_PAIRS = 20
FEWER = ("mask", "back1", "back3")
"""How many pairs are dragged, and in which settings fewer, unless told otherwise."""
MAX_STEPS = 300
"""As in the paper's evaluation with landmarks."""


@dataclass(frozen=True)
class Plan:
    """What a run of the command is to measure.

    Attributes:
        pairs: name of the list.
        counts: number of pairs of each setting.
    """

    pairs: str
    counts: Mapping[str, int]
    rows: tuple[Row, ...]
    model: Path
    detector: Path
    max_steps: int
    model_sha256: str
    detector_sha256: str

    def drag(self, pair: int, setting: str, row: Row) -> Drag:
        """How the result of one drag is called."""
        key = row.key(self.max_steps)
        return Drag(self.pairs, pair, setting, key, self.model_sha256, self.detector_sha256)

    def drags(self, setting: str, row: Row) -> list[Drag]:
        """Of all pairs of a setting."""
        return [self.drag(pair, setting, row) for pair in range(self.counts[setting])]

    def jobs(self, pairs: Sequence[Pair], store: ResultStore) -> list[Job]:
        """What is not in the store yet."""
        jobs = []
        for setting, count in self.counts.items():
            for pair in pairs[:count]:
                missing = [
                    (row, drag)
                    for row in self.rows
                    if row.is_edit or not setting.startswith("back")
                    if (drag := self.drag(pair.index, setting, row)) not in store
                ]
                if missing:
                    rows, drags = zip(*missing, strict=True)
                    jobs.append(Job(pair, setting, rows, drags, self.max_steps))
        return jobs

    def results(self, store: ResultStore, setting: str) -> dict[str, list[Result]]:
        """Of each row, by its name, in the pairs' order."""
        return {
            row.name: [store[drag] for drag in self.drags(setting, row) if drag in store]
            for row in self.rows
        }


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write the document if the run was a full one; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except (DetectorError, ModelError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    plan = _plan(options)
    device = open_device("cpu", options.threads)
    generator = load_generator(plan.model, device)
    detector = Detector.load(plan.detector)
    pairs = find_pairs(generator, detector, plan.pairs, max(plan.counts.values()))
    store = ResultStore(options.out / f"{plan.pairs}.jsonl", fresh=options.fresh)
    _measure(plan, pairs, store, options)
    results = {setting: plan.results(store, setting) for setting in plan.counts}
    print(_tables(results, plan))
    if _is_publishable(plan) and not options.no_write:
        bench = Bench(generator, detector)
        write_report(ROOT / "docs", results, pairs, plan.model_sha256, detector, bench)
    return 0


def _is_publishable(plan: Plan) -> bool:
    """Whether this is the run that the document is made of, nothing less and nothing else."""
    return (
        plan.pairs == "test"
        and plan.rows == tuple(ROWS.values())
        and plan.max_steps == MAX_STEPS
        and all(plan.counts.get(setting, 0) >= _usual(setting) for setting in SETTINGS)
    )


def _usual(setting: str) -> int:
    return FEWER_PAIRS if setting in FEWER else PAIRS


def _measure(
    plan: Plan, pairs: Sequence[Pair], store: ResultStore, options: argparse.Namespace
) -> None:
    """Make the drags that are missing, and say how long it will take."""
    jobs = plan.jobs(pairs, store)
    total = sum(len(job.drags) for job in jobs)
    started, done = time.monotonic(), 0
    runs = run_jobs(
        jobs, plan.model, plan.detector, workers=options.workers, threads=options.threads
    )
    for results in runs:
        store.add(results)
        done += len(results)
        rate = (time.monotonic() - started) / done
        print(f"\r{done} of {total} drags, {rate * (total - done) / 60:.0f} min left ", end="")
        sys.stdout.flush()
    if total:
        print()


def _tables(results: Mapping[str, Mapping[str, Sequence[Result]]], plan: Plan) -> str:
    parts = []
    for setting, rows in results.items():
        parts.append(f"\n{setting}: {plan.counts[setting]} pairs of the list {plan.pairs}")
        parts.append(as_text(table_of(setting, rows)))
        parts.append(against_reference(rows, OURS) or "")
    return "\n".join(parts).rstrip()


def _plan(options: argparse.Namespace) -> Plan:
    names = options.rows.split(",") if options.rows else list(ROWS)
    named = ROWS | OTHERS
    unknown = [name for name in names if name not in named]
    if unknown:
        raise ValueError(f"there is no row {unknown[0]!r}; there are {', '.join(named)}")
    added = [parse_row(text) for text in options.row]
    rows = [named[name] for name in names] if options.rows or not added else []
    rows += added
    if len({row.name for row in rows}) < len(rows):
        raise ValueError("two rows have the same name; give the added one another")
    for row in rows:
        row.key(options.max_steps)  # raises what is wrong with its options, before the first drag
    counts = {}
    for setting in _settings(options.settings):
        counts[setting] = options.pairs or _usual(setting)
    model = model_path(options.model)
    return Plan(
        pairs=options.list,
        counts=counts,
        rows=tuple(rows),
        model=model,
        detector=options.detector,
        max_steps=options.max_steps,
        model_sha256=sha256_of(model),
        detector_sha256=sha256_of(options.detector),
    )


def _settings(text: str) -> list[str]:
    """The settings that a list names; `back` means both of there and back."""
    names = text.replace("back,", "back1,back3,").split(",") if text else list(SETTINGS)
    if names[-1] == "back":
        names[-1:] = ["back1", "back3"]
    for name in names:
        if name not in SETTINGS:
            raise ValueError(f"the setting must be one of {', '.join(SETTINGS)}, not {name!r}")
    return sorted(set(names), key=SETTINGS.index)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dev.py bench drag", description=__doc__.split("\n\n", maxsplit=1)[0]
    )
    add = parser.add_argument
    add("--list", choices=tuple(FIRST_SEEDS), default="choosing", help="which pairs of seeds")
    add(
        "--rows",
        default="",
        metavar="A,B",
        help=f"of {', '.join(ROWS | OTHERS)}; {', '.join(ROWS)} if left out",
    )
    add(
        "--row",
        action="append",
        default=[],
        metavar="NAME:OPTION=VALUE,...",
        help="a further row, the engine with other options; alone, without --rows, only these",
    )
    add("--pairs", type=int, default=0, metavar="N", help=f"{PAIRS}; {FEWER_PAIRS} for mask, back")
    add("--settings", default="", help=f"of {', '.join(SETTINGS)}, back; all if left out")
    add("--workers", type=int, default=2, help="processes")
    add("--threads", type=int, default=1, help="CPU threads of each")
    add("--max-steps", type=int, default=MAX_STEPS, help="of each drag")
    add("--model", default="suzanne", help="a built-in model's name, or a file")
    add("--detector", type=Path, default=WEIGHTS, help="the landmark detector's file")
    add("--out", type=Path, default=ROOT / "dist" / "bench" / "drag", help="folder of the results")
    add("--fresh", action="store_true", help="throw this list's kept results away")
    add("--no-write", action="store_true", help="do not write docs/benchmark.md")
    return parser
