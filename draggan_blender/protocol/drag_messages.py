# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of a drag: what is asked for, each step and its preview, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .errors import require, require_pixels
from .messages import (
    Event,
    FrameTarget,
    Message,
    ModelRequest,
    Request,
    require_frames,
    require_rows,
    require_stem,
)
from .pairs import HandleState, Pair, require_pairs
from .settings import DragSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Drag(ModelRequest):
    """Move the handles to their targets.

    Events: ``Progress``, ``Step``, ``Preview``, ``FrameWritten`` and one ``DragFinished``. While it
    runs, ``live.ReplacePairs`` replaces its pairs, ``live.Pause`` pauses it, and ``Stop`` ends it.

    Attributes:
        drag_id: Repeated in the events, so that those of another drag can be dropped.
        latent: The latent to start from.
        pairs: The handles and targets, at least one.
        settings: How the drag is solved.
        mask: ``H x W`` bytes of the generator's size, or empty if everything may change.
        wider_mask: What the layer of an exact mask is seen through from this drag on: at no place
            less than ``mask``, which says which layer it is. Empty for ``mask``.
        frames: The files of the resulting sequence.
        earliest: A sequence that would end after the frame ``latest`` begins earlier than
            ``frames`` says, but not before this frame; it then ends with ``latest`` if it can.
        latest: See ``earliest``; 0 to begin as ``frames`` says. Both are 0 if it continues another.
        previews: Whether ``Preview`` events are sent.
        live: Whether the drag stays open: when it cannot come closer to the targets, it waits for
            other pairs and does not end. It ends after a ``ReplacePairs`` that is not live.
        earlier_track: The bytes of the ``track.npz`` of the sequence that the drag continues;
            empty if it starts a sequence.
        earlier_count: How many images of that sequence come before the first one of the drag. If
            there are more than it has, its last one is repeated.
        earlier_keys: The key of the pair of each handle in that track; 0 for a pair that was
            removed.
        earlier_folder: The folder of that sequence's files, which have the numbers of ``frames``.
            Those that exist are not rendered again; empty to render all.
        earlier_stem: What their names start with.
        locked: What the drag must not change, see ``directions``: any number of changes of the
            latent, ``num_ws x w_dim`` float32 each, one after the other.
        held_to: What it may change, likewise; empty for everything.
    """

    kind: ClassVar[str] = "drag"
    drag_id: int
    latent: bytes
    pairs: tuple[Pair, ...]
    settings: DragSettings = field(default_factory=DragSettings)
    mask: bytes = b""
    wider_mask: bytes = b""
    frames: FrameTarget
    earliest: int = 0
    latest: int = 0
    previews: bool = True
    live: bool = False
    earlier_track: bytes = b""
    earlier_count: int = 0
    earlier_keys: tuple[int, ...] = ()
    earlier_folder: str = ""
    earlier_stem: str = ""
    locked: bytes = b""
    held_to: bytes = b""

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require_pairs(self.pairs)
        count = self.earlier_count
        require(count >= 0, f"earlier_count must be 0 or more, not {count}")
        require(bool(self.earlier_track) == (count > 0), "earlier images need a track")
        if self.latest:
            require(not count, "a sequence that continues another one cannot begin earlier")
            first = self.frames.first_number
            fits = 1 <= self.earliest <= first <= self.latest
            require(fits, f"{self.earliest}, {first} and {self.latest} must be in this order")
        if self.earlier_folder:
            require_stem(self.earlier_stem)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewShown(Message):
    """The last preview of a request is shown, so the engine may send the next one."""

    kind: ClassVar[str] = "preview_shown"
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Event):
    """A step of a drag: the handles, and the distance of the farthest one from its target.

    Attributes:
        drag_id: The one of the request.
        step: The number of the step; 0 is the start.
        loss: The method's loss.
        distance_px: The distance of the farthest handle from its target, in image pixels.
        handles: The handles of the pairs that the step was made with, in their order.
    """

    kind: ClassVar[str] = "step"
    drag_id: int
    step: int
    loss: float
    distance_px: float
    handles: tuple[HandleState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Event):
    """The image of a step, as ``Image.pixels.foreach_set`` takes it; a later one replaces it.

    The engine sends no other before ``PreviewShown`` has arrived, except for the last one.
    """

    kind: ClassVar[str] = "preview"
    drag_id: int
    step: int
    width: int
    height: int
    pixels: bytes

    def __post_init__(self) -> None:
        require_pixels(self.width, self.height, self.pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class DragFinished(Event):
    """The result of a drag.

    Attributes:
        drag_id: The one of the request.
        status: ``reached``, ``stalled``, ``step_limit``, ``stopped`` or ``lost``.
        reason: The status as a sentence.
        steps: How many optimiser steps were made.
        distance_px: The distance of the farthest handle from its target, in image pixels.
        seconds: How long the drag took.
        latent: The last latent.
        track: The bytes of the ``track.npz``, from which every frame can be rendered again, with
            those before the drag.
        first_number: The number of the sequence's first frame.
        frame_count: How many frames the drag has added to the sequence. Frames are added so that it
            moves evenly, and the last steps are left out if they came no closer, so it can differ
            from ``steps``.
        handles: The handles of the P last pairs of the drag, at its end.
        handles_px: ``frame_count x P x 2`` float32, little-endian, the places of these handles in
            each frame. A handle that was added later is before that where it was added.
        turns: ``frame_count x P x 2`` float32, little-endian, the angle and the scale of these
            handles in each frame; empty if none is a region.
        is_beyond: Whether the drag came no closer because the model has no such images.
    """

    kind: ClassVar[str] = "drag_finished"
    drag_id: int
    status: str
    reason: str
    steps: int
    distance_px: float
    seconds: float
    latent: bytes
    track: bytes
    first_number: int
    frame_count: int
    handles: tuple[HandleState, ...]
    handles_px: bytes
    turns: bytes = b""
    is_beyond: bool = False

    def __post_init__(self) -> None:
        require_rows(self.handles_px, self.frame_count)
        require_frames(self.first_number, self.frame_count)
        sizes = 8 * self.frame_count * len(self.handles), len(self.handles_px)
        require(sizes[0] == sizes[1], f"handles_px must have {sizes[0]} bytes, not {sizes[1]}")
        turns = len(self.turns)
        require(turns in (0, sizes[1]), f"turns must have {sizes[1]} bytes, not {turns}")


DRAG_MESSAGES: tuple[type[Message], ...] = (Drag, PreviewShown, Step, Preview, DragFinished)
