# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the handles of a bake again after each frame, so that errors do not accumulate.

A drag finds a handle by the features that it had one step before. Each step adds a small error, and
over the frames of a bake the errors add up until a handle has drifted off its place (the "template
update problem": Matthews, Ishikawa and Baker, 2004). After each frame, the handles are therefore
searched once more, starting from the edit's own image: along the straight line from its latent to
the frame's latent, in a few parts. The result has a small error as well, but the error of the
thousandth frame is not larger than that of the first.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..arrays import FloatArray
from ..errors import RequestError
from ..features.choice import open_source
from ..features.source import Windows, feature_block
from ..inputs import check_latent
from .options import DragOptions
from .supervision import disc_offsets
from .tracking import PointTracker

# How many parts the line from the edit's latent to the frame's latent is divided into.
_PARTS = 3


class Anchor:
    """Finds the handles of an edit in the image of any latent, with the options of one frame."""

    def __init__(
        self,
        generator: Generator,
        latent: FloatArray,
        handles_px: FloatArray,
        options: DragOptions,
    ) -> None:
        """Sample the features at the handles in the edit's image.

        Args:
            generator: The model of the edit.
            latent: ``num_ws x w_dim`` float32, the latent of the edit's image.
            handles_px: ``P x 2`` float32, image pixels, where the handles are in that image.
            options: Choose the feature block and the radii of the search.

        Raises:
            RequestError: The options name a feature block that the model does not have, or the
                latent does not fit the model.
        """
        try:
            block = feature_block(generator, options.feature_resolution)
        except ValueError as error:
            raise RequestError(f"feature_resolution: {error}") from None
        self._generator = generator
        self._latent = check_latent(generator, latent)
        self._source = open_source(
            generator,
            block,
            self._latent,
            num_layers=generator.num_ws,
            points=len(handles_px),
        )
        self._r2 = options.r2
        # Of the window around the expected position, which is rounded to a pixel.
        self._radius = math.ceil(0.5 + options.r2 + options.tracking_radius)
        self._patch = disc_offsets(options.tracking_radius).to(self._latent.device)
        self._home = self._to_feature(handles_px)
        windows = self._windows(self._latent, self._home)
        self._features = windows.sample(self._home[:, None] + self._patch)

    def find(self, latent: FloatArray, believed_px: FloatArray) -> FloatArray:
        """Return where the handles are in the image of a latent.

        Args:
            latent: ``num_ws x w_dim`` float32.
            believed_px: ``P x 2`` float32, image pixels, where the handles are expected.

        Returns:
            ``P x 2`` float32, image pixels.

        Raises:
            RequestError: The latent does not fit the model.
        """
        after = check_latent(self._generator, latent)
        grid = self._source.grid
        tracker = PointTracker(self._features, grid, self._r2, patch=self._patch, renewal=1.0)
        handles, believed = self._home, self._to_feature(believed_px)
        for left in range(_PARTS, 0, -1):
            there = torch.lerp(self._latent, after, 1 - (left - 1) / _PARTS)
            expected = grid.clamp(torch.lerp(handles, believed, 1 / left))
            handles = tracker.track(self._windows(there, expected), expected)
        found: FloatArray = grid.to_image(handles).cpu().numpy()
        return found

    @torch.no_grad()
    def _windows(self, latent: Tensor, handles: Tensor) -> Windows:
        return self._source.observe(latent, handles, self._radius).windows

    def _to_feature(self, points_px: FloatArray) -> Tensor:
        points = torch.from_numpy(np.asarray(points_px, dtype=np.float32))
        return self._source.grid.to_feature(points.to(self._latent.device))
