# SPDX-License-Identifier: GPL-3.0-or-later
"""How many threads compute a pull, on machines of known speed."""

from __future__ import annotations

import os
import time

import pytest
import torch

from engine.machine.pull_threads import PullThreads


class Machine:
    """Two cores, and the time that a pass takes with one thread and with two."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, work_s: float, cores: int = 2) -> None:
        self.threads, self.now, self.worked = 2, 50.0, 7.0
        self.seconds = {1: work_s, 2: work_s / 1.8}
        self._work_s = work_s
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", self._use)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(time, "thread_time", lambda: self.worked)

    def _use(self, count: int) -> None:
        self.threads = count

    def passes(self, chosen: PullThreads, count: int, size: int = 64) -> list[int]:
        """Make passes; return the numbers of threads that they were made with."""
        made = []
        for _ in range(count):
            made.append(self.threads)
            with chosen.timed(size):
                self.now += self.seconds[self.threads]
                self.worked += self._work_s / self.threads
        return made


CPU = torch.device("cpu")


def test_a_core_is_left_in_short_operations_and_given_back_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, 0.02)
    with PullThreads(CPU) as chosen:
        assert machine.passes(chosen, 40) == [1] * 40
    assert machine.threads == 2


def test_long_operations_use_all_cores_where_that_is_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, 0.15)
    with PullThreads(CPU) as chosen:
        made = machine.passes(chosen, 60)
        # One is tried again now and then.
        assert made[:15] == [1] + [2] * 14 and made.count(1) == 4
        # Blender needs a core: it takes more than a pass until that is noticed, but not many.
        machine.seconds[2] = 0.3
        assert machine.passes(chosen, 40)[20:].count(1) >= 17
        assert machine.passes(chosen, 1, size=128) == [1]
    assert machine.threads == 2


def test_where_all_cores_are_slower_they_are_tried_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 0.15)
    machine.seconds[2] = 0.25
    with PullThreads(CPU) as chosen:
        assert machine.passes(chosen, 60).count(2) == 4


def test_a_pass_that_was_left_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 0.15)
    with PullThreads(CPU) as chosen:
        with pytest.raises(InterruptedError), chosen.timed(64):
            machine.worked += 9.0
            raise InterruptedError
        assert machine.passes(chosen, 3) == [1, 2, 2]


def test_nothing_changes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 0.15)
    with PullThreads(torch.device("meta")) as chosen:
        assert machine.passes(chosen, 3) == [2, 2, 2]
    # Torch leaves cores free already.
    machine = Machine(monkeypatch, 0.15, cores=8)
    with PullThreads(CPU) as chosen:
        assert machine.passes(chosen, 3) == [2, 2, 2]
    assert machine.passes(PullThreads(CPU), 3) == [2, 2, 2]
