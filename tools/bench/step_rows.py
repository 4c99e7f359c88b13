# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``step`` measures: cases, and in each case the same step computed in several ways."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

# The built-in model, and full-size networks with random weights, by their resolution in px.
MODELS = ("suzanne", "256", "512", "1024")
POINTS = (1, 2, 8)
MASKS: tuple[bool, ...] = (False, True)


@dataclass(frozen=True)
class Case:
    """One drag, whose step is measured in each way.

    Attributes:
        model: One of ``MODELS``.
        points: Number of handles.
        mask: Whether the drag has a mask.
    """

    model: str
    points: int
    mask: bool


def cases(
    models: Iterable[str] = MODELS, points: Iterable[int] = POINTS, masks: Iterable[bool] = MASKS
) -> list[Case]:
    """Return all combinations, sorted by model, then points, then mask."""
    return [Case(*values) for values in itertools.product(models, points, masks)]


@dataclass(frozen=True)
class Way:
    """One way to compute a step.

    Attributes:
        label: The text in the table.
        is_literal: Whether it is the public programs' step (``reference``), not the engine's.
        windows: Whether the engine computes windows around the points, not full maps.
        fused: Whether the compiled operators are used; only windows use them.
        least_squares: Whether the engine's default method is used, for information. Its step has
            two backward passes for each point and moves the handles farther than a step of motion
            supervision, which all others are.
        graphs: Whether windows are computed as CUDA graphs, which only a CUDA GPU has.
    """

    label: str
    is_literal: bool = False
    windows: bool = False
    fused: bool = False
    least_squares: bool = False
    graphs: bool = False


LITERAL = "literal"
# In the order in which they are measured in every case.
WAYS = {
    LITERAL: Way("(a) literal", is_literal=True),
    "full": Way("(b) full maps"),
    "windows": Way("(c) windows", windows=True),
    "fused": Way("(c) windows, fused", windows=True, fused=True),
    "full-squares": Way("least squares, full maps*", least_squares=True),
    "windows-squares": Way("least squares, windows*", windows=True, least_squares=True),
    "fused-squares": Way(
        "least squares, windows, fused*", windows=True, fused=True, least_squares=True
    ),
    "graphs": Way("(c) windows, graphs", windows=True, graphs=True),
    "fused-graphs": Way("(c) windows, fused, graphs", windows=True, fused=True, graphs=True),
    "graphs-squares": Way(
        "least squares, windows, graphs*", windows=True, least_squares=True, graphs=True
    ),
    "fused-graphs-squares": Way(
        "least squares, windows, fused, graphs*",
        windows=True,
        fused=True,
        least_squares=True,
        graphs=True,
    ),
}


def ways_on(device: str) -> list[str]:
    """Return the ways that a device has, by its name."""
    return [name for name, way in WAYS.items() if not way.graphs or device.startswith("cuda")]


@dataclass(frozen=True)
class Measurement:
    """The figures of one case in one way.

    Attributes:
        model: ``Case.model``.
        points: ``Case.points``.
        mask: ``Case.mask``.
        way: A key of ``WAYS``.
        image_px: Height of the image.
        feature_px: Resolution of the block whose features the drag reads.
        device: The device as torch names it.
        threads: CPU threads of torch.
        steps: Number of timed steps.
        step_s: Wall-clock seconds per step, median.
        core_s: CPU seconds per step, all threads added up, median, which other programs on the
            machine change less; None on other devices than the CPU.
        multiply_adds: The smallest number that such a step needs; None for least squares.
        flops: Floating-point operations per second of a matrix product in the same process.
        peak_mb: The process's largest resident memory in 10^6 bytes; None where the system does
            not report it.
        precision: The type of the factors of convolutions.
    """

    model: str
    points: int
    mask: bool
    way: str
    image_px: int
    feature_px: int
    device: str
    threads: int
    steps: int
    step_s: float
    core_s: float | None
    multiply_adds: int | None
    flops: float
    peak_mb: float | None
    precision: str = "float32"

    @property
    def case(self) -> Case:
        """The case that was measured."""
        return Case(self.model, self.points, self.mask)

    @property
    def floor_s(self) -> float | None:
        """Seconds of the multiply-adds at the speed of a matrix product; None without a count."""
        return None if self.multiply_adds is None else 2 * self.multiply_adds / self.flops


HEADING = (
    "model",
    "image px",
    "points",
    "mask",
    "step",
    "s",
    "(a) / s",
    "10^9 mult.-adds",
    "(d) s",
    "(d) / s",
    "core s",
    "peak MB",
    "steps",
)


def table_of(rows: Iterable[Measurement]) -> list[list[str]]:
    """Return the heading, then a line of cells for each measurement."""
    rows = list(rows)
    literal = {row.case: row.step_s for row in rows if row.way == LITERAL}
    return [list(HEADING), *(_line(row, literal.get(row.case)) for row in rows)]


def _line(row: Measurement, literal_s: float | None) -> list[str]:
    floor_s = row.floor_s
    return [
        row.model,
        str(row.image_px),
        str(row.points),
        "yes" if row.mask else "no",
        WAYS[row.way].label,
        f"{row.step_s:.3f}",
        "-" if literal_s is None else f"{literal_s / row.step_s:.1f}",
        "-" if row.multiply_adds is None else f"{row.multiply_adds / 1e9:.2f}",
        "-" if floor_s is None else f"{floor_s:.3f}",
        "-" if floor_s is None else f"{100 * floor_s / row.step_s:.0f} %",
        "-" if row.core_s is None else f"{row.core_s:.3f}",
        "-" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        str(row.steps),
    ]


def notes_on(rows: Iterable[Measurement]) -> str:
    """Return the notes below the table, one paragraph; ``rows`` must not be empty."""
    rows = list(rows)
    devices = " and ".join(sorted({f"{row.device}, {row.threads} threads" for row in rows}))
    speeds = [row.flops / 1e9 for row in rows]
    kinds = " and ".join(sorted({row.precision for row in rows}))
    return (
        f"Device: {devices}, {kinds}. s: median over the steps of one drag. (d): the time of the "
        "step's multiply-adds at the speed of a matrix product in the same process, "
        f"{min(speeds):.0f} to {max(speeds):.0f} GFLOP/s. "
        "core s: CPU seconds of all threads added up, which other programs change less. "
        "*: for information, steps of another method, which move the handles farther."
    )
