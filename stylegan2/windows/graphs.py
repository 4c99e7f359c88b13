# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes of windows as CUDA graphs: recorded once, then launched at once.

A pass is a few hundred short operations, and on a GPU launching them takes longer than computing
them. A graph launches all of them together. It repeats the same operations at the same addresses,
so each recording has inputs of its own that the values of a pass are copied into, and its results
are copied out. What a pass back to the latent needs of the pass forward stays in the recording:
``WindowGraphs`` does not repeat it while its last result, a ``_RecordedPass``, is alive.

A recording is used only if it was proven on this machine: with two different inputs its results
equal those that are computed operation by operation, and it is faster. A recording that fails, or
that computes something else, ends the use of graphs in this process (``GraphUse``).
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from .recorded import COMPUTED_FIRST, GraphUse, Recorded, attempt
from .synthesis import WindowPass, WindowSynthesis

_LOG = logging.getLogger(__name__)

# The most recordings of one generator, and of passes of one kind, which are alive at once if a
# mask's map is compared with another one.
_MOST, _MOST_OF_A_KIND = 6, 2
# The most kinds of passes back from one pass forward.
_MOST_BACK = 4


class _Slot:
    """A recorded pass forward, and the passes back from it.

    Attributes:
        kind: The kind of its syntheses, see ``WindowSynthesis.kind``.
    """

    def __init__(
        self,
        use: GraphUse,
        kind: Hashable,
        synthesis: WindowSynthesis,
        ws: Tensor,
        origins: Tensor,
    ) -> None:
        """Record a pass; see ``Recorded`` for the errors."""
        self.kind = kind
        self._use = use
        self._twin = twin = synthesis.twin()
        self._owner = weakref.ref(synthesis)
        self._lease: Callable[[], WindowPass | None] = lambda: None
        # The passes back replay in the order in which they were recorded: after the pass forward.
        self._pool = use.recorder.pool()
        self._back: dict[Hashable, Recorded[Tensor] | None] = {}
        self._inputs = inputs = (ws.clone(), origins.clone())
        self._forward = Recorded(
            use.recorder,
            self._pool,
            lambda: twin.compute(*inputs),
            parts=lambda made: [made.values, *made.maps.values()],
            inputs=inputs,
            tries=_tries(ws, origins),
        )
        _LOG.info(
            "%d windows are computed as a CUDA graph, %.2f times as fast",
            len(origins),
            self._forward.speed_up,
        )

    @property
    def is_free(self) -> bool:
        """Whether nothing needs the values of the last pass any more."""
        return self._lease() is None

    def run(self, synthesis: WindowSynthesis, ws: Tensor, origins: Tensor) -> WindowPass:
        """Compute a pass of a synthesis of this kind."""
        if self._owner() is not synthesis:
            for to, value in zip(self._twin.constants(), synthesis.constants(), strict=True):
                to.copy_(value)
            self._owner = weakref.ref(synthesis)
        self._forward.load((ws, origins))
        self._forward.replay()
        found = _RecordedPass(self, synthesis, self._forward.made)
        self._lease = weakref.ref(found)
        return found

    def pull_back(
        self, kind: Hashable, inputs: Sequence[Tensor], work: Callable[[Sequence[Tensor]], Tensor]
    ) -> Tensor:
        """Compute a pass back from the last pass.

        Args:
            kind: What decides its operations, with the shapes of the inputs.
            inputs: What it reads.
            work: Computes it from inputs.
        """
        key = kind, tuple(value.shape for value in inputs)
        is_new = key not in self._back and len(self._back) < _MOST_BACK
        if is_new and self._use.problem is None:
            self._back[key] = attempt(self._use, lambda: self._recorded_back(inputs, work))
        recorded = self._back.get(key)
        if recorded is None:
            return work(inputs)
        recorded.load(inputs)
        recorded.replay()
        return recorded.made.clone()

    def _recorded_back(
        self, inputs: Sequence[Tensor], work: Callable[[Sequence[Tensor]], Tensor]
    ) -> Recorded[Tensor]:
        own = [value.clone() for value in inputs]
        here = [value.clone() for value in self._inputs]

        def tries() -> Iterator[Sequence[Tensor]]:
            # Also after another pass forward: no value of this one may be part of the recording.
            for forward in _tries(*here):
                self._forward.load(forward)
                self._forward.replay()
                yield [value.flip(-1) * -0.5 for value in inputs]
            yield inputs

        try:
            return Recorded(
                self._use.recorder,
                self._pool,
                lambda: work(own),
                parts=lambda made: [made],
                inputs=own,
                tries=tries(),
            )
        finally:
            self._forward.load(here)
            self._forward.replay()


