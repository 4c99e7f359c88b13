# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions through which the rest of the extension uses the engine, and the timer behind them.

One persistent ``bpy.app.timers`` callback calls ``tick``, which processes what has arrived within a
budget of milliseconds. ``blender -b`` runs no timers, so there ``run_until`` ticks in a plain loop.
Call the functions from the main thread only. ``bpy`` is imported only to register the timer, so
that everything else can be tested without Blender.
"""

from __future__ import annotations

import atexit
import itertools
from collections.abc import Callable
from pathlib import Path

from ..protocol.live import Pause, ReplacePairs
from ..protocol.messages import Message
from . import events, launcher
from .events import Job
from .runtime import TICK_BUDGET_S, EngineSettings, Runtime
from .state import EnginePhase, State
from .tick_stats import TickStats

__all__ = [
    "EngineSettings",
    "Job",
    "State",
    "TickStats",
    "cancel_job",
    "configure",
    "engine_pid",
    "give_up",
    "is_off",
    "log_path",
    "new_request_id",
    "register",
    "run_until",
    "set_changed",
    "set_delivery",
    "set_folders",
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
    """Set the callback that returns the engine's settings; it is called at every start.

    It may raise ``launcher.LaunchError`` with a sentence for the person.
    """
    _runtime.settings = settings


def set_delivery(delivery: Callable[[Job, Message], None]) -> None:
    """Set the callback that receives job messages, in order, on the main thread.

    Every job ends with exactly one of ``Done``, ``Failed`` and ``Cancelled``. An exception in the
    callback is logged, and the job then ends with ``Failed``.
    """
    _runtime.delivery = delivery


def set_changed(changed: Callable[[], None]) -> None:
    """Set the callback for changes of ``state``, to redraw; called at most once per tick."""
    _runtime.changed = changed


def set_folders(folders: Callable[[], tuple[str, ...]]) -> None:
    """Set the callback that returns the folders below which the engine may write.

    It is called before each request.
    """
    _runtime.folders = folders


def state() -> State:
    """Return the state of the engine and its jobs; ``state.describe`` puts it in words."""
    return _runtime.state


def stats() -> TickStats:
    """Return how long the ticks took."""
    return _runtime.stats


def log_path() -> Path | None:
    """Return the log file of the present or last engine; None before the first start."""
    return _runtime.log_path


def engine_pid() -> int | None:
    """Return the process id of the engine; None while no process is running."""
    return _runtime.engine_pid


def start() -> None:
    """Start the engine if it is not running; returns at once."""
    _runtime.dispatch(events.StartAsked())


def stop() -> None:
    """End the engine and cancel its jobs; returns at once."""
    _runtime.dispatch(events.StopAsked())


def new_request_id() -> int:
    """Return an id, from 1 on, that no other request of this process has; also for drag ids."""
    return next(_request_ids)


def give_up() -> None:
    """End an engine that does not answer; its jobs fail, and drags keep their steps."""
    _runtime.dispatch(events.GivenUp(asked=True))


def submit(job: Job) -> None:
    """Queue a job, and start the engine if it is off; returns at once."""
    _runtime.dispatch(events.JobSubmitted(job))


def stop_job(image_id: str) -> None:
    """End the jobs of an image; a running drag or bake keeps what it has reached."""
    _runtime.dispatch(events.JobStopAsked(image_id))


def cancel_job(image_id: str) -> None:
    """Cancel the jobs of an image; they leave no result."""
    _runtime.dispatch(events.JobCancelAsked(image_id))


def change_job(image_id: str, change: ReplacePairs | Pause) -> None:
    """Change a drag of an image while it runs, or before it runs; see ``protocol.live``."""
    _runtime.dispatch(events.JobChangeAsked(image_id, change))


def tick(budget_s: float = TICK_BUDGET_S) -> float:
    """Process what has arrived; see ``runtime.Runtime.tick``."""
    return _runtime.tick(budget_s)


def run_until(predicate: Callable[[State], bool], timeout_s: float) -> bool:
    """Tick until ``predicate(state)`` is True; see ``runtime.Runtime.run_until``."""
    return _runtime.run_until(predicate, timeout_s)


def wait_for_job(job: Job, timeout_s: float) -> bool:
    """Tick until a submitted job has ended; return whether it has within ``timeout_s`` seconds."""
    return run_until(lambda now: job is not now.active and job not in now.queue, timeout_s)


def is_off(now: State) -> bool:
    """Return whether the engine is off or failed; a predicate for ``run_until``."""
    return now.engine in (EnginePhase.OFF, EnginePhase.FAILED)


def _on_timer() -> float:
    # A function of the module, because Blender finds a timer to unregister by its function.
    return _runtime.tick()


def register() -> None:
    """Start the timer; as a persistent one it continues when another file is opened."""
    import bpy

    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, persistent=True)
    atexit.register(launcher.end_all)


def unregister() -> None:
    """End the engine, and remove the timer, the processes, the sockets and the callbacks."""
    global _runtime
    import bpy

    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    atexit.unregister(launcher.end_all)
    _runtime.shut_down()
    _runtime = Runtime()
