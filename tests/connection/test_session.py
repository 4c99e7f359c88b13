# SPDX-License-Identifier: GPL-3.0-or-later
"""The state machine of the engine and its jobs, as a table: no process, no socket, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from draggan_blender.connection import events as ev
from draggan_blender.connection.events import Job
from draggan_blender.connection.session import timeout_s, transition
from draggan_blender.connection.state import EnginePhase, State, describe
from draggan_blender.protocol import drag_messages
from draggan_blender.protocol import messages as m
from draggan_blender.protocol.live import Pause, ReplacePairs
from draggan_blender.protocol.pairs import Pair
from tests.connection.making import READY, bake_job, drag_job, sample_job

OFF, STARTING, LOADING, READY_PHASE, STOPPING, FAILED = EnginePhase


class Session:
    """A state, and the effects of all events so far."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.effects: list[ev.Effect] = []

    def __call__(self, *events: ev.SessionEvent) -> tuple[ev.Effect, ...]:
        """Handle events, and return the effects of the last one."""
        effects: tuple[ev.Effect, ...] = ()
        for event in events:
            self.state, effects = transition(self.state, event)
            self.effects += effects
        return effects

    def hears(self, *messages: m.Message) -> tuple[ev.Effect, ...]:
        return self(*(ev.MessageReceived(message) for message in messages))

    def endings_of(self, job: Job) -> list[m.Message]:
        return [
            effect.message
            for effect in self.effects
            if isinstance(effect, ev.Deliver)
            and effect.job is job
            and isinstance(effect.message, m.Ending)
        ]


def in_phase(phase: EnginePhase) -> Session:
    """Return a session that events have brought into a phase."""
    session = Session()
    steps: dict[EnginePhase, list[ev.SessionEvent]] = {
        OFF: [],
        STARTING: [ev.StartAsked()],
        LOADING: [ev.StartAsked(), ev.PeerProven(1)],
        READY_PHASE: [ev.StartAsked(), ev.PeerProven(1), ev.MessageReceived(READY)],
        STOPPING: [ev.StartAsked(), ev.PeerProven(1), ev.StopAsked()],
        FAILED: [ev.StartAsked(), ev.SpawnFailed("No such Python.")],
    }
    session(*steps[phase])
    assert session.state.engine is phase
    session.effects.clear()
    return session


def kinds(effects: tuple[ev.Effect, ...]) -> list[str]:
    """Return the kinds of the messages in effects, and the class names of other effects."""
    return [
        effect.message.kind if isinstance(effect, ev.Send | ev.Deliver) else type(effect).__name__
        for effect in effects
    ]


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


def test_jobs_run_one_after_another_in_order() -> None:
    session, first, second = in_phase(READY_PHASE), sample_job(), drag_job()
    assert session(ev.JobSubmitted(first)) == (ev.Send(first.request),)
    assert session(ev.JobSubmitted(second)) == ()
    done = m.Done(request_id=first.request.request_id)
    assert session.hears(done) == (ev.Deliver(first, done), ev.Send(second.request))
    assert session.state.active is second


def test_reports_of_the_engine_are_shown_and_delivered() -> None:
    session, job = in_phase(READY_PHASE), drag_job()
    session(ev.JobSubmitted(job))
    number = job.request.request_id
    step = drag_messages.Step(
        request_id=number, drag_id=number, step=7, loss=1.0, distance_px=3.26, handles=()
    )
    progress = m.Progress(request_id=number, fraction=1.5, text="Dragging")
    assert session.hears(progress) == (ev.Deliver(job, progress),)
    assert session.hears(step) == (ev.Deliver(job, step),)
    assert (session.state.fraction, session.state.text) == (1.0, "Dragging")
    assert (session.state.step, session.state.distance_px) == (7, 3.26)
    assert describe(session.state) == "Drag Suzanne: step 7, 3.3 px to go"
    session.hears(m.Done(request_id=number))
    assert (session.state.step, session.state.distance_px) == (0, None)


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


def test_messages_of_another_request_or_drag_are_dropped() -> None:
    session, job = in_phase(READY_PHASE), drag_job()
    session(ev.JobSubmitted(job))
    number = job.request.request_id
    for request_id, drag_id in ((number + 1, number), (number, number + 1)):
        stray = drag_messages.Step(
            request_id=request_id,
            drag_id=drag_id,
            step=1,
            loss=0.0,
            distance_px=1.0,
            handles=(),
        )
        assert session.hears(stray) == ()
    assert session.hears(m.Done(request_id=number + 1)) == ()
    assert session.state.active is job
    assert session.state.step == 0


