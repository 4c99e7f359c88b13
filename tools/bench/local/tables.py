# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of local drags: their columns, over all drags and for each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..results import Result
from ..summary import Column, as_markdown, as_text, table_with

# How a drag is made; results are stored under these names.
SETTINGS = {"free": "without a mask", "mask": "with a mask"}

COLUMNS = (
    Column(
        "reached %", "share of drags that reached according to the method", "reached", "share", 0
    ),
    Column(
        "tracked %",
        "share of drags whose pulled points are all within 2 px of their targets according to the "
        "method's own tracking",
        "tracked",
        "share",
        0,
    ),
    Column(
        "arrived %",
        "share of drags, of those with a truth, after which the content of all pulled points is "
        "seen within 2 px of their targets: by the detector for landmarks, and elsewhere by "
        "searching for what the truth shows at the target",
        "arrived",
        "share",
        0,
    ),
    Column("off", "mean distance of that content from the targets, px of 128", "off"),
    Column("pins", "mean distance of the pins' content from the pins, px of 128", "pins"),
    Column(
        "outside",
        "change where nothing should change (outside the mask; without a mask, outside the part), "
        "mean absolute difference, 0 to 255",
        "outside",
    ),
    Column(
        "> 8 %",
        "share of the pixels there that changed by more than 8 of 255",
        "visible",
        "share",
        0,
    ),
    Column("beside", "change outside the part in either case", "beside"),
    Column("unlike", "difference from the truth inside the part, 0 to 255", "unlike"),
    Column(
        "unsure",
        "error that the detector predicts for its own result, mean over all landmarks, px of 128",
        "uncertainty",
    ),
    Column(
        "damage",
        "rise of the distance between the strangest places of the picture and those of renders, in "
        "the detector's features",
        "damage",
    ),
    Column(
        "torn %",
        "share of drags after which this distance, or the predicted error, is so much larger than "
        "at the start that the picture looks torn",
        "torn",
        "share",
        0,
    ),
    Column("pose", "|yaw| + |pitch| + |roll| of the change, each from -1 to 1", "pose"),
    Column("steps", "number of changes of the latent, median", "steps", "median", 0),
    Column("s", "processor time of the drag in seconds, mean", "seconds"),
)


def table(first: str, results: Mapping[str, Sequence[Result]], *, markdown: bool) -> str:
    """Return a table with a line for each row, or for each kind of drags, as text.

    Args:
        first: The heading of the first column.
        results: The results of each line, by its name.
        markdown: Whether as Markdown; otherwise for the terminal.
    """
    lines = table_with(COLUMNS, results)
    lines[0][0] = first
    return as_markdown(lines) if markdown else as_text(lines)
