# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages for small images without files: of many seeds, and of a picture that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .errors import require, require_label, require_pixels
from .messages import Event, Message, ModelRequest, Request
from .pictures import NO_LABEL


def _require_seed(seed: int) -> None:
    require(0 <= seed < 2**32, f"seed must be 0 to 4294967295, not {seed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSheet(ModelRequest):
    """Make small images of seeds; one ``SeedThumbnail`` for each, in their order, and no file.

    Attributes:
        seeds: The seeds, at least one.
        truncation_psi: The truncation of all images.
        label: As in ``messages.Sample``.
        size_px: How long the longer side of an image should be at least. The image is that of the
            smallest block which is as large, or of the last block.
    """

    kind: ClassVar[str] = "sample_sheet"
    seeds: tuple[int, ...]
    truncation_psi: float
    size_px: int
    label: int = NO_LABEL

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require_label(self.label)
        require(bool(self.seeds), "at least one seed is needed")
        for seed in self.seeds:
            _require_seed(seed)
        require(self.size_px > 0, f"size_px must be positive, not {self.size_px}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedThumbnail(Event):
    """The small image of a seed, with pixels as in ``drag_messages.Preview``."""

    kind: ClassVar[str] = "seed_thumbnail"
    seed: int
    width: int
    height: int
    pixels: bytes

    def __post_init__(self) -> None:
        _require_seed(self.seed)
        require_pixels(self.width, self.height, self.pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewPicture(ModelRequest):
    """Make a small image of a picture: one ``Preview``, whose ``drag_id`` is the ``request_id``.

    Attributes:
        picture: See ``pictures``.
        size_px: As in ``SampleSheet``.
    """

    kind: ClassVar[str] = "preview_picture"
    picture: bytes
    size_px: int

    def __post_init__(self) -> None:
        Request.__post_init__(self)
        require(self.size_px > 0, f"size_px must be positive, not {self.size_px}")


EXPLORE_MESSAGES: tuple[type[Message], ...] = (SampleSheet, SeedThumbnail, PreviewPicture)
