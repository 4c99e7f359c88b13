# SPDX-License-Identifier: GPL-3.0-or-later
"""What the recorder of a GPU asks of PyTorch, in which order; here PyTorch's part is a stand-in."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stylegan2.windows.recorder import CudaRecorder

GPU = torch.device("cuda", 1)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace ``torch.cuda`` by something that lists what is done."""
    done: list[str] = []

    def named(name: str) -> SimpleNamespace:
        return SimpleNamespace(
            name=name, wait_stream=lambda other: done.append(f"{name} waits for {other.name}")
        )

    @contextlib.contextmanager
    def within(name: str) -> Iterator[None]:
        done.append(f"enter {name}")
        try:
            yield
        finally:
            done.append(f"leave {name}")

    def graph(_graph: Any, *, pool: object, stream: Any, capture_error_mode: str) -> Any:
        return within(f"capture on {stream.name} in {pool}, {capture_error_mode}")

    stand_in = SimpleNamespace(
        CUDAGraph=lambda: SimpleNamespace(replay=lambda: done.append("replay")),
        Stream=lambda device: named("side"),
        current_stream=lambda device: named("current"),
        device=lambda device: within(f"device {device.index}"),
        graph=graph,
        mem_get_info=lambda device: (1 << 29, 1 << 33),
        stream=lambda stream: within(stream.name),
        synchronize=lambda device: done.append("synchronise"),
    )
    monkeypatch.setattr(torch, "cuda", stand_in)
    return done


def test_work_is_warmed_up_and_captured_on_a_stream_of_its_own(calls: list[str]) -> None:
    recorder = CudaRecorder(GPU)

    def work() -> int:
        calls.append("work" if gc.isenabled() else "work without collections")
        return len(calls)

    recording, made = recorder.record(work, "a pool")
    capture = "capture on side in a pool, thread_local"
    assert calls == [
        "enter device 1",
        "side waits for current",
        "enter side",
        *["work"] * 3,
        "leave side",
        "current waits for side",
        "enter side",
        f"enter {capture}",
        "work without collections",
        f"leave {capture}",
        "leave side",
        "leave device 1",
    ]
    assert made == calls.index("work without collections") + 1
    calls.clear()
    recording.replay()
    assert calls == ["enter device 1", "replay", "leave device 1"]


def test_a_capture_that_fails_leaves_nothing_behind(calls: list[str]) -> None:
    def work() -> None:
        if not gc.isenabled():
            raise RuntimeError("not permitted")

    with pytest.raises(RuntimeError, match="not permitted"):
        CudaRecorder(GPU).record(work, "a pool")
    assert gc.isenabled()
    assert calls[-2:] == ["leave side", "leave device 1"]


def test_a_gpu_with_little_memory_has_no_room(calls: list[str]) -> None:
    recorder = CudaRecorder(GPU)
    assert not recorder.has_room()
    assert recorder.now_s() <= recorder.now_s() and calls == ["synchronise"] * 2
