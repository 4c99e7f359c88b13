# SPDX-License-Identifier: GPL-3.0-or-later
"""A computation as a CUDA graph with inputs and results of its own, proven before it is used.

A recording is used only if, with different inputs, its results equal those that are computed
operation by operation, and if it is faster on this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from torch import Tensor

from .recorder import Recorder

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

# The largest difference from the results that are not recorded, relative to their largest
# magnitude. Sums on a GPU have no fixed order, over up to 26 layers.
_CLOSE = 1e-4
# The least speed-up at which a recording is used; the speed is measured on this machine.
_LEAST_SPEED_UP = 1.1
ROUNDS = 10
# Something is recorded when it is computed for the fourth time: recording takes as long as some
# dozens of computations, and what is made once was made at least that often.
COMPUTED_FIRST = 3


class GraphUse:
    """Whether and how computations of a device are recorded.

    Attributes:
        recorder: Records them.
        problem: Why they are not recorded any more; None while they are.
    """

    def __init__(
        self, recorder: Recorder, guard: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Begin.

        Args:
            recorder: Records computations of the device.
            guard: Returns the context of a recording; it may refuse one by an exception.
        """
        self.recorder = recorder
        self.guard = guard
        self.problem: str | None = None

    def end(self, problem: str) -> None:
        """Record nothing any more in this process, and say so once."""
        if self.problem is None:
            self.problem = problem.replace("\n", " ")
            _LOG.warning("drags run without CUDA graphs: %s", self.problem)


class _WrongError(Exception):
    """A recording computes something else; the message says what."""


class _SlowError(Exception):
    """A recording is hardly faster; the message says how much."""


class Recorded(Generic[T]):
    """A recorded computation with its inputs and results.

    Attributes:
        made: What it computes; its values are valid until the next ``replay``.
        speed_up: How many times as fast as the same operations one by one it is.
    """

    def __init__(
        self,
        recorder: Recorder,
        pool: object,
        work: Callable[[], T],
        *,
        parts: Callable[[T], Sequence[Tensor]],
        inputs: Sequence[Tensor],
        tries: Iterator[Sequence[Tensor]],
    ) -> None:
        """Record a computation, and prove it.

        Args:
            recorder: Records it.
            pool: Where its tensors are allocated.
            work: Computes from the inputs, always in the same operations.
            parts: Returns the tensors to compare of what the work has made.
            inputs: Tensors that stay at their addresses.
            tries: Different values of the inputs, at least one. The last ones stay.

        Raises:
            _WrongError: Its results are not those of the work.
            _SlowError: It is hardly faster.
        """
        self._inputs = inputs
        work()  # what is made once is made on the usual stream
        self._recording, self.made = recorder.record(work, pool)
        for values in tries:
            self.load(values)
            expected = parts(work())
            self.replay()
            if not all(map(_is_close, parts(self.made), expected)):
                raise _WrongError("a recording has computed something else")
        by_one = _seconds(recorder, work)
        self.speed_up = by_one / _seconds(recorder, self.replay)
        if self.speed_up < _LEAST_SPEED_UP:
            raise _SlowError(f"{self.speed_up:.2f} times as fast")

    def load(self, values: Sequence[Tensor]) -> None:
        """Set the values of the inputs."""
        for to, value in zip(self._inputs, values, strict=True):
            to.copy_(value)

    def replay(self) -> None:
        """Compute the values of ``made`` from those of the inputs."""
        self._recording.replay()


def attempt(use: GraphUse, record: Callable[[], T]) -> T | None:
    """Return a recording; None if it is not worth it, or if it has failed, which ends the use."""
    try:
        if not use.recorder.has_room():
            return None
        with use.guard():
            return record()
    except _SlowError as error:
        _LOG.info("something is not computed as a CUDA graph, which is only %s", error)
    except Exception as error:  # whatever goes wrong here, everything can be computed without
        use.end(str(error) or type(error).__name__)
    return None


def _is_close(found: Tensor, expected: Tensor) -> bool:
    if not expected.numel():
        return found.shape == expected.shape
    # This form of the comparison counts NaN as a difference.
    return bool((found - expected).abs().max() <= _CLOSE * expected.abs().max())


def _seconds(recorder: Recorder, work: Callable[[], object]) -> float:
    """Return how long a number of repetitions of work take."""
    started_s = recorder.now_s()
    for _ in range(ROUNDS):
        work()
    return recorder.now_s() - started_s
