# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from an event in a state of the engine and its jobs: a pure state machine.

``transition(state, event)`` returns the next ``state.State``, and the effects that ``runtime`` has
to perform. Nothing here does I/O or needs ``bpy``, so every situation can be tested as a table.

Rules for every state:

- At most one job is active, and only while the engine is READY; the others wait in the queue.
- Every submitted job gets exactly one ending: ``Done``, ``Failed`` or ``Cancelled``. If the engine
  is lost, the ending is made here: ``Failed(cause="engine")``. If the engine is stopped, it is
  ``Cancelled``.
- Messages that do not belong to the active job are dropped.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..protocol.drag_messages import Drag, Preview, PreviewShown, Step
from ..protocol.health import Pulse
from ..protocol.live import ReplacePairs
from ..protocol.messages import (
    Cancel,
    Cancelled,
    Done,
    Ending,
    Event,
    Failed,
    ModelLoaded,
    Progress,
    Ready,
    Shutdown,
    StartupFailed,
    Stop,
)
from ..protocol.own_picture import InvertPicture
from ..protocol.timeline import Bake
from .events import (
    ConnectionLost,
    Deliver,
    DeliveryFailed,
    Disconnect,
    Effect,
    EndProcess,
    GivenUp,
    Job,
    JobCancelAsked,
    JobChangeAsked,
    JobStopAsked,
    JobSubmitted,
    MessageReceived,
    PeerProven,
    PeerRefused,
    ProcessEnded,
    Send,
    SessionEvent,
    Spawn,
    SpawnFailed,
    StartAsked,
    StopAsked,
    TimedOut,
    WentSilent,
)
from .state import EnginePhase, State

# From the start of the process to its hello, which it sends before it imports PyTorch.
HELLO_TIMEOUT_S = 20.0
# From the hello to Ready: importing PyTorch takes long if no file of it is cached.
READY_TIMEOUT_S = 120.0
# Without progress after a job was asked to end. An engine whose pulse shows progress is left alone,
# however long it takes; with a pulse but without progress it has more time.
ANSWER_TIMEOUT_S = 20.0
STUCK_TIMEOUT_S = 60.0
# Without any message of an engine that has a pulse: its process is stopped, or the computer is.
SILENT_AFTER_S = 6.0
# How long a script or a command waits for a silent engine.
GIVE_UP_AFTER_S = 60.0

_AGAIN = "press Start Engine to run it again"


Outcome = tuple[State, tuple[Effect, ...]]


# ---------------------------------------------------------------- helpers


def _spawn(state: State) -> Outcome:
    return State(engine=EnginePhase.STARTING, queue=state.queue), (Spawn(),)


def _next(state: State) -> Outcome:
    """Make the first waiting job the active one, if the engine is free."""
    if state.engine is not EnginePhase.READY or state.active is not None or not state.queue:
        return state, ()
    job, *rest = state.queue
    busy = replace(_idle(state), active=job, queue=tuple(rest), error="")
    return busy, (Send(job.request),)


def _idle(state: State) -> State:
    """Return the state of the same engine without an active job."""
    return State(
        state.engine,
        state.ready,
        state.model,
        queue=state.queue,
        error=state.error,
        passes=state.passes,
        silent=state.silent,
    )


def _lose(sentence: str, state: State) -> Outcome:
    """Give up the engine: every job ends as failed, for the reason in ``sentence``."""
    endings = tuple(
        Deliver(job, Failed(request_id=job.request.request_id, cause="engine", message=sentence))
        for job in state.open_jobs
    )
    failed = State(engine=EnginePhase.FAILED, error=sentence)
    return failed, (Disconnect(), EndProcess(politely=False), *endings)


def _cancelled(job: Job) -> Deliver:
    return Deliver(job, Cancelled(request_id=job.request.request_id))


# ---------------------------------------------------------------- what Blender asks for


def _start_asked(state: State, _event: StartAsked) -> Outcome:
    if state.engine is EnginePhase.STOPPING:
        return replace(state, start_again=True), ()
    return (state, ()) if state.is_live else _spawn(state)


def _stop_asked(state: State, _event: StopAsked) -> Outcome:
    if state.engine is EnginePhase.FAILED:
        return State(), ()
    endings = tuple(_cancelled(job) for job in state.open_jobs)
    if state.engine is EnginePhase.STOPPING:
        return State(engine=EnginePhase.STOPPING), endings
    if not state.is_live:
        return state, ()
    stopping = State(engine=EnginePhase.STOPPING)
    if state.engine is EnginePhase.STARTING:
        return stopping, (Disconnect(), EndProcess(politely=False), *endings)
    return stopping, (Send(Shutdown()), EndProcess(politely=True), *endings)


