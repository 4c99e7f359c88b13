# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of a machine with a GPU: parts that fail or hang, the time, and the report."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tools import gpu_check
from tools.bench.step_rows import WAYS, ways_on
from tools.gpu_check import Part


def _part(title: str, code: str, limit_s: float = 30.0, *, is_table: bool = False) -> Part:
    return Part(title, ("-c", code), limit_s, is_table)


def test_a_part_that_fails_or_hangs_does_not_stop_the_others(tmp_path: Path) -> None:
    parts = [
        _part("Crash", "print('before'); raise SystemExit(3)"),
        _part("Hang", "import time; print('begun', flush=True); time.sleep(600)", 3.0),
        _part("Fine", "print('| a | b |')", is_table=True),
    ]
    started_s = time.monotonic()
    outcomes = gpu_check.run_all(parts, 100.0, tmp_path)
    assert time.monotonic() - started_s < 60.0
    verdicts = [outcome.verdict for outcome in outcomes]
    assert verdicts == ["FAILED (exit code 3)", "FAILED (ended after 3 s)", "ok"]
    assert (tmp_path / "02.txt").read_text() == "begun\n"
    text = gpu_check.report(["a machine"], outcomes)
    assert "- a machine" in text
    assert "| Crash | FAILED (exit code 3) |" in text
    assert "```\nbefore\n```" in text
    assert "\n| a | b |\n" in text and "```\n| a | b |" not in text


def test_a_part_has_its_variables(tmp_path: Path) -> None:
    code = "import os; print(os.environ['DRAGGAN_GRAPHS'])"
    part = Part("Says", ("-c", code), 30.0, environment={"DRAGGAN_GRAPHS": "never"})
    (outcome,) = gpu_check.run_all([part], 60.0, tmp_path)
    assert outcome.output == "never\n"


def test_a_part_for_which_no_time_is_left_is_named(tmp_path: Path) -> None:
    (outcome,) = gpu_check.run_all([_part("Late", "print('never')")], 1.0, tmp_path)
    assert outcome.verdict.startswith("not run")
    assert not outcome.is_good
    assert "| Late | not run: no time was left | 0 |" in gpu_check.report([], [outcome])


@pytest.mark.parametrize("quick", [False, True])
def test_all_parts_fit_into_eight_minutes(quick: bool) -> None:
    parts = gpu_check.parts_of(["cuda", "cpu"], quick=quick, has_pytest=True)
    titles = [part.title for part in parts]
    assert len(set(titles)) == len(titles)
    # What no other machine can tell comes first.
    assert titles[0] == "Fused operators on cuda"
    assert titles.index("Bake on cuda") < titles.index("Steps on cpu")
    # With and without graphs, and in half precision.
    for what in ("Live drag", "Bake"):
        for how in ("", " without graphs", ", float16"):
            assert f"{what} on cuda{how}" in titles
    assert "Steps on cuda" in titles and "Steps on cuda with graphs" in titles
    by_title = {part.title: part for part in parts}
    assert by_title["Bake on cuda without graphs"].environment == {"DRAGGAN_GRAPHS": "0"}
    assert by_title["Steps on cuda, float16"].environment == {"DRAGGAN_PRECISION": "float16"}
    assert not any(part.environment for part in parts if "cpu" in part.title)
    assert gpu_check.TOTAL_S < 480.0
    without = gpu_check.parts_of(["cuda"], quick=quick, has_pytest=False)
    assert not any("pytest" in part.command for part in without)


def test_only_a_gpu_has_rows_with_graphs() -> None:
    assert not any("graphs" in way for way in ways_on("cpu"))
    with_graphs = [way for way in ways_on("cuda:0") if "graphs" in way]
    assert with_graphs == ["graphs", "fused-graphs", "graphs-squares", "fused-graphs-squares"]
    assert {*gpu_check._GRAPH_WAYS, *gpu_check._HALF_WAYS} <= set(WAYS)
    assert not any("fused" in way for way in gpu_check._HALF_WAYS)


def test_the_proof_runs_on_the_cpu(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = gpu_check.main(["--quick", "--only", "Fused operators on cpu", "--out", str(out)])
    text = (out / "report.md").read_text()
    assert code == 0, text
    assert "equal to torch's but for rounding" in text or "not built" in text


def test_a_title_that_no_part_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu_check.main(["--only", "Teapot"])
    assert "no part" in capsys.readouterr().err
