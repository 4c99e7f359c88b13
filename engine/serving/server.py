# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as Blender's child: one connection, in messages of the protocol.

Threads: the main one reads the socket; the worker's owns torch; the outbox's sends; and one watches
standard input.  The parent never closes that pipe while it lives, so that its end means that the
parent is gone, however it ended, on every system; the engine then ends at once, whatever it is
doing.  It keeps nothing that an orderly end would have to clean up; of a file that is just being
written, a `.part` beside its place may stay.

Torch is imported by the worker, after the hello: a child that says nothing for seconds looks dead.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from draggan_blender.protocol import PROTOCOL_VERSION, Decoder, RemoteProtocolError, encode
from draggan_blender.protocol.messages import (
    Cancel,
    Cancelled,
    Hello,
    Message,
    PreviewShown,
    Request,
    Shutdown,
    StartupFailed,
    Stop,
    Welcome,
)

from ..machine.priority import give_way
from .job_queue import JobQueue
from .outbox import Outbox
from .parent import wait_for_end

_LOG = logging.getLogger(__name__)
_MAX_LINE_BYTES = 4096
_FLUSH_TIMEOUT_S = 2.0
_CHUNK_BYTES = 1 << 18


class _StartError(Exception):
    """The parent did not do its part of the start; the message goes to the log."""


@dataclass(frozen=True)
class _Address:
    """Where the parent listens, and what proves that we are its child."""

    port: int
    token: str


def serve(device: str, threads: int) -> int:
    """Serve the parent until either ends.

    Args:
        device: as `engine.device.open_device` takes it.
        threads: CPU threads for torch, 0 for its own choice.

    Returns:
        The exit code if the start failed.  After that the process ends from within.
    """
    _log_to_stderr()
    give_way()
    try:
        address = _read_address()
        connection = _connect(address)
        decoder = Decoder(trusted=True)
        messages = _messages(connection, decoder)
        _await_welcome(connection, messages)
    except _StartError as error:
        _LOG.error("%s", error)
        return 1
    _Session(connection, messages, device, threads).run()
    return 0


def _log_to_stderr() -> None:
    """Log to the file that the parent has given us as standard error."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )


def _end(code: int) -> NoReturn:
    """End now, from any thread, even while another is inside torch."""
    logging.shutdown()
    os._exit(code)


def _read_address() -> _Address:
    """The first line of standard input; from then on a thread watches for its end."""
    descriptor = sys.stdin.fileno()
    line = b""
    # Byte by byte from the descriptor: nothing may be left in a buffer that the watcher waits on.
    while not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
        piece = os.read(descriptor, 1)
        if not piece:
            raise _StartError(
                "standard input ended before the line with port and token; "
                "`serve` is started by the extension and not by hand"
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
        _LOG.info("standard input failed: %s", error)
    _LOG.info("the parent is gone, ending")
    _end(0)


def _connect(address: _Address) -> socket.socket:
    try:
        connection = socket.create_connection(("127.0.0.1", address.port), timeout=5.0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = Hello(protocol_version=PROTOCOL_VERSION, token=address.token, pid=os.getpid())
        connection.sendall(encode(hello))
    except (OSError, OverflowError) as error:
        raise _StartError(f"cannot reach Blender on port {address.port}: {error}") from None
    return connection


def _messages(connection: socket.socket, decoder: Decoder) -> Iterator[Message]:
    """What the parent sends, until it closes.

    Raises:
        RemoteProtocolError: it sent something else.
        OSError: the connection broke.
    """
    while data := connection.recv(_CHUNK_BYTES):
        yield from decoder.feed(data)


def _await_welcome(connection: socket.socket, messages: Iterator[Message]) -> None:
    # However long it takes: Blender may be rendering, and if it is gone, the watcher knows.
    connection.settimeout(None)
    try:
        first = next(messages, None)
    except (OSError, RemoteProtocolError) as error:
        raise _StartError(f"no welcome: {error}") from None
    if not isinstance(first, Welcome):
        found = "the connection was closed" if first is None else f"a {first.kind} message came"
        raise _StartError(f"Blender did not welcome this engine: {found}")
    if first.protocol_version != PROTOCOL_VERSION:
        raise _StartError(
            f"Blender speaks version {first.protocol_version} of the protocol and this engine "
            f"version {PROTOCOL_VERSION}; restart Blender so that both come from one extension"
        )


class _Session:
    """The time after the welcome."""

    def __init__(
        self,
        connection: socket.socket,
        messages: Iterator[Message],
        device: str,
        threads: int,
    ) -> None:
        self._messages = messages
        self._device = device
        self._threads = threads
        self._jobs = JobQueue()
        self._outbox = Outbox(connection.sendall, self._lost)

    def run(self) -> NoReturn:
        """Start the worker and read until the connection ends; then end the process."""
        threading.Thread(target=self._work, name="worker", daemon=True).start()
        try:
            for message in self._messages:
                self._handle(message)
            _LOG.info("Blender closed the connection, ending")
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
        elif isinstance(message, PreviewShown):
            self._jobs.shown(message.request_id)
        elif isinstance(message, Shutdown):
            self._outbox.flush(_FLUSH_TIMEOUT_S)
            _LOG.info("Blender asked for the end")
            _end(0)
        else:
            _LOG.warning("a %s message has no meaning here, ignored", message.kind)

    def _lost(self, error: OSError) -> None:
        _LOG.error("cannot send to Blender: %s", error)
        _end(1)

    def _work(self) -> None:
        """The worker's thread: its import of torch is what takes the time of a start."""
        try:
            from .worker import Worker

            worker = Worker(self._jobs, self._outbox.put, self._device, self._threads)
        except ImportError as error:
            _LOG.exception("a package is missing")
            self._give_up(f"the engine's Python lacks a package ({error}); install it again")
        except Exception as error:  # the root of a thread
            _LOG.exception("the worker cannot start")
            self._give_up(str(error))
        try:
            worker.run()
        except Exception:  # the root of a thread; every request has its own handler below this
            _LOG.exception("the worker died")
            _end(1)

    def _give_up(self, text: str) -> NoReturn:
        self._outbox.put(StartupFailed(message=text))
        self._outbox.flush(_FLUSH_TIMEOUT_S)
        _end(1)
