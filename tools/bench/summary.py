# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of results: the columns, and a table for each setting with a line for each row."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .results import Result
from .rows import REFERENCE


@dataclass(frozen=True)
class Column:
    """One column of the tables.

    Attributes:
        heading: The text at its head.
        meaning: What the column shows, without a full stop.
        measure: The name in ``Result.measures``.
        how: ``mean``, ``median``, or ``share`` for a mean in per cent.
        digits: Number of digits after the decimal point.
        settings: The first letters of the settings that have this column; empty for all.
    """

    heading: str
    meaning: str
    measure: str
    how: str = "mean"
    digits: int = 2
    settings: tuple[str, ...] = ()

    def value(self, results: Sequence[Result]) -> float | None:
        """Return the figure over some drags, or None if none of them has this measure."""
        values = [r.measures[self.measure] for r in results if self.measure in r.measures]
        if not values:
            return None
        if self.how == "median":
            return statistics.median(values)
        mean = statistics.fmean(values)
        return 100.0 * mean if self.how == "share" else mean

    def text(self, results: Sequence[Result]) -> str:
        """Return the figure as it is printed; ``-`` if it is missing."""
        value = self.value(results)
        return "-" if value is None else f"{value:.{self.digits}f}"


COLUMNS = (
    Column(
        "MD",
        "mean distance of the dragged landmarks from their targets (there and back: from their "
        "start positions), according to the detector, px at 128; mean over the drags",
        "md",
    ),
    Column("MD med", "the same, median over the drags", "md", "median"),
    Column(
        "reached %",
        "share of drags that reached their targets according to the method itself",
        "reached",
        "share",
        0,
    ),
    Column(
        "arrived %",
        "share of drags after which the detector finds every landmark within 2 px of its target",
        "arrived",
        "share",
        0,
    ),
    Column("steps", "number of changes of the latent, median", "steps", "median", 0),
    Column("s", "duration of the drag alone in seconds, mean", "seconds"),
    Column("s med", "the same, median", "seconds", "median"),
    Column(
        "outside",
        "change of the image where it must not change, mean absolute difference, 0 to 255",
        "outside",
        settings=("mask",),
    ),
    Column(
        "change",
        "change of the whole image after there and back, mean absolute difference, 0 to 255",
        "change",
        settings=("back",),
    ),
    Column(
        "colours",
        "root mean square error of six colour factors (each from -1 to 1): the detector's values "
        "for the result minus those for its twin, the image with the same pose and shape and the "
        "colours of A",
        "colours",
        digits=3,
    ),
    Column("fur", "the same, fur only", "fur", digits=3),
    Column("eye", "the same, eyes only", "eye", digits=3),
    Column("backgr.", "the same, background only", "background", digits=3),
    Column(
        "strange",
        "mean absolute difference between the result and its twin, 0 to 255: how far the result is "
        "from the image that the model generates for this pose and shape",
        "strange",
    ),
    Column(
        "border",
        "change of the border of the image (background only), mean absolute difference, 0 to 255",
        "border",
        settings=("1", "3", "7"),
    ),
    Column(
        "Mahal.",
        "Mahalanobis distance of the first six latents from the mean of W, root mean square over "
        "these latents",
        "mahalanobis",
        digits=1,
    ),
    Column("(start)", "the same before the drag", "mahalanobis_start", digits=1),
    Column(
        "unsure",
        "error that the detector predicts for its own result, mean over all landmarks, px at 128; "
        "it is larger the less the image looks like a render",
        "uncertainty",
    ),
)


def columns_of(setting: str) -> list[Column]:
    """Return the columns of a setting's table."""
    return [c for c in COLUMNS if not c.settings or setting.startswith(c.settings)]


def table_of(setting: str, results: Mapping[str, Sequence[Result]]) -> list[list[str]]:
    """Return a setting's table: the heading, then a line of cells for each row with results.

    Args:
        setting: One of ``pairs.SETTINGS``.
        results: The results of each row, by the row's name.
    """
    return table_with(columns_of(setting), results)


def table_with(
    columns: Sequence[Column], results: Mapping[str, Sequence[Result]]
) -> list[list[str]]:
    """Return a table with certain columns, as ``table_of``."""
    lines = [["row", *(column.heading for column in columns)]]
    for name, drags in results.items():
        if drags:
            lines.append([name, *(column.text(drags) for column in columns)])
    return lines


def against_reference(results: Mapping[str, Sequence[Result]], name: str) -> str | None:
    """Return a sentence without a full stop that compares a row with the reference.

    Args:
        results: The results of each row, by the row's name.
        name: The row to compare.

    Returns:
        None if the row or the reference has no results.
    """
    ours, reference = results.get(name), results.get(REFERENCE)
    if not ours or not reference:
        return None

    def ratio(measure: str) -> str:
        before, after = (
            statistics.fmean(r.measures.get(measure, 0.0) for r in drags)
            for drags in (reference, ours)
        )
        return "-" if before == 0.0 else f"{after / before:.2f}"

    return (
        f"Ratio of `{name}` to `{REFERENCE}`: MD {ratio('md')}, seconds {ratio('seconds')}, "
        f"colours {ratio('colours')}"
    )


def as_text(lines: list[list[str]]) -> str:
    """Return a table as text for the terminal; all columns but the first are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_markdown(lines: list[list[str]]) -> str:
    """Return a table in Markdown; all columns but the first are right-aligned."""
    head, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    rule = "|---|" + "---:|" * (len(lines[0]) - 1)
    return "\n".join([head, rule, *rest])
