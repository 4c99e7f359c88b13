# SPDX-License-Identifier: GPL-3.0-or-later
"""What drives the engine from Blender's main thread: socket -> session -> scene.

One persistent ``bpy.app.timers`` callback calls :func:`tick`; each tick takes in what has come,
within a budget of milliseconds. Where timers do not run (``blender -b``), :func:`run_until` is
the plain loop in their place. The functions here are all that the rest of the extension needs
to know of the engine; to be called from the main thread only. bpy is imported only to register
the timer, so that all of it can be tested without Blender.
"""

from __future__ import annotations

import atexit
import itertools
from collections.abc import Callable
from pathlib import Path

from ..protocol.messages import Message
from . import events, launcher
from .events import Job
from .runtime import TICK_BUDGET_S, EngineSettings, Runtime
from .session import EnginePhase, State
from .tick_stats import TickStats

__all__ = [
    "EngineSettings",
    "Job",
    "State",
    "TickStats",
    "cancel_job",
    "configure",
    "engine_pid",
    "is_off",
    "log_path",
    "new_request_id",
    "register",
    "run_until",
    "set_changed",
    "set_delivery",
    "start",
    "state",
    "stats",
    "stop",
    "stop_job",
    "submit",
    "tick",
    "unregister",
    "wait_for_job",
]

_runtime = Runtime()
_request_ids = itertools.count(1)


def configure(settings: Callable[[], EngineSettings]) -> None:
    """Where to ask for :class:`EngineSettings` at every start (the preferences).

    The callable may raise :class:`.launcher.LaunchError` with a sentence for the person.
    """
    _runtime.settings = settings


def set_delivery(delivery: Callable[[Job, Message], None]) -> None:
    """Who takes in the messages of jobs: called on the main thread, in order, within a tick.

    Every job ends with exactly one of Done, Failed, Cancelled. An exception in it is logged, and
    the job then ends as Failed.
    """
    _runtime.delivery = delivery


def set_changed(changed: Callable[[], None]) -> None:
    """Whom to tell, once a tick at most, that :func:`state` is another (to draw again)."""
    _runtime.changed = changed


def state() -> State:
    """What is going on, for panels and scripts; :func:`.session.describe` puts it in words."""
    return _runtime.state


def stats() -> TickStats:
    """What the ticks cost."""
    return _runtime.stats


def log_path() -> Path | None:
    """The log file of the present or last engine; None before the first start."""
    return _runtime.log_path


def engine_pid() -> int | None:
    """The process id of the engine; None while there is none."""
    return _runtime.engine_pid


def start() -> None:
    """Start the engine; nothing where it runs. Returns at once."""
    _runtime.dispatch(events.StartAsked())


def stop() -> None:
    """End the engine; its jobs end as cancelled. Returns at once."""
    _runtime.dispatch(events.StopAsked())


def new_request_id() -> int:
    """An id that no other request of this Blender has; good as a drag id, too."""
    return next(_request_ids)


def submit(job: Job) -> None:
    """Do a job as soon as it is its turn; starts the engine where it is off."""
    _runtime.dispatch(events.JobSubmitted(job))


def stop_job(image_id: str) -> None:
    """End the jobs of an image; a drag keeps what it has reached."""
    _runtime.dispatch(events.JobStopAsked(image_id))


def cancel_job(image_id: str) -> None:
    """Give the jobs of an image up."""
    _runtime.dispatch(events.JobCancelAsked(image_id))


def tick(budget_s: float = TICK_BUDGET_S) -> float:
    """One turn of the pump, as :meth:`.runtime.Runtime.tick`."""
    return _runtime.tick(budget_s)


def run_until(predicate: Callable[[State], bool], timeout_s: float) -> bool:
    """The plain loop of ``blender -b`` and scripts, as :meth:`.runtime.Runtime.run_until`."""
    return _runtime.run_until(predicate, timeout_s)


def wait_for_job(job: Job, timeout_s: float) -> bool:
    """:func:`run_until` this submitted job has its ending."""
    return run_until(lambda now: job is not now.active and job not in now.queue, timeout_s)


def is_off(now: State) -> bool:
    """For :func:`run_until`: there is no engine, and none on its way."""
    return now.engine in (EnginePhase.OFF, EnginePhase.FAILED)


def _on_timer() -> float:
    """The timer's callback: a module's function, so that it can be found to unregister it."""
    return _runtime.tick()


def register() -> None:
    """Start the persistent timer: it lives on when another file is opened."""
    import bpy

    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, persistent=True)
    atexit.register(launcher.end_all)


def unregister() -> None:
    """End the engine and leave nothing: no timer, no process, no socket, no callback."""
    global _runtime
    import bpy

    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    atexit.unregister(launcher.end_all)
    _runtime.shut_down()
    _runtime = Runtime()
