# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about edits that live on the timeline: one row for each scene frame.

An :class:`Edit` is all that there is to know of an animated edit. It crosses the wire inside
:class:`Bake`, and it is what an edit file holds, so that a worker of a render farm needs nothing
but that file and the model. Numbers are those of scene frames; row 0 is ``first_number``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from .messages import Event, FrameTarget, Message, ModelRequest, Point, Request, require
from .settings import DragSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFrom:
    """The settings from a frame on, up to where the next entry begins."""

    number: int
    settings: DragSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFrom:
    """Which mask holds from a frame on: an index into the edit's masks, -1 for none."""

    number: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit(Message):
    """An animated edit, sampled: every frame's targets, settings and mask.

    ``model_name`` is for people; the latent belongs to the file with ``model_sha256``.
    ``handles_px``: where the handles are in the image of ``latent``.
    ``targets_px``: ``T x P x 2`` float32, little-endian, one row for each frame.
    ``settings`` has at least one entry, the first for ``first_number``.
    ``masks``: all masks one after the other, each as :class:`.messages.Drag` has it.
    ``truncation_psi`` is empty where the truncation is not animated; else one for each frame, and
    ``seed`` and ``sampled_psi`` say which image ``latent`` was made from.
    ``poses``: the frames that were keyed; smoothing leaves them as they were solved.
    ``smoothing``: standard deviation in frames, 0 for none.
    ``refined_track``: bytes of a ``track.npz`` of the same frames, from whose rows each frame is
    solved further; empty to solve each frame from the one before it.
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

    def __post_init__(self) -> None:
        require(bool(self.handles_px), "an edit needs at least one handle")
        row = 8 * len(self.handles_px)
        found = len(self.targets_px)
        require(found > 0 and found % row == 0, f"{found} bytes are no rows of targets")
        require(self.first_number >= 1, f"first_number must be 1 or more: {self.first_number}")
        require(bool(self.settings), "an edit needs settings")
        require(self.settings[0].number == self.first_number, "settings begin at the first frame")
        for numbers in ([one.number for one in self.settings], [m.number for m in self.mask_spans]):
            rising = all(before < after for before, after in pairwise(numbers))
            require(rising, "settings and masks must be in the order of their frames")
        require(0 <= self.seed < 2**32, f"a seed is in 0 to 4294967295, not {self.seed}")
        psi = len(self.truncation_psi)
        require(psi in (0, self.frame_count), f"{psi} truncations for {self.frame_count} frames")
        require(self.smoothing >= 0, f"smoothing must be 0 or more, not {self.smoothing}")

    @property
    def frame_count(self) -> int:
        """How many frames the edit has, T."""
        return len(self.targets_px) // (8 * len(self.handles_px))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake(ModelRequest):
    """Solve an edit frame by frame, and write its sequence.

    ``edit``: the bytes of one encoded :class:`Edit`.
    ``frames.first_number`` is the edit's. Its folder also takes the edit, the track, and while
    solving goes on a journal of the rows so far: the same edit baked into the same folder again
    goes on where it was.
    ``earlier_folder``: of an earlier bake of this image, whose rows and files are taken over as
    far as nothing that they depend on has changed; empty for none.
    ``write_frames``: False to solve only. ``previews``: False where nobody looks.

    Events: :class:`.messages.Progress`, :class:`FrameSolved`, :class:`.messages.Preview` (its
    step is the frame's number), :class:`.messages.FrameWritten` and one :class:`BakeFinished`.
    Stopped, a bake keeps the frames that are solved; cancelled, it leaves its folder so that it
    can go on.
    """

    kind: ClassVar[str] = "bake"
    edit: bytes
    frames: FrameTarget
    earlier_folder: str = ""
    write_frames: bool = True
    previews: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderLatents(ModelRequest):
    """Render a sequence of latents that were not solved: interpolated, or mixed.

    ``latents``: ``T x num_ws x w_dim`` float32. Ends with a :class:`TrackMade`.
    """

    kind: ClassVar[str] = "render_latents"
    latents: bytes
    frames: FrameTarget

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(bool(self.latents), "a sequence needs at least one latent")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSolved(Event):
    """A frame of a bake is solved; ``distance_px`` is the farthest handle's."""

    kind: ClassVar[str] = "frame_solved"
    number: int
    steps: int
    distance_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeFinished(Event):
    """The result of a bake. ``status``: done, or stopped before its last frame.

    ``reached_count``: frames whose handles arrived at their targets. ``solved_count``: those
    that were not taken over from earlier. ``steps`` were made for these, in ``seconds``.
    ``track`` and ``handles_px`` are as in :class:`.messages.DragFinished`; ``frame_count`` rows.
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

    def __post_init__(self) -> None:
        found, row = len(self.handles_px), 8 * self.frame_count
        require(row > 0 < found and found % row == 0, f"{found} bytes are no rows of points")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackMade(Event):
    """The track of rendered latents: the bytes of its ``track.npz``."""

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