def _tries(ws: Tensor, origins: Tensor) -> Iterator[Sequence[Tensor]]:
    """Return another latent with the windows in another order, and then these."""
    yield ws.flip(-1) * 0.9, origins.flip(0)
    yield ws, origins


class _RecordedPass(WindowPass):
    """A pass whose values were computed by a recording; see ``WindowPass``."""

    def __init__(self, slot: _Slot, synthesis: WindowSynthesis, recorded: WindowPass) -> None:
        """Copy the windows, which may be kept for longer than the pass."""
        self._slot, self._owner, self._recorded = slot, synthesis, recorded
        self.values = recorded.values.clone()
        self.maps = _Copied(recorded.maps)

    @torch.no_grad()
    def pull_back_each(self, directions: Tensor) -> Tensor:
        """Compute the products of each window; see ``WindowPass.pull_back_each``."""
        self._owner.between()
        recorded = self._recorded
        return self._slot.pull_back(
            "each", [directions], lambda inputs: recorded.pull_back_each(inputs[0])
        )

    @torch.no_grad()
    def pull_back(self, windows: Tensor | None, maps: Mapping[int, Tensor]) -> Tensor:
        """Compute one product of all windows and maps; see ``WindowPass.pull_back``."""
        self._owner.between()
        recorded, blocks = self._recorded, tuple(maps)
        has_windows = windows is not None

        def work(inputs: Sequence[Tensor]) -> Tensor:
            given = dict(zip(blocks, inputs[has_windows:], strict=True))
            return recorded.pull_back(inputs[0] if has_windows else None, given)

        inputs = [*([] if windows is None else [windows]), *maps.values()]
        return self._slot.pull_back((has_windows, blocks), inputs, work)


class _Copied(Mapping[int, Tensor]):
    """The maps of a recording, each of which is copied when it is read."""

    def __init__(self, maps: Mapping[int, Tensor]) -> None:
        self._maps = maps

    def __getitem__(self, block: int) -> Tensor:
        return self._maps[block].clone()

    def __iter__(self) -> Iterator[int]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)


class WindowGraphs:
    """The recorded passes of one generator, the ones that were used last at the end."""

    def __init__(self, use: GraphUse) -> None:
        """Begin without recordings."""
        self._use = use
        self._slots: list[_Slot] = []
        # How often passes of a kind were computed with a number of recordings of that kind.
        self._computed: dict[tuple[Hashable, int], int] = {}

    def __len__(self) -> int:
        """Return the number of recorded passes."""
        return len(self._slots)

    @torch.no_grad()
    def run(self, synthesis: WindowSynthesis, ws: Tensor, origins: Tensor) -> WindowPass | None:
        """Repeat a recorded pass; see ``synthesis.Graphs.run``."""
        if self._use.problem is not None:
            self._slots.clear()
            return None
        ws = ws[: synthesis.num_layers]
        kind = synthesis.kind(len(origins))
        same = [slot for slot in self._slots if slot.kind == kind]
        slot = next((slot for slot in same if slot.is_free), None)
        if slot is None:
            slot = self._record(kind, len(same), synthesis, ws, origins)
        if slot is None:
            return None
        self._slots.remove(slot)
        self._slots.append(slot)
        return slot.run(synthesis, ws, origins)

    def _record(
        self,
        kind: Hashable,
        count: int,
        synthesis: WindowSynthesis,
        ws: Tensor,
        origins: Tensor,
    ) -> _Slot | None:
        """Record a pass of a kind of which there are ``count`` recordings, if it is worth it."""
        computed = self._computed.get((kind, count), 0)
        self._computed[kind, count] = computed + 1
        if computed != COMPUTED_FIRST or count >= _MOST_OF_A_KIND:
            return None
        if len(self._slots) >= _MOST:
            oldest = next((slot for slot in self._slots if slot.is_free), None)
            if oldest is None:
                return None
            self._slots.remove(oldest)
            for number in range(_MOST_OF_A_KIND):
                self._computed.pop((oldest.kind, number), None)
            del oldest  # before the recording: what belongs to CUDA must not be destroyed in it
        slot = attempt(self._use, lambda: _Slot(self._use, kind, synthesis, ws, origins))
        if slot is not None:
            self._slots.append(slot)
        return slot
