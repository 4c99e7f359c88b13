# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages that change a running drag, and the check of points before a drag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .errors import require
from .messages import Event, Message, ModelRequest, Request
from .pairs import Pair, Point, require_count, require_pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacePairs(Message):
    """Replace the pairs of a running drag; its next step uses them, and nothing begins again.

    A pair whose key the drag knows keeps its handle where the drag has tracked it, whatever
    ``handle_px`` says. A pair with a new key starts at its ``handle_px`` in the present image. Only
    the newest of several messages counts.

    Attributes:
        request_id: The id of the ``Drag`` request.
        pairs: All pairs from now on, at least one.
        live: Whether the drag stays open; see ``drag_messages.Drag``.
        mask: A larger exact mask, see ``drag_messages.Drag.wider_mask``; empty to keep the mask.
    """

    kind: ClassVar[str] = "replace_pairs"
    request_id: int
    pairs: tuple[Pair, ...]
    live: bool
    mask: bytes = b""

    def __post_init__(self) -> None:
        require_pairs(self.pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(Message):
    """Pause a drag or let it go on; a paused drag makes no steps, and can be stopped."""

    kind: ClassVar[str] = "pause"
    request_id: int
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPoints(ModelRequest):
    """Check whether points of an image can be followed; the answer is ``PointsChecked``.

    Attributes:
        latent: The latent of the image.
        points_px: The points, image pixels, at least one.
        feature_resolution: As the drag option of this name.
    """

    kind: ClassVar[str] = "check_points"
    latent: bytes
    points_px: tuple[Point, ...]
    feature_resolution: int = 0

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(bool(self.points_px), "at least one point is needed")
        require_count(len(self.points_px))


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsChecked(Event):
    """For each point of ``CheckPoints``, whether it lies on something that cannot be followed."""

    kind: ClassVar[str] = "points_checked"
    flat: tuple[bool, ...]


LIVE_MESSAGES: tuple[type[Message], ...] = (
    ReplacePairs,
    Pause,
    CheckPoints,
    PointsChecked,
)
