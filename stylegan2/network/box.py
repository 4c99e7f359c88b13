# SPDX-License-Identifier: GPL-3.0-or-later
"""Boxes of pixels, and which pixels below a layer a box of its result depends on.

A convolution pads its input with zeros. On a part of a map these zeros are wrong at each side where
the map goes on, so a box of a result is computed from a box of the input that is wider than the
result needs there, and the rim is thrown away. At the border of the map the zeros are right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# See ``Span.snapped``.
_PARTS = 32


@dataclass(frozen=True)
class Span:
    """The pixels from ``start`` up to, and without, ``stop`` along one axis."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """The number of pixels."""
        return self.stop - self.start

    def below_block(self, length: int) -> Span:
        """Return what a span of a block's features depends on in the block below.

        The last convolution of a block needs one more pixel at each side. A pixel o of the
        upsampling convolution needs those from (o - 3) / 2 to (o + 2) / 2.

        Args:
            length: Length of this axis in the block below.
        """
        return Span(max((self.start - 3) // 2, 0), min((self.stop + 4) // 2, length))

    def below_image(self, length: int) -> Span:
        """Return what a span of an upsampled image depends on in the smaller image.

        A pixel o needs those from (o - 2) / 2 to (o + 1) / 2.

        Args:
            length: Length of this axis in the smaller image.
        """
        return Span(max((self.start - 1) // 2, 0), min(self.stop // 2 + 1, length))

    def overlap(self, other: Span) -> Span:
        """Return what is in both; one pixel of this span if nothing is."""
        start, stop = max(self.start, other.start), min(self.stop, other.stop)
        return Span(start, stop) if start < stop else Span(self.start, self.start + 1)

    def snapped(self, length: int) -> Span:
        """Return the span widened to multiples of a 32nd of an axis of this length.

        So a mask that grows pixel by pixel does not give each time a size of its own, for which the
        libraries that compute convolutions would have to prepare.
        """
        unit = max(length // _PARTS, 1)
        return Span(self.start // unit * unit, min(-(-self.stop // unit) * unit, length))

    def doubled(self) -> Span:
        """Return the same span at twice the size."""
        return Span(2 * self.start, 2 * self.stop)


@dataclass(frozen=True)
class Box:
    """A box of pixels of a map ``... x H x W``, with at least one pixel."""

    rows: Span
    columns: Span

    @staticmethod
    def whole(shape: tuple[int, int]) -> Box:
        """Return the box of a whole map of height and width ``shape``."""
        return Box(Span(0, shape[0]), Span(0, shape[1]))

    @staticmethod
    def around(values: Tensor) -> Box:
        """Return a box that has all values of an ``... x H x W`` tensor but zeros, see ``snapped``.

        Without any, it has the first pixel.
        """
        spans = []
        for axis, other in ((-2, -1), (-1, -2)):
            used = (values != 0).flatten(0, -3).any(dim=0).any(dim=other).nonzero().flatten()
            span = Span(int(used[0]), int(used[-1]) + 1) if len(used) else Span(0, 1)
            spans.append(span.snapped(values.shape[axis]))
        return Box(*spans)

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.rows.length * self.columns.length

    def below_block(self, shape: tuple[int, int]) -> Box:
        """Return what the box depends on in the block below, whose shape is given; see ``Span``."""
        return Box(self.rows.below_block(shape[0]), self.columns.below_block(shape[1]))

    def below_image(self, shape: tuple[int, int]) -> Box:
        """Return what the box depends on in the image below, whose shape is given; see ``Span``."""
        return Box(self.rows.below_image(shape[0]), self.columns.below_image(shape[1]))

    def overlap(self, other: Box) -> Box:
        """Return what is in both; one pixel of this box if nothing is."""
        return Box(self.rows.overlap(other.rows), self.columns.overlap(other.columns))

    def doubled(self) -> Box:
        """Return the same box at twice the size."""
        return Box(self.rows.doubled(), self.columns.doubled())

    def within(self, other: Box) -> Box:
        """Return this box in the pixels of another one that contains it."""
        top, left = other.rows.start, other.columns.start
        return Box(
            Span(self.rows.start - top, self.rows.stop - top),
            Span(self.columns.start - left, self.columns.stop - left),
        )

    def cut(self, x: Tensor) -> Tensor:
        """Return a view of the box in ``... x H x W``."""
        rows, columns = self.rows, self.columns
        return x[..., rows.start : rows.stop, columns.start : columns.stop]

    def contains(self, other: Box) -> bool:
        """Return whether another box is a part of this one."""
        return self.overlap(other) == other

    def meets(self, other: Box) -> bool:
        """Return whether the boxes have a pixel in common."""
        return other.contains(self.overlap(other))


@dataclass(frozen=True, eq=False)
class PatchedMap:
    """A map that differs from another one in a box.

    Attributes:
        box: Where it differs.
        patch: ``N x C x h x w`` in the size of the box.
        below: The other map, of N samples or of one; None if the box is the whole map.
    """

    box: Box
    patch: Tensor
    below: PatchedMap | None = None

    def cut(self, box: Box) -> Tensor:
        """Return a part of the map, ``N x C x h x w``; a view where that is possible.

        Args:
            box: A part of the whole map.
        """
        if self.below is None or self.box.contains(box):
            return box.within(self.box).cut(self.patch)
        under = self.below.cut(box)
        if not box.meets(self.box):
            return under.expand(len(self.patch), -1, -1, -1)
        is_last = under.is_contiguous(memory_format=torch.channels_last)
        kept = torch.channels_last if is_last else torch.contiguous_format
        result = under.expand(len(self.patch), -1, -1, -1).clone(memory_format=kept)
        common = box.overlap(self.box)
        common.within(box).cut(result).copy_(common.within(self.box).cut(self.patch))
        return result