def _job_submitted(state: State, event: JobSubmitted) -> Outcome:
    queued = replace(state, queue=(*state.queue, event.job))
    if state.is_live:
        return _next(queued)
    return _start_asked(queued, StartAsked())


def _end_jobs(state: State, image_id: str, *, keep_result: bool) -> Outcome:
    """Cancel the queued jobs of an image, and ask the engine to end the active one."""
    gone = tuple(job for job in state.queue if job.image_id == image_id)
    kept = tuple(job for job in state.queue if job.image_id != image_id)
    effects: tuple[Effect, ...] = tuple(_cancelled(job) for job in gone)
    state = replace(state, queue=kept)
    if state.active is None or state.discarding or state.active.image_id != image_id:
        return state, effects
    request = state.active.request
    stops = keep_result and isinstance(request, Drag | Bake | InvertPicture)
    asks = (Stop if stops else Cancel)(request_id=request.request_id)
    if isinstance(state.asked, Cancel) or state.asked == asks:
        return state, effects
    return replace(state, asked=asks), (*effects, Send(asks))


def _job_change_asked(state: State, event: JobChangeAsked) -> Outcome:
    """Pass a change on to the engine, or change the request if it was not sent yet."""
    number = event.change.request_id
    active = state.active
    if active is not None and active.request.request_id == number:
        is_open = active.image_id == event.image_id and not state.discarding
        return (state, (Send(event.change),)) if is_open and not state.asked else (state, ())
    if not isinstance(event.change, ReplacePairs):
        return state, ()
    return replace(state, queue=tuple(_changed(job, event) for job in state.queue)), ()


def _changed(job: Job, event: JobChangeAsked) -> Job:
    """Return a job with the changed pairs, if it is the drag that the change is for."""
    request, change = job.request, event.change
    is_meant = job.image_id == event.image_id and request.request_id == change.request_id
    if not (is_meant and isinstance(request, Drag) and isinstance(change, ReplacePairs)):
        return job
    wider = change.mask or request.wider_mask
    changed = replace(request, pairs=change.pairs, live=change.live, wider_mask=wider)
    return replace(job, request=changed)


def _delivery_failed(state: State, event: DeliveryFailed) -> Outcome:
    """End the job as failed, and cancel it in the engine if it is still active there."""
    number = event.job.request.request_id
    sentence = f"{event.job.label} could not be shown in the scene: {event.detail}"
    failed = Deliver(event.job, Failed(request_id=number, cause="internal", message=sentence))
    if isinstance(event.message, Done):
        return replace(state, error=sentence), (failed,)
    if event.job is not state.active or state.discarding:
        return state, ()
    cancel = Cancel(request_id=number)
    return replace(state, discarding=True, asked=cancel, error=sentence), (Send(cancel), failed)


# ---------------------------------------------------------------- what the engine does


def _peer_proven(state: State, _event: PeerProven) -> Outcome:
    if state.engine is not EnginePhase.STARTING:
        return state, ()
    return replace(state, engine=EnginePhase.LOADING), ()


def _message_received(state: State, event: MessageReceived) -> Outcome:
    message = event.message
    if not state.is_live:
        return state, ()
    if state.silent:
        state = replace(state, silent=False)
    if isinstance(message, Pulse):
        return replace(state, passes=message.passes), ()
    if isinstance(message, Ready):
        return _next(replace(state, engine=EnginePhase.READY, ready=message))
    if isinstance(message, StartupFailed):
        return _lose(message.message, state)
    if isinstance(message, Event):
        return _job_message(state, message)
    return state, ()


def _job_message(state: State, message: Event) -> Outcome:
    job = state.active
    if job is None or message.request_id != job.request.request_id:
        return state, ()
    drag_id = getattr(job.request, "drag_id", None)
    if drag_id is not None and getattr(message, "drag_id", drag_id) != drag_id:
        return state, ()
    passed_on: tuple[Effect, ...] = () if state.discarding else (Deliver(job, message),)
    if passed_on and isinstance(message, Preview):
        passed_on = (*passed_on, Send(PreviewShown(request_id=message.request_id)))
    if isinstance(message, Ending):
        error = state.error
        if isinstance(message, Failed) and job.is_asked:
            error = message.message
        following, effects = _next(replace(_idle(state), error=error))
        return following, (*passed_on, *effects)
    if isinstance(message, ModelLoaded):
        state = replace(state, model=message)
    elif isinstance(message, Progress):
        state = replace(state, fraction=min(max(message.fraction, 0.0), 1.0), text=message.text)
    elif isinstance(message, Step):
        state = replace(state, step=message.step, distance_px=message.distance_px)
    return state, passed_on


