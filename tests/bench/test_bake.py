# SPDX-License-Identifier: GPL-3.0-or-later
"""``dev.py bench bake``: what a bake's frames cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.bench import bake


def test_a_row_has_the_cost_of_each_part() -> None:
    row = bake.measure("suzanne", 3, "cpu", 1)
    assert (row.image_px, row.device, row.threads, row.frames) == (128, "cpu", 1, 3)
    # A frame that starts from the one before needs fewer steps than the first.
    assert 1 <= row.solve_steps < row.first_steps
    assert min(row.first_s, row.solve_s, row.render_s, row.write_s, row.start_s) > 0
    assert row.png_bytes > 1000 and row.track_bytes > 100


def test_the_table_and_the_file_have_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = bake.Measurement(
        name="256",
        image_px=256,
        device="cpu",
        threads=1,
        frames=9,
        first_s=2.5,
        first_steps=8,
        solve_s=0.5,
        solve_steps=1.5,
        render_s=0.1,
        write_s=0.01,
        png_bytes=12_345,
        track_bytes=6_789,
        start_s=1.0,
        peak_mb=None,
    )
    monkeypatch.setattr(bake, "measure_apart", lambda name, _arguments: row)
    path = tmp_path / "bake.json"
    assert bake.main(["--row", "256", "--json", str(path)]) == 0
    cells = capsys.readouterr().out.splitlines()[1].split()
    assert " ".join(cells) == "256 256 cpu 1 2.50 8 0.50 1.5 0.100 0.010 12.3 6.8 -"
    assert json.loads(path.read_text())[0]["png_bytes"] == 12_345


def test_a_bake_of_one_frame_is_refused() -> None:
    with pytest.raises(SystemExit):
        bake.main(["--frames", "1"])
