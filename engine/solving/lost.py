# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether handles are still on the content that they were placed on: a second opinion, at the end.

A tracker follows a handle from step to step, and can slide onto something else, which then arrives
at the target in its place. So when a drag has ended, three opinions are asked:

- *Likeness*: how much the features at the place differ from those that the handle began on. A
  handle that has come a short way and looks like itself is believed: hardly any other place of an
  image looks like it.
- *Ahead*: the content is searched once more from the image in which the handle began, along the
  straight line of latents to the last one, in parts that are small enough to recognise it in each.
  Nothing is expected of where it goes: an expectation would bring the search to the tracked place,
  right or wrong.
- *Back*: the content at the tracked place is searched in the same way back to where the handle
  began. (The consistency of both directions is the test of Kalal, Mikolajczyk and Matas,
  "Forward-Backward Error", 2010.)

A handle was lost if both searches end elsewhere, or if one does and the place does not look like
what the handle began on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Canvas, Generator

from ..arrays import FloatArray
from ..features.choice import open_source
from ..features.source import FeatureGrid, FeatureSource, Windows, feature_block
from .methods.looks import looks_of
from .options import DragOptions
from .pair_points import Known
from .regions import Regions
from .structure import feature_spread
from .supervision import disc_offsets
from .tracking import PointTracker

# How many parts a line of latents is divided into, at least and at most; in between, the content
# moves by this many feature pixels in each.
_LEAST_PARTS, _MOST_PARTS, _STRIDE = 8, 12, 3.0
# Half the width of the square that each part of a search covers, and the radius of what is
# compared, feature pixels.
_SEARCH, _PATCH = 4.0, 3.0
# If the searches of both directions end farther off than this, feature pixels, the handle was lost.
LOST_BEYOND = 2.5
# Likewise if one of them ends farther off than the first, and the features have changed by more
# than the second, in units of their spread.
_DOUBTFUL, _UNLIKE = 1.5, 2.0
# A handle whose features have changed less than the first is believed if it has come less far than
# the second, as a share of the map's width. Farther off, one search is enough.
_ALIKE, _FAR = 1.0, 0.2


def find_lost(
    generator: Generator,
    options: DragOptions,
    grid: FeatureGrid,
    known: Sequence[Known],
    regions: Regions | None,
    points_px: FloatArray,
    latent: Tensor,
    canvas: Canvas | None = None,
    between: Callable[[], None] = lambda: None,
) -> tuple[bool, ...]:
    """Return for each pair whether the content at its handle was lost.

    Args:
        generator: Frozen, on the device to compute on.
        options: The options of the drag.
        grid: The sizes of the image and of the feature map.
        known: The P pairs, and the images that they began in.
        regions: The regions that the points belong to; None if all pairs are plain.
        points_px: ``K x 2`` float32, where the drag tracked the points, image pixels.
        latent: ``num_ws x w_dim`` float32, the latent that the drag ended with.
        canvas: The picture that the latents belong to; None for pictures of one latent.
        between: Called between passes; it may raise to end the search.
    """
    starts = _to_feature(grid, np.concatenate([one.starts_px for one in known]), latent.device)
    points = _to_feature(grid, points_px, latent.device)
    lines = _lines(generator, options, known, latent, canvas, between)
    spread = feature_spread(generator, feature_block(generator, options.feature_resolution))
    unlike = _differences(known, lines, starts, points) / spread.cpu()
    far = _FAR * max(grid.feature_size)
    way = _distances(regions, starts, points)
    # Nothing is known of a region's looks: they have turned with it.
    is_unlike = (unlike > _UNLIKE) & torch.tensor([not one.radius_px for one in known])
    owners = _owners(known)

    def search(asked: Tensor, begin: Tensor, end: Tensor, *, is_back: bool) -> Tensor:
        """Return how far from ``end`` the content of the pairs that are asked for is found."""
        found = end.clone()
        for line, members in lines:
            chosen = members & asked[owners]
            if chosen.any():
                parts = _parts(float(way[asked].max()))
                found[chosen] = line.follow(begin[chosen], parts, is_back=is_back)
        return _distances(regions, found, end)

    asked = (unlike > _ALIKE) | (way > far)
    ahead = search(asked, starts, points, is_back=False)
    asked &= (ahead > LOST_BEYOND) | is_unlike
    back = search(asked & (ahead <= far), points, starts, is_back=True)
    both = torch.where(ahead > far, ahead, torch.minimum(ahead, back))
    either = torch.maximum(ahead, back)
    return tuple((asked & ((both > LOST_BEYOND) | (is_unlike & (either > _DOUBTFUL)))).tolist())


