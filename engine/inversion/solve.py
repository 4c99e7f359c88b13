# SPDX-License-Identifier: GPL-3.0-or-later
"""Inversion: finds the latent whose image is nearest to a picture.

W comes first, from the best of the model's own images; then every layer may take its own w. Steps
are measured in standard deviations of W along its principal components, and two prices keep the
latent where the model makes sound images and a drag works: one on the Mahalanobis distance from
the mean of W, and one on how far the layers part from each other. The frame on the picture can be
refined at the same time. Noise maps can be found as well, after the latent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan2 import Generator

from ..arrays import ByteArray, FloatArray
from ..errors import RequestError
from ..inputs import device_of
from ..solving.principal import principal_components
from .alignment import AlignedPicture, Alignment
from .loss import Loss, difference, mean_error, require_finite
from .noise import FoundNoise, NoiseMaps, require_noise, with_changes
from .starts import best_starts, rgb, starts_of

# What one unit of the frame's coordinates is: a share of its size, radians, a factor of its size.
_FRAME_UNIT = (0.02, 0.02, math.radians(2.0), 0.02)


@dataclass(frozen=True)
class InversionOptions:
    """How a picture is inverted.

    Attributes:
        steps: The most steps of the optimiser, at least 10.
        seconds: The most seconds of all steps; 0 for no limit.
        align: Whether the frame is refined together with the latent.
        layer_price: The price on how far the layers part.
        distance_price: The price on the distance from the mean of W.
        noise: Whether noise maps are found as well.
    """

    steps: int = 80
    seconds: float = 0.0
    align: bool = True
    layer_price: float = 0.01
    distance_price: float = 0.002
    noise: bool = False

    def __post_init__(self) -> None:
        if self.steps < 10:
            raise RequestError(f"an inversion needs at least 10 steps, not {self.steps}")
        if not 0 <= self.seconds < math.inf:
            raise RequestError(f"the seconds must be 0 or more, not {self.seconds}")


@dataclass(frozen=True)
class InversionStep:
    """The state after a step.

    Attributes:
        fraction: The progress, 0 to 1.
        phase: ``starts``, ``w``, ``w+``, ``noise`` or ``tuning``.
        latent: ``num_ws x w_dim`` float32.
        frame: ``4`` float32, see ``Alignment.to_tensor``.
        loss: What the optimiser lowers.
        generator: The model, as it is after the step.
    """

    fraction: float
    phase: str
    latent: Tensor
    frame: Tensor
    loss: float
    generator: Generator


@dataclass(frozen=True)
class Inversion:
    """The latent of a picture.

    Attributes:
        latent: ``num_ws x w_dim`` float32.
        alignment: The frame, as it was given or refined.
        error: Mean absolute difference of picture and model's image, a share of the range of
            values; with the model's own noise maps.
        noise: The noise maps, if they were asked for and their phase was reached.
        steps: How many steps were made.
        seconds: How long they took.
        stopped: Whether the caller ended it early.
        is_cut: Whether it was ended before all its steps, by the caller or by the seconds.
    """

    latent: FloatArray
    alignment: Alignment
    error: float
    noise: FoundNoise | None
    steps: int
    seconds: float
    stopped: bool
    is_cut: bool


@dataclass(frozen=True)
class _Phase:
    """A part of the steps.

    Attributes:
        name: See ``InversionStep``.
        share: Of all steps.
        count: How many starts are followed.
        is_whole: Whether the whole image is compared, by the chosen loss, and the layers may part;
            otherwise that of a smaller block is, by its pixels.
        rate: The step size of Adam, in standard deviations.
    """

    name: str
    share: float
    count: int
    is_whole: bool
    rate: float


_PHASES = (
    _Phase("starts", 0.2, 3, False, 0.12),
    _Phase("w", 0.25, 1, False, 0.08),
    _Phase("w+", 0.55, 1, True, 0.05),
)
# Noise maps come after the latent: found together, they take over what the latent can do.
_PHASES_WITH_NOISE = (
    _Phase("starts", 0.15, 3, False, 0.12),
    _Phase("w", 0.15, 1, False, 0.08),
    _Phase("w+", 0.35, 1, True, 0.05),
    _Phase("noise", 0.35, 1, True, 0.05),
)


def never() -> bool:
    """Return False: nothing stops the caller."""
    return False


def invert(
    generator: Generator,
    pixels: ByteArray,
    alignment: Alignment,
    options: InversionOptions | None = None,
    *,
    loss: Loss = difference,
    should_stop: Callable[[], bool] = never,
    on_step: Callable[[InversionStep], None] | None = None,
) -> Inversion:
    """Find the latent of a picture.

    Args:
        generator: Frozen, on the device to compute on.
        pixels: ``H x W x 3`` uint8, sRGB, top row first.
        alignment: The frame on the picture.
        options: How; None for the defaults.
        loss: How the whole image is compared with the picture.
        should_stop: Asked before each step; the best so far is kept.
        on_step: Called after each step.

    Returns:
        The latent; on one device, equal arguments without ``seconds`` give equal latents.

    Raises:
        RequestError: The frame is not on the picture, noise maps change nothing in this model, or
            the loss is not finite.
    """
    options = InversionOptions() if options is None else options
    alignment.check(pixels.shape[1], pixels.shape[0])
    if options.noise:
        require_noise(generator)
    picture = AlignedPicture(pixels, _shape(generator), device_of(generator))
    search = _Search(generator, picture, alignment, options, loss)
    clock = _Clock(options, should_stop)
    done = 0.0
    for phase in _PHASES_WITH_NOISE if options.noise else _PHASES:
        search.enter(phase)
        first, done = done, done + phase.share
        while (fraction := clock.fraction(first, done)) is not None:
            search.step((fraction - first) / phase.share)
            if on_step is not None:
                on_step(search.state(fraction))
    state = search.state(1.0)
    found = Alignment.of_tensor(state.frame) if options.align else alignment
    return Inversion(
        latent=state.latent.cpu().numpy(),
        alignment=found,
        error=image_error(generator, state.latent, picture, found),
        noise=search.noise(state.latent, found),
        steps=clock.steps,
        seconds=clock.seconds,
        stopped=clock.stopped,
        is_cut=clock.steps < options.steps,
    )


@torch.no_grad()
def image_error(
    generator: Generator, latent: Tensor, picture: AlignedPicture, alignment: Alignment
) -> float:
    """Return the mean absolute difference of a picture and an image, a share of the range."""
    frame = alignment.to_tensor().to(latent.device)
    wanted, inside = picture.crop(frame[None])
    return mean_error(rgb(generator.synthesis(latent[None])), wanted, inside)


def _shape(generator: Generator) -> tuple[int, int]:
    _, height, width = generator.img_shape
    return height, width


class _Clock:
    """Counts steps and seconds."""

    def __init__(self, options: InversionOptions, should_stop: Callable[[], bool]) -> None:
        self._options = options
        self._should_stop = should_stop
        self._since_s = time.monotonic()
        self.steps = 0
        self.stopped = False

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._since_s

    def fraction(self, first: float, end: float) -> float | None:
        """Return the progress before a step, or None if a phase has ended.

        Args:
            first: The progress at the phase's begin.
            end: At its end.
        """
        self.stopped = self.stopped or self._should_stop()
        used = self.steps / self._options.steps
        if self._options.seconds:
            used = max(used, self.seconds / self._options.seconds)
        if self.stopped or used >= end - 1e-9:
            return None
        self.steps += 1
        return max(first, used)


class _Search:
    """The coordinates of latent and frame, and their optimiser."""

    def __init__(
        self,
        generator: Generator,
        picture: AlignedPicture,
        alignment: Alignment,
        options: InversionOptions,
        loss: Loss,
    ) -> None:
        self._generator = generator
        self._loss = loss
        self._picture = picture
        self._options = options
        components = principal_components(generator)
        self._basis, self._mean = components.scaled(), components.mean
        self._sigmas = components.sigmas.square()
        self._frame = alignment.to_tensor().to(self._mean)
        unit = self._mean.new_tensor(_FRAME_UNIT)
        self._unit = unit * torch.cat([self._frame[3:].exp().expand(2), unit.new_ones(2)])
        count = max(phase.count for phase in _PHASES)
        ws, frames = best_starts(generator, picture, self._frame, not options.align, count)
        narrow = (ws - self._mean) @ self._basis.T / self._sigmas
        rows = generator.num_ws
        self._together = narrow[:, None]  # N x 1 x K
        self._each = narrow.new_zeros(len(ws), rows, narrow.shape[1])  # N x rows x K
        self._moved = (frames - self._frame) / self._unit  # N x 4
        self._phase = _PHASES[0]
        self._losses = narrow.new_zeros(len(ws))
        self._best: tuple[float, Tensor, Tensor] | None = None
        self._noise: NoiseMaps | None = None
        self._best_noise: dict[str, Tensor] = {}

    def enter(self, phase: _Phase) -> None:
        """Begin a phase with the best of the starts."""
        self._phase = phase
        kept = self._losses.argsort()[: phase.count]
        self._together, self._each, self._moved = (
            values.detach()[kept].requires_grad_()
            for values in (self._together, self._each, self._moved)
        )
        self._losses = self._losses[kept]
        free = [self._together]
        if phase.is_whole:
            free.append(self._each)
        if self._options.align:
            free.append(self._moved)
        if phase.name == "noise":
            self._noise = NoiseMaps(self._generator)
            free += self._noise.parameters()
        self._optimiser = torch.optim.Adam(free, lr=phase.rate, betas=(0.9, 0.99))
        self._best = None

    def step(self, progress: float) -> None:
        """Make a step.

        Args:
            progress: Of the phase, 0 to 1.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = self._phase.rate * (0.1 + 0.9 * math.cos(math.pi / 2 * min(progress, 1)))
        self._optimiser.zero_grad()
        latents, frames = self._latents(), self._frames()
        images = rgb(self._images(latents))
        shrink = self._picture.shape[0] // images.shape[2]
        wanted, inside = self._cropped(frames, shrink)
        compared = self._loss if self._phase.is_whole else difference
        losses = compared(images, wanted, inside) + self._price()
        lowered = losses.sum()
        if self._noise is not None:
            lowered = lowered + self._noise.penalty()
        torch.autograd.backward(lowered)
        # Without the penalty of the noise, whose size says nothing about the image.
        self._losses = losses.detach()
        loss = require_finite(float(self._losses[0]))
        if self._best is None or loss < self._best[0]:
            self._best = loss, latents[0].detach(), frames[0].detach()
            if self._noise is not None:
                self._best_noise = self._noise.snapshot()
        self._optimiser.step()
        if self._noise is not None:
            self._noise.normalise()

    def _images(self, latents: Tensor) -> Tensor:
        """Return what the phase compares with the picture."""
        if self._noise is not None:
            return self._noise.image(latents)
        block = None if self._phase.is_whole else starts_of(self._generator).block
        images: Tensor = self._generator.synthesis(latents, resolution=block)
        return images

    def _cropped(self, frames: Tensor, shrink: int) -> tuple[Tensor, Tensor]:
        if self._options.align:
            return self._picture.crop(frames, shrink)
        wanted, inside = self._picture.crop(frames[:1], shrink)
        return wanted.expand(len(frames), -1, -1, -1), inside.expand(len(frames), -1, -1, -1)

    def _price(self) -> Tensor:
        """Return ``N``: what the latents and the frames cost."""
        coordinates = self._together + self._each
        far = coordinates.square().mean(dim=(1, 2)) * self._options.distance_price
        parted = self._each.square().mean(dim=(1, 2)) * self._options.layer_price
        return far + parted + 1e-5 * self._moved.square().sum(dim=1)

    def _latents(self) -> Tensor:
        return self._mean + (self._together + self._each) @ self._basis

    def _frames(self) -> Tensor:
        return self._frame + self._moved * self._unit

    def noise(self, latent: Tensor, alignment: Alignment) -> FoundNoise | None:
        """Return the noise maps of the best state, or None if none were looked for.

        Args:
            latent: That of the best state.
            alignment: The frame that the error is measured with.
        """
        if self._noise is None or not self._best_noise:
            return None
        changes = self._noise.changes(self._best_noise)
        changed = with_changes(self._generator, changes)
        error = image_error(changed, latent, self._picture, alignment)
        return FoundNoise(changes, changed, error)

    def state(self, fraction: float) -> InversionStep:
        """Return the best state so far of the phase."""
        with torch.no_grad():
            first = int(self._losses.argmin())
            latent, frame = self._latents()[first], self._frames()[first]
            loss = float(self._losses[first])
            if self._best is not None and len(self._losses) == 1:
                loss, latent, frame = self._best
            name, model = self._phase.name, self._generator
            return InversionStep(fraction, name, latent.detach(), frame.detach(), loss, model)
