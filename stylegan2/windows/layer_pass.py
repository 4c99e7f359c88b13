# SPDX-License-Identifier: GPL-3.0-or-later
"""One convolution layer on a whole map or on windows of it, and its derivative, written out.

Equal to ``SynthesisLayer.forward``. Written out, the derivative can be taken along any number of
directions at once, and keeps of the layer no more than its input and its output, where autograd
keeps every step between them.

Maps are ``N x height x width x channels`` float32 in here: rows of channels are what windows are cut
from, and the order that convolutions on a CPU are fastest in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network.layers import GAIN, SLOPE
from ..ops import demodulation
from ..ops.scratch import Scratch
from ..ops.upsampling import low_pass, widen, widen_back
from .prepared_layer import PreparedLayer


@dataclass(frozen=True)
class LayerStyle:
    """What a w makes of a layer: factors of its input's channels and of its output's, float32."""

    scale: Tensor
    demodulation: Tensor

    @classmethod
    def of(cls, layer: PreparedLayer, w: Tensor) -> LayerStyle:
        """For w of ``w_dim`` float32."""
        scale = torch.addmv(layer.affine_bias, layer.affine, w)
        return cls(scale, demodulation(scale[None], layer.energy)[0])


@dataclass(frozen=True)
class Place:
    """Where windows of S x S pixels are in a map.

    Attributes:
        origins: ``P x 2`` int64, (x, y) of each window's first pixel; it may be outside.
        pixels: ``P x S x S`` int64, indices into the flat map; of what is outside, some other pixel.
        inside: ``P x S x S x 1`` float32, 1 inside the map; None if nothing is outside.
    """

    origins: Tensor
    pixels: Tensor
    inside: Tensor | None

    @classmethod
    def of(cls, origins: Tensor, side: int, shape: tuple[int, int]) -> Place:
        """Squares of ``side`` pixels in a map of height and width ``shape``."""
        height, width = shape
        steps = torch.arange(side, device=origins.device)
        x, y = origins[:, :1] + steps, origins[:, 1:] + steps
        xs, ys = x.clamp(0, width - 1), y.clamp(0, height - 1)
        is_inside = (y == ys)[:, :, None] & (x == xs)[:, None, :]
        # To ask costs nothing on a CPU; elsewhere it would wait for the device.
        is_whole = is_inside.device.type == "cpu" and bool(is_inside.all())
        inside = None if is_whole else is_inside[..., None].float()
        return cls(origins, ys[:, :, None] * width + xs[:, None, :], inside)

    def interior(self) -> Place:
        """Without the outermost pixels."""
        inside = self.inside if self.inside is None else self.inside[:, 1:-1, 1:-1]
        return Place(self.origins + 1, self.pixels[:, 1:-1, 1:-1], inside)

    def cut(self, features: Tensor) -> Tensor:
        """Copy the windows out of a map ``1 x H x W x C``: ``P x S x S x C``, zero outside."""
        rows = features.flatten(0, 2).index_select(0, self.pixels.flatten())
        return self.mask(rows.reshape(*self.pixels.shape, features.shape[-1]))

    def put_apart(self, windows: Tensor, shape: tuple[int, int]) -> Tensor:
        """The reverse of ``cut``: each window into a map of its own, zero elsewhere.

        Args:
            windows: ``R P x S x S x C``.
            shape: height and width of the map.

        Returns:
            ``R P x H x W x C``.
        """
        maps = windows.new_zeros(len(windows), shape[0] * shape[1], windows.shape[-1])
        rows = self.mask(windows).flatten(1, 2)
        places = self.pixels.flatten(1).repeat(len(windows) // len(self.pixels), 1)
        maps.scatter_add_(1, places[..., None].expand_as(rows), rows)
        return maps.reshape(len(windows), *shape, -1)

    def put_together(self, windows: Tensor, shape: tuple[int, int]) -> Tensor:
        """Likewise, but the windows ``P x S x S x C`` into one map, ``1 x H x W x C``."""
        together = windows.new_zeros(shape[0] * shape[1], windows.shape[-1])
        together.index_add_(0, self.pixels.flatten(), self.mask(windows).flatten(0, 2))
        return together.reshape(1, *shape, -1)

    def mask(self, windows: Tensor) -> Tensor:
        """Windows ``R P x S x S x C`` with zeros for what is outside."""
        if self.inside is None:
            return windows
        return (apart(windows, len(self.inside)) * self.inside).flatten(0, 1)


class LayerPass:
    """A layer, computed.

    Attributes:
        result: ``N x h' x w' x out_channels`` float32.
    """

    def __init__(
        self,
        layer: PreparedLayer,
        style: LayerStyle,
        x: Tensor,
        place: Place | None = None,
        *,
        keep: bool = True,
        scratch: Scratch | None = None,
    ) -> None:
        """Compute the layer with its constant noise.

        Args:
            x: ``N x h x w x in_channels``: the whole map, or windows, which are two pixels larger
                than their results; those of an upsampling layer begin at ``(origins - 2) // 2``, see
                ``window_plan.side_below``.
            place: where the results are, for windows.
            keep: whether the derivative with respect to the style will be asked for.
            scratch: shared by layers that are not computed at the same time.
        """
        self._layer, self._style, self._place = layer, style, place
        self._scratch = Scratch() if scratch is None else scratch
        self._padding = 1 if place is None else 0
        if layer.convolution is None:
            convolved = self._upsampled(x * style.scale)
        else:
            convolved = layer.convolution(x, style.scale, self._padding, self._scratch)
        y = torch.addcmul(layer.bias, convolved, style.demodulation * GAIN)
        if layer.noise is not None:
            noise = layer.noise
            y += (
                noise.view(*y.shape[1:3], 1)
                if place is None
                else noise.take(place.pixels)[..., None]
            )
        y = F.leaky_relu_(y, SLOPE)
        if layer.clamp is not None:
            y = y.clamp_(-layer.clamp, layer.clamp)
        self.result = y if place is None else place.mask(y)
        self._given_shape = x.shape
        self._given = x if keep else None
        self._convolved = convolved if keep else None

    def pull_back(self, directions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The derivative of sums of products with the result.

        Args:
            directions: ``R N x h' x w' x out_channels``, R for each of the N maps or windows.

        Returns:
            What the input is to be multiplied with, ``R N x h x w x in_channels``, and, if it was
            kept for, the derivative with respect to the style's scale, ``R N x in_channels``.
        """
        style, count = self._style, len(self.result)
        of_convolved = self._of_convolved(apart(directions, count))
        of_scaled = self._back(of_convolved.flatten(0, 1))
        if self._given is None or self._convolved is None:
            return of_scaled * style.scale, None
        of_scale = (apart(of_scaled, count) * self._given).sum(dim=(2, 3))
        # demodulation = (scale^2 . energy + eps)^-1/2, and what it is multiplied with is known.
        of_demodulation = (of_convolved * self._convolved).sum(dim=(2, 3)) / style.demodulation
        of_energy = (of_demodulation * style.demodulation**3) @ self._layer.energy
        return of_scaled * style.scale, (of_scale - style.scale * of_energy).flatten(0, 1)

    def _of_convolved(self, directions: Tensor) -> Tensor:
        """Through all that follows the convolution: ``R x N x h' x w' x out_channels``."""
        result = self.result.expand_as(directions)
        # The leaky ReLU, the clamp and the mask leave a value's sign, so that the result tells all.
        g: Tensor = torch.ops.aten.leaky_relu_backward(directions, result, SLOPE, False)
        clamp = self._layer.clamp
        if clamp is not None:
            g = torch.ops.aten.hardtanh_backward(g, result, -clamp, clamp)
        if self._place is not None and self._place.inside is not None:
            g = g.mul_(self._place.inside)
        return g.mul_(self._style.demodulation * GAIN)

    def _upsampled(self, scaled: Tensor) -> Tensor:
        """Twice the size; of windows, the part of it where they are."""
        layer = self._layer
        assert layer.low_pass is not None
        widened = widen(scaled, layer.weight, self._scratch)
        filtered = low_pass(widened, layer.low_pass, self._padding)
        if self._place is None:
            return filtered
        # Its first pixel is at an odd place, and lacks inputs; the windows begin behind it, at an
        # even place, or one pixel further.
        origins, side = self._place.origins, self._place.pixels.shape[1]
        steps = torch.arange(side, device=scaled.device)
        x, y = (1 + origins[:, axis, None] % 2 + steps for axis in (0, 1))
        rows = y[:, :, None] * filtered.shape[2] + x[:, None, :]
        first = torch.arange(len(origins), device=scaled.device) * filtered[0, ..., 0].numel()
        self._kept = (rows + first[:, None, None]).flatten()
        self._filtered_shape = filtered.shape
        return filtered.flatten(0, 2).index_select(0, self._kept).reshape(*rows.shape, -1)

    def _back(self, of_convolved: Tensor) -> Tensor:
        """From the convolution's output to its input."""
        layer, repeats = self._layer, len(of_convolved) // len(self.result)
        g = of_convolved
        if layer.convolution is not None:
            size = (self._given_shape[1], self._given_shape[2])
            return layer.convolution.back(g, size, self._padding, self._scratch)
        assert layer.low_pass is not None
        if self._place is not None:
            rows = g.reshape(repeats, -1, g.shape[-1])
            count, height, width, channels = self._filtered_shape
            g = g.new_zeros(repeats, count * height * width, channels)
            g = g.index_copy_(1, self._kept, rows).reshape(-1, height, width, channels)
        widened = low_pass(g, layer.low_pass, 3 - self._padding)
        return widen_back(widened, layer.weight, self._scratch)


def apart(x: Tensor, count: int) -> Tensor:
    """``R count x …`` to ``R x count x …``."""
    return x.reshape(-1, count, *x.shape[1:])
