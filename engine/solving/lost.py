# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether handles are still on the content that they were placed on: a second opinion, at the end.

A tracker follows a handle from step to step, and can slide onto something else, which then arrives
at the target in its place. So when a drag has ended, each handle is searched once more, from the
image in which it began, along the straight line of latents from there (see ``anchor``). If that
search ends elsewhere, one of the two is wrong. To find out which, the content at the place where
the drag has tracked the handle is searched in the same way back to the image of the start. Only a
handle that does not come back either was lost. (The consistency of both directions is the test of
Kalal, Mikolajczyk and Matas, "Forward-Backward Error", 2010.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stylegan2 import Canvas, Generator

from ..arrays import FloatArray
from ..features.source import FeatureGrid
from .anchor import Anchor
from .options import DragOptions
from .pair_points import Known
from .regions import Regions

BoolArray = npt.NDArray[np.bool_]

# If the searches of both directions end farther off than this, feature pixels, the handle was lost.
LOST_BEYOND = 2.0
# Half the width of the square of the searches, feature pixels. In the square of a drag's own
# tracking, a search ends at the edge, near enough to the wrong place to agree with it.
_SEARCH = 4.0


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
    starts_px = np.concatenate([one.starts_px for one in known])
    end = latent.cpu().numpy()
    again_px, searches = find_again(generator, options, known, points_px, latent, canvas, between)
    back_px = starts_px.copy()
    options = _wide(options)
    doubtful = _apart(grid, regions, points_px, again_px)
    if not doubtful.any():
        return (False,) * len(known)
    for begin, members in searches:
        anchor = Anchor(generator, end, points_px[members], options, canvas=canvas, between=between)
        back_px[members] = anchor.find(begin, starts_px[members])
    return tuple((doubtful & _apart(grid, regions, starts_px, back_px)).tolist())


def find_again(
    generator: Generator,
    options: DragOptions,
    known: Sequence[Known],
    points_px: FloatArray,
    latent: Tensor,
    canvas: Canvas | None = None,
    between: Callable[[], None] = lambda: None,
) -> tuple[FloatArray, list[tuple[FloatArray, BoolArray]]]:
    """Search points once more, from the images in which their pairs began.

    Args:
        generator: As for ``find_lost``; also the others.
        options: The options of the drag.
        known: The P pairs.
        points_px: ``K x 2`` float32, where the points are expected, image pixels.
        latent: ``num_ws x w_dim`` float32, of the image to search.
        canvas: The picture that the latents belong to, or None.
        between: Called between passes.

    Returns:
        ``K x 2`` float32, where the points are seen, image pixels; and for each of the images in
        which pairs began its latent, ``num_ws x w_dim``, and which points began there, ``K``.
    """
    options = _wide(options)
    counts = [len(one.starts_px) for one in known]
    starts_px = np.concatenate([one.starts_px for one in known])
    end, again_px = latent.cpu().numpy(), points_px.copy()
    searches = []
    for start in {id(one.latent): one.latent for one in known}.values():
        members = np.repeat([one.latent is start for one in known], counts)
        searches.append((start.cpu().numpy(), members))
        anchor = Anchor(
            generator,
            searches[-1][0],
            starts_px[members],
            options,
            canvas=canvas,
            between=between,
        )
        again_px[members] = anchor.find(end, points_px[members])
    return again_px, searches


def _wide(options: DragOptions) -> DragOptions:
    return replace(options, r2=max(options.r2, _SEARCH))


def _apart(
    grid: FeatureGrid, regions: Regions | None, first_px: FloatArray, second_px: FloatArray
) -> BoolArray:
    """Return for each pair whether two opinions on its points, ``K x 2`` px, differ too much."""
    first, second = (grid.to_feature(torch.from_numpy(part)) for part in (first_px, second_px))
    if regions is None:
        apart = (first - second).norm(dim=1)
    else:
        on_cpu = regions.to(torch.device("cpu"))
        apart = on_cpu.with_wanted(on_cpu.poses(first)).distances(on_cpu.poses(second))
    differs: BoolArray = (apart > LOST_BEYOND).numpy()
    return differs


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
