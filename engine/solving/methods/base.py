# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drag method is given, and what the loop asks of it.

The loop alternates: `look`, then, unless a rule ends the drag there, `update`.  Nothing else is
said about how a method finds its way.  One that descends a scalar loss takes a ``descent.Descent``;
one that needs the derivative of each handle's position takes a ``latent_space.LatentSpace`` and
``displacement.motion_jacobian``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from stylegan2 import Generator

from ...features.source import FeatureSource, Windows
from ..options import DragOptions
from ..supervision import disc_offsets
from ..tracking import PointTracker


@dataclass(frozen=True, kw_only=True)
class DragProblem:
    """One drag as a method sees it.

    Attributes:
        source: gives the features of any latent, and how the fixed area has changed.
        start: `num_ws x w_dim` float32, the latent to begin with.
        layers: how many of its first rows may change.
        handles: `P x 2` feature positions at the start.
        targets: `P x 2` feature positions.
        origin: the latent of the image before a row of drags that this one goes on with, as
            `start`; None for the start.
        enough_px: handles this near to their targets, image pixels, need not come nearer.
    """

    generator: Generator
    source: FeatureSource
    start: Tensor
    layers: int
    handles: Tensor
    targets: Tensor
    options: DragOptions
    origin: Tensor | None = None
    enough_px: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look at the latent has shown.  All on the device: reading it waits for a GPU.

    Attributes:
        latent: `num_ws x w_dim` float32, without gradient.
        handles: `P x 2` feature positions, where the handles are in its features.
        loss: a scalar without gradient, for the person and to tell equally near steps apart.
        settled: a scalar bool, whether the features are what the method wants of them at these
            handles.  A drag whose handles are at their targets goes on until they are.
        exhausted: a scalar bool, whether the method can do no better: the drag ends.
    """

    latent: Tensor
    handles: Tensor
    loss: Tensor
    settled: Tensor
    exhausted: Tensor


class DragMethod(Protocol):
    """One drag by one method; made anew for each drag, so that nothing of an old one survives.

    Both calls come with gradients enabled, and neither may wait for the device: the loop reads
    what it needs of a look, once.
    """

    def look(self) -> Look:
        """Observe the latent as it is now; the first time, the start."""
        ...

    def update(self) -> None:
        """Move the latent, by what the last look has shown."""
        ...

    def begin_anew(self) -> bool:
        """Go back to the start and try in another way, when this one is exhausted.

        Returns:
            Whether there is another way; if so, `look` sees the start next.
        """
        ...


def track_from(problem: DragProblem, windows: Windows, **how: float) -> PointTracker:
    """A tracker of what is at the handles at the start of a drag, as its options want it.

    Args:
        windows: of the start, around the handles.
        how: renewal, memory and inertia of a `PointTracker`.
    """
    options = problem.options
    patch = disc_offsets(options.tracking_radius).to(problem.handles.device)
    return PointTracker(
        windows.sample(problem.handles[:, None] + patch),
        problem.source.grid,
        options.r2,
        patch=patch,
        **how,
    )
