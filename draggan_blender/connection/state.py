# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender knows of the engine and its jobs, and the same in words.

``session.transition`` has the only way from one state to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..protocol.drag_messages import Drag
from ..protocol.messages import Cancel, ModelLoaded, Ready, Stop
from .events import Job

SILENT = (
    "The engine does not answer: its process was stopped, or the computer is busy with something "
    "else; wait, or end it with Stop Engine, which keeps the steps of a drag"
)


class EnginePhase(Enum):
    """A phase of the engine's life."""

    OFF = "off"
    # The process is running; its hello has not arrived.
    STARTING = "starting"
    # The engine is connected; it imports PyTorch and opens its device.
    LOADING = "loading"
    READY = "ready"
    # The engine was asked to end and has not ended yet.
    STOPPING = "stopping"
    # The engine was lost or could not be started; ``State.error`` says why. It can be started.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the panel shows about the engine.

    Attributes:
        engine: The phase of the engine.
        ready: The engine's ``Ready`` message, once it has arrived.
        model: The last model that the engine has loaded.
        active: The job that the engine is doing.
        queue: The jobs that wait, in order.
        fraction: The progress of the active job, 0 to 1.
        text: What the active job is doing.
        step: The last step of the active job.
        distance_px: The distance of the farthest handle in the active job from its target, in
            image pixels; None before the first step.
        asked: The message that was sent to end the active job.
        discarding: Whether the active job has its ending already and the engine is cancelling it.
        start_again: Whether the engine is started again after it has stopped.
        error: The last error, a sentence; cleared when the next job starts.
        passes: The number of the engine's last pulse; None before the first one.
        silent: Whether the engine does not answer.
    """

    engine: EnginePhase = EnginePhase.OFF
    ready: Ready | None = None
    model: ModelLoaded | None = None
    active: Job | None = None
    queue: tuple[Job, ...] = ()
    fraction: float = 0.0
    text: str = ""
    step: int = 0
    distance_px: float | None = None
    asked: Stop | Cancel | None = None
    discarding: bool = False
    start_again: bool = False
    error: str = ""
    passes: int | None = None
    silent: bool = False

    @property
    def ending_asked(self) -> bool:
        """Whether the active job was asked to end and has not ended yet."""
        return self.asked is not None

    @property
    def busy(self) -> bool:
        """Whether messages are expected soon, so that ticks should be frequent."""
        passing = (EnginePhase.STARTING, EnginePhase.LOADING, EnginePhase.STOPPING)
        return self.active is not None or self.engine in passing

    @property
    def is_pulled(self) -> bool:
        """Whether a person pulls at an image and waits for each new one."""
        request = None if self.active is None else self.active.request
        return isinstance(request, Drag) and request.live

    @property
    def is_live(self) -> bool:
        """Whether an engine is running that was not asked to end."""
        return self.engine in (EnginePhase.STARTING, EnginePhase.LOADING, EnginePhase.READY)

    @property
    def open_jobs(self) -> tuple[Job, ...]:
        """The jobs that have no ending yet, the active one first."""
        running = () if self.active is None or self.discarding else (self.active,)
        return running + self.queue

    def jobs_of(self, image_id: str) -> tuple[Job, ...]:
        """Return the jobs of an image that have no ending yet, the active one first."""
        return tuple(job for job in self.open_jobs if job.image_id == image_id)


def _describe_active(state: State, job: Job) -> str:
    parts = [job.label]
    if state.ending_asked:
        parts.append("stopping")
    elif state.distance_px is not None:
        parts.append(f"step {state.step}, {state.distance_px:.1f} px to go")
    elif state.text:
        parts.append(state.text)
    waiting = f" ({len(state.queue)} waiting)" if state.queue else ""
    return ": ".join(parts) + waiting


def describe(state: State) -> str:
    """Return one line for the panel or a log that says what the engine is doing."""
    if state.silent and state.is_live:
        return SILENT
    if state.active is not None:
        return _describe_active(state, state.active)
    waiting = f" ({len(state.queue)} waiting)" if state.queue else ""
    if state.engine is EnginePhase.READY and state.ready is not None:
        return f"Engine ready on {state.ready.device_name}{waiting}"
    lines = {
        EnginePhase.OFF: "Engine off",
        EnginePhase.STARTING: "Starting the engine",
        EnginePhase.LOADING: "Engine is loading PyTorch",
        EnginePhase.STOPPING: "Stopping the engine",
        EnginePhase.FAILED: state.error,
    }
    return lines.get(state.engine, "Engine ready") + waiting
