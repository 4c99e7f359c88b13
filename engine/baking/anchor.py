# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the handles of a bake on what they were put on, over any number of frames.

A drag finds a handle by what was there a step before.  Each step errs a little, and over the frames
of a bake the errors add up, until a handle has crept off its place without anyone noticing (the
"template update problem": Matthews, Ishikawa and Baker, 2004).  So after each frame the handles are
looked for once more, from the edit's own image on: along the straight way from its latent to the
frame's, in a few parts, which every frame goes anew.  Where that ends is a little off as well, but
not more in the thousandth frame than in the first.
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
from ..solving.options import DragOptions
from ..solving.supervision import disc_offsets
from ..solving.tracking import PointTracker

_PARTS = 3


class Anchor:
    """Finds the handles of an edit in any image of its latents, by one frame's options."""

    def __init__(
        self,
        generator: Generator,
        latent: FloatArray,
        handles_px: FloatArray,
        options: DragOptions,
    ) -> None:
        """Remember what is to be seen at the handles.

        Args:
            latent: `num_ws x w_dim` float32, of the edit's image.
            handles_px: `P x 2` float32, image pixels, where the handles are there.

        Raises:
            RequestError: the options name a block that the generator has not.
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
        # Around the expected place, rounded to a pixel.
        self._radius = math.ceil(0.5 + options.r2 + options.tracking_radius)
        self._patch = disc_offsets(options.tracking_radius).to(self._latent.device)
        self._home = self._to_feature(handles_px)
        windows = self._windows(self._latent, self._home)
        self._features = windows.sample(self._home[:, None] + self._patch)

    def find(self, latent: FloatArray, believed_px: FloatArray) -> FloatArray:
        """Where the handles are in the image of a latent.

        Args:
            latent: `num_ws x w_dim` float32.
            believed_px: `P x 2` float32, image pixels, where they should be.

        Returns:
            `P x 2` float32, image pixels.
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
