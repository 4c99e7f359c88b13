# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions of tensors as CUDA graphs: what a step does besides the passes of windows.

Inputs are copied in and results are copied out, so that nothing of a recording is seen outside.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import torch
from torch import Tensor

from .recorded import COMPUTED_FIRST, GraphUse, Recorded, attempt

# The most recordings of one generator.
_MOST = 6

Function = Callable[..., tuple[Tensor, ...]]


class FunctionGraphs:
    """The recorded functions of one generator, the ones that were used last at the end."""

    def __init__(self, use: GraphUse) -> None:
        """Begin without recordings."""
        self._use = use
        # None for what is not worth it.
        self._known: dict[Hashable, Recorded[tuple[Tensor, ...]] | None] = {}
        self._computed: dict[Hashable, int] = {}

    def __len__(self) -> int:
        """Return the number of recordings."""
        return sum(recorded is not None for recorded in self._known.values())

    @torch.no_grad()
    def call(
        self,
        kind: Hashable,
        function: Function,
        inputs: Sequence[Tensor],
        others: Callable[[], Sequence[Tensor]],
    ) -> tuple[Tensor, ...]:
        """Compute a function of tensors.

        Args:
            kind: What decides its operations, with the shapes of the inputs: the function itself,
                and all numbers that it uses besides them.
            function: Computes tensors from the inputs, and uses no other tensors. It must not keep
                them.
            inputs: Its arguments.
            others: Returns other values of the inputs that it can compute with, for the proof.
        """
        if self._use.problem is not None:
            self._known.clear()
            return function(*inputs)
        key = kind, tuple((value.shape, value.dtype) for value in inputs)
        if key not in self._known:
            self._record(key, function, inputs, others)
        recorded = self._known.get(key)
        if recorded is None:
            return function(*inputs)
        self._known[key] = self._known.pop(key)
        recorded.load(inputs)
        recorded.replay()
        return tuple(value.clone() for value in recorded.made)

    def _record(
        self,
        key: Hashable,
        function: Function,
        inputs: Sequence[Tensor],
        others: Callable[[], Sequence[Tensor]],
    ) -> None:
        """Record a function, once it was computed often enough."""
        computed = self._computed[key] = self._computed.get(key, 0) + 1
        if computed <= COMPUTED_FIRST:
            return
        if len(self) >= _MOST:
            oldest = next(name for name, made in self._known.items() if made is not None)
            del self._known[oldest], self._computed[oldest]
        recorder = self._use.recorder
        own = [value.clone() for value in inputs]

        def tries() -> Iterator[Sequence[Tensor]]:
            yield others()
            yield inputs

        self._known[key] = attempt(
            self._use,
            lambda: Recorded(
                recorder,
                recorder.pool(),
                lambda: function(*own),
                parts=lambda made: made,
                inputs=own,
                tries=tries(),
            ),
        )
