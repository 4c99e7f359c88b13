# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's side of the connection in tests: starts a real engine and exchanges messages."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from draggan_blender.protocol import PROTOCOL_VERSION, Decoder, encode
from draggan_blender.protocol.drag_messages import Drag
from draggan_blender.protocol.health import Pulse
from draggan_blender.protocol.messages import (
    Cancelled,
    Done,
    Failed,
    FrameTarget,
    Hello,
    Message,
    Ready,
    Welcome,
)
from draggan_blender.protocol.pairs import Pair
from draggan_blender.protocol.settings import DragSettings
from engine.arrays import FloatArray

ROOT = Path(__file__).resolve().parents[3]
START = str(ROOT / "engine" / "__main__.py")
TIMEOUT_S = 60.0
# How long an engine may take to end before it is killed.
_END_TIMEOUT_S = 10.0

# A drag that runs for seconds unless it is stopped or cancelled.
ENDLESS = DragSettings(
    method="draggan", max_steps=3000, patience=0, tolerance_px=0.0, step_size=1e-6
)


class EngineClient:
    """A running engine and the connection to it; a context manager that ends the engine."""

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.log_path = folder / "engine.log"
        self.token = secrets.token_hex(32)
        self._received: list[Message] = []
        self.pulses: list[Message] = []
        self._next_id = 0
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(TIMEOUT_S)
        self.started = time.monotonic()
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", START, "serve", "--device", device, "--threads", "1"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                cwd=folder,
            )
        line = json.dumps({"port": listener.getsockname()[1], "token": self.token})
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        with listener:
            self.socket, _ = listener.accept()
        self.socket.settimeout(TIMEOUT_S)
        self._decoder = Decoder(trusted=True)

    def __enter__(self) -> EngineClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # the engine may have ended already
            self.process.stdin.close()
        try:
            # An engine that ends by itself reports its coverage.
            self.process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.socket.close()

    def hello(self) -> Hello:
        """Return the engine's first message, which must be a hello."""
        message = self.receive()
        assert isinstance(message, Hello)
        return message

    def welcome(self, version: int = PROTOCOL_VERSION) -> None:
        """Answer the hello."""
        self.send(Welcome(protocol_version=version))

    def ready(self) -> Ready:
        """Do the handshake, wait until the engine has loaded torch, and return its message."""
        self.hello()
        self.welcome()
        message = self.receive()
        assert isinstance(message, Ready), message
        return message

    def send(self, message: Message) -> None:
        """Send one message."""
        self.socket.sendall(encode(message))

    def receive(self) -> Message:
        """Wait for the next message and return it; the test fails if the connection ends."""
        while not self._received:
            data = self.socket.recv(1 << 20)
            self._take(data)
        return self._received.pop(0)

    def _take(self, data: bytes) -> None:
        """Keep messages; pulses come at any time between the others, and are kept apart."""
        assert data, f"the engine closed the connection:\n{self.log()}"
        for message in self._decoder.feed(data):
            (self.pulses if isinstance(message, Pulse) else self._received).append(message)

    def receive_within(self, timeout_s: float) -> Message | None:
        """Return the next message, or None if none comes within a time."""
        end_s = time.monotonic() + timeout_s
        while not self._received:
            left_s = max(0.0, end_s - time.monotonic())
            if not select.select([self.socket], [], [], left_s)[0]:
                return None
            self._take(self.socket.recv(1 << 20))
        return self._received.pop(0)

    def new_id(self) -> int:
        """Return a request id that was not used before."""
        self._next_id += 1
        return self._next_id

    def until_end(
        self, request_id: int, on_message: Callable[[Message], None] | None = None
    ) -> list[Message]:
        """Return all messages up to the ending of a request, with the ending."""
        messages = []
        while True:
            message = self.receive()
            messages.append(message)
            if on_message is not None:
                on_message(message)
            if isinstance(message, Done | Failed | Cancelled) and message.request_id == request_id:
                return messages

    def ended_within(self, timeout_s: float) -> int:
        """Return the exit code; the test fails if the engine still runs after the timeout."""
        return self.process.wait(timeout_s)

    def log(self) -> str:
        """Return what the engine has written to its log."""
        return self.log_path.read_text()


def drag_request(
    request_id: int,
    checkpoint: Path,
    latent: FloatArray,
    folder: Path,
    settings: DragSettings | None = None,
) -> Drag:
    """Return a request for a short drag of one handle on the tiny generator."""
    return Drag(
        request_id=request_id,
        model_path=str(checkpoint),
        drag_id=5,
        latent=latent.astype("<f4").tobytes(),
        pairs=(Pair(handle_px=(12.5, 14.0), target_px=(17.0, 14.0)),),
        settings=settings or DragSettings(method="draggan", max_steps=12, step_size=0.02),
        frames=FrameTarget(folder=str(folder), stem="drag", first_number=20),
    )
