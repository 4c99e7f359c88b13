# SPDX-License-Identifier: GPL-3.0-or-later
"""The drags of the fake engine: handles move in straight lines, and the disc with the first one."""

from __future__ import annotations

import math
import struct
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from draggan_blender.protocol import drag_messages
from draggan_blender.protocol import pairs as p
from tests import fake_bake
from tests.fake_generator import moved

if TYPE_CHECKING:
    from tests.fake_engine import FakeEngine

# How long a drag waits for messages while it rests or is paused.
_REST_S = 0.02


class FakeDrag:
    """One drag, which follows the pairs that replace its own."""

    def __init__(self, engine: FakeEngine, request: drag_messages.Drag) -> None:
        self.engine = engine
        self.request = request
        self.pairs = request.pairs
        self.is_live = request.live
        # From where and since which step the handles move to the present targets.
        self.starts = {pair.key: pair.handle_px for pair in request.pairs}
        self.start_latent = request.latent
        self.part = 0
        self.rows: list[dict[int, p.Point]] = []
        self.latents: list[bytes] = []
        self.files: list[Path] = []

    def run(self) -> None:
        """Drag until the handles are at their targets; while a drag is live, wait there."""
        started_s, number, engine = time.monotonic(), self.request.request_id, self.engine
        steps = min(engine.steps, self.request.settings.max_steps)
        while True:
            engine.listen(engine.step_s)
            while self._must_wait(steps):
                engine.listen(_REST_S)
            if number in engine.cancelled:
                for file in self.files:
                    file.unlink()
                return
            if number not in engine.stopped:
                self._replace()
            if self.part > steps:
                break
            self._step(steps)
            if number in engine.stopped:
                break
            self.part += 1
        self._finish(time.monotonic() - started_s)

    def _must_wait(self, steps: int) -> bool:
        engine, number = self.engine, self.request.request_id
        if number in engine.cancelled or number in engine.stopped:
            return False
        is_resting = self.is_live and self.part > steps and number not in engine.changes
        return number in engine.paused or is_resting

    def _replace(self) -> None:
        """Go on with other pairs, if some have arrived."""
        change = self.engine.changes.pop(self.request.request_id, None)
        if change is None:
            return
        now = self.rows[-1] if self.rows else {}
        same = [(q.key, q.target_px) for q in self.pairs] == [
            (q.key, q.target_px) for q in change.pairs
        ]
        self.pairs, self.is_live = change.pairs, change.live
        if same:
            return
        self.starts = {pair.key: now.get(pair.key, pair.handle_px) for pair in self.pairs}
        self.start_latent = self.latents[-1] if self.latents else self.request.latent
        self.part = min(self.part, 1)

    def _step(self, steps: int) -> None:
        handles_px = tuple(
            mixed(self.starts[pair.key], pair.target_px, self.part / steps) for pair in self.pairs
        )
        first = self.starts[self.pairs[0].key]
        by_px = (handles_px[0][0] - first[0], handles_px[0][1] - first[1])
        self.latents.append(moved(self.start_latent, by_px))
        self.rows.append({q.key: at for q, at in zip(self.pairs, handles_px, strict=True)})
        step, count = len(self.rows) - 1, self.request.earlier_count
        if step == 0:
            self._place(steps + 1)
            for index, latent in enumerate(fake_bake.latents_before(self.request)):
                self.files += self.engine.frame(self.request, index, latent)
        self.files += self.engine.frame(self.request, count + step, self.latents[-1])
        if step > 0:
            states = self._states()
            self.engine.report(self.request, step, steps, self.latents[-1], states)

    def _place(self, frame_count: int) -> None:
        """Begin earlier if the sequence would end too late otherwise."""
        request = self.request
        if request.latest:
            first = max(request.earliest, request.latest - frame_count + 1)
            first = min(first, request.frames.first_number)
            self.request = replace(request, frames=replace(request.frames, first_number=first))

    def _is_lost(self, pair: p.Pair) -> bool:
        number = int(self.engine.faults.value("lose_handle"))
        return number > 0 and pair is self.pairs[number - 1]

    def _states(self, *, is_over: bool = False) -> tuple[p.HandleState, ...]:
        now = self.rows[-1]
        return tuple(
            p.HandleState(
                key=pair.key,
                place_px=now[pair.key],
                distance_px=math.dist(now[pair.key], pair.target_px),
                is_lost=is_over and self._is_lost(pair),
            )
            for pair in self.pairs
            if pair.key in now
        )

    def _finish(self, seconds: float) -> None:
        request, states = self.request, self._states(is_over=True)
        stopped = request.request_id in self.engine.stopped
        status, reason = "reached", "every handle is at its target"
        if any(state.is_lost for state in states):
            status, reason = "lost", "a handle was lost"
        elif stopped:
            status, reason = "stopped", "stopped by the person"
        keys = [state.key for state in states]
        path = joined(self.rows, keys)
        self.engine.send(
            drag_messages.DragFinished(
                request_id=request.request_id,
                drag_id=request.drag_id,
                status=status,
                reason=reason,
                steps=len(path) - 1,
                distance_px=max(state.distance_px for state in states),
                seconds=seconds,
                latent=self.latents[-1],
                track=fake_bake.joined_track(request, keys, self.latents, path),
                first_number=request.frames.first_number,
                frame_count=len(path),
                handles=states,
                handles_px=b"".join(struct.pack("<2f", *point) for row in path for point in row),
            )
        )


def mixed(start: p.Point, end: p.Point, part: float) -> p.Point:
    """Return the place between two others."""
    return (start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1]))


def joined(rows: list[dict[int, p.Point]], keys: list[int]) -> list[tuple[p.Point, ...]]:
    """Return rows that all have these keys; before it was added, a point is where it was added."""
    later = dict(rows[-1])
    path = []
    for row in reversed(rows):
        later |= row
        path.append(tuple(later[key] for key in keys))
    return path[::-1]
