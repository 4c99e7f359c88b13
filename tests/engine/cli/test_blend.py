# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame in the folder of ``invert``, which a person may have edited."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli.blend import read_result
from engine.errors import RequestError

FRAME = '{"centre_x": %s, "centre_y": 2, "angle_deg": 0, "size_px": 9, "model_sha256": "12"}'


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, FRAME % ("1" * 400), FRAME % "null", FRAME % '"left"', "{}", "", "\udcff"],
    ids=["deep", "large", "null", "word", "without", "empty", "bytes"],
)
def test_a_damaged_result_is_a_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RequestError, match="the result of the command invert"):
        read_result(path)


def test_the_frame_and_the_model_are_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(FRAME % 1.5)
    frame, sha256 = read_result(path)
    assert (frame.centre_x, sha256) == (1.5, "12")
