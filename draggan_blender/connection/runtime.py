# SPDX-License-Identifier: GPL-3.0-or-later
"""The state, the connection and the process of one engine, driven from Blender's main thread.

A ``Runtime`` makes events of what the socket and the process report, passes them to ``session``,
and performs the effects that it returns. It does not wait. Events are not nested: if a callback
causes an event while another one is handled, the new one is handled afterwards. ``bpy`` is not
needed; ``pump`` holds the instance that Blender uses.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import EditError
from ..protocol import LocalProtocolError
from ..protocol.agreement import Folders
from ..protocol.health import Pulse
from ..protocol.messages import Ending, Failed, Message, Request
from . import events, launcher, session
from .client import Client
from .events import Job
from .launcher import EngineProcess, LaunchError
from .state import EnginePhase, State
from .tick_stats import TickStats

_LOG = logging.getLogger(__name__)

# How long one tick may read, of the 16 ms that a turn of Blender's main loop has at 60 Hz.
TICK_BUDGET_S = 0.004
# Until the next tick: if bytes are left, while a person pulls and waits for each image, while the
# engine is busy otherwise, and while it is not.
_DELAY_MORE_S = 0.001
_DELAY_LIVE_S = 0.005
_DELAY_BUSY_S = 0.015
_DELAY_IDLE_S = 0.25

# How long a lost connection waits for the exit code that explains it, which arrives a little
# later; and how long an ended process waits for the rest of the bytes that it sent.
_EXPLANATION_S = 0.5
# A longer time between two ticks was a render, or the sleep of the computer.
_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The settings that the engine is started with.

    Attributes:
        python: The interpreter that has PyTorch.
        root: The folder that holds ``engine`` and ``draggan_blender``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        log_folder: The folder for logs; it is made if it is missing.
    """

    python: Path
    root: Path
    device: str
    log_folder: Path


def _no_settings() -> EngineSettings:
    raise LaunchError("The engine was not set up; enable the extension again.")


def _no_delivery(job: Job, message: Message) -> None:
    """Drop a message: no callback is registered yet."""


def _no_change() -> None:
    """Redraw nothing: no callback is registered yet."""


