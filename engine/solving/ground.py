# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drag stands on: the opened picture, its canvas, and the source of its features.

A drag that is under way may get a larger mask. Then all three are made anew; what is below the
mask does not change and is not computed again.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from stylegan2 import Canvas, Generator

from ..arrays import ByteArray
from ..errors import RequestError
from ..features.choice import open_source
from ..features.seam import seam_band
from ..features.source import FeatureSource, ImageOf, held_block
from ..pictures import OpenPicture
from .methods import DIRECTIONS
from .options import DragOptions


class Ground:
    """The picture that a drag changes, and what computes its features.

    Attributes:
        opened: The picture.
        canvas: What computes it; None if it has one latent.
    """

    def __init__(
        self,
        generator: Generator,
        start: Tensor,
        opened: OpenPicture,
        fixed: Tensor | None,
        options: DragOptions,
        *,
        block: int,
        num_layers: int,
        origin: Tensor | None,
        windows: bool | None,
        between: Callable[[], None],
        image_of: ImageOf | None,
    ) -> None:
        """Open the canvas; no feature is computed yet.

        Args:
            generator: Frozen, on the device to compute on.
            start: ``num_ws x w_dim`` float32, the latent that the drag starts from.
            opened: The picture that it belongs to.
            fixed: ``H x W`` float32, 1 = fixed, of the mask; None without one.
            options: The options of the drag.
            block: The feature block.
            num_layers: How many of the first w vectors may change.
            origin: The latent whose features the fixed area keeps; None for ``start``.
            windows: See ``drag.drag``.
            between: Called between parts of computations; it may raise to end them.
            image_of: See ``drag.drag``.

        Raises:
            RequestError: The model has no such block for the mask, or the picture does not fit it.
        """
        try:
            self._held = held_block(generator, block, num_layers, options.mask_resolution)
        except ValueError as error:
            raise RequestError(f"mask_resolution: {error}") from None
        self._generator = generator
        self._start = start
        self._mask = fixed
        self._options = options
        self._block = block
        self._num_layers = num_layers
        self._origin = origin
        self._windows = windows
        self._between = between
        self._image_of = image_of
        self.opened = opened
        self.canvas: Canvas | None = opened.canvas(generator)

    @property
    def is_masked(self) -> bool:
        """Whether what changes is seen through a mask that holds exactly."""
        return self.canvas is not None and self.canvas.matte is not None

    def source(self, points: int) -> FeatureSource:
        """Return the source of the features.

        Args:
            points: The number of points that are solved.
        """
        return open_source(
            self._generator,
            self._block,
            self._start,
            num_layers=self._num_layers,
            points=points,
            reference_ws=self._origin,
            fixed=self._fixed(),
            held=self._held,
            windows=self._windows,
            canvas=self.canvas,
            directions=DIRECTIONS.get(self._options.method, 0),
            between=self._between,
            image_of=self._image_of,
        )

    def _fixed(self) -> Tensor | None:
        """Return how much each pixel is held by the mask's term; None if none is."""
        options = self._options
        if not options.mask_weight:
            return None
        if self.canvas is not None and self.canvas.matte is not None:
            return seam_band(self.canvas.matte.full)
        # An exact mask without a matte is white, and fixes nothing.
        return None if options.mask_mode == "exact" else self._mask

    def widen(self, mask: ByteArray) -> bool:
        """Go on under a larger mask; see ``OpenPicture.widened``.

        Args:
            mask: ``H x W`` uint8.

        Returns:
            Whether there was a change; the source is to be made anew then.

        Raises:
            RequestError: The mask has another size than the image.
        """
        opened = self.opened.widened(mask)
        if opened is None or opened.picture.equals(self.opened.picture):
            return False
        canvas = opened.canvas(self._generator)
        assert canvas is not None, "a mask makes a layer"
        self.opened, self.canvas = opened, canvas
        return True
