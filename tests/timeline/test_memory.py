# SPDX-License-Identifier: GPL-3.0-or-later
"""The solved previews of the playhead, and how long they are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from draggan_blender.protocol.drag_messages import Preview
from draggan_blender.timeline import memory as memory_module
from draggan_blender.timeline.memory import Known, Memory, State, apart_px


def known(x: float, latent: bytes = b"latent") -> Known:
    """Return a solved frame of one pair whose handle is at its target."""
    position_px = np.array([[x, 5.0]], dtype=np.float32)
    preview = Preview(request_id=1, drag_id=1, step=1, width=2, height=2, pixels=bytes(64))
    return Known(position_px, position_px, latent, preview)


def test_the_nearest_frame_has_the_nearest_targets() -> None:
    memory = Memory(known(0.0))
    wanted = np.array([[7.0, 5.0]], dtype=np.float32)
    assert memory.nearest(wanted) is None
    for x in (1.0, 8.0, 20.0):
        memory.add(known(x))
    nearest = memory.nearest(wanted)
    assert nearest is not None
    assert apart_px(nearest.targets_px, wanted) == 1.0


def test_frames_of_other_sliders_or_locks_are_others() -> None:
    memory = Memory(known(0.0))
    states = State(), State(moved=b"one"), State(moved=b"one", locks=b"two")
    for number, state in enumerate(states):
        memory.add(replace(known(1.0), latent=bytes([number]), state=state))
    wanted = np.array([[7.0, 5.0]], dtype=np.float32)
    for number, state in enumerate(states):
        nearest = memory.nearest(wanted, state)
        assert nearest is not None and nearest.latent == bytes([number])
        assert memory.solved_in(state) == [nearest]
    assert memory.nearest(wanted, State(locks=b"two")) is None


def test_a_frame_that_is_solved_again_is_kept_once() -> None:
    memory = Memory(known(0.0))
    memory.add(known(1.0, b"first"))
    memory.add(known(1.0, b"second"))
    assert [one.latent for one in memory.solved] == [b"second"]


def test_the_oldest_images_are_dropped_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "KEPT_BYTES", 64 * 3)
    memory = Memory(known(0.0))
    for x in range(5):
        memory.add(known(float(x)))
    assert [one.targets_px[0, 0] for one in memory.solved] == [2.0, 3.0, 4.0]
    # The newest image is kept even if it is above the limit alone.
    monkeypatch.setattr(memory_module, "KEPT_BYTES", 10)
    memory.add(known(9.0))
    assert [one.targets_px[0, 0] for one in memory.solved] == [9.0]


def test_the_distance_of_frames_with_different_pairs_is_infinite() -> None:
    one = np.zeros((1, 2), dtype=np.float32)
    assert apart_px(one, np.zeros((2, 2), dtype=np.float32)) == float("inf")
    assert apart_px(one, np.array([[3.0, 4.0]], dtype=np.float32)) == 5.0
