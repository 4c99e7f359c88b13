# SPDX-License-Identifier: GPL-3.0-or-later
"""What `step` measures: cases, and in each case the same step in several ways."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

MODELS = ("suzanne", "256", "512", "1024")
"""The built-in model; and full-size networks of random weights, by their size in px."""
POINTS = (1, 2, 8)
MASKS: tuple[bool, ...] = (False, True)


@dataclass(frozen=True)
class Case:
    """One drag, whose step is measured in each way."""

    model: str
    points: int
    mask: bool


def cases(
    models: Iterable[str] = MODELS, points: Iterable[int] = POINTS, masks: Iterable[bool] = MASKS
) -> list[Case]:
    """All combinations, models first."""
    return [Case(*values) for values in itertools.product(models, points, masks)]


@dataclass(frozen=True)
class Way:
    """One way to make a step.

    Attributes:
        label: what people read.
        is_literal: the public programs' step, see `reference`; else the engine's.
        windows: what the engine is to compute: windows around the points, or full maps.
        fused: with the compiled operators, which only windows make use of.
        least_squares: by the engine's default method, for information: such a step has two
            backward passes for each point and goes farther than one of motion supervision, which
            all others are.
    """

    label: str
    is_literal: bool = False
    windows: bool = False
    fused: bool = False
    least_squares: bool = False


LITERAL = "literal"
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
}
"""In the order in which they follow each other in every case."""


@dataclass(frozen=True)
class Measurement:
    """One case in one way.

    Attributes:
        way: a key of `WAYS`.
        feature_px: the block that the drag reads.
        steps: how many were timed.
        step_s: seconds for each step, median.
        core_s: the same in seconds of a core, all threads added up, which other programs on the
            machine change less; None on other devices than the CPU.
        multiply_adds: the least that such a step computes; None for least squares.
        flops: floating-point operations a second of a matrix product, in the same process.
        peak_mb: the process's largest resident memory, 10^6 bytes; None where it is not told.
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

    @property
    def case(self) -> Case:
        """What was measured, in whatever way."""
        return Case(self.model, self.points, self.mask)

    @property
    def floor_s(self) -> float | None:
        """Seconds that the multiply-adds would take at the speed of a matrix product."""
        return None if self.multiply_adds is None else 2 * self.multiply_adds / self.flops


HEADING = (
    *("model", "image px", "points", "mask", "step", "s", "(a) / s"),
    *("10^9 mult.-adds", "(d) s", "(d) / s", "core s", "peak MB", "steps"),
)


def table_of(rows: Iterable[Measurement]) -> list[list[str]]:
    """The heading, then a line for each measurement."""
    rows = list(rows)
    literal = {row.case: row.step_s for row in rows if row.way == LITERAL}
    return [list(HEADING), *(_line(row, literal.get(row.case)) for row in rows)]


def _line(row: Measurement, literal_s: float | None) -> list[str]:
    floor_s = row.floor_s
    return [
        *(row.model, str(row.image_px), str(row.points), "yes" if row.mask else "no"),
        *(WAYS[row.way].label, f"{row.step_s:.3f}"),
        "-" if literal_s is None else f"{literal_s / row.step_s:.1f}",
        "-" if row.multiply_adds is None else f"{row.multiply_adds / 1e9:.2f}",
        "-" if floor_s is None else f"{floor_s:.3f}",
        "-" if floor_s is None else f"{100 * floor_s / row.step_s:.0f} %",
        "-" if row.core_s is None else f"{row.core_s:.3f}",
        "-" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        str(row.steps),
    ]


def notes_on(rows: Iterable[Measurement]) -> str:
    """What the reader of the table must know, as one paragraph."""
    rows = list(rows)
    devices = " and ".join(sorted({f"{row.device}, {row.threads} threads" for row in rows}))
    speeds = [row.flops / 1e9 for row in rows]
    return (
        f"Device: {devices}, float32. s: median over the steps of one drag. (d): the step's "
        "multiply-adds at the speed of a product of matrices in the same process, "
        f"{min(speeds):.0f} to {max(speeds):.0f} GFLOP/s. "
        "core s: seconds of all threads added up, which other programs change less. "
        "*: for information, steps of another method, which go farther."
    )