def test_the_previews_of_a_bake_are_recognised_by_their_request() -> None:
    session, job = in_phase(READY_PHASE), bake_job()
    session(ev.JobSubmitted(job))
    number = job.request.request_id
    own, other = (
        drag_messages.Preview(
            request_id=request_id, drag_id=0, step=3, width=1, height=1, pixels=bytes(16)
        )
        for request_id in (number, number + 1)
    )
    shown = ev.Send(drag_messages.PreviewShown(request_id=number))
    assert session.hears(own) == (ev.Deliver(job, own), shown)
    assert session.hears(other) == ()
    # The previews of a job that is being cancelled are dropped.
    session(ev.DeliveryFailed(job, own, "the image is gone"))
    assert session.hears(own) == ()


@pytest.mark.parametrize("make_job", [drag_job, bake_job])
def test_stop_keeps_the_result_and_cancel_does_not(make_job: Callable[[], Job]) -> None:
    session, job = in_phase(READY_PHASE), make_job()
    session(ev.JobSubmitted(job))
    number = job.request.request_id
    assert session(ev.JobStopAsked("other plane")) == ()
    assert session(ev.JobStopAsked("plane")) == (ev.Send(m.Stop(request_id=number)),)
    assert session(ev.JobStopAsked("plane")) == ()
    assert session.state.ending_asked
    assert session(ev.JobCancelAsked("plane")) == (ev.Send(m.Cancel(request_id=number)),)
    assert session(ev.JobCancelAsked("plane")) == ()
    assert session(ev.JobStopAsked("plane")) == ()


def test_stop_of_a_job_without_a_result_to_keep_is_a_cancel() -> None:
    session, job = in_phase(READY_PHASE), sample_job()
    session(ev.JobSubmitted(job))
    cancel = m.Cancel(request_id=job.request.request_id)
    assert session(ev.JobStopAsked("plane")) == (ev.Send(cancel),)


@pytest.mark.parametrize("ask", [ev.JobStopAsked("b"), ev.JobCancelAsked("b")])
@pytest.mark.parametrize("phase", [STARTING, LOADING, READY_PHASE])
def test_waiting_jobs_of_the_image_end_at_once(phase: EnginePhase, ask: ev.SessionEvent) -> None:
    session = in_phase(phase)
    jobs = [sample_job("a"), sample_job("a"), sample_job("b")]
    session(*(ev.JobSubmitted(job) for job in jobs), ask)
    assert [ending.kind for ending in session.endings_of(jobs[2])] == ["cancelled"]
    assert session.state.jobs_of("a") == tuple(jobs[:2])
    assert session.state.jobs_of("b") == ()


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


def test_a_job_whose_message_cannot_be_shown_fails_and_the_engine_continues() -> None:
    session, job, following = in_phase(READY_PHASE), drag_job(), sample_job()
    session(ev.JobSubmitted(job), ev.JobSubmitted(following))
    number = job.request.request_id
    progress = m.Progress(request_id=number, fraction=0.1, text="")
    effects = session(ev.DeliveryFailed(job, progress, "KeyError: 'image'"))
    assert kinds(effects) == ["cancel", "failed"]
    assert session(ev.DeliveryFailed(job, progress, "again")) == ()
    assert session.hears(progress) == ()
    assert session.hears(m.Cancelled(request_id=number)) == (ev.Send(following.request),)
    assert [ending.kind for ending in session.endings_of(job)] == ["failed"]


@pytest.mark.parametrize("is_asked", [True, False])
def test_only_the_failure_of_a_job_that_a_person_has_asked_for_is_an_error(is_asked: bool) -> None:
    session = in_phase(READY_PHASE)
    job = replace(sample_job(), is_asked=is_asked)
    session(ev.JobSubmitted(job))
    failed = m.Failed(request_id=job.request.request_id, cause="model", message="It is not read.")
    session.hears(failed)
    assert session.state.error == ("It is not read." if is_asked else "")
    assert session.endings_of(job) == [failed]


