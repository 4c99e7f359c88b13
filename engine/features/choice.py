# SPDX-License-Identifier: GPL-3.0-or-later
"""Chooses whether a drag computes whole feature maps or only windows of them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from stylegan2 import Canvas, Generator, plan_windows

from .full_map import FullMapSource
from .source import FeatureSource, ImageOf
from .windows import WindowSource, choose_plan, multiply_adds

# The side of the windows that the methods request with the default options.
_USUAL_SIDE = 13
# Windows are computed if they need at most this share of the whole maps' multiply-adds.
_WORTH_IT = 0.9


def open_source(
    generator: Generator,
    resolution: int,
    start: Tensor,
    *,
    num_layers: int,
    points: int,
    reference_ws: Tensor | None = None,
    fixed: Tensor | None = None,
    held: int = 0,
    windows: bool | None = None,
    canvas: Canvas | None = None,
    directions: int = 0,
    between: Callable[[], None] = lambda: None,
    image_of: ImageOf | None = None,
) -> FeatureSource:
    """Return a feature source for a drag.

    Args:
        generator: Frozen, on the device to compute on.
        resolution: The feature block, see ``source.feature_block``.
        start: ``num_ws x w_dim`` float32. Every latent to observe equals it from row
            ``num_layers`` on.
        num_layers: How many of the first w vectors may change.
        points: The number of handles.
        reference_ws: ``num_ws x w_dim`` float32, the latent whose features the fixed area keeps;
            None for ``start``.
        fixed: ``H x W`` float32 in the image's size, 1 where nothing may change; None without a
            mask.
        held: The block whose features the fixed area keeps, see ``source.held_block``; 0 for the
            feature block.
        windows: True to compute windows, False to compute whole maps, None for whichever is
            cheaper.
        canvas: The picture whose features are observed; None for the pictures of the generator.
        directions: How many directions of each window are pulled back at every latent with
            ``FeatureView.pull_back_each``, usually.
        between: Called between parts of the computations, so that a long one can be left: an
            exception that it raises ends the computation and is not caught.
        image_of: See ``drag.drag``; asked by a source of windows only.
    """
    reference = start if reference_ws is None else reference_ws
    if canvas is not None and not (canvas.is_single and canvas.has_below):
        windows = False
    if not generator.config.has_windows:
        windows = False
    if windows is None:
        config = generator.config
        whole = plan_windows(config, resolution, _USUAL_SIDE, points, least_crop=resolution)
        best, _ = choose_plan(
            config,
            resolution,
            _USUAL_SIDE,
            points,
            held=0 if fixed is None else held or resolution,
            directions=directions,
            must_be_apart=canvas is not None,
        )
        cost, of_whole = (multiply_adds(plan, points, directions) for plan in (best, whole))
        windows = cost <= _WORTH_IT * of_whole
    if not windows:
        return FullMapSource(generator, resolution, reference, fixed, held, canvas, between=between)
    return WindowSource(
        generator,
        resolution,
        start,
        num_layers,
        reference,
        fixed,
        held,
        canvas,
        directions=directions,
        between=between,
        image_of=image_of,
    )
