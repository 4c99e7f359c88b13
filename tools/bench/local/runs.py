# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs and measures local drags, in this process or in several."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from engine.arrays import ByteArray
from engine.errors import RequestError
from engine.machine.device import open_device
from engine.machine.operators import await_operators
from engine.output.render import render_image
from stylegan2 import Generator, load_generator

from ..landmarks import Detector
from ..pairs import REFERENCE_SIZE_PX
from ..results import Drag, Result, encode_latent
from ..rows import Outcome, Row
from .damage import Damage, is_torn
from .drags import LocalDrag
from .kept import Kept, load_end, save_end
from .measures import measure_change, measure_places
from .starts import Start, starts_of


@dataclass(frozen=True)
class Job:
    """One drag by one row.

    Attributes:
        drag: The drag, of ``SIZE_PX``.
        masked: Whether with its mask.
        row: The method.
        key: The key of its result.
        max_steps: Largest number of steps.
        kept: Where the end of the drag is kept, see ``kept``.
    """

    drag: LocalDrag
    masked: bool
    row: Row
    key: Drag
    max_steps: int
    kept: Path


class LocalBench:
    """Runs and measures drags with one model and one detector."""

    def __init__(self, generator: Generator, detector: Detector) -> None:
        """Find where the model's drags begin; see ``starts``.

        Raises:
            ValueError: The model does not make pictures of Suzanne.
        """
        self._generator = generator
        self._detector = detector
        self._damage = Damage(detector)
        self._starts = starts_of(generator, detector)

    def run(self, job: Job) -> Result:
        """Run and measure a drag; one whose end is kept is only measured."""
        start = self._starts.start(job.drag)
        kept = load_end(job.kept)
        if kept is None:
            outcome = self._outcome(job, start)
            after = outcome.image
            if after is None:
                after = render_image(self._generator, outcome.latent)
            kept = Kept(start.image, after, outcome)
            save_end(job.kept, kept)
        measures = self._measure(job, start, kept.outcome, kept.after)
        return Result(job.key, encode_latent(kept.outcome.latent), measures)

    def _outcome(self, job: Job, start: Start) -> Outcome:
        """Run a drag; its seconds are those of the processor, not of the clock on the wall.

        A drag to a target outside the image, which the engine refuses, ends as it began.
        """
        drag = start.drag
        mask = drag.mask if job.masked else None
        began = time.process_time()
        try:
            done = job.row.run(
                self._generator,
                start.latent,
                drag.handles_px,
                drag.targets_px,
                mask,
                job.max_steps,
                judged=True,
            )
        except RequestError:
            if drag.stays_inside:
                raise
            return Outcome(start.latent, False, 0, 0.0, drag.handles_px)
        seconds = time.process_time() - began if job.row.is_edit else 0.0
        return replace(done, seconds=seconds)

    def _measure(
        self, job: Job, start: Start, outcome: Outcome, after: ByteArray
    ) -> dict[str, float]:
        """Return the measures of a drag; see ``measures`` and ``tables.COLUMNS``."""
        detection = self._detector.detect(after[None])
        errors_px = [
            float(found.error_px.mean()) * REFERENCE_SIZE_PX / len(after)
            for found in (self._detector.detect(start.image[None]), detection)
        ]
        damage = self._damage.score(after) - self._damage.score(start.image)
        measures = {
            **measure_change(start.drag, start.image, after, masked=job.masked),
            **measure_places(start.drag, start.image, after, detection, outcome.handles_px),
            "uncertainty": errors_px[1],
            "damage": damage,
            "torn": float(is_torn(damage, errors_px[1] - errors_px[0])),
            "reached": float(outcome.reached),
            "steps": float(outcome.steps),
            "seconds": outcome.seconds,
        }
        pose = self._starts.pose_change(start.latent, outcome.latent)
        return measures if pose is None else {**measures, "pose": pose}


# The benchmark of this process if it is a worker, otherwise None.
_bench: LocalBench | None = None


def open_bench(model: Path, detector: Path, threads: int) -> LocalBench:
    """Load the files for computing in this process."""
    device = open_device("cpu", threads)
    await_operators(device)
    return LocalBench(load_generator(model, device), Detector.load(detector))


def _start_worker(model: Path, detector: Path, threads: int) -> None:
    global _bench
    _bench = open_bench(model, detector, threads)


def _run_in_worker(job: Job) -> Result:
    assert _bench is not None  # the executor has called ``_start_worker``
    return _bench.run(job)


def run_jobs(
    jobs: Sequence[Job], model: Path, detector: Path, *, workers: int, threads: int
) -> Iterator[Result]:
    """Run all jobs, in this process if there is one worker.

    Args:
        jobs: The drags to make.
        model: The model file.
        detector: The detector file.
        workers: Largest number of processes.
        threads: CPU threads of each process.

    Yields:
        The result of each job when it is done, in any order.
    """
    if not jobs:
        return
    if workers == 1:
        bench = open_bench(model, detector, threads)
        yield from map(bench.run, jobs)
        return
    # Spawned, not forked: a fork of a process in which torch has run threads can hang.
    with ProcessPoolExecutor(
        min(workers, len(jobs)),
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(model, detector, threads),
    ) as executor:
        futures = [executor.submit(_run_in_worker, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
