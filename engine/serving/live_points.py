# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of a running drag: other pairs, pausing, and waiting while the drag rests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from draggan_blender.protocol.drag_messages import Drag
from draggan_blender.protocol.pairs import Pair

from ..arrays import ByteArray
from ..solving.points import LivePoints
from .job_parts import check_cancelled
from .job_queue import QueuedJob


def points_of(pairs: Sequence[Pair], mask: ByteArray | None = None) -> LivePoints:
    """Return pairs as points of a drag, with the larger mask that they came with."""
    return LivePoints(
        keys=tuple(pair.key for pair in pairs),
        radii_px=np.array([pair.radius_px for pair in pairs], dtype=np.float32),
        turns=np.array([(pair.angle, pair.scale) for pair in pairs], dtype=np.float32),
        handles_px=np.array([pair.handle_px for pair in pairs], dtype=np.float32),
        targets_px=np.array([pair.target_px for pair in pairs], dtype=np.float32),
        mask=mask,
    )


class LivePairs:
    """The present pairs of a drag, and the callback that replaces them while it runs.

    Attributes:
        pairs: The pairs that the next step is made with.
        is_open: Whether the drag stays open when it rests.
        mask: The larger mask that the pairs came with, ``H x W`` uint8; None if there was none.
    """

    def __init__(
        self,
        request: Drag,
        job: QueuedJob,
        show_at_rest: Callable[[Tensor | None], float | None],
        mask_of: Callable[[bytes], ByteArray | None],
    ) -> None:
        """Begin with the pairs of the request.

        Args:
            request: The request.
            job: The job, which carries the changes that arrive.
            show_at_rest: Called while the drag waits, with the latent that it would end with, or
                None for the one of the last step if it is paused. It returns after how many seconds
                it is to be called again, None for not before something has arrived.
            mask_of: Returns the mask of a message, None for an empty one.
        """
        self.pairs: Sequence[Pair] = request.pairs
        self.is_open = request.live
        self._job = job
        self._show_at_rest = show_at_rest
        self._mask_of = mask_of
        self.mask: ByteArray | None = None

    def points(self) -> LivePoints:
        """Return the present pairs as points of a drag."""
        return points_of(self.pairs, self.mask)

    def take(self, resting: Tensor | None) -> LivePoints | None:
        """Return other points, if there are any; see ``solving.points.LiveChanges``.

        While the drag is paused, and while an open drag rests, this waits.

        Raises:
            JobCancelledError: The drag was cancelled.
        """
        job = self._job
        while True:
            check_cancelled(job)
            if job.stopped.is_set():
                return None
            if not job.is_paused:
                change = job.take_pairs()
                if change is not None:
                    self.pairs, self.is_open = change.pairs, change.live
                    self.mask = self._mask_of(change.mask)
                    return self.points()
                if resting is None or not self.is_open:
                    return None
            job.wait(self._show_at_rest(resting))
