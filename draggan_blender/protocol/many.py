# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages for *Apply to Many*: what a drag has changed, in other images, as far in each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from .errors import require, require_label, require_pixels
from .messages import Event, Message, ModelRequest, Request
from .pairs import Point, require_count
from .pictures import NO_LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyToMany(ModelRequest):
    """Find how strong a change is in other images; one ``AppliedToOne`` for each, in their order.

    The other images are those of ``seeds``, or ``pictures``.

    Attributes:
        origin: The latent before the drag, ``num_ws x w_dim`` float32.
        change: What a strength of 1 adds to it, likewise.
        strength: How often the change was added in the image whose end the others should reach;
            not 0.
        handles_px: Where the handles were before the drag, image pixels.
        pins_px: Likewise what the drag has held; the end is measured from there.
        exact: Whether to bring the content to the very place of the end.
        seeds: Seeds of other images.
        truncation_psi: The truncation of these.
        label: As in ``messages.Sample``.
        pictures: The bytes of other pictures one after the other, each in the format of
            ``pictures``, without the change.
        sizes: The number of bytes of each.
        image_paths: A PNG to write for each of the images; empty to write none.
        size_px: The size of the small images, as in ``explore.SampleSheet``.
    """

    kind: ClassVar[str] = "apply_to_many"
    origin: bytes
    change: bytes
    strength: float
    handles_px: tuple[Point, ...]
    pins_px: tuple[Point, ...] = ()
    exact: bool = False
    seeds: tuple[int, ...] = ()
    truncation_psi: float = 1.0
    label: int = NO_LABEL
    pictures: bytes = b""
    sizes: tuple[int, ...] = ()
    image_paths: tuple[str, ...] = ()
    size_px: int

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require_label(self.label)
        require(bool(self.handles_px), "at least one handle is needed")
        require_count(len(self.handles_px) + len(self.pins_px))
        for value in (*self.handles_px, *self.pins_px):
            require(all(map(math.isfinite, value)), f"a point must be finite, not {value}")
        is_one = bool(self.seeds) != bool(self.sizes)
        require(is_one, "either seeds or pictures are needed, at least one")
        for seed in self.seeds:
            require(0 <= seed < 2**32, f"seed must be 0 to 4294967295, not {seed}")
        whole = min(self.sizes, default=1) > 0 and sum(self.sizes) == len(self.pictures)
        require(whole, f"sizes must be positive and add up to {len(self.pictures)} bytes")
        count, paths = len(self.seeds) + len(self.sizes), len(self.image_paths)
        require(paths in (0, count), f"{count} images need as many paths, or none, not {paths}")
        require(bool(all(self.image_paths)), "the paths of images must not be empty")
        require(self.size_px > 0, f"size_px must be positive, not {self.size_px}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedToOne(Event):
    """What became of one image, with the pixels of its small image as in ``drag_messages.Preview``.

    Attributes:
        index: Which of the images it is, from 0.
        latent: The latent of the whole image without the change, ``num_ws x w_dim`` float32.
        change: What a strength of 1 adds in this image, likewise: that of the request, or, for
            an exact place, one of its own.
        strength: How often it is added.
        problem: Why the content has not arrived; empty if it has.
        width: Pixels.
        height: Pixels.
        pixels: ``height x width x 4`` float32.
    """

    kind: ClassVar[str] = "applied_to_one"
    index: int
    latent: bytes
    change: bytes
    strength: float
    problem: str
    width: int
    height: int
    pixels: bytes

    def __post_init__(self) -> None:
        require(self.index >= 0, f"index must be 0 or more, not {self.index}")
        require_pixels(self.width, self.height, self.pixels)


MANY_MESSAGES: tuple[type[Message], ...] = (ApplyToMany, AppliedToOne)
