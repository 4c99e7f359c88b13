# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of the engine: a table of all, what ends them, and what is said of them."""

from __future__ import annotations

import pytest

from draggan_blender.connection import events as ev
from draggan_blender.connection.session import timeout_s
from draggan_blender.connection.state import EnginePhase, State, describe
from draggan_blender.protocol import messages as m
from tests.connection.making import READY, drag_job, sample_job
from tests.connection.session_steps import (
    FAILED,
    LOADING,
    OFF,
    READY_PHASE,
    STARTING,
    STOPPING,
    in_phase,
    kinds,
)

TABLE = [
    # phase, event, next phase, effects
    (OFF, ev.StartAsked(), STARTING, ["Spawn"]),
    (OFF, ev.StopAsked(), OFF, []),
    (OFF, ev.ProcessEnded(0), OFF, []),
    (OFF, ev.ConnectionLost("was closed"), OFF, []),
    (OFF, ev.TimedOut(), OFF, []),
    (OFF, ev.MessageReceived(READY), OFF, []),
    (STARTING, ev.StartAsked(), STARTING, []),
    (STARTING, ev.StopAsked(), STOPPING, ["Disconnect", "EndProcess"]),
    (STARTING, ev.PeerProven(1), LOADING, []),
    (STARTING, ev.PeerRefused("Versions differ."), FAILED, ["Disconnect", "EndProcess"]),
    (STARTING, ev.SpawnFailed("No Python."), FAILED, ["Disconnect", "EndProcess"]),
    (STARTING, ev.ProcessEnded(1), FAILED, ["Disconnect", "EndProcess"]),
    (STARTING, ev.TimedOut(), FAILED, ["Disconnect", "EndProcess"]),
    (LOADING, ev.StartAsked(), LOADING, []),
    (LOADING, ev.StopAsked(), STOPPING, ["shutdown", "EndProcess"]),
    (LOADING, ev.PeerProven(1), LOADING, []),
    (LOADING, ev.MessageReceived(READY), READY_PHASE, []),
    (LOADING, ev.ConnectionLost("was closed"), FAILED, ["Disconnect", "EndProcess"]),
    (LOADING, ev.ProcessEnded(-9), FAILED, ["Disconnect", "EndProcess"]),
    (LOADING, ev.TimedOut(), FAILED, ["Disconnect", "EndProcess"]),
    (READY_PHASE, ev.StartAsked(), READY_PHASE, []),
    (READY_PHASE, ev.StopAsked(), STOPPING, ["shutdown", "EndProcess"]),
    (READY_PHASE, ev.ConnectionLost("was cut"), FAILED, ["Disconnect", "EndProcess"]),
    (READY_PHASE, ev.ProcessEnded(0), FAILED, ["Disconnect", "EndProcess"]),
    (READY_PHASE, ev.TimedOut(), READY_PHASE, []),
    (READY_PHASE, ev.MessageReceived(m.Done(request_id=99)), READY_PHASE, []),
    (READY_PHASE, ev.MessageReceived(m.Welcome(protocol_version=1)), READY_PHASE, []),
    (STOPPING, ev.StopAsked(), STOPPING, []),
    (STOPPING, ev.StartAsked(), STOPPING, []),
    (STOPPING, ev.ConnectionLost("was closed"), STOPPING, []),
    (STOPPING, ev.MessageReceived(READY), STOPPING, []),
    (STOPPING, ev.ProcessEnded(0), OFF, ["Disconnect"]),
    (STOPPING, ev.ProcessEnded(-9), OFF, ["Disconnect"]),
    (FAILED, ev.StartAsked(), STARTING, ["Spawn"]),
    (FAILED, ev.StopAsked(), OFF, []),
    (FAILED, ev.ProcessEnded(-9), FAILED, []),
    (FAILED, ev.ConnectionLost("was closed"), FAILED, []),
    (FAILED, ev.MessageReceived(READY), FAILED, []),
]


@pytest.mark.parametrize(
    ("phase", "event", "following", "effects"),
    TABLE,
    ids=[f"{row[0].value}-{type(row[1]).__name__}-{row[2].value}" for row in TABLE],
)
def test_the_engine_goes_from_phase_to_phase(
    phase: EnginePhase, event: ev.SessionEvent, following: EnginePhase, effects: list[str]
) -> None:
    session = in_phase(phase)
    assert kinds(session(event)) == effects
    assert session.state.engine is following
    assert bool(session.state.error) == (following is FAILED)


@pytest.mark.parametrize("phase", [OFF, FAILED])
def test_a_job_starts_an_engine_that_is_off_and_waits_for_it(phase: EnginePhase) -> None:
    session, job = in_phase(phase), sample_job()
    assert kinds(session(ev.JobSubmitted(job))) == ["Spawn"]
    assert (session.state.active, session.state.queue) == (None, (job,))
    assert session(ev.PeerProven(1)) == ()
    assert session.hears(READY) == (ev.Send(job.request),)
    assert (session.state.active, session.state.queue) == (job, ())


