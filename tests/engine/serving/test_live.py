# SPDX-License-Identifier: GPL-3.0-or-later
"""Drags that are changed while they run, through the connection."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from draggan_blender.protocol.drag_messages import Drag, DragFinished, Preview, PreviewShown, Step
from draggan_blender.protocol.live import Pause, ReplacePairs
from draggan_blender.protocol.messages import Cancel, Cancelled, Done, Message, Stop
from draggan_blender.protocol.pairs import Pair
from draggan_blender.protocol.settings import DragSettings
from engine.arrays import FloatArray
from engine.serving.job_queue import QueuedJob

from .client import EngineClient, drag_request

SETTINGS = DragSettings(linear_reach=8.0, tolerance_px=0.5)
# The engine waits if it has sent nothing for this time; a step takes some milliseconds.
REST_S = 1.0


class LiveDrag:
    """A drag that stays open; it shows every preview."""

    def __init__(
        self, shared: EngineClient, checkpoint: Path, latent: FloatArray, folder: Path
    ) -> None:
        request = drag_request(shared.new_id(), checkpoint, latent, folder, SETTINGS)
        self.request: Drag = replace(request, live=True)
        self.shared = shared
        self.folder = folder
        self.messages: list[Message] = []
        shared.send(self.request)

    @property
    def number(self) -> int:
        return self.request.request_id

    def take(self, message: Message) -> Message:
        self.messages.append(message)
        if isinstance(message, Preview):
            self.shared.send(PreviewShown(request_id=self.number))
        return message

    def receive(self) -> Message:
        return self.take(self.shared.receive())

    def until_rest(self, target_x: float) -> None:
        """Receive until the engine waits with the handle at the target."""
        distance_px = 1e9
        while distance_px > 0.5:
            message = self.receive()
            if isinstance(message, Step):
                distance_px = abs(message.handles[0].place_px[0] - target_x)
        while (later := self.shared.receive_within(REST_S)) is not None:
            self.take(later)

    def pull(self, target_x: float, *, live: bool = True, key: int = 0) -> None:
        pair = Pair(key=key, handle_px=(12.5, 14.0), target_px=(target_x, 14.0))
        self.shared.send(ReplacePairs(request_id=self.number, pairs=(pair,), live=live))

    def finish(self) -> DragFinished:
        while True:
            message = self.receive()
            if isinstance(message, Done):
                break
        return next(m for m in self.messages if isinstance(m, DragFinished))


@pytest.fixture
def live(shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path) -> LiveDrag:
    return LiveDrag(shared, checkpoint, latent, tmp_path / "drag")


def test_an_open_drag_waits_at_its_target_goes_on_to_the_next_and_ends_when_it_is_closed(
    live: LiveDrag,
) -> None:
    live.until_rest(17.0)
    live.pull(15.0)
    live.until_rest(15.0)
    steps = sum(isinstance(message, Step) for message in live.messages)
    live.pull(15.0, live=False)
    finished = live.finish()
    assert finished.status == "reached"
    assert finished.distance_px <= 0.5
    # Nothing was left to be solved when it was closed: one look at the same latent.
    assert sum(isinstance(message, Step) for message in live.messages) <= steps + 1
    places = np.frombuffer(finished.handles_px, "<f4").reshape(-1, 2)
    assert abs(places[-1, 0] - 15.0) <= 0.5
    assert len(list(live.folder.glob("*.png"))) == finished.frame_count + 1


def test_an_open_drag_can_be_stopped_and_cancelled_while_it_rests(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    stopped = LiveDrag(shared, checkpoint, latent, tmp_path / "stopped")
    stopped.until_rest(17.0)
    shared.send(Stop(request_id=stopped.number))
    # Nothing can be followed far in the images of random weights.
    assert stopped.finish().status in ("reached", "lost")

    cancelled = LiveDrag(shared, checkpoint, latent, tmp_path / "cancelled")
    cancelled.until_rest(17.0)
    shared.send(Cancel(request_id=cancelled.number))
    while not isinstance(cancelled.receive(), Cancelled):
        pass
    assert not any((tmp_path / "cancelled").glob("*.png"))


def test_a_paused_drag_makes_no_steps_until_it_goes_on(live: LiveDrag) -> None:
    live.shared.send(Pause(request_id=live.number, paused=True))
    live.pull(15.0, live=False)
    timer = threading.Timer(
        0.5, lambda: live.shared.send(Pause(request_id=live.number, paused=False))
    )
    timer.start()
    finished = live.finish()
    assert finished.status == "reached"
    assert not timer.is_alive()
    places = np.frombuffer(finished.handles_px, "<f4").reshape(-1, 2)
    assert abs(places[-1, 0] - 15.0) <= 0.5


def test_a_pair_with_another_key_is_another_handle(live: LiveDrag) -> None:
    live.until_rest(17.0)
    live.pull(15.0, live=False, key=5)
    finished = live.finish()
    assert [handle.key for handle in finished.handles] == [5]
    places = np.frombuffer(finished.handles_px, "<f4").reshape(-1, 2)
    # It is where it was placed until it was dragged.
    assert np.allclose(places[0], (12.5, 14.0), atol=0.5)


def test_the_newest_of_several_changes_is_taken(checkpoint: Path, latent: FloatArray) -> None:
    job = QueuedJob(drag_request(1, checkpoint, latent, Path("unused")))
    for x in (1.0, 2.0):
        pair = Pair(handle_px=(0.0, 0.0), target_px=(x, 0.0))
        mask = b"larger" if x == 1.0 else b""
        job.tell(ReplacePairs(request_id=1, pairs=(pair,), live=True, mask=mask))
    job.tell(Pause(request_id=1, paused=True))
    taken = job.take_pairs()
    assert taken is not None and taken.pairs[0].target_px == (2.0, 0.0)
    # Only the message before it had a mask, which would be lost otherwise.
    assert taken.mask == b"larger"
    assert job.take_pairs() is None
    assert job.is_paused
    job.wait(timeout_s=5.0)
