# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions that the rest of the extension uses, and the timer.

A class with the functions that the pump uses replaces the timers of ``bpy``; the tests inside
Blender use Blender's own.
"""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from draggan_blender.connection import pump
from draggan_blender.connection.state import EnginePhase, State
from draggan_blender.protocol import messages as m
from tests.connection.making import drag_job, sample_job
from tests.fake_root import make_fake_root


class Timers:
    """A replacement of ``bpy.app.timers``; only a registered function can be unregistered."""

    def __init__(self) -> None:
        self.registered: dict[Callable[[], float], bool] = {}

    def is_registered(self, function: Callable[[], float]) -> bool:
        return function in self.registered

    def register(self, function: Callable[[], float], *, persistent: bool = False) -> None:
        self.registered[function] = persistent

    def unregister(self, function: Callable[[], float]) -> None:
        del self.registered[function]


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    bpy = types.ModuleType("bpy")
    timers = Timers()
    bpy.app = types.SimpleNamespace(timers=timers)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bpy", bpy)
    return timers


@pytest.fixture
def delivered(timers: Timers, tmp_path: Path) -> Iterator[list[str]]:
    """Register the pump with a fake engine; yield the kinds of the messages that it delivers."""
    root = make_fake_root(tmp_path / "root")
    kinds: list[str] = []
    pump.register()
    pump.configure(
        lambda: pump.EngineSettings(Path(sys.executable), root, "cpu", tmp_path / "logs")
    )
    pump.set_delivery(lambda job, message: kinds.append(message.kind))
    yield kinds
    pump.unregister()


def test_the_timer_is_persistent_registered_once_and_gone_afterwards(timers: Timers) -> None:
    for _ in range(2):
        pump.register()
        pump.register()
        assert list(timers.registered.values()) == [True]
        pump.unregister()
        assert timers.registered == {}


def test_the_timers_callback_drives_a_job_to_its_end(
    delivered: list[str], timers: Timers, tmp_path: Path
) -> None:
    (callback,) = timers.registered
    pump.submit(sample_job(path=str(tmp_path / "image.png")))
    deadline_s = time.monotonic() + 10
    while "done" not in delivered and time.monotonic() < deadline_s:
        assert 0 < callback() < 1
        time.sleep(0.001)
    assert delivered[-2:] == ["sampled", "done"]
    assert (tmp_path / "image.png").exists()


def test_a_job_is_waited_for_and_its_engine_stopped(delivered: list[str], tmp_path: Path) -> None:
    changes: list[State] = []
    pump.set_changed(lambda: changes.append(pump.state()))
    job = drag_job(tmp_path / "frames")
    pump.submit(job)
    assert pump.wait_for_job(job, 10)
    assert delivered[-1] == "done"
    assert pump.engine_pid() is not None
    assert pump.log_path() is not None
    assert pump.stats().count > 0
    pump.stop()
    assert pump.run_until(pump.is_off, 5)
    assert pump.engine_pid() is None
    assert [state.engine for state in changes][-1] is EnginePhase.OFF


def test_unregistering_during_a_job_ends_it_and_resets_the_state(
    delivered: list[str], tmp_path: Path
) -> None:
    job = drag_job(tmp_path / "frames")
    pump.submit(job)
    pump.unregister()
    assert delivered == ["cancelled"]
    assert pump.state() == State()
    pump.register()
    pump.start()
    assert "was not set up" in pump.state().error


def test_jobs_are_stopped_and_cancelled_by_their_image(delivered: list[str]) -> None:
    first, second = sample_job("a"), sample_job("b")
    pump.submit(first)
    pump.submit(second)
    pump.stop_job("b")
    assert pump.state().jobs_of("b") == ()
    pump.cancel_job("a")
    assert delivered == ["cancelled", "cancelled"]


def test_request_ids_are_unique() -> None:
    ids = [pump.new_request_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(m.LoadModel(request_id=number, model_path="x") for number in ids)
