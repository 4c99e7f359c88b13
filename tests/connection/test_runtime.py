# SPDX-License-Identifier: GPL-3.0-or-later
"""Session, socket and process together, with a fake engine that works (faults: test_faults)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from draggan_blender.connection import events as ev
from draggan_blender.connection.events import Job
from draggan_blender.connection.state import EnginePhase, State, describe
from draggan_blender.protocol import drag_messages, encode
from draggan_blender.protocol import messages as m
from tests.connection.driving import (
    MakeRuntime,
    is_alive,
    scene_of,
    submit,
    until_ended,
    until_phase,
    wait_until,
)
from tests.connection.making import drag_job, sample_job
from tests.fake_root import make_fake_root

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


# ---------------------------------------------------------------- an engine that works


def test_a_drag_from_off_to_done(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime()
    image = submit(runtime, sample_job(path=str(tmp_path / "image.png")))
    drag = submit(runtime, drag_job(tmp_path / "frames"))
    assert until_ended(runtime, drag) == m.Done(request_id=drag.request.request_id)
    scene = scene_of(runtime)
    assert [message.kind for message in scene.of(image)] == [
        "progress",
        "model_loaded",
        "sampled",
        "done",
    ]
    assert (tmp_path / "image.png").read_bytes().startswith(b"\x89PNG")
    steps = [message for message in scene.of(drag) if isinstance(message, drag_messages.Step)]
    # Of steps that arrive together only the last is delivered; the last step always is.
    numbers = [step.step for step in steps]
    assert numbers == sorted(set(numbers)) and numbers[-1] == 10
    assert [handle.place_px for handle in steps[-1].handles] == [(40.0, 30.0)]
    (result,) = (
        message for message in scene.of(drag) if isinstance(message, drag_messages.DragFinished)
    )
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [f"drag_{number:04d}.png" for number in range(12)]
    assert result.frame_count == 11
    assert runtime.state.model is not None
    runtime.dispatch(ev.StopAsked())
    until_phase(runtime, EnginePhase.OFF)
    assert runtime.state == State()


def test_stop_keeps_what_was_reached_and_cancel_does_not(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime(options=("--steps", "1000"))
    job = submit(runtime, drag_job(tmp_path / "stopped"))
    assert runtime.run_until(lambda state: state.step >= 3, 10)
    runtime.dispatch(ev.JobStopAsked(job.image_id))
    assert until_ended(runtime, job).kind == "done"
    results = [x for x in scene_of(runtime).of(job) if isinstance(x, drag_messages.DragFinished)]
    assert [result.status for result in results] == ["stopped"]
    job = submit(runtime, drag_job(tmp_path / "cancelled"))
    assert runtime.run_until(lambda state: state.step >= 3, 10)
    runtime.dispatch(ev.JobCancelAsked(job.image_id))
    assert until_ended(runtime, job).kind == "cancelled"
    assert not any(
        isinstance(message, drag_messages.DragFinished) for message in scene_of(runtime).of(job)
    )
    assert list((tmp_path / "cancelled").iterdir()) == []


def test_the_change_callback_is_called_for_changes_only(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    seen: list[str] = []
    runtime.changed = lambda: seen.append(describe(runtime.state))
    runtime.dispatch(ev.StartAsked())
    until_phase(runtime, EnginePhase.READY)
    changes = list(seen)
    for _ in range(5):
        runtime.tick()
    assert seen == changes
    # On a busy machine hello and ready arrive within one tick, which makes one change.
    assert [line for line in changes if line != "Engine is loading PyTorch"] == [
        "Starting the engine",
        "Engine ready on Fake device",
    ]


def test_ticks_are_frequent_only_while_the_engine_is_busy(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    idle_s = runtime.tick()
    runtime.dispatch(ev.StartAsked())
    assert runtime.tick() < idle_s
    until_phase(runtime, EnginePhase.READY)
    assert runtime.tick() == idle_s


def test_ticks_are_most_frequent_while_a_person_pulls(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    """Half of the time between two ticks is what an image waits for on average."""
    delays_s = {}
    for live in (True, False):
        runtime = make_runtime()
        job = drag_job(tmp_path / str(live))
        assert isinstance(job.request, drag_messages.Drag)
        submit(runtime, replace(job, request=replace(job.request, live=live)))
        assert runtime.run_until(lambda state: state.active is not None, 10.0)
        delays_s[live] = runtime.tick()
    assert delays_s[True] <= 0.005 < delays_s[False]


def test_two_runtimes_do_not_disturb_each_other(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    crashing, working = make_runtime("crash_at_step=2"), make_runtime()
    jobs = [
        submit(crashing, drag_job(tmp_path / "a")),
        submit(working, drag_job(tmp_path / "b")),
    ]
    scenes = [scene_of(crashing), scene_of(working)]
    deadline_s = time.monotonic() + 10
    while not all(scene.endings(job) for scene, job in zip(scenes, jobs, strict=True)):
        crashing.tick()
        working.tick()
        assert time.monotonic() < deadline_s
        time.sleep(0.002)
    assert [until_ended(crashing, jobs[0]).kind, until_ended(working, jobs[1]).kind] == [
        "failed",
        "done",
    ]
    assert {job.request.request_id for job, _ in scenes[1].messages} == {jobs[1].request.request_id}


def test_a_stranger_does_not_disturb_the_start(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime("slow_start=0.3")
    runtime.dispatch(ev.StartAsked())
    assert runtime._client is not None
    with socket.create_connection(("127.0.0.1", runtime._client.port)) as stranger:
        stranger.sendall(encode(m.Hello(protocol_version=1, token="guess", pid=1)))
        until_phase(runtime, EnginePhase.READY)
        assert stranger.recv(1) == b""


# ---------------------------------------------------------------- errors of the callback


def test_an_error_of_the_callback_fails_that_job_only(
    make_runtime: MakeRuntime, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = make_runtime()
    scene = scene_of(runtime)

    def fragile(job: Job, message: m.Message) -> None:
        if isinstance(message, drag_messages.Step) and message.step == 2:
            raise KeyError("the image is gone")
        scene(job, message)

    runtime.delivery = fragile
    job = submit(runtime, drag_job(tmp_path / "frames"))
    image = submit(runtime, sample_job(path=str(tmp_path / "image.png")))
    assert runtime.run_until(lambda _: bool(scene.endings(image)), 10)
    (failed,) = scene.endings(job)
    assert isinstance(failed, m.Failed)
    assert "the image is gone" in failed.message
    assert scene.endings(image)[0].kind == "done"
    assert "Traceback" in caplog.text


def test_callbacks_may_submit_jobs(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime()
    scene = scene_of(runtime)
    following = sample_job(path=str(tmp_path / "second.png"))
    refused: list[RuntimeError] = []

    def eager(job: Job, message: m.Message) -> None:
        scene(job, message)
        if isinstance(message, m.Done) and job is not following:
            submit(runtime, following)
            try:
                runtime.run_until(lambda _: False, 1)
            except RuntimeError as error:
                refused.append(error)

    runtime.delivery = eager
    submit(runtime, sample_job(path=str(tmp_path / "first.png")))
    assert runtime.run_until(lambda _: bool(scene.endings(following)), 10)
    assert len(refused) == 1


# ---------------------------------------------------------------- time


def test_ticks_stay_short_while_previews_flood_in(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    """The engine makes 10 steps with three previews of 16 MB each."""
    runtime = make_runtime("flood=3")
    job = submit(runtime, drag_job(tmp_path / "frames"))
    seconds: list[float] = []
    deadline_s = time.monotonic() + 30
    while not scene_of(runtime).endings(job):
        before_s = time.perf_counter()
        runtime.tick(0.004)
        seconds.append(time.perf_counter() - before_s)
        assert time.monotonic() < deadline_s
        time.sleep(0.001)
    assert scene_of(runtime).endings(job)[0].kind == "done"
    big = [
        x
        for x in scene_of(runtime).of(job)
        if isinstance(x, drag_messages.Preview) and x.width == 1024
    ]
    assert big
    # The budget and one read; not the longest tick, which may be interrupted on a busy machine.
    assert sorted(seconds)[int(len(seconds) * 0.9)] < 0.06
    assert runtime.stats.count == len(seconds)
    assert runtime.stats.max_s <= max(seconds)
    assert 0 < runtime.stats.working.count < runtime.stats.count


# ---------------------------------------------------------------- the end of Blender


def test_shutting_down_during_a_drag_ends_all(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime(options=("--steps", "1000"))
    job = submit(runtime, drag_job(tmp_path / "frames"))
    assert runtime.run_until(lambda state: state.step >= 2, 10)
    pid = runtime.engine_pid
    assert pid is not None
    began_s = time.monotonic()
    runtime.shut_down()
    assert time.monotonic() - began_s < 0.9
    assert [ending.kind for ending in scene_of(runtime).endings(job)] == ["cancelled"]
    assert runtime.state == State()
    assert not is_alive(pid)


PARENT = """
import sys
from pathlib import Path
from draggan_blender.connection import events as ev
from draggan_blender.connection.runtime import EngineSettings, Runtime
from tests.connection.making import drag_job
folder = Path(sys.argv[1])
runtime = Runtime()
runtime.settings = lambda: EngineSettings(
    Path(sys.executable), folder / "root", "cpu", folder / "logs"
)
runtime.dispatch(ev.JobSubmitted(drag_job(folder / "frames")))
runtime.run_until(lambda state: state.step >= 3, 20)
print(runtime.engine_pid, flush=True)
runtime.run_until(lambda state: False, 60)
"""


@posix
def test_when_blender_is_killed_the_engine_ends(tmp_path: Path) -> None:
    make_fake_root(tmp_path / "root", "--steps", "100000")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert parent.stdout is not None
    with parent.stdout:
        engine_pid = int(parent.stdout.readline())
        assert is_alive(engine_pid)
        parent.kill()
        parent.wait()
    wait_until(lambda: not is_alive(engine_pid), timeout_s=2.0)
