# SPDX-License-Identifier: GPL-3.0-or-later
"""What was solved for the playhead, kept in memory: pure data, no bpy.

Frames are told apart by their targets and not by their numbers: a frame whose keys were changed is
another one, and one with the same targets is known already.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..protocol.messages import Preview

#: What the kept images may take of Blender's memory.
KEPT_BYTES = 64 << 20

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Known:
    """A solved frame: ``P x 2`` px each, its latent, and its image unless the plane shows it."""

    targets_px: Points
    handles_px: Points
    latent: bytes
    preview: Preview | None = None


class Memory:
    """What was solved of a plane with one latent and one set of handles."""

    def __init__(self, base: Known) -> None:
        """Begin with the plane's own latent and the handles in its image."""
        self.base = base
        self._solved: OrderedDict[bytes, Known] = OrderedDict()

    @property
    def solved(self) -> tuple[Known, ...]:
        """What was added and is still kept, the oldest first."""
        return tuple(self._solved.values())

    def add(self, known: Known) -> None:
        """Keep a solved frame; the oldest go where the images would take too much memory."""
        key = known.targets_px.tobytes()
        self._solved.pop(key, None)
        self._solved[key] = known
        size = sum(_size(one) for one in self._solved.values())
        while size > KEPT_BYTES and len(self._solved) > 1:
            size -= _size(self._solved.popitem(last=False)[1])

    def nearest(self, targets_px: Points) -> Known | None:
        """The solved frame whose targets are the nearest; None where nothing was solved."""
        return min(
            self._solved.values(),
            key=lambda one: apart_px(one.targets_px, targets_px),
            default=None,
        )


def apart_px(one: Points, other: Points) -> float:
    """The largest distance between the points of a pair; infinite where the pairs are others."""
    if one.shape != other.shape:
        return float("inf")
    return float(np.hypot(*(one - other).T).max())


def _size(known: Known) -> int:
    return len(known.preview.pixels) if known.preview is not None else 0