# ---------------------------------------------------------------- how the engine can be lost


def _how_it_ended(code: int) -> str:
    if code == 0:
        return "it ended without an error"
    if code == -9:
        return "it was killed, as the system does when memory runs out"
    if code < 0:
        try:
            return f"it was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"it was ended by signal {-code}"
    return f"it ended with exit code {code if code < 256 else hex(code)}"


def _process_ended(state: State, event: ProcessEnded) -> Outcome:
    if state.engine is EnginePhase.STOPPING:
        return _spawn(state) if state.start_again else (State(), (Disconnect(),))
    if not state.is_live:
        return state, ()
    during = "before it was ready" if state.engine is not EnginePhase.READY else ""
    if state.active is not None:
        during = f"during {state.active.label}"
    last = f" (its log ends with: {event.last_line})" if event.last_line else ""
    where = " ".join(part for part in ("The engine was lost", during) if part)
    return _lose(f"{where}: {_how_it_ended(event.code)}{last}; {_AGAIN}.", state)


def _connection_lost(state: State, event: ConnectionLost) -> Outcome:
    if not state.is_live:
        return state, ()
    return _lose(f"The connection to the engine {event.reason}; {_AGAIN}.", state)


def _timed_out(state: State, _event: TimedOut) -> Outcome:
    if state.engine is EnginePhase.STARTING:
        what = "The engine's process started but did not connect to Blender; check the Engine"
        return _lose(f"{what} Python in the preferences and the engine log, then {_AGAIN}.", state)
    if state.engine is EnginePhase.LOADING:
        what = "The engine did not finish loading PyTorch; see the engine log"
        return _lose(f"{what}, then {_AGAIN}.", state)
    if state.engine is EnginePhase.READY and state.active is not None:
        what = f"The engine did not answer when it was asked to end {state.active.label}"
        return _lose(f"{what}, so the engine was ended; {_AGAIN}.", state)
    return state, ()


def _went_silent(state: State, _event: WentSilent) -> Outcome:
    return (replace(state, silent=True), ()) if state.engine is EnginePhase.READY else (state, ())


def _given_up(state: State, event: GivenUp) -> Outcome:
    if not state.is_live:
        return state, ()
    what = "The engine did not answer"
    if not event.asked:
        what = f"The engine has not answered for {GIVE_UP_AFTER_S:.0f} s"
    return _lose(f"{what}, so it was ended; {_AGAIN}.", state)


_HANDLERS: dict[type, Callable[[State, Any], Outcome]] = {
    StartAsked: _start_asked,
    StopAsked: _stop_asked,
    JobSubmitted: _job_submitted,
    JobStopAsked: lambda state, event: _end_jobs(state, event.image_id, keep_result=True),
    JobCancelAsked: lambda state, event: _end_jobs(state, event.image_id, keep_result=False),
    JobChangeAsked: _job_change_asked,
    DeliveryFailed: _delivery_failed,
    SpawnFailed: lambda state, event: _lose(event.message, state),
    PeerProven: _peer_proven,
    PeerRefused: lambda state, event: _lose(event.message, state),
    MessageReceived: _message_received,
    ConnectionLost: _connection_lost,
    ProcessEnded: _process_ended,
    TimedOut: _timed_out,
    WentSilent: _went_silent,
    GivenUp: _given_up,
}


def transition(state: State, event: SessionEvent) -> Outcome:
    """Return the state after an event, and the effects to perform, in order."""
    return _HANDLERS[type(event)](state, event)


def timeout_s(state: State) -> float | None:
    """Return how long the engine may make no progress in this state; None for any time."""
    if state.engine is EnginePhase.STARTING:
        return HELLO_TIMEOUT_S
    if state.engine is EnginePhase.LOADING:
        return READY_TIMEOUT_S
    if state.active is not None and state.ending_asked:
        has_pulse = state.passes is not None and not state.silent
        return STUCK_TIMEOUT_S if has_pulse else ANSWER_TIMEOUT_S
    return None
