# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the engine as a child process of Blender, over one connection.

Threads: the main thread reads the socket, the worker's thread owns torch, the outbox's thread
sends, and one thread watches standard input. The parent keeps the pipe of standard input open as
long as it runs, so the end of that pipe means on every system that the parent has ended, however
it ended. The engine then exits immediately, whatever it is doing; only the ``.part`` file that is
being written at that moment is removed.

The worker imports torch after the hello was sent, because an engine that sends nothing for seconds
looks dead.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from draggan_blender.protocol import PROTOCOL_VERSION, Decoder, RemoteProtocolError, encode
from draggan_blender.protocol.agreement import Folders
from draggan_blender.protocol.atomic_files import remove_unfinished
from draggan_blender.protocol.drag_messages import PreviewShown
from draggan_blender.protocol.live import Pause, ReplacePairs
from draggan_blender.protocol.messages import (
    Cancel,
    Cancelled,
    Hello,
    Message,
    Request,
    Shutdown,
    StartupFailed,
    Stop,
    Welcome,
)

from ..machine.priority import Foreground, lower_priority
from .agreed_folders import AgreedFolders
from .job_queue import JobQueue
from .outbox import Outbox
from .parent import wait_for_end
from .pulse import start_pulse

_LOG = logging.getLogger(__name__)
_MAX_LINE_BYTES = 4096
_FLUSH_TIMEOUT_S = 2.0
_CHUNK_BYTES = 1 << 18
# How long the engine waits after Blender has closed a connection without an answer.
_AGAIN_S = 0.3
# What is done before the process exits; each must be quick, and safe from any thread.
_AT_END: list[Callable[[], None]] = []


class _StartError(Exception):
    """The connection to the parent could not be made; the message goes to the log."""


class _NoAnswerError(Exception):
    """Blender closed the connection without an answer, as it does with strangers if many wait."""


@dataclass(frozen=True)
class _Address:
    """The port the parent listens on, and the token that proves that this is its child."""

    port: int
    token: str


def serve(device: str, threads: int) -> int:
    """Serve requests of the parent until the connection or the parent ends.

    Args:
        device: As ``machine.device.open_device`` takes it.
        threads: Number of CPU threads of torch, 0 for torch's choice.

    Returns:
        1 if the start failed. After a successful start the function does not return: the process
        exits.
    """
    _log_to_stderr()
    foreground = Foreground()
    lower_priority()
    try:
        connection, messages = _join(_read_address())
    except _StartError as error:
        _LOG.error("%s", error)
        return 1
    _Session(connection, messages, device, threads, foreground).run()
    return 0


