# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the handles of a bake again after each frame, so that errors do not accumulate.

A drag finds a handle by the features that it had one step before. Each step adds a small error, and
over the frames of a bake the errors add up until a handle has drifted off its place (the "template
update problem": Matthews, Ishikawa and Baker, 2004). After each frame, the handles are therefore
searched once more, starting from the edit's own image: along the straight line from its latent to
the frame's latent, in a few parts. The result has a small error as well, but the error of the
thousandth frame is not larger than that of the first. The points of a region are searched together,
as in a drag.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Canvas, Generator

from ..arrays import FloatArray
from ..errors import RequestError
from ..features.choice import open_source
from ..features.source import FeatureSource, Windows, feature_block, grid_of
from ..inputs import check_latent
from .options import DragOptions
from .pair_points import PairPoints
from .points import LivePoints
from .regions import Regions, angle_and_scale
from .structure import SLOPE_REACH
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
        radii_px: FloatArray | None = None,
        canvas: Canvas | None = None,
        home: Canvas | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Sample the features at the handles, and at the points of regions, in the edit's image.

        Args:
            generator: The model of the edit.
            latent: ``num_ws x w_dim`` float32, the latent of the edit's image.
            handles_px: ``P x 2`` float32, image pixels, where the handles are in that image.
            options: Choose the feature block and the radii of the search.
            radii_px: ``P`` float32, the radii of regions in that image, image pixels, 0 for a plain
                handle; None or empty if all are plain.
            canvas: The picture that the latents belong to; None for pictures of one latent.
            home: The picture that ``latent`` belongs to, if it is another one; None for ``canvas``.
            between: Called between passes, then and whenever handles are searched; it may raise.

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
        self._handles_px = np.asarray(handles_px, dtype=np.float32)
        self._radii_px = np.empty(0, np.float32) if radii_px is None else radii_px
        # The points of the pairs if there are regions.
        self._pairs: PairPoints | None = None
        starts_px, reach = self._handles_px, 0.0
        if (self._radii_px > 0).any():
            grid = grid_of(generator, block)
            self._pairs = PairPoints(
                generator, block, grid, options.r1, judged=False, canvas=home or canvas
            )
            unturned = np.tile(np.array([1.0, 0.0], np.float32), (len(handles_px), 1))
            starts_px, reach = self._expanded(self._handles_px, unturned)[0].handles_px, SLOPE_REACH

        def opened(canvas: Canvas | None) -> FeatureSource:
            return open_source(
                generator,
                block,
                self._latent,
                num_layers=generator.num_ws,
                points=len(starts_px),
                canvas=canvas,
                between=between,
            )

        self._source = opened(canvas)
        self._between = between
        self._r2 = options.r2
        # Of the window around the expected position, which is rounded to a pixel.
        self._radius = math.ceil(0.5 + options.r2 + options.tracking_radius + reach)
        self._patch = disc_offsets(options.tracking_radius).to(self._latent.device)
        self._home = self._to_feature(starts_px)
        at_home = self._source if home in (None, canvas) else opened(home)
        windows = self._windows(self._latent, self._home, at_home)
        self._features = windows.sample(self._home[:, None] + self._patch)

    def find(self, latent: FloatArray, believed_px: FloatArray) -> FloatArray:
        """Return where handles without regions are in the image of a latent.

        Args:
            latent: ``num_ws x w_dim`` float32.
            believed_px: ``P x 2`` float32, image pixels, where the handles are expected.

        Returns:
            ``P x 2`` float32, image pixels.

        Raises:
            RequestError: The latent does not fit the model.
        """
        believed = self._to_feature(believed_px)
        handles = self._along(
            latent,
            lambda present, left: torch.lerp(present, believed, 1 / left),
            PointTracker.track,
        )
        found: FloatArray = self._source.grid.to_image(handles).cpu().numpy()
        return found

    def find_poses(
        self, latent: FloatArray, believed_px: FloatArray, turns: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return where the handles are in the image of a latent, and how regions are turned.

        Args:
            latent: ``num_ws x w_dim`` float32.
            believed_px: As for ``find``.
            turns: ``P x 2`` float32, the expected ``z`` of each pair, see ``regions``; empty if
                there are no regions.

        Returns:
            ``P x 2`` float32, image pixels, and ``z``, in the shape of ``turns``.

        Raises:
            RequestError: The latent does not fit the model.
        """
        if self._pairs is None:
            return self.find(latent, believed_px), turns
        _, regions = self._expanded(believed_px, turns)
        points = self._along(
            latent,
            lambda present, left: regions.points(
                regions.part_way(regions.poses(present), present.new_tensor(1 / left))
            ),
            lambda tracker, windows, expected: tracker.track_regions(windows, expected, regions),
        )
        poses, grid = regions.poses(points), self._source.grid
        places_px: FloatArray = grid.to_image(grid.clamp(poses[:, :2])).cpu().numpy()
        found: FloatArray = poses[:, 2:].cpu().numpy()
        return places_px, found

    def _expanded(self, places_px: FloatArray, turns: FloatArray) -> tuple[LivePoints, Regions]:
        """Return the points of the pairs in the edit's image, and regions that want a pose."""
        assert self._pairs is not None
        pairs = LivePoints(
            keys=range(len(self._handles_px)),
            handles_px=self._handles_px,
            targets_px=places_px,
            radii_px=self._radii_px,
            turns=angle_and_scale(turns),
        )
        points, regions = self._pairs.expand(pairs, self._latent, {})
        assert regions is not None
        return points, regions

    def _along(
        self,
        latent: FloatArray,
        expect: Callable[[Tensor, int], Tensor],
        track: Callable[[PointTracker, Windows, Tensor], Tensor],
    ) -> Tensor:
        """Follow the points along the line from the edit's latent to another one.

        Args:
            latent: ``num_ws x w_dim`` float32.
            expect: Returns where points ``K x 2`` are expected after the next of so many parts.
            track: Finds points around where they are expected.

        Returns:
            ``K x 2`` feature positions.
        """
        after = check_latent(self._generator, latent)
        grid = self._source.grid
        tracker = PointTracker(
            self._features,
            grid,
            self._r2,
            patch=self._patch,
            renewal=1.0,
            between=self._between,
        )
        points = self._home
        for left in range(_PARTS, 0, -1):
            there = torch.lerp(self._latent, after, 1 - (left - 1) / _PARTS)
            expected = grid.clamp(expect(points, left))
            points = track(tracker, self._windows(there, expected, self._source), expected)
        return points

    @torch.no_grad()
    def _windows(self, latent: Tensor, handles: Tensor, source: FeatureSource) -> Windows:
        return source.observe(latent, handles, self._radius).windows

    def _to_feature(self, points_px: FloatArray) -> Tensor:
        points = torch.from_numpy(np.asarray(points_px, dtype=np.float32))
        return self._source.grid.to_feature(points.to(self._latent.device))
