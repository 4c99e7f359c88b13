# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of the engine: one after another, stopped, changed, and each with one ending."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from draggan_blender.connection import events as ev
from draggan_blender.connection.events import Job
from draggan_blender.connection.state import EnginePhase, describe
from draggan_blender.protocol import drag_messages
from draggan_blender.protocol import messages as m
from draggan_blender.protocol.live import Pause, ReplacePairs
from draggan_blender.protocol.pairs import Pair
from tests.connection.making import READY, bake_job, drag_job, sample_job
from tests.connection.session_steps import (
    LOADING,
    READY_PHASE,
    STARTING,
    Session,
    in_phase,
    kinds,
)


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
