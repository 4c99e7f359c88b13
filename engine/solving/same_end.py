# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies what a drag has changed to other images, so that its content comes as far in each.

The same change of the latent moves the content of one image farther than that of another, and the
content begins elsewhere in each. So the strength is solved for each image (as in Nguyen et al.,
"Edit One for All", CVPR 2024, where it is the one that brings the latent as far along the change):
here it is the one that brings the content of the handles as far along the way of the drag.

- *Matching*: the handles are followed from the image before the drag along the straight line of
  latents to the other image. In between, content only moves, so this finds a nose as the nose where
  a search over the whole picture could not.
- *Solving*: a secant iteration on how far the content is from the end along the drag's way; each
  of its steps follows the content from the image before.
- *A second opinion*: the content is searched once more, from the image after the drag to the
  result. If this ends elsewhere, the strength is corrected by it. What is then found must lead
  back to the handle.

If the drag had pins, the end is measured from them: a mouth is open, wherever the head is. A
strength is limited to what stays like the images of the model; see ``typical``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stylegan2 import Generator

from ..arrays import FloatArray
from ..errors import RequestError
from ..features.choice import open_source
from ..features.source import FeatureSource, feature_block, grid_of
from ..inputs import check_latent, check_points
from .drag import drag
from .options import DragOptions
from .supervision import disc_offsets
from .tracking import PointTracker
from .typical import distance

# Lengths are pixels of an image of this width.
_OF_PX = 128
# The content has arrived if it is at most this far from the end.
ARRIVED_PX = 2.0
# How many parts a line of latents between two images is divided into.
_PARTS = 8
# Half the width of the square of a search, and the radius of what is compared, feature pixels.
_SEARCH, _PATCH = 3.0, 3.0
# The farthest that content may move between two images of the secant iteration; and the most of
# these images, apart from the ones between.
_STRIDE_PX, _MOST_STEPS = 4.0, 6
# A change that moves a handle less than this has no way to follow.
_LEAST_PX = 0.5
# What is left is small enough to end; two opinions on a place agree; px.
_ENOUGH_PX, _AGREED_PX = 0.15, 2.0
# The largest strength, times that of the drag; and how far a latent may be from the mean of W,
# 1 for a usual image, unless it is farther without the change.
_STRONGEST, _FARTHEST = 8.0, 1.4


@dataclass(frozen=True, eq=False)
class Applied:
    """What a change does in another image.

    Attributes:
        strength: How often the change is added.
        left_px: How far the content is from the end along the drag's way, the farthest handle.
        aside_px: How far it is from the very place; both in px of an image that is 128 px wide.
        is_found: Whether the content of the handles was found for sure.
        is_limited: Whether a larger strength was not tried, because it would leave what the model
            knows.
        places: ``K x 2``, where the content of handles and pins is, image pixels.
        rest: ``num_ws x w_dim`` float32, what is added besides to bring the content to the very
            place; None if that was not asked for.
    """

    strength: float
    left_px: float
    aside_px: float
    is_found: bool
    is_limited: bool
    places: Tensor
    rest: FloatArray | None = None

    @property
    def has_arrived(self) -> bool:
        """Whether the content was found, and has come as far as in the image of the drag."""
        far_px = self.left_px if self.rest is None else self.aside_px
        return self.is_found and far_px <= ARRIVED_PX

    def added(self, change: FloatArray) -> FloatArray:
        """Return all that is added to the latent of the image, ``num_ws x w_dim`` float32.

        Args:
            change: The same shape, what a strength of 1 adds.
        """
        total: FloatArray = np.float32(self.strength) * change
        return total if self.rest is None else total + self.rest

    @property
    def problem(self) -> str:
        """A sentence about why the content has not arrived; empty if it has."""
        if self.has_arrived:
            return ""
        if not self.is_found:
            return "what the handles were on was not found for sure in this image; compare it"
        if self.rest is not None:
            return f"the place cannot be reached: {self.aside_px:.1f} px are left"
        if self.is_limited:
            return (
                f"the end cannot be reached: at {self.strength:.2f} it is {self.left_px:.1f} px "
                "away, and more would leave what the model knows"
            )
        return f"the end cannot be reached: {self.left_px:.1f} px are left"


