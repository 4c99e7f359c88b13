# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages about animated edits and other sequences, with one row for each scene frame.

An ``Edit`` describes an animated edit completely. It is sent inside ``Bake``, and an edit file
contains one, so a worker of a render farm needs only that file and the model. Numbers are those of
scene frames; row 0 is the frame ``first_number``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from .errors import require, require_label
from .messages import (
    Event,
    FrameTarget,
    Message,
    ModelRequest,
    Request,
    require_frames,
    require_rows,
)
from .pairs import Point, require_count
from .pictures import NO_LABEL
from .settings import DragSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFrom:
    """The settings that apply from frame ``number`` on, until the next entry."""

    number: int
    settings: DragSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFrom:
    """The mask that applies from frame ``number`` on: an index of the edit's masks, -1 for none."""

    number: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit(Message):
    """A sampled animated edit: the targets, the settings and the mask of every frame.

    Attributes:
        model_name: The file name of the checkpoint, for people.
        model_sha256: The hash of the checkpoint that ``latent`` belongs to.
        first_number: The scene frame of row 0, 1 or more.
        latent: The latent to start from.
        handles_px: Where the P handles are in the image of ``latent``, at least one.
        targets_px: ``T x P x 2`` float32, little-endian, one row for each frame.
        settings: In the order of their frames; the first is for ``first_number``.
        mask_spans: In the order of their frames; may be empty.
        masks: All masks one after another, each as ``drag_messages.Drag.mask``.
        seed: The seed that ``latent`` was made from, for an animated truncation.
        sampled_psi: The truncation that ``latent`` was made with, for an animated truncation.
        label: The label that ``latent`` was made with, as in ``messages.Sample``.
        truncation_psi: One value for each frame, or empty if the truncation is not animated.
        poses: The frames with keys, which smoothing does not change.
        smoothing: The standard deviation in frames; 0 for none.
        refined_track: The bytes of a ``track.npz`` of the same frames, to solve each frame further
            from its row there; empty to solve each frame from the one before it.
        radii_px: The radius of each region in the image of ``latent``, 0 for a point; empty if no
            pair is a region.
        turns: ``T x P x 2`` float32, little-endian: by which angle and factor each region should be
            turned and scaled since the image of ``latent``, 0 and 1 for a point; empty likewise.
        layered: The picture of all masked edits in full, see ``layering``, for animated strengths;
            empty if the frames start from ``latent`` as it is.
        strengths: How much of each of its E edits is shown: E for each of the T frames.
        sliders: What each of S sliders with an animated strength adds to the latent at a strength
            of 1: ``S x num_ws x w_dim`` float32, little-endian.
        slider_changes: By how much their strengths differ from those in ``latent``: S for each of
            the T frames.
        locked: What the solved part of each frame must not change, as in ``drag_messages.Drag``.
            Sliders and truncation are free of it.
        held_to: What it may change, likewise.
    """

    kind: ClassVar[str] = "edit"
    model_name: str
    model_sha256: str
    first_number: int
    latent: bytes
    handles_px: tuple[Point, ...]
    targets_px: bytes
    settings: tuple[SettingsFrom, ...]
    mask_spans: tuple[MaskFrom, ...] = ()
    masks: bytes = b""
    seed: int = 0
    sampled_psi: float = 1.0
    truncation_psi: tuple[float, ...] = ()
    poses: tuple[int, ...] = ()
    smoothing: float = 0.0
    refined_track: bytes = b""
    radii_px: tuple[float, ...] = ()
    turns: bytes = b""
    layered: bytes = b""
    strengths: tuple[float, ...] = ()
    sliders: bytes = b""
    slider_changes: tuple[float, ...] = ()
    label: int = NO_LABEL
    locked: bytes = b""
    held_to: bytes = b""

    def __post_init__(self) -> None:
        require(bool(self.handles_px), "an edit needs at least one handle")
        require_count(len(self.handles_px))
        row = 8 * len(self.handles_px)
        found = len(self.targets_px)
        fits = found > 0 and found % row == 0
        require(fits, f"targets_px has {found} bytes, not a multiple of {row}")
        require_frames(self.first_number, self.frame_count)
        require(bool(self.settings), "an edit needs settings")
        starts = self.settings[0].number == self.first_number
        require(starts, f"settings must start at frame {self.first_number}")
        for numbers in ([one.number for one in self.settings], [m.number for m in self.mask_spans]):
            rising = all(before < after for before, after in pairwise(numbers))
            require(rising, "settings and masks must be in the order of their frames")
        require(0 <= self.seed < 2**32, f"seed must be 0 to 4294967295, not {self.seed}")
        require_label(self.label)
        psi, count = len(self.truncation_psi), self.frame_count
        require(psi in (0, count), f"truncation_psi has {psi} values for {count} frames")
        require(self.smoothing >= 0, f"smoothing must be 0 or more, not {self.smoothing}")
        radii, pairs = len(self.radii_px), len(self.handles_px)
        require(radii in (0, pairs), f"radii_px has {radii} values for {pairs} handles")
        for radius in self.radii_px:
            require(0 <= radius < math.inf, f"radii_px must be 0 or more, not {radius}")
        turns, size = len(self.turns), found if radii else 0
        require(turns == size, f"turns must have {size} bytes, not {turns}")
        fits = len(self.strengths) % self.frame_count == 0
        is_whole = bool(self.layered) == bool(self.strengths) and fits
        require(
            is_whole, f"strengths has {len(self.strengths)} values for {self.frame_count} frames"
        )
        for strength in self.strengths:
            require(0 <= strength <= 1, f"strengths must be 0 to 1, not {strength}")
        values = len(self.slider_changes)
        is_whole = bool(self.sliders) == bool(values) and values % self.frame_count == 0
        require(is_whole, f"slider_changes has {values} values for {self.frame_count} frames")
        finite = all(map(math.isfinite, self.slider_changes))
        require(finite, "slider_changes must be finite")

    @property
    def frame_count(self) -> int:
        """The number of frames, T."""
        return len(self.targets_px) // (8 * len(self.handles_px))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake(ModelRequest):
    """Solve an edit frame by frame, and write its sequence.

    The folder of the sequence also gets the edit, the track and, during solving, a journal of the
    solved rows: if the same edit is baked into the same folder again, the bake continues. A stopped
    bake ends with the frames solved so far. A cancelled one has no result, but its folder stays, so
    that the bake can be continued.

    Events: ``Progress``, ``FrameSolved``, ``Preview`` (its ``step`` is the number of the frame),
    ``FrameWritten`` and one ``BakeFinished``.

    Attributes:
        edit: The bytes of one encoded ``Edit``.
        frames: The files; ``first_number`` is that of the edit.
        earlier_folder: The folder of an earlier bake of this image, or empty. Its rows and files
            are taken over if nothing that they depend on has changed.
        write_frames: Whether frames are written; False to solve only.
        previews: Whether ``Preview`` events are sent.
    """

    kind: ClassVar[str] = "bake"
    edit: bytes
    frames: FrameTarget
    earlier_folder: str = ""
    write_frames: bool = True
    previews: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderLatents(ModelRequest):
    """Render a sequence of latents that were interpolated or mixed; the result is ``TrackMade``.

    Attributes:
        latents: ``T x num_ws x w_dim`` float32, little-endian; or T pictures, see ``pictures``.
        frames: The files of the sequence.
        sizes: How many bytes each of the pictures has; empty if all are latents.
    """

    kind: ClassVar[str] = "render_latents"
    latents: bytes
    frames: FrameTarget
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(bool(self.latents), "a sequence needs at least one latent")
        fits = all(size > 0 for size in self.sizes) and sum(self.sizes) == len(self.latents)
        require(not self.sizes or fits, "the sizes of the pictures do not fit their bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSolved(Event):
    """A frame of a bake is solved.

    Attributes:
        number: The scene frame.
        steps: How many steps were made for it.
        distance_px: The distance of the farthest handle from its target, in image pixels.
    """

    kind: ClassVar[str] = "frame_solved"
    number: int
    steps: int
    distance_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeFinished(Event):
    """The result of a bake.

    Attributes:
        status: ``done``, or ``stopped`` before the last frame.
        reached_count: The number of frames whose handles have reached their targets.
        solved_count: The number of frames that were solved and not taken over.
        steps: The number of steps for the solved frames.
        seconds: How long they took.
        track: The bytes of the ``track.npz``.
        frame_count: The number of frames.
        handles_px: As in ``drag_messages.DragFinished``.
        turns: As in ``drag_messages.DragFinished``, since the image of the edit's latent.
    """

    kind: ClassVar[str] = "bake_finished"
    status: str
    reached_count: int
    solved_count: int
    steps: int
    seconds: float
    track: bytes
    frame_count: int
    handles_px: bytes
    turns: bytes = b""

    def __post_init__(self) -> None:
        require_rows(self.handles_px, self.frame_count)
        turns, size = len(self.turns), len(self.handles_px)
        require(turns in (0, size), f"turns must have {size} bytes, not {turns}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackMade(Event):
    """The result of ``RenderLatents``: the bytes of the ``track.npz``, and its number of frames."""

    kind: ClassVar[str] = "track_made"
    track: bytes
    frame_count: int


TIMELINE_MESSAGES: tuple[type[Message], ...] = (
    Edit,
    Bake,
    RenderLatents,
    FrameSolved,
    BakeFinished,
    TrackMade,
)
