# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that is stopped, and one that computes for long, as Blender's side sees them."""

from __future__ import annotations

import itertools
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from draggan_blender.connection import events as ev
from draggan_blender.connection import session
from draggan_blender.connection.events import Job
from draggan_blender.connection.runtime import EngineSettings, Runtime
from draggan_blender.connection.state import SILENT, EnginePhase, State, describe
from draggan_blender.protocol.drag_messages import DragFinished
from draggan_blender.protocol.messages import Failed, FrameTarget, Message
from engine.arrays import FloatArray

from .client import ENDLESS, ROOT, drag_request

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")
_ids = itertools.count(1)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Return Blender's side of a real engine that is ready."""
    folder = tmp_path_factory.mktemp("logs")
    runtime = Runtime()
    runtime.settings = lambda: EngineSettings(Path(sys.executable), ROOT, "cpu", folder)
    yield runtime
    runtime.shut_down(grace_s=0.0)


def _drag(runtime: Runtime, checkpoint: Path, latent: FloatArray, folder: Path) -> Job:
    runtime.delivery = lambda job, message: received.append(message)
    received: list[Message] = []
    request = drag_request(next(_ids), checkpoint, latent, folder, ENDLESS)
    frames = FrameTarget(folder=str(folder), stem="drag", first_number=20)
    job = Job(replace(request, frames=frames, previews=False), "plane", "Drag Suzanne")
    runtime.dispatch(ev.JobSubmitted(job))
    assert runtime.run_until(lambda state: state.step >= 2, 120), runtime.state
    _received[id(job)] = received
    return job


_received: dict[int, list[Message]] = {}


def _is_over(state: State) -> bool:
    return state.active is None


def test_a_stopped_engine_is_noticed_and_goes_on_when_it_is_continued(
    runtime: Runtime, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    job = _drag(runtime, checkpoint, latent, tmp_path)
    assert runtime.engine_pid is not None
    os.kill(runtime.engine_pid, signal.SIGSTOP)
    started = time.monotonic()
    assert runtime.run_until(lambda state: state.silent, 20)
    assert time.monotonic() - started < session.SILENT_AFTER_S + 3
    assert describe(runtime.state) == SILENT
    os.kill(runtime.engine_pid, signal.SIGCONT)
    assert runtime.run_until(lambda state: not state.silent, 10)
    runtime.dispatch(ev.JobStopAsked("plane"))
    assert runtime.run_until(_is_over, 30)
    assert any(isinstance(message, DragFinished) for message in _received[id(job)])


def test_an_engine_that_makes_progress_is_not_ended_however_long_its_answer_takes(
    runtime: Runtime,
    checkpoint: Path,
    latent: FloatArray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ask for an end that the engine does not follow: the request is another one."""
    _drag(runtime, checkpoint, latent, tmp_path)
    monkeypatch.setattr(session, "STUCK_TIMEOUT_S", 2.5)
    monkeypatch.setattr(runtime, "_send", lambda message: None)  # the Stop does not arrive
    runtime.dispatch(ev.JobStopAsked("plane"))
    assert runtime.state.ending_asked
    assert not runtime.run_until(_is_over, 6)
    assert runtime.state.engine is EnginePhase.READY
    monkeypatch.undo()
    runtime.dispatch(ev.JobCancelAsked("plane"))
    assert runtime.run_until(_is_over, 30)


def test_a_command_does_not_wait_for_a_stopped_engine_for_ever(
    runtime: Runtime,
    checkpoint: Path,
    latent: FloatArray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = _drag(runtime, checkpoint, latent, tmp_path)
    monkeypatch.setattr(session, "SILENT_AFTER_S", 2.0)
    monkeypatch.setattr(session, "GIVE_UP_AFTER_S", 4.0)
    assert runtime.engine_pid is not None
    os.kill(runtime.engine_pid, signal.SIGSTOP)
    started = time.monotonic()
    assert runtime.run_until(_is_over, math.inf)
    assert time.monotonic() - started < 10
    ending = _received[id(job)][-1]
    assert isinstance(ending, Failed)
    assert ending.cause == "engine"
    assert "has not answered for 4 s, so it was ended" in ending.message
