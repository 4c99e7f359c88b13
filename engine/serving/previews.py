# SPDX-License-Identifier: GPL-3.0-or-later
"""Live images of a job in progress: no more of them, and no larger, than helps who looks on.

The next is due when Blender has taken in the last: one that nobody sees would only hold up the
steps.  While it goes on, an image is that of a smaller block, which the architecture has anyway, of
the size that this machine has time for; the one that stays is as large as its file.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from draggan_blender.protocol.messages import Message, Preview
from stylegan2 import Generator

from ..models import LoadedModel
from ..output.render import preview_pixels, render_images
from .job_queue import Job

_INTERVAL_S = 1 / 30
_PAUSES = 2
"""How many times as long as an image has taken nothing is shown: at most a third of the time goes
into being looked at."""
_SMALLEST, _LARGEST = 64, 512
"""Blocks whose images are shown while a job goes on, px.  Larger ones keep Blender for too long."""
_SLOW_S, _QUICK_S = 0.06, 0.012
"""An image that takes longer is followed by smaller ones; one that takes less, by larger ones, of
which each takes about four times as long."""


class Previews:
    """The previews of one job."""

    def __init__(
        self, job: Job, drag_id: int, model: LoadedModel, emit: Callable[[Message], None]
    ) -> None:
        self._job = job
        self._drag_id = drag_id
        self._generator: Generator = model.generator
        self._emit = emit
        self._due = 0.0
        self._resolution = self._fitting(self._generator.resolutions[-1])

    @property
    def is_due(self) -> bool:
        """Whether it is time for another."""
        return self._job.shown.is_set() and time.perf_counter() >= self._due

    def show(self, latent: Tensor, step: int, *, stays: bool = False) -> None:
        """Emit the image of a latent.

        Args:
            latent: `num_ws x w_dim` on the generator's device.
            stays: whether it is looked at for long: then it has its full size.
        """
        started = time.perf_counter()
        resolution = self._generator.resolutions[-1] if stays else self._resolution
        image = render_images(self._generator, latent[None], resolution)[0]
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

    def _fitting(self, wanted: int) -> int:
        """The block nearest to a size, of those that are shown while a job goes on."""
        last = self._generator.resolutions[-1]
        return min(max(wanted, min(_SMALLEST, last)), min(_LARGEST, last))
