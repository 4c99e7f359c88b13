# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is found of a picture: its latent, its noise maps, and a model tuned to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stylegan2 import Generator

from ..arrays import ByteArray
from ..differences import Change, Difference, require_untuned
from ..models import LoadedModel
from .alignment import Alignment
from .loss import Loss, difference
from .noise import require_noise
from .solve import Inversion, InversionOptions, InversionStep, invert, never
from .tuning import Tuning, TuningOptions, require_blocks, tune
from .verdict import sentence


@dataclass(frozen=True)
class FoundPicture:
    """What was found of a picture.

    Attributes:
        inversion: The latent, and the noise maps if they were asked for.
        tuning: The tuned model; None if it was not asked for, or the search was stopped.
        generator: The model that the image is of.
    """

    inversion: Inversion
    tuning: Tuning | None
    generator: Generator

    @property
    def changes(self) -> dict[str, Change]:
        """The changes of the model that belong to the image; empty if it is the model's own."""
        noise = {} if self.inversion.noise is None else self.inversion.noise.changes
        return noise if self.tuning is None else {**noise, **self.tuning.changes}

    @property
    def sentence(self) -> str:
        """How well the model covers the picture, for people."""
        found, tuning = self.inversion, self.tuning
        return sentence(
            found.error,
            None if tuning is None else tuning.error,
            noise=None if found.noise is None else found.noise.error,
            is_cut=found.is_cut,
        )

    def difference(self, model: LoadedModel) -> Difference:
        """Return the difference file from the model that the picture was looked for with."""
        return Difference(model.sha256, model.path.name, str(model.path.absolute()), self.changes)


def require_changeable(model: LoadedModel, *, tune: bool, noise: bool) -> None:
    """Refuse what would fail at the end of a search already before it.

    Args:
        model: The model.
        tune: Whether it is to be tuned.
        noise: Whether noise maps are to be found.

    Raises:
        RequestError: The model was tuned already, cannot be tuned, or noise maps change nothing in
            it.
    """
    if tune or noise:
        require_untuned(model.path)
    if tune:
        require_blocks(model.generator)
    if noise:
        require_noise(model.generator)


def find(
    model: LoadedModel,
    pixels: ByteArray,
    alignment: Alignment,
    options: InversionOptions,
    tuning: TuningOptions | None = None,
    *,
    loss: Loss = difference,
    should_stop: Callable[[], bool] = never,
    on_step: Callable[[InversionStep], None] | None = None,
) -> FoundPicture:
    """Find the latent of a picture, and what else is asked for.

    Args:
        model: The model; it is not changed.
        pixels: ``H x W x 3`` uint8, sRGB, top row first.
        alignment: The frame on the picture.
        options: How the latent is found.
        tuning: How the model is tuned; None for not at all.
        loss: How image and picture are compared.
        should_stop: Asked before each step; the best so far is kept, and nothing is tuned then.
        on_step: Called after each step.

    Raises:
        RequestError: The frame is not on the picture.
    """
    base = model.generator
    found = invert(
        base, pixels, alignment, options, loss=loss, should_stop=should_stop, on_step=on_step
    )
    generator = base if found.noise is None else found.noise.generator
    if tuning is None or found.stopped:
        return FoundPicture(found, None, generator)
    tuned = tune(
        generator,
        pixels,
        found.alignment,
        found.latent,
        tuning,
        loss=loss,
        should_stop=should_stop,
        on_step=on_step,
    )
    return FoundPicture(found, tuned, tuned.generator)
