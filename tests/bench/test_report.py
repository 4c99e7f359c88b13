# SPDX-License-Identifier: GPL-3.0-or-later
"""Stored results, their tables, and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tools.bench.landmarks import LANDMARKS, Detector, LandmarkNet
from tools.bench.pairs import SETTINGS, Pair
from tools.bench.pictures import best_and_worst, marked, sheet
from tools.bench.report import document
from tools.bench.results import Drag, Result, ResultStore, decode_latent, encode_latent
from tools.bench.rows import OURS, REFERENCE, ROWS
from tools.bench.summary import COLUMNS, against_reference, as_markdown, as_text, table_of


def result(md: float, pair: int = 0, row: str = "row", **others: float) -> Result:
    measures = {column.measure: 0.5 for column in COLUMNS} | {"md": md} | others
    return Result(Drag("test", pair, "1", row, "model", "detector"), "", measures)


def test_latents_survive_as_text() -> None:
    latent = np.random.default_rng(0).normal(size=(10, 64)).astype(np.float32)
    np.testing.assert_array_equal(decode_latent(encode_latent(latent), (10, 64)), latent)


def test_results_are_stored_and_a_line_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "drag" / "test.jsonl"
    first, second = result(1.0, 0), result(2.0, 1)
    ResultStore(path).add([first, second])
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-20], encoding="utf-8")
    store = ResultStore(path)
    assert store[first.drag] == first
    assert second.drag not in store
    assert first.drag._replace(row="other") not in store
    store.add([second])
    again = ResultStore(path)
    assert again[first.drag] == first
    assert again[second.drag] == second
    assert first.drag not in ResultStore(path, fresh=True)


def test_a_table_has_means_medians_and_per_cent() -> None:
    drags = [result(1.0, reached=1.0), result(2.0, reached=1.0), result(6.0, reached=0.0)]
    heading, line = table_of("1", {"ours": drags, "no results": []})
    cells = dict(zip(heading, line, strict=True))
    assert (cells["row"], cells["MD"], cells["MD med"]) == ("ours", "3.00", "2.00")
    assert cells["reached %"] == "67"
    assert "outside" not in cells and "border" in cells
    assert "outside" in table_of("mask", {"ours": drags})[0]
    assert "change" in table_of("back3", {"ours": drags})[0]


def test_a_measure_that_a_row_lacks_is_a_dash() -> None:
    drags = [Result(result(1.0).drag, "", {"md": 1.0})]
    assert table_of("1", {"ours": drags})[1][3] == "-"


def test_rows_are_compared_with_the_reference_by_means() -> None:
    rows = {REFERENCE: [result(4.0, seconds=2.0)], OURS: [result(1.0, seconds=1.0)]}
    text = against_reference(rows, OURS)
    assert text is not None and "MD 0.25, seconds 0.50, colours 1.00" in text
    assert against_reference({OURS: rows[OURS]}, OURS) is None


def test_tables_line_up() -> None:
    lines = [["row", "MD"], ["a longer name", "10.00"]]
    assert as_text(lines) == "row               MD\na longer name  10.00"
    assert as_markdown(lines).splitlines()[1:] == ["|---|---:|", "| a longer name | 10.00 |"]


@pytest.fixture
def pair() -> Pair:
    latents = np.zeros((2, 8, 4), dtype=np.float32)
    images = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    points = np.full((2, len(LANDMARKS), 2), 32.0, dtype=np.float32)
    return Pair(0, (200_004, 200_005), latents, images, points)


def test_the_document_has_every_setting_row_and_column(pair: Pair) -> None:
    figures = {"pictures": 500, "mean_px": 0.41, "median_px": 0.3, "p95_px": 1.0}
    figures |= {"visibility": 0.99, "colours_rms": 0.05} | dict.fromkeys(LANDMARKS, 0.4)
    known = {"training_renders": 9500, "date": "2026-01-02", "held_out": figures}
    detector = Detector(LandmarkNet(), 128, known)
    results = {s: {name: [result(1.5)] for name in ROWS} for s in SETTINGS}
    text = document(results, [pair], "0123456789abcdef" * 4, detector)
    for section in text.split("### ")[1 : len(SETTINGS) + 1]:
        assert all(f"| {name} |" in section for name in ROWS)
    assert all(f"**{column.heading}**" in text for column in COLUMNS)
    assert all(f"- `{name}`: " in text for name in ROWS)
    for known_text in ("0123456789abcdef", "200005", torch.__version__, "| 0.41 |", "2026-01-02"):
        assert known_text in text
    assert "the model's own images" not in text  # not measured, not claimed


def test_the_best_and_the_worst_are_picked() -> None:
    assert best_and_worst([3.0, 1.0, 2.0, 9.0, 5.0, 4.0], 2) == [1, 2, 4, 3]
    assert best_and_worst([3.0, 1.0], 2) == [1, 0]


def test_the_sheet_shows_points_where_they_are(pair: Pair) -> None:
    handles = np.array([[16.0, 32.0]], dtype=np.float32)
    picture = marked(pair.images[0], handles, handles + 16)
    assert picture.size == (256, 256)
    colour = picture.getpixel((64, 128))
    assert isinstance(colour, tuple)
    red, green, blue = colour
    assert red > 150 > max(green, blue)
    page = sheet(("A", "B"), [(str(n), [picture, Image.new("RGB", (256, 256))]) for n in range(3)])
    assert page.width > 4 * 256 and page.height > 2 * 256