def _log_to_stderr() -> None:
    """Log to standard error, which the parent redirects to a file."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )


def _end(code: int) -> NoReturn:
    """Exit immediately, from any thread, even while another thread is inside torch."""
    for tidy in _AT_END:
        tidy()
    logging.shutdown()
    remove_unfinished()
    os._exit(code)


def _read_address() -> _Address:
    """Read the first line of standard input, and start a thread that watches for its end."""
    descriptor = sys.stdin.fileno()
    line = b""
    # Read byte by byte: a buffered read could take data that the watcher waits for.
    while not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
        piece = os.read(descriptor, 1)
        if not piece:
            raise _StartError(
                "standard input ended before the line with the port and the token; "
                "the serve command is started by the extension, not by hand"
            )
        line += piece
    try:
        fields = json.loads(line)
        address = _Address(port=int(fields["port"]), token=str(fields["token"]))
    except (ValueError, KeyError, TypeError):
        raise _StartError("the first line of standard input is not the expected JSON") from None
    threading.Thread(
        target=_watch_stdin, args=(descriptor,), name="stdin watcher", daemon=True
    ).start()
    return address


def _watch_stdin(descriptor: int) -> None:
    try:
        wait_for_end(descriptor)
    except OSError as error:
        _LOG.info("cannot read standard input: %s", error)
    _LOG.info("the parent process has ended, exiting")
    _end(0)


def _join(address: _Address) -> tuple[socket.socket, Iterator[Message]]:
    """Connect to Blender and wait for its welcome; return the connection and its messages.

    While Blender renders, it accepts nobody, and others on this machine can take up the places in
    the queue. So this goes on until Blender refuses or ends.

    Raises:
        _StartError: Blender does not listen, or has answered otherwise.
    """
    while True:
        try:
            connection = _connect(address)
        except TimeoutError:
            _LOG.info("Blender does not accept the connection yet, trying again")
            continue
        messages = _messages(connection, Decoder(trusted=True))
        try:
            _await_welcome(connection, messages)
        except _NoAnswerError as error:
            _LOG.info("%s, trying again", error)
            connection.close()
            time.sleep(_AGAIN_S)
            continue
        return connection, messages


def _connect(address: _Address) -> socket.socket:
    try:
        connection = socket.create_connection(("127.0.0.1", address.port), timeout=5.0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = Hello(protocol_version=PROTOCOL_VERSION, token=address.token, pid=os.getpid())
        connection.sendall(encode(hello))
    except TimeoutError:
        raise
    except (OSError, OverflowError) as error:
        raise _StartError(f"cannot reach Blender on port {address.port}: {error}") from None
    return connection


def _messages(connection: socket.socket, decoder: Decoder) -> Iterator[Message]:
    """Yield the messages of the parent until it closes the connection.

    Raises:
        RemoteProtocolError: The parent sent something that is not a message.
        OSError: The connection failed.
    """
    while data := connection.recv(_CHUNK_BYTES):
        yield from decoder.feed(data)


def _await_welcome(connection: socket.socket, messages: Iterator[Message]) -> None:
    # Without a timeout: Blender may be rendering, and if it ends, the watcher exits.
    connection.settimeout(None)
    try:
        first = next(messages, None)
    except OSError as error:
        raise _NoAnswerError(f"received no welcome from Blender: {error}") from None
    except RemoteProtocolError as error:
        raise _StartError(f"received no welcome from Blender: {error}") from None
    if first is None:
        raise _NoAnswerError("Blender did not welcome this engine: the connection was closed")
    if not isinstance(first, Welcome):
        raise _StartError(f"Blender did not welcome this engine: a {first.kind} message came")
    if first.protocol_version != PROTOCOL_VERSION:
        raise _StartError(
            f"Blender uses version {first.protocol_version} of the protocol, but this engine uses "
            f"version {PROTOCOL_VERSION}; restart Blender so that both come from one extension"
        )


class _Session:
    """Handles messages from the welcome to the end of the process."""

    def __init__(
        self,
        connection: socket.socket,
        messages: Iterator[Message],
        device: str,
        threads: int,
        foreground: Foreground,
    ) -> None:
        self._messages = messages
        self._device = device
        self._threads = threads
        self._foreground = foreground
        self._jobs = JobQueue()
        self._folders = AgreedFolders()
        self._outbox = Outbox(connection.sendall, self._lost)

    def run(self) -> NoReturn:
        """Start the worker, handle messages until the connection ends, and exit."""
        threading.Thread(target=self._work, name="worker", daemon=True).start()
        start_pulse(self._outbox.put, lambda: self._jobs.passes)
        try:
            for message in self._messages:
                self._handle(message)
            _LOG.info("Blender closed the connection, exiting")
            _end(0)
        except (RemoteProtocolError, OSError) as error:
            _LOG.error("the connection to Blender failed: %s", error)
            _end(1)

    def _handle(self, message: Message) -> None:
        if isinstance(message, Request):
            self._jobs.put(message)
        elif isinstance(message, Cancel):
            if self._jobs.cancel(message.request_id):
                self._outbox.put(Cancelled(request_id=message.request_id))
        elif isinstance(message, Stop):
            self._jobs.stop(message.request_id)
        elif isinstance(message, ReplacePairs | Pause):
            self._jobs.tell(message)
        elif isinstance(message, Folders):
            self._folders.agree(message.folders)
        elif isinstance(message, PreviewShown):
            self._jobs.shown(message.request_id)
        elif isinstance(message, Shutdown):
            self._outbox.flush(_FLUSH_TIMEOUT_S)
            _LOG.info("Blender asked the engine to exit")
            _end(0)
        else:
            _LOG.warning("ignored an unexpected %s message", message.kind)

    def _lost(self, error: OSError) -> None:
        _LOG.error("cannot send to Blender: %s", error)
        _end(1)

    def _work(self) -> None:
        """Run the worker; importing torch takes most of the time of a start."""
        try:
            from ..machine.operators import end_loading
            from .worker import Worker

            _AT_END.append(end_loading)
            worker = Worker(
                self._jobs,
                self._outbox.put,
                self._device,
                self._threads,
                self._folders,
                self._foreground,
            )
        except ImportError as error:
            _LOG.exception("a package is missing")
            self._give_up(
                f"the engine's Python lacks a package ({error}); install its packages again"
            )
        except Exception as error:  # the root of a thread
            _LOG.exception("the worker cannot start")
            self._give_up(str(error))
        try:
            worker.run()
        except Exception:  # the root of a thread; every request has its own handler below this
            _LOG.exception("the worker failed")
            _end(1)

    def _give_up(self, text: str) -> NoReturn:
        self._outbox.put(StartupFailed(message=text))
        self._outbox.flush(_FLUSH_TIMEOUT_S)
        _end(1)
