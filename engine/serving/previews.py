# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends preview images of a running job, as often and as large as this machine has time for.

The next preview is due when Blender has shown the last one: one that nobody sees would only delay
the steps. While the job runs, a preview is the image of a smaller block, which the architecture
computes anyway; the faster the machine, the larger the block. A preview that stays on the screen
is as large as the frame's file.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from draggan_blender.protocol.drag_messages import Preview
from draggan_blender.protocol.messages import Message
from stylegan2 import Canvas, Generator, ImagePass, Scratch, whole_multiply_adds

from ..inputs import device_of
from ..models import LoadedModel
from ..output.render import open_pass, preview_pixels, render_images, render_pass
from ..pictures import OpenPicture
from .job_queue import QueuedJob

# The shortest time between two previews, seconds.
_INTERVAL_S = 1 / 30
# The pause after a preview, in multiples of the time it took: previews take at most a third of
# the time.
_PAUSES = 2
# The smallest and the largest preview while a job runs, px. Larger ones take too long in Blender.
_SMALLEST, _LARGEST = 64, 512
# Models whose previews always have the full size, px.
_SMALL_MODEL = 128
# What a core is expected to compute until a preview was measured, multiply-adds per second.
_USUAL_SPEED = 4e10
# After a preview that took longer than the first, the next is half as wide; after one that took
# less than the second, twice as wide, which takes about four times as long.
_SLOW_S, _QUICK_S = 0.06, 0.012


class Previews:
    """Makes and sends the previews of one job."""

    def __init__(
        self, job: QueuedJob, drag_id: int, model: LoadedModel, emit: Callable[[Message], None]
    ) -> None:
        """Start with the largest preview that is expected to be quick; nothing is sent yet.

        Args:
            job: The job, whose ``shown`` signal says when the last preview was shown.
            drag_id: The id that the previews carry: the drag's, or a bake's request id.
            model: The model that renders the previews.
            emit: Receives the ``Preview`` messages.
        """
        self._job = job
        self._drag_id = drag_id
        self._generator: Generator = model.generator
        self._emit = emit
        self._due = 0.0
        self._resolution = self._fitting(_first_resolution(self._generator))
        # The latent of the last preview, and the size of the block that showed it.
        self._last: tuple[Tensor, int] | None = None
        # The picture of the last preview, and what computes it if it has layers.
        self._opened: OpenPicture | None = None
        self._canvas: Canvas | None = None
        # What was computed of the next preview, and how many seconds that took.
        self._begun: ImagePass | None = None
        self._begun_s = 0.0
        # Memory that all previews use: tens of megabytes for a large network.
        self._scratch = Scratch()
        # Whether the weights stay as they are, which a pass relies on.
        self._is_frozen = True

    def use(self, model: LoadedModel) -> None:
        """Render the next previews with another model of the same size, which may still change."""
        self._generator, self._last = model.generator, None
        self._is_frozen = False

    @property
    def resolution(self) -> int:
        """The block of the next preview that does not stay."""
        return self._resolution

    def is_due(self, *, is_open: bool = False) -> bool:
        """Return whether the last preview was shown and its pause is over.

        Args:
            is_open: Whether a person pulls at the image and waits for each step: without a pause.
        """
        return self._job.shown.is_set() and (is_open or time.perf_counter() >= self._due)

    def has_shown(self, latent: Tensor, *, in_full: bool = False) -> bool:
        """Return whether the last preview showed this latent, and in the full size if asked."""
        if self._last is None or (in_full and self._last[1] < self._generator.resolutions[-1]):
            return False
        return torch.equal(self._last[0], latent)

    def begin(
        self, latent: Tensor, num_layers: int, between: Callable[[], None]
    ) -> ImagePass | None:
        """Begin the next preview, while its features are needed for something else as well.

        Args:
            latent: ``num_ws x w_dim`` float32 on the generator's device, of a whole image.
            num_layers: As of ``ImagePass``.
            between: As of ``ImagePass``.

        Returns:
            What was computed; None if it is better computed when it is shown.
        """
        started = time.perf_counter()
        self._begun = None
        if self._is_frozen:
            self._begun = open_pass(
                self._generator, latent, self._resolution, num_layers, between, self._scratch
            )
        self._begun_s = time.perf_counter() - started
        return self._begun

    def show(
        self,
        latent: Tensor,
        step: int,
        *,
        stays: bool = False,
        opened: OpenPicture | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Render the image of a latent and send it.

        Args:
            latent: ``num_ws x w_dim`` float32 on the generator's device.
            step: The number of the step, or of the frame in a bake.
            stays: Whether the preview stays on the screen; it then has the full size.
            opened: The picture that the latent belongs to; None for a picture of one latent.
            between: Called between the layers of a preview that stays, which takes seconds for a
                large network. If it raises, nothing is sent.
        """
        started = time.perf_counter()
        resolution = self._generator.resolutions[-1] if stays else self._resolution
        if opened is not self._opened:
            self._opened = opened
            self._canvas = None if opened is None else opened.canvas(self._generator)
        begun, spent_s = self._take_begun(latent, resolution)
        if stays:
            # It is to be equal to the file, and the values of a pass differ by rounding.
            begun, spent_s = None, 0.0
        elif begun is None and self._canvas is None and self._is_frozen:
            begun = open_pass(self._generator, latent, resolution, scratch=self._scratch)
        if begun is None:
            image = render_images(
                self._generator, latent[None], resolution, self._canvas, between=between
            )[0]
        else:
            image = render_pass(begun)
        started -= spent_s
        self._last = latent, resolution
        pixels = preview_pixels(image)
        height, width, _ = pixels.shape
        self._job.shown.clear()
        self._emit(
            Preview(
                request_id=self._job.request.request_id,
                drag_id=self._drag_id,
                step=step,
                width=width,
                height=height,
                pixels=pixels.tobytes(),
            )
        )
        now = time.perf_counter()
        self._due = now + max(_INTERVAL_S, _PAUSES * (now - started))
        if now - started > _SLOW_S:
            self._resolution = self._fitting(self._resolution // 2)
        elif now - started < _QUICK_S:
            self._resolution = self._fitting(self._resolution * 2)

    def _take_begun(self, latent: Tensor, resolution: int) -> tuple[ImagePass | None, float]:
        """Return what was begun of a preview, if it is this one, and how long that took."""
        begun, self._begun = self._begun, None
        if begun is None or self._canvas is not None or begun.resolution != resolution:
            return None, 0.0
        return (begun, self._begun_s) if torch.equal(begun.ws, latent) else (None, 0.0)

    def _fitting(self, wanted: int) -> int:
        """Limit a block's resolution to those of previews of a running job."""
        last = self._generator.resolutions[-1]
        # A smaller image of a small model saves little time.
        smallest = last if last <= _SMALL_MODEL else _SMALLEST
        return min(max(wanted, smallest), min(_LARGEST, last))


def _first_resolution(generator: Generator) -> int:
    """Return the block of the first preview: one that is too large delays it by seconds.

    On a GPU it is the last block, whose time is measured soon enough.
    """
    resolutions, config = generator.resolutions, generator.config
    if device_of(generator).type != "cpu":
        return resolutions[-1]
    first, cost = resolutions[0], 0
    for resolution in resolutions:
        cost += whole_multiply_adds(config, resolution)
        if cost <= _SLOW_S * _USUAL_SPEED:
            first = resolution
    return first