class Runtime:
    """The state, the connection and the process of one engine; Blender has one instance.

    Attributes:
        state: What the engine and its jobs are doing.
        stats: How long the ticks took.
        settings: Returns the settings to start the engine with; see ``pump.configure``.
        delivery: Receives the messages of jobs; see ``pump.set_delivery``.
        changed: Called after a change of ``state``; see ``pump.set_changed``.
        folders: Returns where the engine may write; see ``pump.set_folders``.
    """

    def __init__(self) -> None:
        self.state = State()
        self.stats = TickStats()
        self.settings: Callable[[], EngineSettings] = _no_settings
        self.delivery: Callable[[Job, Message], None] = _no_delivery
        self.changed: Callable[[], None] = _no_change
        self.folders: Callable[[], tuple[str, ...]] = tuple
        # What the present engine knows of them.
        self._agreed: tuple[str, ...] = ()
        self._client: Client | None = None
        self._process: EngineProcess | None = None
        # Processes of earlier engines that have not ended yet.
        self._leaving: list[EngineProcess] = []
        self._log_path: Path | None = None
        self._events: deque[events.SessionEvent] = deque()
        self._dispatching = False
        self._ticking = False
        # The kinds of the messages that the present tick has delivered.
        self._delivered: list[str] = []
        self._shown = self.state
        # When the engine has made progress last, and when anything of it was heard.
        self._waiting_since_s = 0.0
        self._heard_s = 0.0
        self._passes: int | None = None
        self._ticked_s: float | None = None
        self._over_since_s: float | None = None
        self._lost: events.ConnectionLost | None = None

    @property
    def log_path(self) -> Path | None:
        """The log file of the present or last engine; None before the first start."""
        return self._log_path

    @property
    def engine_pid(self) -> int | None:
        """The process id of the engine; None while no process is running."""
        return None if self._process is None else self._process.pid

    # ------------------------------------------------------------ events in, effects out

    def dispatch(self, event: events.SessionEvent) -> None:
        """Handle an event and perform its effects; from a callback, after the present event."""
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
            self._report_change()

    def _apply(self, event: events.SessionEvent) -> None:
        before = session.timeout_s(self.state), self.state.engine
        self.state, effects = session.transition(self.state, event)
        from_engine = isinstance(event, events.MessageReceived | events.PeerProven)
        if from_engine:
            self._heard_s = time.monotonic()
        has_moved = from_engine and not self._is_mere_pulse(event)
        if has_moved or before != (session.timeout_s(self.state), self.state.engine):
            self._waiting_since_s = time.monotonic()
        ended = isinstance(event, events.MessageReceived) and isinstance(event.message, Ending)
        if ended and self._process is not None:
            self._process.skip_log()
        for effect in effects:
            self._perform(effect)

    def _is_mere_pulse(self, event: events.SessionEvent) -> bool:
        """Return whether an event only says that the engine is alive, and not that it has moved."""
        is_pulse = isinstance(event, events.MessageReceived) and isinstance(event.message, Pulse)
        has_moved, self._passes = self._passes != self.state.passes, self.state.passes
        return is_pulse and not has_moved

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
        except Exception as error:  # any error of the callback: the timer must continue
            _LOG.exception("%s: a %s could not be shown", effect.job.label, effect.message.kind)
            # An EditError is a sentence already; the name of another error says more than its text.
            name = "" if isinstance(error, EditError) else f"{type(error).__name__}: "
            detail = " ".join(f"{name}{error}".split())
            self.dispatch(events.DeliveryFailed(effect.job, effect.message, detail))

    def _send(self, message: Message) -> None:
        if self._client is None:
            return
        try:
            if isinstance(message, Request):
                self._agree(self._client)
            self._client.send(message)
        except LocalProtocolError as error:
            if not isinstance(message, Request):
                raise
            failed = Failed(
                request_id=message.request_id,
                cause="request",
                message=f"The request cannot be sent to the engine: {error}.",
            )
            self.dispatch(events.MessageReceived(failed))

    def _agree(self, client: Client) -> None:
        """Tell the engine where it may write, if it does not know that yet."""
        folders = self.folders()
        if folders != self._agreed:
            client.send(Folders(folders=folders))
            self._agreed = folders

    def _spawn(self) -> None:
        self._disconnect()
        if self._process is not None:
            self._leaving.append(self._process)
            self._process = None
        self._over_since_s = self._lost = None
        self._agreed = ()
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
            text = f"The system has no free local port for the engine to connect to ({error})."
            self.dispatch(events.SpawnFailed(text))

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _report_change(self) -> None:
        if self.state == self._shown:
            return
        self._shown = self.state
        try:
            self.changed()
        except Exception:  # any error of the callback: the timer must continue
            _LOG.exception("The panels could not be redrawn after a change")

    # ------------------------------------------------------------ the tick

    def tick(self, budget_s: float = TICK_BUDGET_S) -> float:
        """Process what has arrived and do what is due, without waiting.

        Args:
            budget_s: How many seconds the socket may be read.

        Returns:
            The seconds after which the next tick is useful.
        """
        if self._ticking:
            return _DELAY_BUSY_S
        # Not time.monotonic: on Windows it advances only every 16 ms.
        started_s = time.perf_counter()
        self._delivered.clear()
        self._skip_pause()
        self._ticking = True
        try:
            more = self._receive(budget_s)
            self._check_timeout()
            self._check_processes()
            self._report_change()
        finally:
            self._ticking = False
        self.stats.add(time.perf_counter() - started_s, self._delivered)
        if more:
            return _DELAY_MORE_S
        if self.state.is_pulled:
            return _DELAY_LIVE_S
        return _DELAY_BUSY_S if self.state.busy or self._leaving else _DELAY_IDLE_S

    def _receive(self, budget_s: float) -> bool:
        """Handle the events of the socket and the process; return whether bytes may be left."""
        # The process first: if it has ended, all that it has sent can be read.
        process, client = self._process, self._client
        code = None if process is None else process.poll()
        if client is not None:
            for event in client.poll(budget_s):
                if self._client is not client:
                    # An earlier event has closed it, or started the next engine.
                    break
                if isinstance(event, events.ConnectionLost) and not event.by_us:
                    self._lost = event
                else:
                    self.dispatch(event)
        if self._process is process:
            self._report_end(code)
        return client is not None and client.more_waiting

    def _report_end(self, code: int | None) -> None:
        """Handle the end of the process or the connection, once; of both, that of the process."""
        if code is None and self._lost is None:
            return
        now_s = time.monotonic()
        if self._over_since_s is None:
            self._over_since_s = now_s
        has_waited = now_s - self._over_since_s >= _EXPLANATION_S
        is_connected = self._client is not None and self._client.connected
        if code is not None and (has_waited or not is_connected):
            text = "" if self._process is None else self._process.last_line()
            self._process = self._lost = self._over_since_s = None
            self.dispatch(events.ProcessEnded(code, text))
        elif self._lost is not None and has_waited:
            lost, self._lost, self._over_since_s = self._lost, None, None
            self.dispatch(lost)

    def _check_timeout(self) -> None:
        now_s = time.monotonic()
        limit_s = session.timeout_s(self.state)
        if limit_s is not None and now_s - self._waiting_since_s >= limit_s:
            self.dispatch(events.TimedOut())
        has_pulse = self.state.passes is not None and self.state.engine is EnginePhase.READY
        silence_s = now_s - self._heard_s
        if has_pulse and not self.state.silent and silence_s >= session.SILENT_AFTER_S:
            self.dispatch(events.WentSilent())

    def _skip_pause(self) -> None:
        """Leave out of all waiting the time in which nothing was read: a render, or sleep."""
        now_s, before_s = time.monotonic(), self._ticked_s
        self._ticked_s = now_s
        if before_s is not None and now_s - before_s > _PAUSE_S:
            self._waiting_since_s += now_s - before_s
            self._heard_s += now_s - before_s

    def _check_processes(self) -> None:
        if self._process is not None:
            self._process.press()
        for process in tuple(self._leaving):
            process.press()
            if process.poll() is not None:
                self._leaving.remove(process)

    def run_until(
        self, predicate: Callable[[State], bool], timeout_s: float, *, sleep_s: float = 0.005
    ) -> bool:
        """Tick until ``predicate(state)`` is True; only for scripts and ``blender -b``.

        An engine that does not answer is given up after a while, because nobody is there to end it.

        Args:
            predicate: Called before each tick.
            timeout_s: The longest wait in seconds; may be infinite.
            sleep_s: The pause after a tick that has left no bytes to read.

        Returns:
            Whether the predicate was True within ``timeout_s`` seconds.

        Raises:
            RuntimeError: If a callback of this runtime calls it, where it could never end.
        """
        if self._ticking or self._dispatching:
            raise RuntimeError("run_until cannot be called from a callback of the engine")
        deadline_s = time.monotonic() + timeout_s
        while not predicate(self.state):
            if time.monotonic() >= deadline_s:
                return False
            if self.tick() > _DELAY_MORE_S:
                time.sleep(sleep_s)
            is_silent = self.state.silent
            if is_silent and time.monotonic() - self._heard_s >= session.GIVE_UP_AFTER_S:
                self.dispatch(events.GivenUp())
        return True

    def shut_down(self, grace_s: float = 1.0) -> None:
        """End everything now: cancel the jobs, end the processes, close the sockets.

        This waits for the processes, because there are no ticks afterwards.

        Args:
            grace_s: How long to wait for each engine before it is killed.
        """
        self.dispatch(events.StopAsked())
        self._disconnect()
        processes = [*self._leaving, *([] if self._process is None else [self._process])]
        for process in processes:
            process.end_now(grace_s)
        self._leaving.clear()
        self._process = self._lost = self._over_since_s = None
        self.dispatch(events.ProcessEnded(0))
