# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket between Blender and the engine, without threads and without blocking.

Blender listens on a loopback port that the system chooses; the engine connects and proves the token
with its hello. ``Client.poll`` accepts, reads and writes without blocking, within a time budget, so
it can run on Blender's main thread; the rest stays in the kernel until the next call.

Of a peer that has not proven the token at most a kilobyte is kept, and only compared with the
expected hello. It is disconnected without an answer, and the listener keeps waiting for the engine.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Iterable

from ..protocol import PROTOCOL_VERSION, Decoder, RemoteProtocolError, encode
from ..protocol.drag_messages import Preview, Step
from ..protocol.messages import Hello, Message, Progress, Welcome
from .events import ConnectionLost, MessageReceived, PeerProven, PeerRefused

_LOG = logging.getLogger(__name__)

ClientEvent = PeerProven | PeerRefused | MessageReceived | ConnectionLost

_RECEIVE_BYTES = 256 * 1024
# This many connections may wait unproven; if there are more, the oldest is dropped. One waits at
# most for the time below; the engine sends its hello at once.
_MAX_UNPROVEN = 64
_PROOF_WITHIN_S = 5.0
# How many connections one poll accepts. While Blender renders it does not poll, and strangers can
# fill the system's queue, of which the engine must not have to wait for the end.
_ACCEPTED_AT_ONCE = 256


