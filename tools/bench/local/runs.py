# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs and measures local drags, in this process or in several."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from engine.arrays import ByteArray, FloatArray
from engine.machine.device import open_device
from engine.machine.operators import await_operators
from engine.output.render import render_image
from stylegan2 import Generator, load_generator
from tools.suzanne.factors import FACTORS
from tools.suzanne.latents import COARSE_LATENTS
from tools.suzanne.truth import FactorMap

from ..landmarks import Detector
from ..pairs import REFERENCE_SIZE_PX
from ..results import Drag, Result, encode_latent
from ..rows import Outcome, Row
from .drags import LocalDrag
from .measures import measure_change, measure_places

_POSE = [FACTORS.index(name) for name in ("yaw", "pitch", "roll")]


@dataclass(frozen=True)
class Job:
    """One drag by one row.

    Attributes:
        drag: The drag, of ``SIZE_PX``.
        masked: Whether with its mask.
        row: The method.
        key: The key of its result.
        max_steps: Largest number of steps.
    """

    drag: LocalDrag
    masked: bool
    row: Row
    key: Drag
    max_steps: int


class LocalBench:
    """Runs and measures drags with one model and one detector."""

    def __init__(self, generator: Generator, detector: Detector) -> None:
        """Find the map from factors to latents.

        Raises:
            ValueError: The model's latents cannot be made from factors.
        """
        self.generator = generator
        self._detector = detector
        self._factors = FactorMap(generator)
        self._size_px = generator.img_shape[1]

    def start(self, drag: LocalDrag) -> FloatArray:
        """Return the latent that a drag begins with, ``num_ws x w_dim`` float32."""
        latent: FloatArray = self._factors.latents(torch.from_numpy(drag.factors)[None])[0].numpy()
        return latent

    def outcome(self, job: Job) -> Outcome:
        """Run a drag; its seconds are those of this process, not of the clock on the wall."""
        drag = job.drag.scaled(self._size_px)
        mask = drag.mask if job.masked else None
        began = time.process_time()
        done = job.row.run(
            self.generator,
            self.start(drag),
            drag.handles_px,
            drag.targets_px,
            mask,
            job.max_steps,
            judged=True,
        )
        seconds = time.process_time() - began if job.row.is_edit else 0.0
        return Outcome(done.latent, done.reached, done.steps, seconds, done.handles_px, done.image)

    def shown(self, outcome: Outcome) -> ByteArray:
        """Return the picture that a drag ends with."""
        if outcome.image is not None:
            return outcome.image
        return render_image(self.generator, outcome.latent)

    def run(self, job: Job) -> Result:
        """Run and measure a drag."""
        outcome = self.outcome(job)
        return Result(job.key, encode_latent(outcome.latent), self.measure(job, outcome))

    def measure(self, job: Job, outcome: Outcome) -> dict[str, float]:
        """Return the measures of a drag; see ``measures`` and ``command.COLUMNS``."""
        drag = job.drag.scaled(self._size_px)
        start = self.start(drag)
        before = render_image(self.generator, start)
        after = self.shown(outcome)
        detection = self._detector.detect(after[None])
        unit = self._size_px / REFERENCE_SIZE_PX
        return {
            **measure_change(drag, before, after, masked=job.masked),
            **measure_places(drag, after, detection, outcome.handles_px),
            "uncertainty": float(detection.error_px.mean()) / unit,
            "pose": self._pose_change(start, outcome.latent),
            "reached": float(outcome.reached),
            "steps": float(outcome.steps),
            "seconds": outcome.seconds,
        }

    def _pose_change(self, before: FloatArray, after: FloatArray) -> float:
        """Return |yaw| + |pitch| + |roll| of the change, each factor from -1 to 1."""
        both = torch.from_numpy(after[:COARSE_LATENTS]), torch.from_numpy(before[:COARSE_LATENTS])
        values = [self._factors.factors(latent).mean(dim=0) for latent in both]
        return float((values[0] - values[1])[_POSE].abs().sum())


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
