# SPDX-License-Identifier: GPL-3.0-or-later
"""``drag``: the quality of drags of Suzanne's models, measured against ground truth.

The command is::

    python dev.py bench drag [--list choosing|test] [--rows A,B] [--row NAME:OPTION=VALUE,...]
                             [--model suzanne|twin|adversarial|FILE]

Results are stored in ``dist/bench/drag``, one file for each list of pairs, so that an interrupted
run can be continued and a further row costs only its own drags. A run of the built-in model on the
list ``test`` with all rows and settings writes ``docs/benchmark.md`` and its picture. Use only the
list ``choosing`` to choose methods and settings.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.machine.device import open_device
from stylegan2 import ModelError, load_generator, sha256_of

from .landmarks import WEIGHTS, Detector, DetectorError
from .models import BUILT_IN, MODELS, model_file
from .pairs import FIRST_SEEDS, SETTINGS, Pair, find_pairs
from .process import ROOT
from .report import write_report
from .results import Drag, Result, ResultStore
from .rows import OTHERS, OURS, ROWS, Row, parse_row
from .runs import Bench, Job, run_jobs
from .summary import against_reference, as_text, table_of

# The default number of pairs, and the settings that have fewer by default.
PAIRS = 100
FEWER_PAIRS = 20
FEWER = ("mask", "back1", "back3")
# As in the paper's evaluation with landmarks.
MAX_STEPS = 300


@dataclass(frozen=True)
class Plan:
    """What a run of the command measures.

    Attributes:
        pairs: Name of the list of pairs, a key of ``FIRST_SEEDS``.
        counts: Number of pairs of each setting.
        rows: The rows to compare.
        model: The model file.
        detector: The detector file.
        max_steps: Largest number of steps of one drag.
        model_sha256: SHA-256 of the model file.
        detector_sha256: SHA-256 of the detector file.
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
        """Return the key of the result of one drag."""
        key = row.key(self.max_steps)
        return Drag(self.pairs, pair, setting, key, self.model_sha256, self.detector_sha256)

    def drags(self, setting: str, row: Row) -> list[Drag]:
        """Return the keys of a row's results for all pairs of a setting."""
        return [self.drag(pair, setting, row) for pair in range(self.counts[setting])]

    def jobs(self, pairs: Sequence[Pair], store: ResultStore) -> list[Job]:
        """Return the drags whose results are not in the store.

        Args:
            pairs: As many as the largest of ``counts``, in order.
            store: The stored results.
        """
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
        """Return each row's stored results for a setting, in the pairs' order, by its name."""
        return {
            row.name: [store[drag] for drag in self.drags(setting, row) if drag in store]
            for row in self.rows
        }


def main(argv: list[str] | None = None) -> int:
    """Run ``dev.py bench drag``: measure, print, and write the page after a full run.

    Returns:
        The exit code: 0, 1 after an error, 130 after Ctrl-C.
    """
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except (DetectorError, ModelError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command to continue", file=sys.stderr)
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
    """Return whether a run contains exactly what the page shows."""
    return (
        plan.pairs == "test"
        and plan.rows == tuple(ROWS.values())
        and plan.max_steps == MAX_STEPS
        and plan.model == model_file(BUILT_IN)
        and all(plan.counts.get(setting, 0) >= _usual(setting) for setting in SETTINGS)
    )


def _usual(setting: str) -> int:
    return FEWER_PAIRS if setting in FEWER else PAIRS


def _measure(
    plan: Plan, pairs: Sequence[Pair], store: ResultStore, options: argparse.Namespace
) -> None:
    """Run the drags whose results are missing, and print the progress."""
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
        raise ValueError("two rows have the same name; give the added row another name")
    for row in rows:
        row.key(options.max_steps)  # raises if its options are wrong, before the first drag
    counts = {}
    for setting in _settings(options.settings):
        counts[setting] = options.pairs or _usual(setting)
    model = model_file(options.model)
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
    """Return the settings that a comma-separated list names; ``back`` means both back settings."""
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
    add("--list", choices=tuple(FIRST_SEEDS), default="choosing", help="the list of pairs")
    add(
        "--rows",
        default="",
        metavar="A,B",
        help=f"rows, out of {', '.join(ROWS | OTHERS)}; default: {', '.join(ROWS)}",
    )
    add(
        "--row",
        action="append",
        default=[],
        metavar="NAME:OPTION=VALUE,...",
        help="add a row: the engine with other options; without --rows, only these are measured",
    )
    pairs = f"number of pairs; default: {PAIRS}, or {FEWER_PAIRS} for mask and back"
    add("--pairs", type=int, default=0, metavar="N", help=pairs)
    settings = f"settings, out of {', '.join(SETTINGS)}, back; default: all"
    add("--settings", default="", metavar="A,B", help=settings)
    add("--workers", type=int, default=2, help="number of processes")
    add("--threads", type=int, default=1, help="CPU threads of each process")
    add("--max-steps", type=int, default=MAX_STEPS, help="largest number of steps of a drag")
    add("--model", default=BUILT_IN, help=f"{', '.join(MODELS)}, or a file")
    add("--detector", type=Path, default=WEIGHTS, help="the file of the landmark detector")
    add("--out", type=Path, default=ROOT / "dist" / "bench" / "drag", help="folder for the results")
    add("--fresh", action="store_true", help="delete the stored results of this list first")
    add("--no-write", action="store_true", help="do not write docs/benchmark.md")
    return parser
