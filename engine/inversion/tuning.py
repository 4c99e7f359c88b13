# SPDX-License-Identifier: GPL-3.0-or-later
"""Pivotal tuning: changes the model around one latent until it matches a picture.

Roich et al., "Pivotal Tuning for Latent-based Editing of Real Images" (2021). The latent stays. The
weights of the last blocks change, as many as fit into a difference file that is small beside the
model. A locality regulariser holds the tuned model to the untuned one at latents around the pivot
(section 3.2 there), so that a drag leads where it would have led without the tuning.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stylegan2 import Generator

from ..arrays import ByteArray, FloatArray
from ..differences import Change, quantised
from ..errors import RequestError
from ..inputs import check_latent, device_of
from .alignment import AlignedPicture, Alignment
from .loss import Loss, difference, mean_error, require_finite
from .noise import with_changes
from .solve import InversionStep, never
from .starts import rgb, sampled_ws

# The share of the model's values whose changes are stored, at one byte each: together with the
# scales, a difference file is less than a tenth of a file of float32 values.
_STORED_SHARE = 0.3
_RATE = 2e-3
# How far the latents of the regulariser are from the pivot, as a share of the distance between
# two latents of the model, and what it counts.
_DISTANCES = (0.2, 0.8)
_LOCALITY = 1.0
_LOCALITY_EVERY = 2
_SEED = 2


@dataclass(frozen=True)
class TuningOptions:
    """How a model is tuned.

    Attributes:
        steps: The most steps of the optimiser, at least 1.
        seconds: The most seconds; 0 for no limit.
        error: The mean absolute error, a share of the range of values, at which it ends early.
    """

    steps: int = 200
    seconds: float = 0.0
    error: float = 0.004

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise RequestError(f"tuning needs at least one step, not {self.steps}")
        if not 0 <= self.seconds < math.inf:
            raise RequestError(f"the seconds must be 0 or more, not {self.seconds}")


@dataclass(frozen=True)
class Tuning:
    """A tuned model.

    Attributes:
        changes: Key of a weight -> its change, see ``Difference``.
        generator: The tuned model, as it is after loading: base and stored changes.
        error: Mean absolute difference of picture and image, a share of the range of values.
        steps: How many steps were made.
        seconds: How long they took.
    """

    changes: dict[str, Change]
    generator: Generator
    error: float
    steps: int
    seconds: float


def tune(
    generator: Generator,
    pixels: ByteArray,
    alignment: Alignment,
    latent: FloatArray,
    options: TuningOptions | None = None,
    *,
    loss: Loss = difference,
    should_stop: Callable[[], bool] = never,
    on_step: Callable[[InversionStep], None] | None = None,
) -> Tuning:
    """Tune a model around a latent.

    Args:
        generator: Frozen; it is not changed.
        pixels: ``H x W x 3`` uint8, sRGB, top row first.
        alignment: The frame on the picture.
        latent: ``num_ws x w_dim`` float32, the pivot.
        options: How; None for the defaults.
        loss: How the image is compared with the picture.
        should_stop: Asked before each step; the weights as they are then are kept.
        on_step: Called after each step.

    Raises:
        RequestError: The frame is not on the picture, the latent is not the model's, or the loss is
            not finite.
    """
    options = TuningOptions() if options is None else options
    alignment.check(pixels.shape[1], pixels.shape[0])
    started_s = time.monotonic()
    tuner = _Tuner(generator, pixels, alignment, check_latent(generator, latent), loss)
    steps = 0
    while steps < options.steps and not should_stop():
        used = steps / options.steps
        if options.seconds:
            used = max(used, (time.monotonic() - started_s) / options.seconds)
        if used >= 1:
            break
        lowered, error = tuner.step(steps, used)
        steps += 1
        if on_step is not None:
            state = tuner.pivot, tuner.frame, lowered, tuner.tuned
            on_step(InversionStep(used, "tuning", *state))
        if error < options.error:
            break
    changes = tuner.changes()
    tuned = with_changes(generator, changes)
    return Tuning(changes, tuned, tuner.error_of(tuned), steps, time.monotonic() - started_s)


class _Tuner:
    """The model that is tuned, what it is compared with, and the optimiser."""

    def __init__(
        self,
        generator: Generator,
        pixels: ByteArray,
        alignment: Alignment,
        pivot: Tensor,
        loss: Loss,
    ) -> None:
        self._base = generator
        self._loss = loss
        self.tuned = copy.deepcopy(generator)
        self._below, self._keys = _last_blocks(generator)
        weights = dict(self.tuned.named_parameters())
        self._weights: dict[str, nn.Parameter] = {key: weights[key] for key in self._keys}
        for weight in self._weights.values():
            weight.requires_grad_(True)
        self._optimiser = torch.optim.Adam(self._weights.values(), lr=_RATE, betas=(0.9, 0.99))
        device = device_of(generator)
        self.pivot = pivot
        self.frame = alignment.to_tensor().to(device)
        _, height, width = generator.img_shape
        with torch.no_grad():
            picture = AlignedPicture(pixels, (height, width), device)
            self._wanted, self._inside = picture.crop(self.frame[None])
            self._state = generator.synthesis_to(pivot[None], self._below)
        self._around = sampled_ws(generator)
        self._random = torch.Generator().manual_seed(_SEED)

    def step(self, number: int, progress: float) -> tuple[float, float]:
        """Make a step; return the loss and the error before it."""
        for group in self._optimiser.param_groups:
            group["lr"] = _RATE * (0.1 + 0.9 * math.cos(math.pi / 2 * min(progress, 1.0)))
        self._optimiser.zero_grad()
        image = rgb(self.tuned.finish(self._state, self.pivot[None]))
        loss = self._loss(image, self._wanted, self._inside).sum()
        if number % _LOCALITY_EVERY == 0:
            loss = loss + _LOCALITY * self._locality()
        lowered = require_finite(float(loss.detach()))
        torch.autograd.backward(loss)
        self._optimiser.step()
        return lowered, mean_error(image.detach(), self._wanted, self._inside)

    def _locality(self) -> Tensor:
        """Return how far the tuned model's image of a latent near the pivot is from the base's."""
        chosen = int(torch.randint(len(self._around), (1,), generator=self._random))
        low, high = _DISTANCES
        share = low + (high - low) * float(torch.rand(1, generator=self._random))
        latent = (self.pivot + share * (self._around[chosen] - self.pivot))[None]
        with torch.no_grad():
            state = self._base.synthesis_to(latent, self._below)
            before = self._base.finish(state, latent)
        return (self.tuned.finish(state, latent) - before).abs().mean()

    def changes(self) -> dict[str, Change]:
        """Return the changes as they are stored."""
        before = dict(self._base.named_parameters())
        return {key: quantised(now.detach() - before[key]) for key, now in self._weights.items()}

    @torch.no_grad()
    def error_of(self, generator: Generator) -> float:
        """Return the error of a model at the pivot."""
        image = rgb(generator.synthesis(self.pivot[None]))
        return mean_error(image, self._wanted, self._inside)


def require_blocks(generator: Generator) -> None:
    """Refuse a model that has no block above the first one: there is nothing to tune.

    Raises:
        RequestError: It has none.
    """
    if len(generator.resolutions) < 2:
        raise RequestError(
            "the model has only one block, so it cannot be tuned to a picture; turn the tuning off"
        )


def _last_blocks(generator: Generator) -> tuple[int, list[str]]:
    """Return which weights are tuned.

    Returns:
        The last block that is not tuned, and the keys of the weights above it.
    """
    sizes = {key: weight.numel() for key, weight in generator.named_parameters()}
    room = _STORED_SHARE * sum(sizes.values())
    chosen: list[str] = []
    blocks = generator.resolutions
    for below, block in zip(reversed(blocks[:-1]), reversed(blocks[1:]), strict=True):
        own = [
            key
            for key in sizes
            if key.startswith(f"synthesis.b{block}.")
            and key.endswith((".weight", ".bias"))
            and ".affine." not in key
        ]
        room -= sum(sizes[key] for key in own)
        if room < 0 and chosen:
            return block, chosen
        chosen += own
        if room < 0:
            return below, chosen
    return blocks[0], chosen