@dataclass(frozen=True)
class Change:
    """How much the most changed pair of a drag differs from what it was placed on.

    Attributes:
        unlike: The mean absolute difference of the features around its points, in their own unit.
        looks: The size of what no shift of a disc around a point explains (see ``methods.looks``),
            as a share of the size of the disc's pattern at the start: 0 if it was only shifted,
            about 1.4 if it was replaced by another one of the same size.
    """

    unlike: float
    looks: float


def change_at_end(
    generator: Generator,
    options: DragOptions,
    grid: FeatureGrid,
    known: Sequence[Known],
    points_px: FloatArray,
    latent: Tensor,
    canvas: Canvas | None = None,
    between: Callable[[], None] = lambda: None,
) -> Change:
    """Return how much the pairs of a drag have changed.

    Args:
        generator: As for ``find_lost``; also the others.
        options: The options of the drag.
        grid: The sizes of the image and of the feature map.
        known: The P pairs, none of them a region.
        points_px: ``K x 2`` float32, where the drag tracked the points, image pixels.
        latent: ``num_ws x w_dim`` float32, the latent that the drag ended with.
        canvas: The picture that the latents belong to; None for pictures of one latent.
        between: Called between passes; it may raise to end them.
    """
    starts = _to_feature(grid, np.concatenate([one.starts_px for one in known]), latent.device)
    points = _to_feature(grid, points_px, latent.device)
    spread = feature_spread(generator, feature_block(generator, options.feature_resolution))
    lines = _lines(generator, options, known, latent, canvas, between)
    looks = [line.changed_looks(starts[those], points[those], spread) for line, those in lines]
    unlike = _differences(known, lines, starts, points)
    return Change(float(unlike.max()), float(torch.cat(looks).max()))


def find_again(
    generator: Generator,
    options: DragOptions,
    grid: FeatureGrid,
    known: Sequence[Known],
    points_px: FloatArray,
    latent: Tensor,
    canvas: Canvas | None = None,
    between: Callable[[], None] = lambda: None,
) -> FloatArray:
    """Search points once more, from the images in which their pairs began.

    Args:
        generator: As for ``find_lost``; also the others.
        options: The options of the drag.
        grid: The sizes of the image and of the feature map.
        known: The P pairs.
        points_px: ``K x 2`` float32, their points, image pixels.
        latent: ``num_ws x w_dim`` float32, of the image to search.
        canvas: The picture that the latents belong to, or None.
        between: Called between images and passes; it may raise to end the search.

    Returns:
        ``K x 2`` float32, where the points are seen, image pixels.
    """
    starts = _to_feature(grid, np.concatenate([one.starts_px for one in known]), latent.device)
    again = _to_feature(grid, points_px, latent.device)
    for line, members in _lines(generator, options, known, latent, canvas, between):
        way = (again[members] - starts[members]).norm(dim=1).max()
        again[members] = line.follow(starts[members], _parts(float(way)))
    found: FloatArray = grid.to_image(again).cpu().numpy()
    return found


class _Line:
    """The straight line of latents from the image in which pairs began to another one."""

    def __init__(self, source: FeatureSource, begin: Tensor, end: Tensor) -> None:
        """Store the latents, ``num_ws x w_dim`` each; nothing is computed yet."""
        self._source, self._begin, self._end = source, begin, end
        self._patch = disc_offsets(_PATCH).to(begin.device)
        self._radius = math.ceil(0.5 + _SEARCH + _PATCH)

    @torch.no_grad()
    def difference(self, starts: Tensor, ends: Tensor) -> Tensor:
        """Return the mean absolute difference of the features at both ends of the line.

        Args:
            starts: ``k x 2`` feature positions in the first image.
            ends: The same in the last one.

        Returns:
            ``k``, in the features' own unit.
        """
        first, last = (
            self._windows(share, points).sample(points[:, None] + self._patch)
            for share, points in ((0.0, starts), (1.0, ends))
        )
        return (first - last).abs().mean(dim=(1, 2))

    @torch.no_grad()
    def changed_looks(self, starts: Tensor, ends: Tensor, spread: Tensor) -> Tensor:
        """Return how much the looks of points have changed, ``k``; see ``Change``.

        Args:
            starts: As for ``difference``.
            ends: As for ``difference``.
            spread: The spread of the feature map, a scalar.
        """
        first = self._windows(0.0, starts).sample(starts[:, None] + self._patch)
        numbers = looks_of(self._windows(1.0, ends), ends, self._patch, first, spread)[1]
        changed: Tensor = numbers.norm(dim=0)
        return changed

    @torch.no_grad()
    def follow(self, points: Tensor, parts: int, *, is_back: bool = False) -> Tensor:
        """Return where content is at the other end of the line, ``k x 2`` feature positions.

        Args:
            points: ``k x 2`` feature positions, where it is at the first end.
            parts: How many images of the line to search it in.
            is_back: Whether the first end is the last image.
        """
        shares = [part / parts for part in range(parts + 1)][:: -1 if is_back else 1]
        references = self._windows(shares[0], points).sample(points[:, None] + self._patch)
        tracker = PointTracker(
            references, self._source.grid, _SEARCH, patch=self._patch, renewal=1.0
        )
        for share in shares[1:]:
            points = tracker.track(self._windows(share, points), points)
        return points

    def _windows(self, share: float, centres: Tensor) -> Windows:
        """Return windows of the image after a share of the line."""
        latent = torch.lerp(self._begin, self._end, share)
        return self._source.observe(latent, centres, self._radius).windows


