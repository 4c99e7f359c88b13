# SPDX-License-Identifier: GPL-3.0-or-later
"""A recorder of work for the CPU that is as strict as a CUDA graph.

It records the operations that reach torch, and those of the fused operators, and repeats each with
the same tensors: what Python has decided while it was recorded stays decided, and a result is
written to where it was. What a capture refuses, it refuses: reading a value, and random numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stylegan2.ops.fused import FusedOperators
from stylegan2.windows import layer_pass

T = TypeVar("T")

_REFUSED = ("_local_scalar_dense", "nonzero", "rand", "bernoulli", "multinomial")


class _Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what is done in its block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Callable[[], None]] = []
        # Operators get addresses: as in the pool of a graph, nothing is given to someone else.
        self.made: list[object] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        name = func.overloadpacket.__name__
        if any(part in name for part in _REFUSED):
            raise RuntimeError(f"{name} is not permitted while a stream is captured")
        made = func(*args, **(kwargs or {}))
        self.made.append(made)
        if not name.startswith(("empty", "new_empty")):
            self.steps.append(lambda: _repeat(func, args, kwargs or {}, made))
        return made


def _repeat(func: Any, args: Any, kwargs: Any, made: Any) -> None:
    again = func(*args, **kwargs)
    results = made if isinstance(made, tuple | list) else [made]
    others = again if isinstance(again, tuple | list) else [again]
    for to, value in zip(results, others, strict=True):
        if isinstance(to, torch.Tensor) and to.data_ptr() != value.data_ptr():
            to.copy_(value)


class TapeRecorder:
    """The ``Recorder`` of the CPU.

    Attributes:
        has_memory: What ``has_room`` returns.
        speed_up: How many times as fast the recordings seem to be.
        recorded: How many recordings were made.
        replayed: How often they were repeated.
        fails: Whether recording fails.
        is_stale: Whether recordings repeat nothing.
    """

    def __init__(self) -> None:
        self.has_memory, self.speed_up = True, 2.0
        self.recorded = self.replayed = 0
        self.fails = self.is_stale = False
        self.tape: _Tape | None = None
        self._reads = itertools.count()

    def has_room(self) -> bool:
        return self.has_memory

    def pool(self) -> object:
        return object()

    def record(self, work: Callable[[], T], pool: object) -> tuple[_Recording, T]:
        work()
        if self.fails:
            raise RuntimeError("operation not permitted\nwhen stream is capturing")
        self.tape = tape = _Tape()
        try:
            with tape:
                made = work()
        finally:
            self.tape = None
        self.recorded += 1
        return _Recording(self, tape), made

    def now_s(self) -> float:
        # Read before and after: what is computed one by one, and then what was recorded.
        return (0.0, self.speed_up, 0.0, 1.0)[next(self._reads) % 4]


class _Recording:
    def __init__(self, recorder: TapeRecorder, tape: _Tape) -> None:
        self._recorder, self._tape = recorder, tape

    def replay(self) -> None:
        self._recorder.replayed += 1
        if not self._recorder.is_stale:
            for step in self._tape.steps:
                step()


def tape_recorder(monkeypatch: pytest.MonkeyPatch) -> TapeRecorder:
    """Return a recorder, and make the CPU compute as a GPU does: without reading values."""
    recorder = TapeRecorder()
    # On a CPU it is read whether all windows are inside the map.
    monkeypatch.setattr(layer_pass, "_are_all", lambda flags: False)
    do = FusedOperators._do

    def recorded_do(self: FusedOperators, function: Any, *arguments: object) -> None:
        do(self, function, *arguments)
        if recorder.tape is not None:
            recorder.tape.steps.append(lambda: do(self, function, *arguments))

    monkeypatch.setattr(FusedOperators, "_do", recorded_do)
    return recorder
