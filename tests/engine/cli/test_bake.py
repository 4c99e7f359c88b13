# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes on the command line, as a render farm runs, reads and kills them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from draggan_blender.protocol import encode
from draggan_blender.protocol.atomic_files import write_atomically
from draggan_blender.protocol.file_names import JOURNAL_FILE, TRACK_FILE
from draggan_blender.protocol.timeline import Edit
from engine.arrays import FloatArray
from engine.cli.arguments import main
from stylegan2.windows.fused_start import SWITCH

from ..edits import FIRST, contents, moves, small_edit
from ..serving.client import ROOT

LAST = FIRST + 7
ALL_FRAMES = [f"bake_{number:04d}.png" for number in range(FIRST - 1, LAST + 1)]


def _long(latent: FloatArray) -> Edit:
    """Return an edit of 60 frames, so that there is time to end the bake in the middle."""
    return small_edit(latent, targets_px=moves(*(0.02 * frame for frame in range(1, 61))))


def _saved(edit: Edit, path: Path) -> Path:
    path.write_bytes(encode(edit))
    return path


def _baked(edit_path: Path, checkpoint: Path, out: Path) -> Path:
    assert main(arguments(edit_path, checkpoint, out)) == 0
    return out


@pytest.fixture(scope="module")
def edit_path(latent: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the edit file of ``small_edit``."""
    return _saved(small_edit(latent), tmp_path_factory.mktemp("edit") / "shot.draggan")


@pytest.fixture(scope="module")
def plain(edit_path: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bake by one process, which no test may change."""
    return _baked(edit_path, checkpoint, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def long_path(latent: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the edit file of ``_long``."""
    return _saved(_long(latent), tmp_path_factory.mktemp("edit") / "long.draggan")


@pytest.fixture(scope="module")
def whole(long_path: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bake of ``_long`` that nothing ended, which no test may change."""
    return _baked(long_path, checkpoint, tmp_path_factory.mktemp("whole"))


def arguments(source: Path, checkpoint: Path, out: Path, *more: str) -> list[str]:
    common = ["--model", str(checkpoint), "--out", str(out), "--device", "cpu", "--threads", "1"]
    common += more
    return ["bake" if source.suffix == ".draggan" else "render", str(source), *common]


def _started(*parts: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engine", *parts],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # As in this process, whose results are compared with those of the others.
        env={**os.environ, SWITCH: "0"},
    )


def _finished(process: subprocess.Popen[str]) -> str:
    """Wait for a process that must succeed, and return what it printed."""
    printed, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return printed


def test_a_farm_reads_what_was_saved(
    edit_path: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(edit_path, checkpoint, tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    saved = [line for line in lines if line.startswith("Saved: '")]
    assert saved == [f"Saved: '{tmp_path / name}'" for name in ALL_FRAMES]
    times = [lines[lines.index(line) + 1] for line in saved]
    assert all(len(line) == 14 and line.startswith("Time: 00:") for line in times)
    solved = [line for line in lines if line.startswith("Solved: frame ")]
    assert len(solved) == 8 and solved[3].startswith(f"Solved: frame {FIRST + 3}, 0 steps, ")


def test_a_program_reads_json(
    edit_path: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(edit_path, checkpoint, tmp_path, "--json")) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == [
        *["solved"] * 8,
        "finished",
        *["saved"] * 9,
        "finished",
    ]
    assert [event["frame"] for event in events[:8]] == list(range(FIRST, LAST + 1))
    assert events[8]["phase"] == "solve" and events[8]["track"] == str(tmp_path / TRACK_FILE)
    assert events[9]["path"] == str(tmp_path / ALL_FRAMES[0])


def test_four_workers_make_the_files_that_one_makes(
    edit_path: Path, checkpoint: Path, plain: Path, tmp_path: Path
) -> None:
    assert main(arguments(edit_path, checkpoint, tmp_path, "--only", "solve")) == 0
    assert not list(tmp_path.glob("*.png"))
    parts = [(FIRST, FIRST + 1), (FIRST + 2, FIRST + 4), (FIRST + 4, FIRST + 6), (LAST, LAST)]
    commands = [
        arguments(edit_path, checkpoint, tmp_path, "--only", "frames", "--frames", f"{begin}-{end}")
        for begin, end in parts
    ]
    # Those in the middle, which share a frame, are processes of their own.
    workers = [_started(*command) for command in commands[1:3]]
    assert main(commands[0]) == main(commands[3]) == 0
    for worker in workers:
        _finished(worker)
    assert contents(tmp_path) == contents(plain)


def test_a_worker_needs_no_more_than_the_track_and_the_model(
    checkpoint: Path, plain: Path, tmp_path: Path
) -> None:
    track = plain / TRACK_FILE
    code = main(arguments(track, checkpoint, tmp_path, "--frames", f"{FIRST}-{FIRST + 3}"))
    assert code == 0
    last = ("--frames", f"{FIRST + 4}-{LAST}", "--json")
    assert main(arguments(track, checkpoint, tmp_path, *last)) == 0
    frames = {name: data for name, data in contents(plain).items() if name.endswith(".png")}
    assert contents(tmp_path) == frames


def test_a_track_can_be_rendered_under_other_names_and_numbers(
    checkpoint: Path, plain: Path, tmp_path: Path
) -> None:
    track = plain / TRACK_FILE
    more = ("--stem", "shot", "--first-number", "100", "--frames", "102")
    assert main(arguments(track, checkpoint, tmp_path, *more)) == 0
    expected = (plain / f"bake_{FIRST + 2:04d}.png").read_bytes()
    assert contents(tmp_path) == {"shot_0102.png": expected}


def test_with_resume_a_worker_leaves_what_is_there(
    edit_path: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments(edit_path, checkpoint, tmp_path)) == 0
    (tmp_path / ALL_FRAMES[4]).unlink()
    capsys.readouterr()
    assert main(arguments(edit_path, checkpoint, tmp_path, "--resume")) == 0
    printed = capsys.readouterr().out
    assert printed.count("Saved: ") == 1 and ALL_FRAMES[4] in printed
    assert "0 of 8 frames solved" in printed


def test_frames_that_are_not_solved_are_partly_done(
    edit_path: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solve = arguments(edit_path, checkpoint, tmp_path, "--only", "solve", "--frames", "11-13")
    assert main(solve) == 0
    capsys.readouterr()
    frames = arguments(edit_path, checkpoint, tmp_path, "--only", "frames", "--json")
    assert main(frames) == 4
    captured = capsys.readouterr()
    assert "frames 14-18 are not in the track, which ends at frame 13" in captured.err
    last = json.loads(captured.out.splitlines()[-1])
    assert (last["event"], last["code"]) == ("failed", 4)
    assert len(list(tmp_path.glob("*.png"))) == 4
    assert main([*frames, "--frames", "14-15"]) == 1


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (("--only", "frames"), "there is no track in "),
        (("--frames", "19-20"), "there are only 11-18"),
        (("--device", "cuda:99"), "cuda:99"),
        (("--model", "no/such.pkl"), "such.pkl"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_code_1(
    edit_path: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    part: str,
) -> None:
    assert main(arguments(edit_path, checkpoint, tmp_path / "out", *more)) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and part in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_edit_file_is_a_sentence(
    edit_path: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.draggan"
    broken.write_bytes(edit_path.read_bytes()[:-3])
    assert main(arguments(broken, checkpoint, tmp_path / "out")) == 1
    assert "broken.draggan is not one complete edit" in capsys.readouterr().err
    assert main(arguments(tmp_path / "none.draggan", checkpoint, tmp_path / "out")) == 1
    assert "none.draggan" in capsys.readouterr().err


def test_the_track_of_another_edit_is_not_rendered(
    edit_path: Path,
    checkpoint: Path,
    plain: Path,
    latent: FloatArray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "other.draggan"
    other.write_bytes(encode(small_edit(latent, targets_px=moves(*[1.0] * 8))))
    write_atomically(tmp_path / "out" / TRACK_FILE, (plain / TRACK_FILE).read_bytes())
    assert main(arguments(other, checkpoint, tmp_path / "out", "--only", "frames")) == 1
    assert "belongs to another edit" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more",
    [("--only", "everything"), ("--frames", "9-"), ("--frames", "9-8"), ("--stem", "../up")],
)
def test_wrong_arguments_are_code_2(
    edit_path: Path, checkpoint: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments(edit_path, checkpoint, tmp_path, *more))
    assert caught.value.code == 2


def _until_solved(process: subprocess.Popen[str], count: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        count -= line.startswith("Solved: ")
        if not count:
            return
    raise AssertionError(f"it ended first: {process.communicate()[1]}")


@pytest.mark.parametrize("ending", ["kill", "interrupt", "terminate"])
def test_one_that_is_ended_in_the_middle_goes_on_to_the_same_files(
    long_path: Path,
    checkpoint: Path,
    whole: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ending: str,
) -> None:
    if ending != "kill" and sys.platform == "win32":
        pytest.skip("there are no signals for a single process")
    command = arguments(long_path, checkpoint, tmp_path, "--resume")
    process = _started(*command)
    _until_solved(process, 5)
    if ending == "kill":
        process.kill()
    else:
        process.send_signal(signal.SIGINT if ending == "interrupt" else signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    if ending != "kill":
        assert (process.returncode, error) == (130, "interrupted\n")
    assert (tmp_path / JOURNAL_FILE).exists()
    assert main(command) == 0
    assert 0 < capsys.readouterr().out.count("Solved: ") < 56
    assert contents(tmp_path) == contents(whole)


def test_one_that_is_killed_among_its_frames_goes_on(
    long_path: Path, checkpoint: Path, whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path, ignore=shutil.ignore_patterns("*.png"), dirs_exist_ok=True)
    command = arguments(long_path, checkpoint, tmp_path, "--resume", "--only", "frames")
    process = _started(*command)
    while len(list(tmp_path.glob("bake_*.png"))) < 5 and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.communicate()
    there = list(tmp_path.glob("bake_*.png"))
    before = {path: path.stat().st_mtime_ns for path in there}
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in there} == before
    for name in os.listdir(whole):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes(), name