def test_an_ending_that_cannot_be_shown_is_followed_by_one_failure() -> None:
    session, job = in_phase(READY_PHASE), drag_job()
    session(ev.JobSubmitted(job))
    done = m.Done(request_id=job.request.request_id)
    session.hears(done)
    (failure,) = session(ev.DeliveryFailed(job, done, "OSError: no file"))
    assert isinstance(failure, ev.Deliver)
    assert isinstance(failure.message, m.Failed)
    assert session(ev.DeliveryFailed(job, failure.message, "OSError: no file")) == ()
    assert "OSError: no file" in session.state.error


def test_the_reason_of_a_failed_job_stays_until_the_next_job_starts() -> None:
    session, job = in_phase(READY_PHASE), sample_job()
    session(ev.JobSubmitted(job))
    number = job.request.request_id
    session.hears(m.Failed(request_id=number, cause="model", message="Not a model."))
    assert session.state.error == "Not a model."
    assert session.state.engine is READY_PHASE
    session(ev.JobSubmitted(sample_job()))
    assert session.state.error == ""


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


@pytest.mark.parametrize("seed", range(60))
def test_every_job_gets_exactly_one_ending_for_random_events(seed: int) -> None:
    source = random.Random(seed)
    session = Session()
    jobs: list[Job] = []

    def random_event() -> ev.SessionEvent:
        number = 1 if session.state.active is None else session.state.active.request.request_id
        if source.random() < 0.3:
            jobs.append(source.choice((sample_job, drag_job))(image_id=source.choice("ab")))
            return ev.JobSubmitted(jobs[-1])
        events: list[ev.SessionEvent] = [
            ev.StartAsked(),
            ev.PeerProven(1),
            ev.PeerProven(1),
            ev.MessageReceived(READY),
            ev.MessageReceived(READY),
            ev.MessageReceived(m.Done(request_id=number)),
            ev.MessageReceived(m.Failed(request_id=number, cause="model", message="x")),
            ev.MessageReceived(m.Cancelled(request_id=number)),
            ev.MessageReceived(m.Progress(request_id=number, fraction=0.5, text="x")),
            ev.JobStopAsked(source.choice("ab")),
            ev.JobCancelAsked(source.choice("ab")),
            ev.ConnectionLost("was closed"),
            ev.ProcessEnded(-9),
            ev.StopAsked(),
            ev.TimedOut(),
        ]
        return source.choice(events)

    for _ in range(300):
        session(random_event())
        assert session.state.active is None or session.state.engine is READY_PHASE
        still_open = (session.state.active, *session.state.queue)
        for job in jobs[-30:]:
            assert len(session.endings_of(job)) == (job not in still_open)
    session(ev.StopAsked(), ev.ProcessEnded(0))
    assert all(len(session.endings_of(job)) == 1 for job in jobs)


def test_new_pairs_go_to_the_running_drag_and_into_the_request_of_a_waiting_one() -> None:
    session, running, waiting = in_phase(READY_PHASE), drag_job(), drag_job(image_id="other")
    session(ev.JobSubmitted(running), ev.JobSubmitted(waiting))
    pair = Pair(handle_px=(1.0, 2.0), target_px=(3.0, 4.0))

    change = ReplacePairs(request_id=running.request.request_id, pairs=(pair,), live=True)
    assert session(ev.JobChangeAsked("plane", change)) == (ev.Send(change),)

    later = ReplacePairs(request_id=waiting.request.request_id, pairs=(pair,), live=True)
    assert session(ev.JobChangeAsked("other", later)) == ()
    request = session.state.queue[0].request
    assert isinstance(request, drag_messages.Drag)
    assert (request.pairs, request.live, request.wider_mask) == ((pair,), True, b"")
    wider = replace(later, mask=b"larger")
    session(ev.JobChangeAsked("other", wider), ev.JobChangeAsked("other", later))
    request = session.state.queue[0].request
    assert isinstance(request, drag_messages.Drag) and request.wider_mask == b"larger"


def test_a_drag_that_was_asked_to_end_is_not_changed_any_more() -> None:
    session, job = in_phase(READY_PHASE), drag_job()
    session(ev.JobSubmitted(job), ev.JobStopAsked("plane"))
    pause = Pause(request_id=job.request.request_id, paused=True)
    assert session(ev.JobChangeAsked("plane", pause)) == ()


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
