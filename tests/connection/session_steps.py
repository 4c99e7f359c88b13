# SPDX-License-Identifier: GPL-3.0-or-later
"""A session of the engine for tests, as events make it: no process, no socket, no clock."""

from __future__ import annotations

from draggan_blender.connection import events as ev
from draggan_blender.connection.events import Job
from draggan_blender.connection.session import transition
from draggan_blender.connection.state import EnginePhase, State
from draggan_blender.protocol import messages as m
from tests.connection.making import READY

OFF, STARTING, LOADING, READY_PHASE, STOPPING, FAILED = EnginePhase


class Session:
    """A state, and the effects of all events so far."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.effects: list[ev.Effect] = []
        # By the identity of the job, which ``effects`` keeps.
        self._endings: dict[int, list[m.Message]] = {}

    def __call__(self, *events: ev.SessionEvent) -> tuple[ev.Effect, ...]:
        """Handle events, and return the effects of the last one."""
        effects: tuple[ev.Effect, ...] = ()
        for event in events:
            self.state, effects = transition(self.state, event)
            self.effects += effects
            for effect in effects:
                if isinstance(effect, ev.Deliver) and isinstance(effect.message, m.Ending):
                    self._endings.setdefault(id(effect.job), []).append(effect.message)
        return effects

    def hears(self, *messages: m.Message) -> tuple[ev.Effect, ...]:
        return self(*(ev.MessageReceived(message) for message in messages))

    def endings_of(self, job: Job) -> list[m.Message]:
        return self._endings.get(id(job), [])


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
