# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix of formats in ``docs/formats.md`` names every golden file in the row of its format."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stylegan2 import inspect_checkpoint

from .golden import CONTAINERS, golden_path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "formats.md"


def _rows() -> list[list[str]]:
    """Return the cells of the table under "Formats", without its head."""
    part = PAGE.read_text("utf-8").split("## Formats")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_golden_file_is_in_the_row_of_its_format(name: str) -> None:
    assert inspect_checkpoint(golden_path(name)).container == CONTAINERS[name]
    (row,) = (cells for cells in _rows() if f"`{name}`" in cells[3])
    assert row[0].startswith(CONTAINERS[name])
    assert row[2] == "yes"


def test_every_test_of_the_matrix_exists() -> None:
    for cells in _rows():
        named = re.findall(r"`([^`]+)`", cells[3])
        assert named, cells
        for name in named:
            here = ROOT / "tests" / "stylegan2" / "checkpoints" / name
            assert name in CONTAINERS or here.is_file(), name
        assert cells[2] in ("yes", "refused by name")
