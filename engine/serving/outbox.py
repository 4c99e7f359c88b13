# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends messages from a thread, so that the caller never waits for the socket.

A preview that is still unsent when the next preview of the same drag is queued is dropped, so that
a slow reader gets the newest image instead of a queue of old ones; likewise a pulse. All other
messages are sent in order and never dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from draggan_blender.protocol import encode
from draggan_blender.protocol.drag_messages import Preview
from draggan_blender.protocol.health import Pulse
from draggan_blender.protocol.messages import Message


@dataclass(frozen=True)
class _Item:
    """An encoded message, and what it shares with the messages that replace it; None for most."""

    data: bytes
    replaced_by: tuple[str, int] | None


class Outbox:
    """Queues messages and sends them over one connection."""

    def __init__(self, send: Callable[[bytes], None], on_lost: Callable[[OSError], None]) -> None:
        """Start the sending thread.

        Args:
            send: Writes all bytes or raises ``OSError``; called from the sending thread only.
            on_lost: Called once from the sending thread if ``send`` fails; nothing is sent
                afterwards.
        """
        self._send = send
        self._on_lost = on_lost
        self._waiting: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._sending = False
        threading.Thread(target=self._run, name="outbox", daemon=True).start()

    def put(self, message: Message) -> None:
        """Queue a message and return immediately.

        Raises:
            LocalProtocolError: The message is larger than the protocol allows.
        """
        same = (message.kind, message.drag_id) if isinstance(message, Preview) else None
        if isinstance(message, Pulse):
            same = message.kind, 0
        item = _Item(encode(message), same)
        with self._changed:
            if same is not None:
                kept = [waiting for waiting in self._waiting if waiting.replaced_by != same]
                self._waiting = deque(kept)
            self._waiting.append(item)
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is sent; return False if that takes longer than the timeout."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._sending, timeout_s
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._sending = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                item = self._waiting.popleft()
                self._sending = True
            try:
                self._send(item.data)
            except OSError as error:
                self._on_lost(error)
                return
