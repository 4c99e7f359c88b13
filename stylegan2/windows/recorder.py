# SPDX-License-Identifier: GPL-3.0-or-later
"""Recording of work on a GPU as a CUDA graph, which is launched at once when it is repeated.

What a recording needs (PyTorch's notes on CUDA graphs): the work reads and writes the same
addresses every time, it never waits for the GPU, it draws no random numbers, and it runs on the
current stream, which is not the default one. Everything that is made only once, such as transformed
weights or the handles of libraries, must have been made before.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import torch

T = TypeVar("T")

# How often the work is done on the stream of the recording before it is recorded, as PyTorch's
# notes ask for: libraries choose their algorithms and allocate their workspaces.
_WARM_UP = 3
# With less free memory on the GPU nothing is recorded, so that images still have room.
_LEAST_FREE = 1 << 30


class Recording(Protocol):
    """Work that was recorded."""

    def replay(self) -> None:
        """Do the work again, with the values that its inputs have now."""
        ...


class Recorder(Protocol):
    """Records work of one device."""

    def has_room(self) -> bool:
        """Return whether there is memory for a recording."""
        ...

    def pool(self) -> object:
        """Return a new pool of memory for recordings that are only replayed in their order."""
        ...

    def record(self, work: Callable[[], T], pool: object) -> tuple[Recording, T]:
        """Record work.

        Args:
            work: Does the work. It is called several times.
            pool: Where its tensors are allocated, a result of ``pool``.

        Returns:
            The recording, and what the work has returned: tensors whose values are valid after
            ``replay`` alone, and which every ``replay`` replaces.
        """
        ...

    def now_s(self) -> float:
        """Return the time in seconds after the device has finished all its work."""
        ...


class CudaRecorder:
    """The ``Recorder`` of a CUDA GPU."""

    def __init__(self, device: torch.device) -> None:
        """Take the device; nothing is done on it yet."""
        self._device = device
        # One stream for all recordings: libraries keep a workspace for each stream.
        self._stream: torch.cuda.Stream | None = None

    def has_room(self) -> bool:
        """Return whether the GPU has memory to spare; see ``Recorder.has_room``."""
        free, _ = torch.cuda.mem_get_info(self._device)
        return free >= _LEAST_FREE

    def pool(self) -> object:
        """Return a pool that no other recording has; see ``Recorder.pool``."""
        return torch.cuda.graph_pool_handle()

    def record(self, work: Callable[[], T], pool: object) -> tuple[Recording, T]:
        """Warm up, and record; see ``Recorder.record``."""
        with torch.cuda.device(self._device):
            if self._stream is None:
                self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            stream, current = self._stream, torch.cuda.current_stream(self._device)
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    work()
            current.wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # The outer context restores the current stream if the recording fails: the inner one
            # does not. Other threads may use the GPU, so only this thread's mistakes are errors.
            with (
                _no_collection(),
                torch.cuda.stream(stream),
                torch.cuda.graph(
                    graph,
                    pool=pool,  # type: ignore[arg-type]  # an opaque value
                    stream=stream,
                    capture_error_mode="thread_local",
                ),
            ):
                made = work()
        return _CudaRecording(graph, self._device), made

    def now_s(self) -> float:
        """Return the time after all work; see ``Recorder.now_s``."""
        torch.cuda.synchronize(self._device)
        return time.perf_counter()


class _CudaRecording:
    """The ``Recording`` of a CUDA graph."""

    def __init__(self, graph: torch.cuda.CUDAGraph, device: torch.device) -> None:
        self._graph = graph
        self._device = device

    def replay(self) -> None:
        """Launch the graph on the current stream; see ``Recording.replay``."""
        with torch.cuda.device(self._device):
            self._graph.replay()


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage in the block: no object of CUDA may be destroyed in a recording."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
