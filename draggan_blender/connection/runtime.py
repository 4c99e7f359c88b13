# SPDX-License-Identifier: GPL-3.0-or-later
"""One engine as Blender's main thread sees it: session, connection and process together.

Feeds what socket and process tell into :mod:`.session` and performs the effects that it asks
for. Never waits and is never re-entered: what a callback asks for while an event is handled
happens after that event. Free of bpy; :mod:`.pump` holds the one that Blender uses.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..protocol import LocalProtocolError
from ..protocol.messages import Ending, Failed, Message, Request
from . import events, launcher, session
from .client import Client
from .events import Job
from .launcher import EngineProcess, LaunchError
from .session import State
from .tick_stats import TickStats

_log = logging.getLogger(__name__)

#: What one tick may take of a frame of Blender's main loop (16 ms at 60 Hz).
TICK_BUDGET_S = 0.004
_DELAY_MORE_S = 0.001
_DELAY_BUSY_S = 0.015
_DELAY_IDLE_S = 0.25

#: How long a lost connection waits for the exit code that explains it, which comes a little
#: later; and how long a dead process for the rest of what it sent.
_EXPLANATION_S = 0.5


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What is needed to start the engine; asked for at every start.

    ``python``: the interpreter that has torch. ``root``: the folder that holds ``engine/`` and
    ``draggan_blender/``. ``device``: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    ``log_folder`` is made when it is missing.
    """

    python: Path
    root: Path
    device: str
    log_folder: Path


def _no_settings() -> EngineSettings:
    raise LaunchError("The engine was not set up; enable the extension again.")


def _no_delivery(job: Job, message: Message) -> None:
    """Before the scene side has registered, nobody wants a message."""


def _no_change() -> None:
    """Before the panels have registered, nothing needs to be drawn again."""


