# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes over a real socket, with the fake engine: their messages and their files."""

from __future__ import annotations

from pathlib import Path

from draggan_blender.connection import events as ev
from draggan_blender.protocol import messages as m
from draggan_blender.protocol import timeline as t
from tests.connection.driving import MakeRuntime, scene_of, submit, until_ended
from tests.connection.making import bake_job


def test_a_bake_reports_every_frame_and_ends_with_its_result(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime()
    job = submit(runtime, bake_job(tmp_path / "bake"))
    assert isinstance(until_ended(runtime, job), m.Done)
    received = scene_of(runtime).of(job)
    solved = [message for message in received if isinstance(message, t.FrameSolved)]
    assert [message.number for message in solved] == [1, 2, 3, 4]
    (finished,) = (message for message in received if isinstance(message, t.BakeFinished))
    assert (finished.status, finished.frame_count, finished.solved_count) == ("done", 4, 4)
    names = {path.name for path in (tmp_path / "bake").iterdir()}
    assert names == {"edit.draggan", "track.npz", *(f"bake_{n:04d}.png" for n in range(5))}


def test_a_stopped_bake_ends_with_the_frames_so_far(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime(options=("--step-s", "0.02"))
    job = submit(runtime, bake_job(tmp_path, frame_count=500))
    assert runtime.run_until(lambda now: now.fraction > 0.01, 15.0)
    runtime.dispatch(ev.JobStopAsked("plane"))
    assert isinstance(until_ended(runtime, job), m.Done)
    received = scene_of(runtime).of(job)
    (finished,) = (message for message in received if isinstance(message, t.BakeFinished))
    assert finished.status == "stopped"
    assert 5 <= finished.frame_count < 500
    again = submit(runtime, bake_job(tmp_path, frame_count=500))
    assert runtime.run_until(lambda now: now.fraction > 0.02, 15.0)
    runtime.dispatch(ev.JobCancelAsked("plane"))
    assert isinstance(until_ended(runtime, again), m.Cancelled)
    assert (tmp_path / "edit.draggan").exists()
