# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages for the directions of a model, and for strips of small pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .errors import require, require_pixels
from .messages import Event, Message, ModelRequest, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class FindDirections(ModelRequest):
    """Find the directions of a model; the answer is ``DirectionsFound``."""

    kind: ClassVar[str] = "find_directions"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionsFound(Event):
    """The directions of a model.

    Attributes:
        directions: The bytes of an ``.npz`` file, see ``direction_files``.
    """

    kind: ClassVar[str] = "directions_found"
    directions: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PullBack(ModelRequest):
    """Find the latent near a picture's that is like those of the model; answer: ``PulledBack``.

    Attributes:
        picture: In the format of ``pictures``; the latent of the whole image counts.
    """

    kind: ClassVar[str] = "pull_back"
    picture: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledBack(Event):
    """A latent that is like those of the model's own images.

    Attributes:
        latent: ``num_ws x w_dim`` float32, little-endian.
        before: How far the picture's latent is from the mean of W, 1 for a usual image.
        after: The same of ``latent``.
    """

    kind: ClassVar[str] = "pulled_back"
    latent: bytes
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureStrip(ModelRequest):
    """Make small images of pictures; one ``StripPicture`` for each, in their order, and no file.

    Attributes:
        pictures: Their bytes one after the other, each in the format of ``pictures``.
        sizes: The number of bytes of each, at least one.
        size_px: As in ``explore.SampleSheet``.
    """

    kind: ClassVar[str] = "picture_strip"
    pictures: bytes
    sizes: tuple[int, ...]
    size_px: int

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(bool(self.sizes), "at least one picture is needed")
        whole = min(self.sizes) > 0 and sum(self.sizes) == len(self.pictures)
        require(whole, f"sizes must be positive and add up to {len(self.pictures)} bytes")
        require(self.size_px > 0, f"size_px must be positive, not {self.size_px}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StripPicture(Event):
    """The small image of a picture, with pixels as in ``drag_messages.Preview``.

    Attributes:
        index: Which of the pictures it is, from 0.
        width: Pixels.
        height: Pixels.
        pixels: ``height x width x 4`` float32.
    """

    kind: ClassVar[str] = "strip_picture"
    index: int
    width: int
    height: int
    pixels: bytes

    def __post_init__(self) -> None:
        require(self.index >= 0, f"index must be 0 or more, not {self.index}")
        require_pixels(self.width, self.height, self.pixels)


DIRECTION_MESSAGES: tuple[type[Message], ...] = (
    FindDirections,
    DirectionsFound,
    PullBack,
    PulledBack,
    PictureStrip,
    StripPicture,
)
