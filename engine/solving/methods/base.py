# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of drag methods: what a method receives and what the loop calls.

The loop alternates ``look`` and, unless the drag ends there, ``update``. How a method finds its
steps is up to the method. One that descends a scalar loss uses ``descent.Descent``; one that needs
the derivative of each handle's position uses ``engine.solving.latent_space.LatentSpace`` and
``displacement.motion_directions``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from stylegan2 import Generator, function_graphs, fused_operators

from ...features.source import FeatureSource, Windows
from ..lock import Locked
from ..options import DragOptions
from ..picture import Paths
from ..points import PointChange
from ..regions import Regions
from ..supervision import disc_offsets
from ..tracking import PointTracker
from .looks import FADE


@dataclass(frozen=True, kw_only=True)
class DragProblem:
    """The arguments of one drag, as a method receives them.

    Attributes:
        generator: Frozen, on the device to compute on.
        source: Computes the features of a latent and the change of the fixed area.
        start: ``num_ws x w_dim`` float32, the latent to start from.
        num_layers: How many of the first w vectors may change, at most ``num_ws``.
        handles: ``P x 2`` float32 feature positions at the start.
        targets: ``P x 2`` float32 feature positions.
        options: The options of the drag.
        paths: The ways of the pairs, from where they were in the image of ``home``.
        home: ``num_ws x w_dim`` float32, the latent of the image that the edit began with.
        regions: The regions that the points belong to; None if all are plain handles.
        origin: ``num_ws x w_dim`` float32, the latent of the original image if this drag continues
            earlier ones; None for ``start``.
        enough_px: Handles this close to their targets, image pixels, need not move closer.
        shares: ``P`` float32, how much each handle counts beside the others, 0 to 1, see
            ``structure.shares_seen``; None if all count the same.
        locked: Directions that the latent must not change along, or only along; None for neither.
        is_part: Whether what changes is seen through an exact mask, in the space that such drags
            have by default: then changes cost what ``layer_cost`` says, and handles keep their
            looks.
        looks_fade: See ``looks.weights_of_looks``.
        between: Called between parts of a long computation; it may raise to end it. The source
            calls it as well.
    """

    generator: Generator
    source: FeatureSource
    start: Tensor
    num_layers: int
    handles: Tensor
    targets: Tensor
    options: DragOptions
    paths: Paths
    home: Tensor
    regions: Regions | None = None
    origin: Tensor | None = None
    enough_px: float = 0.0
    shares: Tensor | None = None
    locked: Locked | None = None
    is_part: bool = False
    looks_fade: float = FADE
    between: Callable[[], None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a method finds at its current latent. All tensors are on the device.

    Reading one of them on the CPU waits for the GPU.

    Attributes:
        latent: ``num_ws x w_dim`` float32, without a gradient.
        handles: ``P x 2`` float32 feature positions, where the handles are in the features.
        loss: A scalar without a gradient, for display and to order steps of equal distance.
        settled: A scalar bool, whether the method is satisfied with the features at these handles.
            A drag whose handles are at their targets continues until this is true.
        exhausted: A scalar bool, whether the method cannot bring the handles closer, so that the
            drag ends.
        strained: A scalar bool, whether one of the last steps was cut short because it would have
            led too far from the latents of the model's own images; None if the method has no such
            limit.
    """

    latent: Tensor
    handles: Tensor
    loss: Tensor
    settled: Tensor
    exhausted: Tensor
    strained: Tensor | None = None


class DragMethod(Protocol):
    """One drag by one method. An instance is created for each drag and keeps no earlier state.

    ``look`` and ``update`` are called with gradients enabled and must not wait for the device: the
    loop reads the numbers that it needs from a look once per step.
    """

    def look(self) -> Look:
        """Compute the features of the current latent and find the handles in them.

        The first look is at the start.
        """
        ...

    def update(self) -> None:
        """Change the latent according to the last look."""
        ...

    def replace(self, change: PointChange) -> None:
        """Go on with other handles and targets; called after a look.

        If only the targets differ, the next update already goes to these.
        The latent and, for the points that are kept, what was learnt about them stay.
        """
        ...

    def begin_anew(self) -> bool:
        """Return to the start for another attempt, after the method was exhausted.

        Returns:
            True if there is another attempt; the next ``look`` is then at the start. False if the
            method has no other attempt, and nothing was changed.
        """
        ...


def track_from(problem: DragProblem, windows: Windows, **how: float) -> PointTracker:
    """Return a tracker for the content at the handles at the start of a drag.

    Args:
        problem: The drag; its options give the search window and the radius of the references.
        windows: Windows of the start around the handles.
        **how: ``renewal``, ``memory`` and ``inertia`` of ``PointTracker``.
    """
    options = problem.options
    patch = disc_offsets(options.tracking_radius).to(problem.handles.device)
    return PointTracker(
        windows.sample(problem.handles[:, None] + patch),
        problem.source.grid,
        options.r2,
        patch=patch,
        between=problem.between,
        graphs=function_graphs(problem.generator, problem.handles.device),
        operators=fused_operators(problem.handles.device),
        **how,
    )