class _Peer:
    """One accepted connection, and the decoder of its bytes."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.since_s = time.monotonic()
        self.decoder = Decoder()

    def receive(self, buffer: bytearray) -> memoryview | None:
        """Return the bytes that can be read now: None if nothing has arrived, empty at the end."""
        try:
            count = self.connection.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            count = 0
        return memoryview(buffer)[:count]


class Client:
    """Blender's end of the connection: a listener, then one proven peer and an outbox.

    Attributes:
        token: The secret that the engine must send, 64 hexadecimal digits.
        port: The loopback port that the client listens on.
    """

    def __init__(self) -> None:
        """Start to listen.

        Raises:
            OSError: The system has no free loopback port.
        """
        self.token = secrets.token_hex(32)
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._unproven: list[_Peer] = []
        self._peer: _Peer | None = None
        self._outbox: deque[memoryview] = deque()
        self._lost = False
        self._more_waiting = False
        self._listener: socket.socket | None = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "nt":
                # On Windows another program could take over the port with SO_REUSEADDR.
                exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", -5)
                self._listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
            self._listener.setblocking(False)
            self._listener.bind(("127.0.0.1", 0))
            self._listener.listen(socket.SOMAXCONN)
        except OSError:
            self._listener.close()
            raise
        self.port: int = self._listener.getsockname()[1]

    @property
    def connected(self) -> bool:
        """Whether an engine that has proven the token is connected."""
        return self._peer is not None and not self._lost

    @property
    def more_waiting(self) -> bool:
        """Whether the last ``poll`` ended because its time was up, so that bytes may be left."""
        return self._more_waiting

    def poll(self, budget_s: float) -> list[ClientEvent]:
        """Read and write what is possible without blocking.

        Args:
            budget_s: Stop reading after this many seconds; a read and the decoding of its messages
                are always finished.

        Returns:
            What has happened, in order. If several previews, steps or progress messages of one
            request have arrived, only the last of each kind is returned.
        """
        self._more_waiting = False
        events = self._accept() if self._listener is not None else []
        if self._peer is not None and not self._lost:
            self._flush()
            # Not time.monotonic: on Windows it advances only every 16 ms.
            events += self._poll_peer(self._peer, time.perf_counter() + budget_s)
        return _latest(events)

    def send(self, message: Message) -> None:
        """Put a message into the outbox, and send as much of it as is possible without blocking.

        Without a connection the message is dropped; ``poll`` reports the loss of a connection.

        Raises:
            LocalProtocolError: The protocol does not allow the message.
        """
        frame = encode(message)
        if self.connected:
            self._outbox.append(memoryview(frame))
            self._flush()

    def close(self) -> None:
        """Close the listener and all connections; idempotent."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for peer in self._unproven:
            peer.connection.close()
        self._unproven.clear()
        if self._peer is not None:
            self._peer.connection.close()
        self._lost = True
        self._outbox.clear()

    # ------------------------------------------------------------ before the proof

    def _accept(self) -> list[ClientEvent]:
        """Accept who is connecting; return the events of the engine, if it has proven itself."""
        for _ in range(_ACCEPTED_AT_ONCE):
            assert self._listener is not None
            try:
                connection, _address = self._listener.accept()
            except OSError:
                # Nobody is connecting, or the peer has closed the connection already.
                break
            self._unproven.append(_Peer(connection))
            if len(self._unproven) > _MAX_UNPROVEN:
                # What has arrived is looked at before anybody is dropped.
                events = self._poll_unproven()
                if self._peer is not None or self._lost:
                    return events
                for peer in self._unproven[:-_MAX_UNPROVEN]:
                    self._drop(peer, "too many connections")
        events = self._poll_unproven()
        if self._peer is None:
            late_s = time.monotonic() - _PROOF_WITHIN_S
            for peer in [one for one in self._unproven if one.since_s < late_s]:
                self._drop(peer, "it sent nothing")
        return events

    def _drop(self, peer: _Peer, reason: str) -> None:
        _LOG.warning("A connection that did not prove the token was dropped: %s", reason)
        peer.connection.close()
        self._unproven.remove(peer)

    def _poll_unproven(self) -> list[ClientEvent]:
        for peer in tuple(self._unproven):
            data = peer.receive(self._buffer)
            if data is None:
                continue
            if not data:
                self._drop(peer, "it closed")
                continue
            messages = peer.decoder.feed(data)
            try:
                first = next(messages, None)
            except RemoteProtocolError as error:
                self._drop(peer, str(error))
                continue
            if first is None:
                continue
            if not isinstance(first, Hello) or not self._proves(first):
                self._drop(peer, "it did not know the token")
                continue
            return self._welcome(peer, first, messages)
        return []

    def _proves(self, hello: Hello) -> bool:
        # As bytes: compare_digest raises an error for text that is not ASCII.
        given = hello.token.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(given, self.token.encode())

    def _welcome(self, peer: _Peer, hello: Hello, rest: Iterable[Message]) -> list[ClientEvent]:
        """Keep the proven peer, and close the listener and all other connections."""
        self._unproven.remove(peer)
        self._peer = peer
        for stranger in tuple(self._unproven):
            self._drop(stranger, "the engine has connected")
        assert self._listener is not None
        self._listener.close()
        self._listener = None
        if hello.protocol_version != PROTOCOL_VERSION:
            found, expected = hello.protocol_version, PROTOCOL_VERSION
            self.close()
            text = (
                f"The engine uses version {found} of the protocol and this extension version "
                f"{expected}; install both from the same release, then restart Blender."
            )
            return [PeerRefused(text)]
        peer.decoder.trust()
        peer.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(Welcome(protocol_version=PROTOCOL_VERSION))
        return [PeerProven(hello.pid), *self._messages(rest)]

    # ------------------------------------------------------------ after the proof

    def _messages(self, messages: Iterable[Message]) -> list[ClientEvent]:
        events: list[ClientEvent] = []
        try:
            for message in messages:
                events.append(MessageReceived(message))
        except RemoteProtocolError as error:
            reason = f"was closed, because the engine sent an invalid message ({error})"
            events += self._lose(reason, by_us=True)
        return events

    def _poll_peer(self, peer: _Peer, deadline: float) -> list[ClientEvent]:
        events: list[ClientEvent] = []
        while not self._lost:
            data = peer.receive(self._buffer)
            if data is None:
                break
            if data:
                events += self._messages(peer.decoder.feed(data))
            elif peer.decoder.mid_frame:
                events += self._lose("was cut in the middle of a message")
            else:
                events += self._lose("was closed")
            if time.perf_counter() >= deadline:
                self._more_waiting = not self._lost
                break
        return events

    def _lose(self, reason: str, *, by_us: bool = False) -> list[ClientEvent]:
        self.close()
        return [ConnectionLost(reason, by_us)]

    def _flush(self) -> None:
        """Write until the kernel accepts no more; reading reports a broken connection."""
        assert self._peer is not None
        while self._outbox:
            try:
                count = self._peer.connection.send(self._outbox[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._outbox.clear()
                return
            if count < len(self._outbox[0]):
                self._outbox[0] = self._outbox[0][count:]
            else:
                self._outbox.popleft()


def _latest(events: list[ClientEvent]) -> list[ClientEvent]:
    """Leave out messages that a later one of the same kind and request replaces; keep the order.

    While Blender is busy drawing, many steps arrive, and each would take time to show.
    """
    kept: list[ClientEvent] = []
    seen: set[tuple[type, int, int]] = set()
    for event in reversed(events):
        if isinstance(event, MessageReceived):
            message = event.message
            if isinstance(message, Preview | Step | Progress):
                drag_id = getattr(message, "drag_id", 0)
                key = (type(message), message.request_id, drag_id)
                if key in seen:
                    continue
                seen.add(key)
        kept.append(event)
    kept.reverse()
    return kept