class SameEnd:
    """Solves how strong the change of a drag is in other images."""

    def __init__(
        self,
        generator: Generator,
        origin: FloatArray,
        change: FloatArray,
        handles_px: FloatArray,
        pins_px: FloatArray | None = None,
        strength: float = 1.0,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Find where the change has brought the handles.

        Args:
            generator: Frozen, on the device to compute on.
            origin: ``num_ws x w_dim`` float32, the latent before the drag.
            change: The same shape, what a strength of 1 adds.
            handles_px: ``P x 2`` float32 (x, y), P > 0, image pixels: where the handles were then.
            pins_px: ``Q x 2`` likewise, what the drag has held; None without pins.
            strength: How often the change was added, not 0.
            between: Called between passes; it may raise to end the computation.

        Raises:
            RequestError: The arguments do not fit the model, or the change moves no handle.
        """
        self._generator, self._between = generator, between
        if not math.isfinite(strength) or not strength:
            raise RequestError(f"the strength of a change must be a number but 0, not {strength}")
        self._change = check_latent(generator, change)
        before = check_latent(generator, origin)
        self._block = feature_block(generator)
        self._grid = grid_of(generator, self._block)
        self._unit = generator.img_shape[2] / _OF_PX
        self._count = len(handles_px)
        if pins_px is not None and len(pins_px):
            handles_px = np.concatenate([handles_px, pins_px])
        self._starts = check_points(generator, handles_px, handles_px)[0]
        self._patch = disc_offsets(_PATCH).to(before.device)
        self._before, self._after = before, before + strength * self._change
        self._ends = self._follow(before, self._after, self._starts)
        way = self._relative(self._ends) - self._relative(self._starts)
        lengths = way.norm(dim=1, keepdim=True)
        if not float(lengths.max()) >= _LEAST_PX * self._unit:
            raise RequestError(
                f"the change moves its handles by {float(lengths.max()) / self._unit:.1f} px, so "
                "there is no end to reach in other images; keep a drag that moves something"
            )
        # A handle that does not move has no way, and does not count.
        self._ways = torch.where(lengths >= _LEAST_PX * self._unit, way / lengths, 0.0)
        self._slope = (way * self._ways).sum(dim=1) / strength
        self._speed = (self._ends - self._starts) / strength
        self._usual = abs(strength)

    def apply(self, latent: FloatArray, *, exact: bool = False) -> Applied:
        """Solve the strength of the change in another image.

        Args:
            latent: ``num_ws x w_dim`` float32.
            exact: Whether to bring the content to the very place as well, see ``finish``.

        Raises:
            RequestError: The latent does not fit the model.
        """
        base = check_latent(self._generator, latent)
        low, high = self._limits(latent)
        places = self._follow(self._before, base, self._starts)
        strength, places, slope = self._secant(base, 0.0, places, self._slope, (low, high))
        result = base + strength * self._change
        again = self._follow(self._after, result, self._ends)
        is_found = self._agree(places, again) or self._agree(
            self._follow(result, self._after, again), self._ends
        )
        strength, places, _ = self._secant(base, strength, again, slope, (low, high))
        left_px, aside_px = self._distances(places)
        margin = 0.01 * self._usual
        applied = Applied(
            strength=strength,
            left_px=left_px,
            aside_px=aside_px,
            is_found=is_found,
            is_limited=not low + margin < strength < high - margin,
            places=places,
        )
        return self.finish(latent, applied) if exact else applied

    def finish(self, latent: FloatArray, applied: Applied) -> Applied:
        """Bring the content to the very place of the drag's end; what is pinned stays.

        Args:
            latent: ``num_ws x w_dim`` float32.
            applied: What ``apply`` has found for it.

        Raises:
            RequestError: The latent does not fit the model.
        """
        places = applied.places
        targets = places.clone()
        targets[: self._count] -= self._error(places)
        _, height, width = self._generator.img_shape
        begin, end = (
            np.clip(one.cpu().numpy(), 0.0, [width, height]).astype(np.float32)
            for one in (places, targets)
        )
        base = check_latent(self._generator, latent) + applied.strength * self._change
        start = base.cpu().numpy()
        found = drag(
            self._generator, start, begin, end, DragOptions(), should_stop=self._never_stopped
        ).latents[-1]
        after = check_latent(self._generator, found)
        places = self._follow(base, after, places, targets - places)
        left_px, aside_px = self._distances(places)
        return replace(
            applied, left_px=left_px, aside_px=aside_px, places=places, rest=found - start
        )

    def _distances(self, places: Tensor) -> tuple[float, float]:
        """Return ``left_px`` and ``aside_px`` of ``Applied``."""
        left, aside = self._left(places).abs().max(), self._error(places).norm(dim=1).max()
        return float(left) / self._unit, float(aside) / self._unit

    def _agree(self, places: Tensor, others: Tensor) -> bool:
        return float((places - others).norm(dim=1).max()) <= _AGREED_PX * self._unit

    def _relative(self, places: Tensor) -> Tensor:
        """Return where handles are from the mean of the pins, or from the image without pins."""
        handles, pins = places[: self._count], places[self._count :]
        return handles - pins.mean(dim=0) if len(pins) else handles

    def _error(self, places: Tensor) -> Tensor:
        """Return how far handles are from the end, ``P x 2`` px."""
        return self._relative(places) - self._relative(self._ends)

    def _left(self, places: Tensor) -> Tensor:
        """Return how far handles are beyond the end along their ways, ``P`` px."""
        return (self._error(places) * self._ways).sum(dim=1)

    def _limits(self, latent: FloatArray) -> tuple[float, float]:
        """Return the strengths between which the latent stays like the images of the model.

        The square of the distance is a parabola over the strength, so three values give it.
        """
        change, unit = self._change.cpu().numpy(), self._usual
        at = [
            distance(self._generator, latent + np.float32(n * unit) * change) ** 2
            for n in (0, 1, -1)
        ]
        bend, lean = (at[1] + at[2]) / 2 - at[0], (at[1] - at[2]) / 2
        room = max(_FARTHEST**2, at[0] * 1.02) - at[0]
        root = math.sqrt(lean**2 + 4 * max(bend, 1e-12) * room)
        ends = ((-lean - root) / (2 * max(bend, 1e-12)), (-lean + root) / (2 * max(bend, 1e-12)))
        return max(ends[0], -_STRONGEST) * unit, min(ends[1], _STRONGEST) * unit

    def _secant(
        self,
        base: Tensor,
        strength: float,
        places: Tensor,
        slope: Tensor,
        limits: tuple[float, float],
    ) -> tuple[float, Tensor, Tensor]:
        """Solve the strength from one at which the content is known.

        Args:
            base: ``num_ws x w_dim``, the latent of the other image.
            strength: The strength to begin with.
            places: ``K x 2`` px, where the content is at this strength.
            slope: ``P``, how far handles move along their ways per strength, px.
            limits: The smallest and the largest strength.

        Returns:
            The strength, where the content then is, and the slope there.
        """
        low, high = limits
        speed = self._speed
        for _ in range(_MOST_STEPS):
            left = self._left(places)
            step = self._step(left, slope, strength, low, high)
            if abs(step) * float(slope.abs().max()) < _ENOUGH_PX * self._unit:
                break
            there = base + (strength + step) * self._change
            here = base + strength * self._change
            moved = self._follow(here, there, places, speed * step)
            if abs(step) > 0.05 * self._usual:
                speed = (moved - places) / step
                found = (self._left(moved) - left) / step
                if float((found * slope).sum()) > 0.1 * float(slope.square().sum()):
                    slope = found
            strength, places = strength + step, moved
        return strength, places, slope

    def _step(self, left: Tensor, slope: Tensor, strength: float, low: float, high: float) -> float:
        """Return the step of least squares over the handles, within the limits."""
        step = -float((left * slope).sum() / slope.square().sum())
        step = max(-1.5 * self._usual, min(step, 1.5 * self._usual))
        return max(low, min(strength + step, high)) - strength

    def _never_stopped(self) -> bool:
        self._between()
        return False

    @torch.no_grad()
    def _follow(
        self, begin: Tensor, end: Tensor, places: Tensor, motion: Tensor | None = None
    ) -> Tensor:
        """Follow content along the straight line between two latents.

        Args:
            begin: ``num_ws x w_dim``.
            end: The same.
            places: ``K x 2`` px, where the content is in the image of ``begin``.
            motion: ``K x 2`` px, how far it is expected to move; None for another image, about
                which nothing is known.

        Returns:
            ``K x 2`` px, where it is in the image of ``end``.
        """
        grid, parts = self._grid, _PARTS
        points = grid.to_feature(places)
        step = torch.zeros_like(points)
        if motion is not None:
            longest = float(motion.abs().max()) / (_STRIDE_PX * self._unit)
            parts = max(1, min(math.ceil(longest), _PARTS))
            step = (grid.to_feature(places + motion) - points) / parts
        source: FeatureSource = open_source(
            self._generator,
            self._block,
            begin,
            num_layers=self._generator.num_ws,
            points=len(points),
            between=self._between,
        )
        radius = math.ceil(0.5 + _SEARCH + _PATCH)
        first = source.observe(begin, points, radius).windows
        references = first.sample(points[:, None] + self._patch)
        tracker = PointTracker(references, grid, _SEARCH, patch=self._patch, renewal=1.0)
        for part in range(1, parts + 1):
            between = torch.lerp(begin, end, part / parts)
            expected = grid.clamp(points + step)
            points = tracker.track(source.observe(between, expected, radius).windows, expected)
        return grid.to_image(points)
