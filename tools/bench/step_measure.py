# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures one case in one way, in this process.

The step is that of motion supervision in W+ with the first six latents free: a forward and a
backward pass, and point tracking. A step lasts from one point tracking to the next; times are
medians over the steps of one drag, after two warm-up steps.
"""

from __future__ import annotations

import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from engine.arrays import ByteArray, FloatArray
from engine.features.source import feature_block, held_block
from engine.machine.device import open_device
from engine.machine.operators import await_operators
from engine.models import sample_latent
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from stylegan2 import Generator, why_no_graphs, window_graphs
from stylegan2.ops.precision import reduced

from . import multiply_adds
from .pairs import distance_to_way
from .process import make_generator, peak_mb
from .reference import ReferenceOptions, drag_literally
from .step_rows import WAYS, Case, Measurement, Way
from .weight_modulated import modulated_weights

WARM_UP = 2
LEAST_STEPS = 3
# A measurement ends after this many timed seconds, but not before ``LEAST_STEPS``.
ENOUGH_S = 10.0
# The share of the image that the mask leaves free.
FREE_SHARE = 0.2

# The handles, and the vector from each to its target, as shares of the image's width and height.
_HANDLES = (
    (0.35, 0.40),
    (0.60, 0.65),
    (0.20, 0.15),
    (0.75, 0.25),
    (0.15, 0.75),
    (0.50, 0.10),
    (0.45, 0.85),
    (0.75, 0.85),
)
_TO_TARGET = (0.2, 0.1)
# Adam's step size, so small that no handle reaches its target and every step does all its work.
_TINY_STEP_SIZE = 1e-4
_NO_LIMIT = 10_000
# Rows and columns of the matrices whose product is timed.
MATRIX = 2048
_PRODUCTS = 11


@dataclass
class Stopwatch:
    """Records the time of each step, and decides when enough steps are timed.

    Attributes:
        most_steps: Largest number of steps to time.
        marks: Wall-clock seconds at the start and after each step.
        core_marks: The same in CPU seconds of this process, all threads added up.
    """

    most_steps: int
    marks: list[float] = field(default_factory=list)
    core_marks: list[float] = field(default_factory=list)

    def is_enough(self) -> bool:
        """Record the time and return whether the drag can end.

        Must be called once at the start of the drag and once after each step.
        """
        self.marks.append(time.perf_counter())
        self.core_marks.append(time.process_time())
        timed = self.marks[WARM_UP:]
        steps = len(timed) - 1
        if steps < LEAST_STEPS:
            return False
        return steps >= self.most_steps or timed[-1] - timed[0] >= ENOUGH_S

    @property
    def steps(self) -> int:
        """Number of timed steps, without those that warm up."""
        return max(len(self.marks) - 1 - WARM_UP, 0)

    def median_s(self) -> tuple[float, float]:
        """Return the median seconds of a timed step: wall-clock, and CPU of all threads.

        Raises:
            ValueError: The drag ended before one step was timed.
        """
        if not self.steps:
            raise ValueError(f"a drag of {len(self.marks) - 1} steps is too short to be timed")
        return _median_gap(self.marks[WARM_UP:]), _median_gap(self.core_marks[WARM_UP:])


def _median_gap(marks: list[float]) -> float:
    return statistics.median(after - before for before, after in itertools.pairwise(marks))


def measure(case: Case, way: str, most_steps: int, device_name: str, threads: int) -> Measurement:
    """Time one drag in this process, which is set up like the engine.

    Args:
        case: The case.
        way: A key of ``WAYS``.
        most_steps: Largest number of steps to time.
        device_name: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: CPU threads; 0 leaves the choice to torch.

    Raises:
        RuntimeError: ``way`` needs the fused operators, and they are not available.
        ValueError: The drag ended before one step was timed.
    """
    device = open_device(device_name, threads)
    if WAYS[way].fused and not await_operators(device):
        raise RuntimeError("the fused operators are not available; see the log")
    if WAYS[way].graphs:
        await_operators(device)
    generator = make_generator(case.model, device)
    watch = Stopwatch(most_steps)
    _drag(generator, case, WAYS[way], watch)
    step_s, core_s = watch.median_s()
    if WAYS[way].graphs:
        _require_graphs(generator, device)
    peak = peak_mb()  # before the matrices below, which do not belong to the drag
    return Measurement(
        **asdict(case),
        way=way,
        image_px=generator.img_shape[1],
        feature_px=feature_block(generator),
        device=str(device),
        threads=torch.get_num_threads(),
        steps=watch.steps,
        step_s=step_s,
        core_s=core_s if device.type == "cpu" else None,
        multiply_adds=count_of(generator, case, WAYS[way]),
        flops=2 * MATRIX**3 / statistics.median(product_seconds(device)),
        peak_mb=peak,
        precision=str(reduced() or torch.float32).removeprefix("torch."),
    )


def _require_graphs(generator: Generator, device: torch.device) -> None:
    """Raise ``RuntimeError`` if the drag was computed without CUDA graphs; say how many it had."""
    graphs = window_graphs(generator, device)
    if graphs is None:
        raise RuntimeError(f"no CUDA graphs: {why_no_graphs(device)}")
    print(f"{len(graphs)} recorded passes", file=sys.stderr)


def _drag(generator: Generator, case: Case, way: Way, watch: Stopwatch) -> None:
    """Drag until the stopwatch has enough steps, or the method cannot continue."""
    latent = sample_latent(generator, 0, 0.7)
    handles, targets = points_of(generator, case.points)
    mask = mask_around_ways(generator, case.points) if case.mask else None
    if way.is_literal:
        settings = ReferenceOptions(
            step_size=_TINY_STEP_SIZE,
            tolerance_px=0.0,
            tolerance_many_px=0.0,
            max_steps=_NO_LIMIT,
        )
        drag_literally(
            generator,
            latent,
            handles,
            targets,
            settings,
            mask=mask,
            network=modulated_weights,
            should_stop=watch.is_enough,
        )
    else:
        enough: list[bool] = []
        drag(
            generator,
            latent,
            handles,
            targets,
            options_of(way),
            mask=mask,
            # A drag asks whether to stop more often than once per step.
            on_step=lambda _: enough.append(watch.is_enough()),
            should_stop=lambda: bool(enough) and enough[-1],
            windows=way.windows,
        )


def options_of(way: Way) -> DragOptions:
    """Return the engine's options for a way, with a tolerance of 0, so that no drag ends early."""
    if way.least_squares:
        return DragOptions(max_steps=_NO_LIMIT, patience=0, tolerance_px=0.0, mask_mode="soft")
    return DragOptions(
        method="draggan",
        latent_space="w+",
        step_size=_TINY_STEP_SIZE,
        max_steps=_NO_LIMIT,
        patience=0,
        tolerance_px=0.0,
        mask_mode="soft",
    )