class Runtime:
    """State, connection and process of one engine. Blender has one; tests make their own."""

    def __init__(self) -> None:
        self.state = State()
        self.stats = TickStats()
        self.settings: Callable[[], EngineSettings] = _no_settings
        self.delivery: Callable[[Job, Message], None] = _no_delivery
        self.changed: Callable[[], None] = _no_change
        self._client: Client | None = None
        self._process: EngineProcess | None = None
        #: Processes that were given up and still run: watched until they are gone.
        self._leaving: list[EngineProcess] = []
        self._log_path: Path | None = None
        self._events: deque[events.SessionEvent] = deque()
        self._dispatching = False
        self._ticking = False
        #: The kinds of the messages that the present tick has delivered.
        self._delivered: list[str] = []
        self._shown = self.state
        self._waiting_since_s = 0.0
        self._over_since_s: float | None = None
        self._lost: events.ConnectionLost | None = None

    @property
    def log_path(self) -> Path | None:
        """The log of the present or last engine; None before the first start."""
        return self._log_path

    @property
    def engine_pid(self) -> int | None:
        """The process id of the engine while there is one."""
        return None if self._process is None else self._process.pid

    # ------------------------------------------------------------ events in, effects out

    def dispatch(self, event: events.SessionEvent) -> None:
        """Let an event happen, with all its effects; from within a callback, right after it."""
        self._events.append(event)
        if self._dispatching:
            return
        self._dispatching = True
        try:
            while self._events:
                self._apply(self._events.popleft())
        finally:
            self._dispatching = False
        if not self._ticking:
            self._tell_changed()

    def _apply(self, event: events.SessionEvent) -> None:
        before = session.timeout_s(self.state), self.state.engine
        self.state, effects = session.transition(self.state, event)
        heard = isinstance(event, events.MessageReceived | events.PeerProven)
        if heard or before != (session.timeout_s(self.state), self.state.engine):
            self._waiting_since_s = time.monotonic()
        ended = isinstance(event, events.MessageReceived) and isinstance(event.message, Ending)
        if ended and self._process is not None:
            self._process.skip_log()
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: events.Effect) -> None:
        if isinstance(effect, events.Deliver):
            self._deliver(effect)
        elif isinstance(effect, events.Send):
            self._send(effect.message)
        elif isinstance(effect, events.Spawn):
            self._spawn()
        elif isinstance(effect, events.Disconnect):
            self._disconnect()
        elif isinstance(effect, events.EndProcess) and self._process is not None:
            self._process.ask_to_end(politely=effect.politely)

    def _deliver(self, effect: events.Deliver) -> None:
        self._delivered.append(effect.message.kind)
        try:
            self.delivery(effect.job, effect.message)
        except Exception as error:  # the scene side's root: the timer must live on
            _log.exception("%s: a %s was not taken in", effect.job.label, effect.message.kind)
            detail = f"{type(error).__name__}: {error}"
            self.dispatch(events.DeliveryFailed(effect.job, effect.message, detail))

    def _send(self, message: Message) -> None:
        if self._client is None:
            return
        try:
            self._client.send(message)
        except LocalProtocolError as error:
            if not isinstance(message, Request):
                raise
            failed = Failed(
                request_id=message.request_id,
                cause="request",
                message=f"This cannot be sent to the engine: {error}.",
            )
            self.dispatch(events.MessageReceived(failed))

    def _spawn(self) -> None:
        self._disconnect()
        if self._process is not None:
            self._leaving.append(self._process)
            self._process = None
        self._over_since_s = self._lost = None
        try:
            wanted = self.settings()
            self._log_path = launcher.new_log_path(wanted.log_folder)
            self._client = Client()
            self._process = launcher.spawn(
                wanted.python,
                wanted.root,
                wanted.device,
                self._log_path,
                port=self._client.port,
                token=self._client.token,
            )
        except LaunchError as error:
            self.dispatch(events.SpawnFailed(str(error)))
        except OSError as error:
            text = f"The system gives no local port for the engine to connect to ({error})."
            self.dispatch(events.SpawnFailed(text))

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _tell_changed(self) -> None:
        if self.state == self._shown:
            return
        self._shown = self.state
        try:
            self.changed()
        except Exception:  # the panels' root: the timer must live on
            _log.exception("The panels could not be told of a change")

    # ------------------------------------------------------------ the tick

    def tick(self, budget_s: float = TICK_BUDGET_S) -> float:
        """Take in what has come and do what is due; never waits.

        Returns:
            The seconds until the next tick is worth it.
        """
        if self._ticking:
            return _DELAY_BUSY_S
        # Not time.monotonic: Windows moves it on every 16 ms only.
        started_s = time.perf_counter()
        self._delivered.clear()
        self._ticking = True
        try:
            more = self._take_in(budget_s)
            self._see_to_timeout()
            self._see_to_processes()
            self._tell_changed()
        finally:
            self._ticking = False
        self.stats.add(time.perf_counter() - started_s, self._delivered)
        if more:
            return _DELAY_MORE_S
        return _DELAY_BUSY_S if self.state.busy or self._leaving else _DELAY_IDLE_S

    def _take_in(self, budget_s: float) -> bool:
        """Socket and process into events; answers whether more waits in the socket."""
        # The process first: if it has ended, all that it sent is there to be read.
        process, client = self._process, self._client
        code = None if process is None else process.poll()
        if client is not None:
            for event in client.poll(budget_s):
                if self._client is not client:
                    # Given up, or replaced by the next engine's, on account of an earlier event.
                    break
                if isinstance(event, events.ConnectionLost) and not event.by_us:
                    self._lost = event
                else:
                    self.dispatch(event)
        if self._process is process:
            self._see_to_the_end(code)
        return client is not None and client.more_waiting

    def _see_to_the_end(self, code: int | None) -> None:
        """Tell the end of process or connection, once, the process's if there are both."""
        if code is None and self._lost is None:
            return
        now_s = time.monotonic()
        if self._over_since_s is None:
            self._over_since_s = now_s
        patience_over = now_s - self._over_since_s >= _EXPLANATION_S
        still_talking = self._client is not None and self._client.connected
        if code is not None and (patience_over or not still_talking):
            text = "" if self._process is None else self._process.last_line()
            self._process = self._lost = self._over_since_s = None
            self.dispatch(events.ProcessEnded(code, text))
        elif self._lost is not None and patience_over:
            lost, self._lost, self._over_since_s = self._lost, None, None
            self.dispatch(lost)

    def _see_to_timeout(self) -> None:
        limit_s = session.timeout_s(self.state)
        if limit_s is not None and time.monotonic() - self._waiting_since_s >= limit_s:
            self.dispatch(events.TimedOut())

    def _see_to_processes(self) -> None:
        if self._process is not None:
            self._process.press()
        for process in tuple(self._leaving):
            process.press()
            if process.poll() is not None:
                self._leaving.remove(process)

    def run_until(
        self, predicate: Callable[[State], bool], timeout_s: float, *, sleep_s: float = 0.005
    ) -> bool:
        """Tick until ``predicate(state)`` holds; for scripts and ``blender -b`` only.

        Returns:
            Whether it came to hold within ``timeout_s`` seconds.

        Raises:
            RuntimeError: called from a callback of the engine's, where it could never end.
        """
        if self._ticking or self._dispatching:
            raise RuntimeError("run_until cannot be called from a callback of the engine's")
        deadline_s = time.monotonic() + timeout_s
        while not predicate(self.state):
            if time.monotonic() >= deadline_s:
                return False
            if self.tick() > _DELAY_MORE_S:
                time.sleep(sleep_s)
        return True

    def shut_down(self, grace_s: float = 1.0) -> None:
        """End everything now: jobs get their endings, processes end, sockets close.

        The one place that waits, and only for an engine that does not follow the closing of its
        standard input: nobody would look after it later.
        """
        self.dispatch(events.StopAsked())
        self._disconnect()
        processes = [*self._leaving, *([] if self._process is None else [self._process])]
        for process in processes:
            process.end_now(grace_s)
        self._leaving.clear()
        self._process = self._lost = self._over_since_s = None
        self.dispatch(events.ProcessEnded(0))
