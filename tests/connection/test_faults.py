# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the engine: the person gets a sentence, and the engine can be started again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from draggan_blender.connection import events as ev
from draggan_blender.connection import launcher, session
from draggan_blender.connection.events import Job
from draggan_blender.connection.runtime import EngineSettings
from draggan_blender.connection.state import EnginePhase
from draggan_blender.protocol import messages as m
from tests.connection.driving import (
    MakeRuntime,
    Scene,
    is_alive,
    scene_of,
    submit,
    until_ended,
    until_phase,
)
from tests.connection.making import drag_job, sample_job

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


def frames_of(scene: Scene, job: Job) -> list[int]:
    """Return the numbers of the frames that were reported as written."""
    return [message.number for message in scene.of(job) if isinstance(message, m.FrameWritten)]


FAULTS = [
    ("wrong_version", "version"),
    ("startup_failed", "PyTorch is not installed"),
    ("end_after_hello", "ended without an error"),
    ("garbage", "sent an invalid message"),
    ("huge_header", "sent an invalid message"),
    ("crash_at_step=3", "asked to crash"),
    ("half_frame=3", "ended without an error"),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS)
def test_a_faulty_engine_fails_the_job_with_a_sentence_and_can_be_started_again(
    make_runtime: MakeRuntime, tmp_path: Path, fault: str, words: str
) -> None:
    runtime = make_runtime(fault)
    job = submit(runtime, drag_job(tmp_path / "frames"))
    waiting = submit(runtime, sample_job(path=str(tmp_path / "x.png")))
    ending = until_ended(runtime, job)
    assert isinstance(ending, m.Failed)
    assert words in ending.message
    assert ending.message.endswith(".")
    assert until_ended(runtime, waiting).kind == "failed"
    assert runtime.state.engine is EnginePhase.FAILED
    good = make_runtime()
    runtime.settings = good.settings
    job = submit(runtime, drag_job(tmp_path / "again"))
    assert until_ended(runtime, job).kind == "done"


@pytest.mark.parametrize("fault", ["silent", "wrong_token", "garbage_first"])
def test_an_engine_that_does_not_prove_the_token_is_ended_in_time(
    make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(session, "HELLO_TIMEOUT_S", 0.7)
    runtime = make_runtime(fault)
    runtime.dispatch(ev.StartAsked())
    process = runtime._process
    assert process is not None
    until_phase(runtime, EnginePhase.FAILED)
    assert "did not connect to Blender" in runtime.state.error
    assert runtime.run_until(lambda _: process.poll() is not None, 5)


def test_an_engine_that_does_not_become_ready_is_ended_in_time(
    make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "READY_TIMEOUT_S", 0.3)
    runtime = make_runtime("slow_ready=60")
    runtime.dispatch(ev.StartAsked())
    until_phase(runtime, EnginePhase.FAILED)
    assert "did not finish loading PyTorch" in runtime.state.error


@posix
def test_an_engine_that_hangs_is_ended_some_time_after_the_cancel(
    make_runtime: MakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_TIMEOUT_S", 0.4)
    runtime = make_runtime("hang_at_step=3")
    job = submit(runtime, drag_job(tmp_path / "frames"))
    # The file of step 3 is the last that the engine reports; it reads nothing afterwards.
    assert runtime.run_until(lambda _: frames_of(scene_of(runtime), job)[-1:] == [4], 10)
    process = runtime._process
    assert process is not None
    runtime.dispatch(ev.JobCancelAsked(job.image_id))
    ending = until_ended(runtime, job)
    assert isinstance(ending, m.Failed)
    assert "did not answer" in ending.message
    assert runtime.run_until(lambda _: process.poll() is not None, 5)


@posix
def test_an_engine_that_refuses_to_end_is_killed(
    make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CLOSE_AFTER_S", 0.1), ("TERMINATE_AFTER_S", 0.2), ("KILL_AFTER_S", 0.4)):
        monkeypatch.setattr(launcher, name, value)
    runtime = make_runtime("refuse_end")
    runtime.dispatch(ev.StartAsked())
    until_phase(runtime, EnginePhase.READY)
    pid = runtime.engine_pid
    assert pid is not None
    runtime.dispatch(ev.StopAsked())
    assert runtime.state.engine is EnginePhase.STOPPING
    until_phase(runtime, EnginePhase.OFF)
    assert not is_alive(pid)


@posix
def test_a_killed_engine_is_reported_as_such_and_a_restart_works(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime(options=("--steps", "1000"))
    job = submit(runtime, drag_job(tmp_path / "frames"))
    assert runtime.run_until(lambda state: state.step >= 3, 10)
    assert runtime.engine_pid is not None
    os.kill(runtime.engine_pid, signal.SIGKILL)
    ending = until_ended(runtime, job, timeout_s=2.0)
    assert isinstance(ending, m.Failed)
    assert "during Drag Suzanne: it was killed" in ending.message
    runtime.dispatch(ev.StartAsked())
    until_phase(runtime, EnginePhase.READY)


def test_a_failed_start_is_reported_and_the_next_one_works(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime()
    good = runtime.settings
    nowhere = EngineSettings(tmp_path / "no-python", tmp_path, "cpu", tmp_path / "logs")
    runtime.settings = lambda: nowhere
    job = submit(runtime, sample_job(path=str(tmp_path / "image.png")))
    assert runtime.state.engine is EnginePhase.FAILED
    assert "no-python" in runtime.state.error
    assert [ending.kind for ending in scene_of(runtime).endings(job)] == ["failed"]
    runtime.settings = good
    job = submit(runtime, sample_job(path=str(tmp_path / "image.png")))
    assert until_ended(runtime, job).kind == "done"


def test_a_request_that_cannot_be_sent_fails_alone(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime()
    request = m.Sample(
        request_id=10**6, model_path="m", seed=1, truncation_psi=float("nan"), image_path="x"
    )
    bad = submit(runtime, Job(request, "plane", "New image"))
    good = submit(runtime, sample_job(path=str(tmp_path / "image.png")))
    ending = until_ended(runtime, bad)
    assert isinstance(ending, m.Failed)
    assert ending.cause == "request"
    assert until_ended(runtime, good).kind == "done"


def test_a_lost_engine_is_not_explained_by_a_failure_that_was_reported_before(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime("fail")
    job = submit(runtime, sample_job(path=str(tmp_path / "x.png")))
    assert "asked to fail" in until_ended(runtime, job).message  # type: ignore[attr-defined]
    assert runtime.log_path is not None
    assert "asked to fail" in launcher.last_line(runtime.log_path)
    assert runtime.engine_pid is not None
    os.kill(runtime.engine_pid, signal.SIGTERM)
    until_phase(runtime, EnginePhase.FAILED)
    assert "asked to fail" not in runtime.state.error
