# SPDX-License-Identifier: GPL-3.0-or-later
"""The solved previews of the playhead, kept in memory: pure data, no bpy.

Frames are identified by their targets and not by their numbers. A frame whose keys were changed
must be solved again, and a frame with the same targets as a solved one need not be solved.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..protocol.drag_messages import Preview

# The most memory that the kept images of a plane may use.
KEPT_BYTES = 64 << 20

Points = NDArray[np.float32]


class State(NamedTuple):
    """What a frame is solved from besides its targets, as digests.

    Attributes:
        moved: What animated sliders add to the latent; empty for nothing.
        locks: What the frame is kept out of, and held to; empty for neither.
    """

    moved: bytes = b""
    locks: bytes = b""


_AT_REST = State()


@dataclass(frozen=True, slots=True)
class Known:
    """A solved frame.

    Attributes:
        targets_px: ``P x 2`` px, the targets that it was solved for; with regions ``2 P x 2``, see
            ``region_points``.
        handles_px: Where the handles are in its image, likewise.
        latent: Its latent, ``num_ws x w_dim`` float32, little-endian.
        preview: Its image; None if the plane shows that at rest.
        state: What it was solved from besides.
    """

    targets_px: Points
    handles_px: Points
    latent: bytes
    preview: Preview | None = None
    state: State = _AT_REST


class Memory:
    """The solved frames of a plane, for one latent and one set of handles.

    Attributes:
        base: The plane's own latent, with the handles in its image.
    """

    def __init__(self, base: Known) -> None:
        self.base = base
        self._solved: OrderedDict[tuple[bytes, State], Known] = OrderedDict()

    @property
    def solved(self) -> tuple[Known, ...]:
        """The solved frames that are still kept, the oldest first."""
        return tuple(self._solved.values())

    def solved_in(self, state: State) -> list[Known]:
        """Return those that were solved in a state."""
        return [one for one in self._solved.values() if one.state == state]

    def add(self, known: Known) -> None:
        """Keep a solved frame, and drop the oldest ones if the images use more than ``KEPT_BYTES``.

        The newest frame is always kept.
        """
        key = known.targets_px.tobytes(), known.state
        self._solved.pop(key, None)
        self._solved[key] = known
        size = sum(_size(one) for one in self._solved.values())
        while size > KEPT_BYTES and len(self._solved) > 1:
            size -= _size(self._solved.popitem(last=False)[1])

    def nearest(self, targets_px: Points, state: State = _AT_REST) -> Known | None:
        """Return the frame solved in a state with the nearest targets, or None if none was."""
        return min(
            self.solved_in(state),
            key=lambda one: apart_px(one.targets_px, targets_px),
            default=None,
        )


def apart_px(one: Points, other: Points) -> float:
    """Return the largest distance between corresponding points, in px.

    Args:
        one: ``P x 2`` px.
        other: Likewise; the distance is infinite if the number of points differs.
    """
    if one.shape != other.shape:
        return float("inf")
    return float(np.hypot(*(one - other).T).max())


def _size(known: Known) -> int:
    return len(known.preview.pixels) if known.preview is not None else 0