def test_a_start_while_the_engine_stops_follows_its_end() -> None:
    session = in_phase(STOPPING)
    session(ev.StartAsked())
    assert kinds(session(ev.ProcessEnded(0))) == ["Spawn"]
    again, job = in_phase(STOPPING), sample_job()
    again(ev.JobSubmitted(job))
    assert kinds(again(ev.ProcessEnded(0))) == ["Spawn"]
    assert again.state.queue == (job,)
    changed_mind = in_phase(STOPPING)
    changed_mind(ev.JobSubmitted(job), ev.StopAsked())
    assert [ending.kind for ending in changed_mind.endings_of(job)] == ["cancelled"]
    assert changed_mind(ev.ProcessEnded(0)) == (ev.Disconnect(),)


@pytest.mark.parametrize(
    "loss",
    [
        ev.ProcessEnded(-9, "RuntimeError: out of memory"),
        ev.ConnectionLost("was cut in the middle of a message"),
        ev.MessageReceived(m.StartupFailed(message="The device is gone.")),
    ],
)
def test_a_lost_engine_fails_every_job_once_and_says_why(loss: ev.SessionEvent) -> None:
    session = in_phase(READY_PHASE)
    jobs = [drag_job(), sample_job(), sample_job("other")]
    session(*(ev.JobSubmitted(job) for job in jobs), loss, ev.ProcessEnded(-9))
    for job in jobs:
        (failed,) = session.endings_of(job)
        assert isinstance(failed, m.Failed)
        assert failed.cause == "engine"
        assert failed.message == session.state.error == describe(session.state)
    assert (session.state.active, session.state.queue) == (None, ())


def test_stopping_the_engine_cancels_every_job_once() -> None:
    session = in_phase(READY_PHASE)
    jobs = [drag_job(), sample_job()]
    session(*(ev.JobSubmitted(job) for job in jobs), ev.StopAsked(), ev.ProcessEnded(0))
    assert [session.endings_of(job)[0].kind for job in jobs] == ["cancelled", "cancelled"]
    assert [len(session.endings_of(job)) for job in jobs] == [1, 1]
    assert session.state == State()


def test_an_engine_that_a_person_gives_up_fails_its_jobs_and_can_be_started_again() -> None:
    session, job = in_phase(READY_PHASE), drag_job()
    session(ev.JobSubmitted(job), ev.WentSilent())
    assert "keeps the steps" in describe(session.state)
    effects = session(ev.GivenUp(asked=True))
    assert ev.EndProcess(politely=False) in effects
    (ending,) = session.endings_of(job)
    # ``jobs.lost_drag`` asks another engine for the steps of a drag that ended for this cause.
    assert isinstance(ending, m.Failed) and ending.cause == "engine"
    assert ending.message.startswith("The engine did not answer, so it was ended")
    assert session.state.engine is FAILED
    assert session(ev.StartAsked()) == (ev.Spawn(),)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended without an error"),
        (-9, "killed, as the system does when memory runs out"),
        (-11, "SIGSEGV"),
        (-200, "signal 200"),
        (3, "exit code 3"),
        (0xC0000005, "0xc0000005"),
    ],
)
def test_the_error_says_how_the_process_ended(code: int, words: str) -> None:
    session = in_phase(READY_PHASE)
    session(ev.JobSubmitted(drag_job()), ev.ProcessEnded(code, "last words"))
    assert words in session.state.error
    assert "during Drag Suzanne" in session.state.error
    assert "last words" in session.state.error
    assert "press Start Engine" in session.state.error


def test_only_states_that_wait_for_the_engine_have_a_timeout() -> None:
    waiting = {phase: timeout_s(in_phase(phase).state) for phase in EnginePhase}
    assert [phase for phase, limit in waiting.items() if limit is not None] == [STARTING, LOADING]
    session = in_phase(READY_PHASE)
    session(ev.JobSubmitted(drag_job()))
    assert timeout_s(session.state) is None
    session(ev.JobStopAsked("plane"))
    assert timeout_s(session.state) is not None
    session(ev.TimedOut())
    assert session.state.engine is FAILED
    assert "did not answer" in session.state.error


def test_every_phase_is_described() -> None:
    lines = {describe(in_phase(phase).state) for phase in EnginePhase}
    assert len(lines) == len(EnginePhase)
    assert all(lines)


def test_the_model_is_kept_after_its_job_but_not_after_its_engine() -> None:
    session, job = in_phase(READY_PHASE), sample_job()
    session(ev.JobSubmitted(job))
    model = m.ModelLoaded(
        request_id=job.request.request_id,
        path="p",
        sha256="0",
        width=64,
        height=64,
        num_ws=10,
        w_dim=16,
        z_dim=16,
        c_dim=0,
    )
    session.hears(model, m.Done(request_id=job.request.request_id))
    assert session.state.model == model
    session(ev.ProcessEnded(1))
    assert session.state.model is None