def points_of(generator: Generator, count: int) -> tuple[FloatArray, FloatArray]:
    """Return handles and targets, spread over the image.

    Args:
        generator: Gives the size of the image.
        count: Number of points ``P``, at most 8.

    Returns:
        Two arrays ``P x 2`` float32 (x, y), image pixels.
    """
    size = np.array(generator.img_shape[:0:-1], np.float32)
    handles = np.array(_HANDLES[:count], np.float32)
    return handles * size, (handles + np.array(_TO_TARGET, np.float32)) * size


def mask_around_ways(generator: Generator, count: int) -> ByteArray:
    """Return a mask that frees the pixels nearest to the lines from handles to targets.

    Args:
        generator: Gives the size of the image.
        count: Number of points, as for ``points_of``.

    Returns:
        ``H x W`` uint8: 255 for ``FREE_SHARE`` of the pixels, 0 for the others.
    """
    shape = generator.img_shape[1:]
    ways = zip(*points_of(generator, count), strict=True)
    distances = torch.stack([distance_to_way(*way, shape) for way in ways]).amin(0)
    radius = distances.flatten().sort().values[int(FREE_SHARE * distances.numel())]
    mask: ByteArray = ((distances < radius) * 255).to(torch.uint8).numpy()
    return mask


def count_of(generator: Generator, case: Case, way: Way) -> int | None:
    """Return the multiply-adds of a step, or None for least squares, whose passes vary."""
    config, block = generator.config, feature_block(generator)
    if way.least_squares:
        return None
    if way.is_literal:
        return multiply_adds.of_literal_step(config, block)
    if way.windows:
        held = held_block(generator, block, DragOptions().num_layers) if case.mask else 0
        return multiply_adds.of_windowed_step(config, block, case.points, window_side(), held)
    return multiply_adds.of_full_step(config, block)


def window_side() -> int:
    """Return the width in feature pixels of a window of ``engine.solving.methods.draggan``."""
    options = DragOptions()
    reach = max(options.r1 + options.step_length, options.tracking_radius)
    return 2 * math.ceil(options.r2 + reach + 0.5) + 1


def product_seconds(device: torch.device) -> list[float]:
    """Return the seconds of several float32 products of ``MATRIX x MATRIX`` matrices."""
    a, b = torch.randn(2, MATRIX, MATRIX, device=device).unbind()
    # On a GPU, reading one number waits for the product. The first product only warms up.
    return [_seconds(lambda: (a @ b)[0, 0].item()) for _ in range(1 + _PRODUCTS)][1:]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