def _differences(
    known: Sequence[Known],
    lines: Sequence[tuple[_Line, Tensor]],
    starts: Tensor,
    points: Tensor,
) -> Tensor:
    """Return how much the features of each pair have changed, ``P``, in their own unit.

    Args:
        known: The P pairs.
        lines: See ``_lines``.
        starts: ``K x 2`` feature positions, where the points began.
        points: ``K x 2`` feature positions, where they are.
    """
    changed = starts.new_zeros(len(points))
    for line, members in lines:
        changed[members] = line.difference(starts[members], points[members])
    return _of_pairs(known, changed)


def _parts(way: float) -> int:
    """Return how many parts a line needs on which content moves so far, feature pixels."""
    return max(_LEAST_PARTS, min(math.ceil(way / _STRIDE), _MOST_PARTS))


def _lines(
    generator: Generator,
    options: DragOptions,
    known: Sequence[Known],
    latent: Tensor,
    canvas: Canvas | None,
    between: Callable[[], None],
) -> list[tuple[_Line, Tensor]]:
    """Return the lines to a latent, each with which points began at its first end, ``K`` bool."""
    lines = []
    for start in {id(one.latent): one.latent for one in known}.values():
        members = torch.tensor([one.latent is start for one in known])[_owners(known)]
        source = open_source(
            generator,
            feature_block(generator, options.feature_resolution),
            start,
            num_layers=generator.num_ws,
            points=int(members.sum()),
            canvas=canvas,
            between=between,
        )
        lines.append((_Line(source, start, latent.to(start)), members))
    return lines


def _to_feature(grid: FeatureGrid, points_px: FloatArray, device: torch.device) -> Tensor:
    return grid.to_feature(torch.from_numpy(np.asarray(points_px, np.float32)).to(device))


def _owners(known: Sequence[Known]) -> Tensor:
    """Return the number of the pair that each point belongs to, ``K`` int64 on the CPU."""
    counts = torch.tensor([len(one.starts_px) for one in known])
    return torch.arange(len(known)).repeat_interleave(counts)


def _of_pairs(known: Sequence[Known], values: Tensor) -> Tensor:
    """Return the mean over each pair's points, ``P``, of values ``K``; on the CPU."""
    parts = torch.split(values.cpu(), [len(one.starts_px) for one in known])
    return torch.stack([part.mean() for part in parts])


def _distances(regions: Regions | None, first: Tensor, second: Tensor) -> Tensor:
    """Return how far two opinions on each pair's points ``K x 2`` differ, ``P`` on the CPU."""
    first, second = first.cpu(), second.cpu()
    if regions is None:
        apart: Tensor = (first - second).norm(dim=1)
        return apart
    on_cpu = regions.to(torch.device("cpu"))
    found: Tensor = on_cpu.with_wanted(on_cpu.poses(first)).distances(on_cpu.poses(second))
    return found


def lost_sentence(lost: Sequence[bool]) -> str:
    """Return a sentence about the handles that were lost, at least one."""
    numbers = [str(number) for number, is_lost in enumerate(lost, start=1) if is_lost]
    if len(numbers) == 1:
        return (
            f"handle {numbers[0]} was lost: its place no longer shows what was under it at the "
            "start; move its target closer, or place it where there is more to see"
        )
    listed = f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    return (
        f"handles {listed} were lost: their places no longer show what was under them at the "
        "start; move their targets closer, or place them where there is more to see"
    )
