# SPDX-License-Identifier: GPL-3.0-or-later
"""A delivery callback that keeps its messages, and functions that drive a runtime."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from draggan_blender.connection import events as ev
from draggan_blender.connection.events import Job
from draggan_blender.connection.runtime import Runtime
from draggan_blender.connection.state import EnginePhase
from draggan_blender.protocol import messages as m

MakeRuntime = Callable[..., Runtime]


class Scene:
    """A delivery callback that keeps the messages of all jobs."""

    def __init__(self) -> None:
        self.messages: list[tuple[Job, m.Message]] = []

    def __call__(self, job: Job, message: m.Message) -> None:
        self.messages.append((job, message))

    def of(self, job: Job) -> list[m.Message]:
        return [message for owner, message in self.messages if owner is job]

    def endings(self, job: Job) -> list[m.Message]:
        return [message for message in self.of(job) if isinstance(message, m.Ending)]


def scene_of(runtime: Runtime) -> Scene:
    assert isinstance(runtime.delivery, Scene)
    return runtime.delivery


def submit(runtime: Runtime, job: Job) -> Job:
    runtime.dispatch(ev.JobSubmitted(job))
    return job


def until_phase(runtime: Runtime, phase: EnginePhase, timeout_s: float = 10.0) -> None:
    assert runtime.run_until(lambda state: state.engine is phase, timeout_s), runtime.state


def until_ended(runtime: Runtime, job: Job, timeout_s: float = 15.0) -> m.Message:
    """Tick until a job has ended; return its ending, after a check that it is the only one."""
    scene = scene_of(runtime)
    assert runtime.run_until(lambda _: bool(scene.endings(job)), timeout_s), runtime.state
    (ending,) = scene.endings(job)
    return ending


def is_alive(pid: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return found.stdout.strip()[:1] not in ("", "Z")


def wait_until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not true within {timeout_s} s"
        time.sleep(0.01)
