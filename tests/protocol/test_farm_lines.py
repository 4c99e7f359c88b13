# SPDX-License-Identifier: GPL-3.0-or-later
"""The printed lines that render farms read, character by character."""

from __future__ import annotations

from pathlib import Path

import pytest

from draggan_blender.protocol.farm_lines import (
    saved_line,
    skipping_line,
    solved_line,
    time_line,
)


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (0.0, "Time: 00:00.00"),
        (1.234, "Time: 00:01.23"),
        (61.5, "Time: 01:01.50"),
        (3599.0, "Time: 59:59.00"),
        (7261.5, "Time: 02:01:01.50"),
    ],
)
def test_the_time_of_a_frame(seconds: float, line: str) -> None:
    assert time_line(seconds) == line


def test_a_written_file_is_in_single_quotes() -> None:
    assert saved_line("/a b/face_0012.png") == "Saved: '/a b/face_0012.png'"
    assert saved_line(Path("face_0012.png")) == "Saved: 'face_0012.png'"


def test_a_frame_that_exists_is_named_by_its_number_or_its_file() -> None:
    assert skipping_line(12) == "skipping existing frame 12"
    assert skipping_line(Path("face_0012.png")) == 'skipping existing frame "face_0012.png"'


def test_a_solved_frame_says_its_steps_and_its_distance() -> None:
    assert solved_line(12, 1, 0.4) == "Solved: frame 12, 1 step, 0.40 px to go"
    assert solved_line(12, 0, 1.257) == "Solved: frame 12, 0 steps, 1.26 px to go"
