# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the drags in worker processes, which share the pairs among them.

All rows of one pair and setting run one after the other in one process, so that their seconds are
comparable even if the machine is busy with other work at times.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from engine.arrays import ByteArray, FloatArray
from engine.machine.device import open_device
from engine.machine.operators import await_operators
from engine.output.render import render_images
from stylegan2 import Generator, load_generator
from tools.suzanne.truth import truth_of

from .landmarks import Detector
from .measures import Judged, LatentStatistics, measure_drag, measure_return
from .pairs import Pair, Task, task_of
from .results import Drag, Result, encode_latent
from .rows import Outcome, Row


@dataclass(frozen=True)
class Job:
    """All drags of one pair in one setting that are not measured yet.

    Attributes:
        pair: The pair.
        setting: One of ``pairs.SETTINGS``.
        rows: The rows to measure.
        drags: The key of each row's result, in the order of ``rows``.
        max_steps: Largest number of steps of one drag.
    """

    pair: Pair
    setting: str
    rows: tuple[Row, ...]
    drags: tuple[Drag, ...]
    max_steps: int


class Bench:
    """Runs and measures drags in this process, with one model and one detector."""

    def __init__(self, generator: Generator, detector: Detector) -> None:
        """Compute the statistics of W, and the map from factors to W if the model has one."""
        self._generator = generator
        self._detector = detector
        self._statistics = LatentStatistics.of(generator)
        self._truth = truth_of(generator)

    def run(self, job: Job) -> list[Result]:
        """Run and measure the drags of a job; returns their results in the order of its rows."""
        task = task_of(job.pair, job.setting)
        results = []
        for row, drag in zip(job.rows, job.drags, strict=True):
            outcome = self._drag(row, job.pair, task, job.max_steps)
            measures = self._measure(outcome, job.pair, task)
            results.append(Result(drag, encode_latent(outcome.latent), measures))
        return results

    def _drag(self, row: Row, pair: Pair, task: Task, max_steps: int) -> Outcome:
        """Drag to the targets; then, if the task returns, from the targets back to the handles."""
        generator, start = self._generator, pair.latents[0]
        handles, targets = task.handles_px, task.targets_px
        run = functools.partial(
            row.run, generator, max_steps=max_steps, mask=task.mask, judged=True
        )
        there = run(start, handles, targets)
        if not task.returns:
            return there
        back = run(there.latent, targets, handles)
        return Outcome(
            back.latent,
            there.reached and back.reached,
            there.steps + back.steps,
            there.seconds + back.seconds,
        )

    def _measure(self, outcome: Outcome, pair: Pair, task: Task) -> dict[str, float]:
        after = self.judge(outcome.latent)
        twin = None
        if self._truth is not None:
            result, start = torch.from_numpy(outcome.latent), torch.from_numpy(pair.latents[0])
            twin = self.judge(self._truth.twin(result, start).numpy())
        measure = measure_return if task.returns else measure_drag
        return {
            **measure(task, pair, after, twin),
            "reached": float(outcome.reached),
            "steps": float(outcome.steps),
            "seconds": outcome.seconds,
            "mahalanobis": self._statistics.distance(outcome.latent),
            "mahalanobis_start": self._statistics.distance(pair.latents[0]),
        }

    def judge(self, latent: FloatArray) -> Judged:
        """Render a latent ``num_ws x w_dim`` float32 and run the detector on the image."""
        image = self.render(latent)
        return Judged(image, self._detector.detect(image[None]))

    def render(self, latent: FloatArray) -> ByteArray:
        """Return the image ``H x W x 3`` uint8 of a latent ``num_ws x w_dim`` float32."""
        image: ByteArray = render_images(self._generator, torch.from_numpy(latent[None]))[0]
        return image


# The benchmark of this process if it is a worker, otherwise None.
_bench: Bench | None = None


def _start_worker(model: Path, detector: Path, threads: int) -> None:
    global _bench
    device = open_device("cpu", threads)
    await_operators(device)
    _bench = Bench(load_generator(model, device), Detector.load(detector))


def _run_in_worker(job: Job) -> list[Result]:
    assert _bench is not None  # the executor has called ``_start_worker``
    return _bench.run(job)


def run_jobs(
    jobs: Sequence[Job], model: Path, detector: Path, *, workers: int, threads: int
) -> Iterator[list[Result]]:
    """Run all jobs in worker processes.

    Args:
        jobs: The drags to make.
        model: The model file.
        detector: The detector file.
        workers: Largest number of processes.
        threads: CPU threads of each process.

    Yields:
        The results of each job when it is done, in any order.
    """
    if not jobs:
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
