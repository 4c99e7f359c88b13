# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole feature maps, or windows of them: what is cheaper for a drag, unless it is asked for."""

from __future__ import annotations

from torch import Tensor

from stylegan2 import Generator, plan_windows

from .full_map import FullMapSource
from .source import FeatureSource
from .windows import WindowSource

_USUAL_SIDE = 13
"""Of the windows that the methods ask for with the default options."""
_WORTH_IT = 0.9
"""Windows are taken if they need at most this part of the whole maps' multiply-adds."""


def open_source(
    generator: Generator,
    resolution: int,
    start: Tensor,
    *,
    free: int,
    points: int,
    reference_ws: Tensor | None = None,
    fixed: Tensor | None = None,
    held: int = 0,
    windows: bool | None = None,
) -> FeatureSource:
    """The source of the features for a drag.

    Args:
        resolution, start, free: as `WindowSource` takes them.
        points: how many handles there are.
        reference_ws, fixed, held: as `FullMapSource` takes them; the start, and no mask, if left
            out.
        windows: whether to compute windows; None for whichever is cheaper.
    """
    reference = start if reference_ws is None else reference_ws
    if windows is None:
        config = generator.config
        whole = plan_windows(config, resolution, _USUAL_SIDE, points, least_crop=resolution)
        least_crop = 0 if fixed is None else held or resolution
        best = plan_windows(config, resolution, _USUAL_SIDE, points, least_crop=least_crop)
        windows = best.multiply_adds <= _WORTH_IT * whole.multiply_adds
    if not windows:
        return FullMapSource(generator, resolution, reference, fixed, held)
    return WindowSource(generator, resolution, start, free, reference, fixed, held)
