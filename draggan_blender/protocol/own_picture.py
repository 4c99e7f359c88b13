# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages about a person's own picture: finding its latent, and blending edits onto it."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import ClassVar

from .errors import require
from .losses import LOSS_NAMES, PIXELS
from .messages import Event, FrameTarget, Message, ModelRequest, Request

TwoPlaces = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """A frame on a picture: the part of it that the model's image is.

    Attributes:
        centre_px: Its middle, pixels of the picture, as points are in an image.
        angle: How far it is turned, radians, counter-clockwise as one sees it.
        size_px: Its longer side, pixels of the picture.
    """

    centre_px: tuple[float, float]
    angle: float
    size_px: float

    def __post_init__(self) -> None:
        values = (*self.centre_px, self.angle, self.size_px)
        require(all(map(math.isfinite, values)), f"the frame {values} has values without an end")
        require(self.size_px > 0, f"size_px must be positive, not {self.size_px}")

    @classmethod
    def of_two_places(
        cls, picture_px: TwoPlaces, image_px: TwoPlaces, image_size: tuple[int, int]
    ) -> Alignment:
        """Return the frame that brings two places of the model's image onto two of the picture.

        Args:
            picture_px: Both places on the picture, pixels.
            image_px: The same two on the model's image, pixels; apart from each other.
            image_size: Width and height of the model's image.

        Raises:
            LocalProtocolError: Two places are the same.
        """
        (first, second), (own_first, own_second) = (
            [complex(*place) for place in places] for places in (picture_px, image_px)
        )
        require(first != second and own_first != own_second, "the two places are the same")
        # The similarity that takes places of the image to those of the picture; y points down.
        factor = (second - first) / (own_second - own_first)
        centre = first + factor * (complex(*image_size) / 2 - own_first)
        return cls(
            centre_px=(centre.real, centre.imag),
            angle=-cmath.phase(factor),
            size_px=abs(factor) * max(image_size),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertPicture(ModelRequest):
    """Find the latent of a picture, and write the model's image of it to ``image_path``.

    Events: ``Progress``, ``Preview`` with the ``request_id`` as ``drag_id``, and one
    ``PictureInverted``. ``Stop`` ends it with the best so far.

    Attributes:
        picture_path: The picture's file.
        alignment: The frame on it.
        refine: Whether the frame is refined together with the latent.
        steps: The most steps.
        seconds: The most seconds for the latent; 0 for no limit.
        loss: How picture and image are compared, see ``losses``.
        loss_path: The file with the weights of the loss; empty if it needs none, or for the usual.
        noise: Whether noise maps are found as well.
        tune: Whether the model is tuned until it matches the picture.
        tune_seconds: The most seconds for tuning; 0 for no limit.
        difference_path: Where the difference file is written that has noise maps and tuned weights;
            empty without both.
        image_path: Where the image is written.
        previews: Whether ``Preview`` events are sent.
    """

    kind: ClassVar[str] = "invert_picture"
    picture_path: str
    alignment: Alignment
    refine: bool = True
    steps: int = 80
    seconds: float = 0.0
    loss: str = PIXELS
    loss_path: str = ""
    noise: bool = False
    tune: bool = False
    tune_seconds: float = 0.0
    difference_path: str = ""
    image_path: str
    previews: bool = True

    def __post_init__(self) -> None:
        ModelRequest.__post_init__(self)
        require(self.loss in LOSS_NAMES, f"the loss must be one of {', '.join(LOSS_NAMES)}")
        is_changed = self.noise or self.tune
        require(
            bool(self.difference_path) == is_changed,
            "a difference_path is needed for noise or tuning, and only then",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInverted(Event):
    """The latent of a picture; the image and the difference file have been written.

    Attributes:
        latent: The latent.
        alignment: The frame, as it was given or refined.
        error: Mean absolute difference of the picture and the model's image before tuning, a share
            of the range of values.
        tuned_error: The same after tuning; -1 if the model was not tuned.
        coverage: ``covered``, ``roughly`` or ``not``.
        sentence: What to say about it.
        model_path: The model that the image is of: the one of the request, or the difference file.
        model_sha256: Its hash.
    """

    kind: ClassVar[str] = "picture_inverted"
    latent: bytes
    alignment: Alignment
    error: float
    tuned_error: float
    coverage: str
    sentence: str
    model_path: str
    model_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendBack(ModelRequest):
    """Compose what an edit has changed onto a picture, in its full resolution.

    Events: ``Progress`` and ``FrameWritten``.

    Attributes:
        picture_path: The picture's file.
        alignment: The frame on it.
        base: The latent of the picture, without the edit.
        latent: The image with the edit; empty if there is a track.
        track: The bytes of a ``track.npz``, for a sequence; empty for one image.
        image_path: Where the one image is written; empty if there is a track.
        frames: The files of the sequence.
        matte: Whether the mattes are written as well: how far each pixel was changed, as grey PNG
            beside each image, see ``file_names.matte_stem``.
    """

    kind: ClassVar[str] = "blend_back"
    picture_path: str
    alignment: Alignment
    base: bytes
    latent: bytes = b""
    track: bytes = b""
    image_path: str = ""
    frames: FrameTarget
    matte: bool = False

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(bool(self.latent) != bool(self.track), "either a latent or a track is needed")
        require(bool(self.latent) == bool(self.image_path), "a latent needs an image_path")


OWN_PICTURE_MESSAGES: tuple[type[Message], ...] = (InvertPicture, PictureInverted, BlendBack)
