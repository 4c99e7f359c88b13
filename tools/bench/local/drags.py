# SPDX-License-Identifier: GPL-3.0-or-later
"""The two lists of drags, as data: where each begins, its points, its mask and its truth.

``make`` has written the files of this folder's ``data`` with Blender; nothing else is needed to
read them. All lengths in the files are pixels of 128; ``LocalDrag.scaled`` gives a drag in those
of a model of another size. The list ``choosing`` is for trying methods and settings; with the list
``test`` nothing is ever chosen. They have no seed in common.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from engine.arrays import ByteArray, FloatArray

BoolArray = npt.NDArray[np.bool_]

DATA = Path(__file__).with_name("data")
# The first seed of each list; seeds are taken in order.
FIRST_SEEDS = {"choosing": 300_000, "test": 400_000}
# The size of the pictures in ``DATA``.
SIZE_PX = 128
# The factors of a seed are drawn from [-1, 1] and multiplied by this, as truncation does.
TRUNCATION = 0.7
# The pictures of a list are in a sheet with this many columns.
_COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class LocalDrag:
    """One drag of an artist's kind. The first points are pulled; the last ones are pins.

    Attributes:
        number: Its number in the list, from 0.
        kind: The name of its kind, see ``kinds.KINDS``.
        seed: What it was made from.
        factors: ``F`` float32 in [-1, 1], in the order of ``tools.suzanne.factors.FACTORS``: the
            picture that it begins with.
        handles_px: ``P x 2`` float32 (x, y), image pixels.
        targets_px: The same; where the content of each handle is in the truth. A pin's target is
            its handle. A target may be outside the image.
        pins: How many of the last points are pins.
        face_px: ``L x 2`` float32, where the landmarks of the render of the start are, seen or not,
            in the order of ``tools.bench.landmarks.LANDMARKS``.
        landmarks: For each point, the name of the landmark that it is on, or None.
        mask: ``H x W`` uint8, what an artist would paint: 255 = may change.
        truth: ``H x W x 3`` uint8, the render with only the part moved; None where no picture can
            be what the artist wants (a handle on the background, a target outside the image).
        part: ``H x W`` bool, where the truth differs from the render of the start, and a margin;
            without a truth, where ``mask`` is white.
    """

    number: int
    kind: str
    seed: int
    factors: FloatArray
    handles_px: FloatArray
    targets_px: FloatArray
    pins: int
    face_px: FloatArray
    landmarks: tuple[str | None, ...]
    mask: ByteArray
    truth: ByteArray | None
    part: BoolArray

    @property
    def size_px(self) -> int:
        """Width and height of the image."""
        return self.mask.shape[0]

    @property
    def pulled(self) -> int:
        """How many of the first points are pulled."""
        return len(self.handles_px) - self.pins

    @property
    def stays_inside(self) -> bool:
        """Whether all targets are inside the image."""
        return bool(((self.targets_px > 0) & (self.targets_px < self.size_px)).all())

    @property
    def digest(self) -> str:
        """All that its end depends on besides method and model, as hexadecimal digits."""
        digest = hashlib.sha256()
        for part in (self.factors, self.handles_px, self.targets_px, self.face_px, self.mask):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()[:16]

    def scaled(self, size_px: int) -> LocalDrag:
        """Return the drag in the pixels of a model of another size."""
        if size_px == self.size_px:
            return self
        factor = size_px / self.size_px
        size = (size_px, size_px)

        def resized(values: ByteArray) -> ByteArray:
            return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX))

        return replace(
            self,
            handles_px=self.handles_px * np.float32(factor),
            targets_px=self.targets_px * np.float32(factor),
            face_px=self.face_px * np.float32(factor),
            mask=((resized(self.mask) >= 128) * 255).astype(np.uint8),
            truth=None if self.truth is None else resized(self.truth),
            part=resized(self.part.astype(np.uint8) * np.uint8(255)) > 0,
        )


def load_drags(name: str, folder: Path = DATA) -> list[LocalDrag]:
    """Read a list.

    Args:
        name: A key of ``FIRST_SEEDS``.
        folder: Where its files are.

    Raises:
        OSError: A file is missing; ``make`` writes it.
    """
    entries = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    truths = _tiles(folder / f"{name}_truth.png", "RGB", len(entries))
    parts = _tiles(folder / f"{name}_part.png", "L", len(entries))
    return [
        _drag(number, entry, truth, part)
        for number, (entry, truth, part) in enumerate(zip(entries, truths, parts, strict=True))
    ]


def _drag(number: int, entry: dict[str, Any], truth: ByteArray, part: ByteArray) -> LocalDrag:
    mask = draw_mask(entry["mask"], SIZE_PX)
    has_truth = bool(part.any())
    return LocalDrag(
        number=number,
        kind=entry["kind"],
        seed=entry["seed"],
        factors=np.array(entry["factors"], dtype=np.float32),
        handles_px=np.array(entry["handles_px"], dtype=np.float32),
        targets_px=np.array(entry["targets_px"], dtype=np.float32),
        pins=entry["pins"],
        face_px=np.array(entry["face_px"], dtype=np.float32),
        landmarks=tuple(entry["landmarks"]),
        mask=mask,
        truth=truth if has_truth else None,
        part=part > 0 if has_truth else mask > 0,
    )


def draw_mask(shape: Sequence[Any], size_px: int) -> ByteArray:
    """Return a mask with hard edges, as a hand would draw it.

    Args:
        shape: ``("circle", x, y, radius)`` or ``("box", left, top, right, bottom)``, image pixels.
        size_px: Width and height of the image.

    Returns:
        ``H x W`` uint8: 255 where a pixel's centre is inside, else 0.
    """
    line = np.arange(size_px) + 0.5
    x, y = line[None], line[:, None]
    if shape[0] == "circle":
        inside = np.hypot(x - shape[1], y - shape[2]) <= shape[3]
    else:
        inside = (x >= shape[1]) & (x <= shape[3]) & (y >= shape[2]) & (y <= shape[4])
    mask: ByteArray = (inside * 255).astype(np.uint8)
    return mask


def sheet_of(pictures: Sequence[ByteArray]) -> ByteArray:
    """Return pictures of one size side by side, ``_COLUMNS`` in a row."""
    missing = -len(pictures) % _COLUMNS
    filled = [*pictures, *(np.zeros_like(pictures[0]) for _ in range(missing))]
    rows = [
        np.concatenate(filled[first : first + _COLUMNS], axis=1)
        for first in range(0, len(filled), _COLUMNS)
    ]
    return np.concatenate(rows)


def _tiles(path: Path, mode: str, count: int) -> list[ByteArray]:
    with Image.open(path) as image:
        sheet = np.asarray(image.convert(mode))
    places = (divmod(number, _COLUMNS) for number in range(count))
    return [
        sheet[row * SIZE_PX : (row + 1) * SIZE_PX, column * SIZE_PX : (column + 1) * SIZE_PX]
        for row, column in places
    ]
