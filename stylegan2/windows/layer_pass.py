# SPDX-License-Identifier: GPL-3.0-or-later
"""One convolution layer on a whole map or on windows of it, with explicit gradients.

The results equal those of ``SynthesisLayer.forward``. The explicit gradients take any number of
cotangents at once and keep only the input, the convolved values and the output of the layer, while
autograd keeps every step between them.

Maps are ``N x height x width x channels`` float32 here: windows are cut out as rows of channels,
and convolutions on a CPU are fastest in this order.
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
    """The style of a layer for one w vector.

    Attributes:
        scale: ``I`` float32, factor per input channel.
        demodulation: ``O`` float32, factor per output channel.
    """

    scale: Tensor
    demodulation: Tensor

    @classmethod
    def of(cls, layer: PreparedLayer, w: Tensor) -> LayerStyle:
        """Return the style of a layer for the w vector ``w``, ``w_dim`` float32."""
        scale = torch.addmv(layer.affine_bias, layer.affine, w)
        return cls(scale, demodulation(scale[None], layer.energy)[0])


@dataclass(frozen=True)
class Place:
    """The place of P windows of S x S pixels in a map.

    Attributes:
        origins: ``P x 2`` int64, (x, y) of the first pixel of each window; may be outside the map.
        pixels: ``P x S x S`` int64, indices into the flat map. Pixels outside the map have the
            index of the nearest pixel inside.
        inside: ``P x S x S x 1`` float32, 1 inside the map and 0 outside; None if all pixels are
            known to be inside.
    """

    origins: Tensor
    pixels: Tensor
    inside: Tensor | None

    @classmethod
    def of(cls, origins: Tensor, side: int, shape: tuple[int, int]) -> Place:
        """Return the place of windows.

        Args:
            origins: ``P x 2`` int64, (x, y) of the first pixel of each window.
            side: Side of the windows in pixels.
            shape: Height and width of the map.
        """
        height, width = shape
        steps = torch.arange(side, device=origins.device)
        x, y = origins[:, :1] + steps, origins[:, 1:] + steps
        xs, ys = x.clamp(0, width - 1), y.clamp(0, height - 1)
        is_inside = (y == ys)[:, :, None] & (x == xs)[:, None, :]
        inside = None if _are_all(is_inside) else is_inside[..., None].float()
        return cls(origins, ys[:, :, None] * width + xs[:, None, :], inside)

    def interior(self) -> Place:
        """Return the place of the same windows without their outermost pixels."""
        inside = self.inside if self.inside is None else self.inside[:, 1:-1, 1:-1]
        return Place(self.origins + 1, self.pixels[:, 1:-1, 1:-1], inside)

    def cut(self, features: Tensor) -> Tensor:
        """Copy the windows from a map.

        Args:
            features: ``1 x H x W x C``, the map.

        Returns:
            ``P x S x S x C``, zero outside the map.
        """
        rows = features.flatten(0, 2).index_select(0, self.pixels.flatten())
        return self.mask(rows.reshape(*self.pixels.shape, features.shape[-1]))

    def scatter_each(self, windows: Tensor, shape: tuple[int, int]) -> Tensor:
        """Add each window to its own map, which is zero elsewhere.

        Args:
            windows: ``R P x S x S x C``, R for each place.
            shape: Height and width of the map, ``(H, W)``.

        Returns:
            ``R P x H x W x C``.
        """
        maps = windows.new_zeros(len(windows), shape[0] * shape[1], windows.shape[-1])
        rows = self.mask(windows).flatten(1, 2)
        places = self.pixels.flatten(1).repeat(len(windows) // len(self.pixels), 1)
        maps.scatter_add_(1, places[..., None].expand_as(rows), rows)
        return maps.reshape(len(windows), *shape, -1)

    def scatter_sum(self, windows: Tensor, shape: tuple[int, int]) -> Tensor:
        """Add all windows to one map; the adjoint of ``cut``.

        Args:
            windows: ``P x S x S x C``.
            shape: Height and width of the map, ``(H, W)``.

        Returns:
            ``1 x H x W x C``.
        """
        total = windows.new_zeros(shape[0] * shape[1], windows.shape[-1])
        total.index_add_(0, self.pixels.flatten(), self.mask(windows).flatten(0, 2))
        return total.reshape(1, *shape, -1)

    def mask(self, windows: Tensor) -> Tensor:
        """Set the pixels of windows ``R P x S x S x C`` that are outside the map to zero."""
        if self.inside is None or not len(windows):
            return windows
        return (split_batch(windows, len(self.inside)) * self.inside).flatten(0, 1)


@dataclass(frozen=True)
class KnownLayer:
    """What was computed of a layer.

    Attributes:
        style: Its style.
        result: ``N x h' x w' x out_channels`` float32.
        convolved: The convolved values, of the same shape; None if the gradient with respect to the
            style is not needed.
    """

    style: LayerStyle
    result: Tensor
    convolved: Tensor | None

    def cut(self, place: Place) -> KnownLayer:
        """Return the layer in windows of the map.

        Args:
            place: The place of the results.
        """
        convolved = None if self.convolved is None else place.cut(self.convolved)
        return KnownLayer(self.style, place.cut(self.result), convolved)


class LayerPass:
    """The results of one layer, and the gradients of these.

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
        known: KnownLayer | None = None,
    ) -> None:
        """Compute the layer with its constant noise.

        Args:
            layer: The constants of the layer.
            style: Its style.
            x: ``N x h x w x in_channels``: the whole map, or windows. Windows are two pixels larger
                than their results; those of an upsampling layer have the side of
                ``plan.side_below`` and begin at ``(origins - 2) // 2``.
            place: The place of the results if ``x`` contains windows; None for the whole map.
            keep: Whether to keep what the gradient with respect to the style needs.
            scratch: Buffers for intermediate values, shared with layers that are not computed at
                the same time.
            known: What a computation would give, if it was computed before; None to compute it.
        """
        self._layer, self._style, self._place = layer, style, place
        self._scratch = Scratch() if scratch is None else scratch
        self._padding = 1 if place is None else 0
        self._input_shape = x.shape
        self._input = x if keep else None
        if known is None:
            self.result, convolved = self._compute(x)
        else:
            self.result, convolved = known.result, known.convolved
            if layer.convolution is None and place is not None:
                self._keep_places(2 * x.shape[1] - 2, 2 * x.shape[2] - 2)
        self._convolved = convolved if keep else None

    def known(self) -> KnownLayer:
        """Return what was computed."""
        return KnownLayer(self._style, self.result, self._convolved)

    def _compute(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the results and the convolved values."""
        layer, style, place = self._layer, self._style, self._place
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
        return (y if place is None else place.mask(y)), convolved

    def pull_back(self, directions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute vector-Jacobian products.

        Args:
            directions: ``R N x h' x w' x out_channels``, R cotangents for each of the N maps or
                windows of the result.

        Returns:
            The cotangents of the input, ``R N x h x w x in_channels``; and, with ``keep``, the
            gradients with respect to the scale of the style, ``R N x in_channels``, in which the
            demodulation is a function of the scale. Without ``keep`` these are None.
        """
        style, count = self._style, len(self.result)
        of_convolved = self._of_convolved(split_batch(directions, count))
        of_scaled = self._back(of_convolved.flatten(0, 1))
        if self._input is None or self._convolved is None:
            return of_scaled * style.scale, None
        of_scale = (split_batch(of_scaled, count) * self._input).sum(dim=(2, 3))
        # Chain rule for demodulation = (scale^2 . energy + eps)^-1/2.
        of_demodulation = (of_convolved * self._convolved).sum(dim=(2, 3)) / style.demodulation
        of_energy = (of_demodulation * style.demodulation**3) @ self._layer.energy
        return of_scaled * style.scale, (of_scale - style.scale * of_energy).flatten(0, 1)

    def _of_convolved(self, directions: Tensor) -> Tensor:
        """Return the cotangents of the convolved values, ``R x N x h' x w' x out_channels``."""
        result = self.result.expand_as(directions)
        # The leaky ReLU, the clamp and the mask do not change the sign of a value. So the result
        # shows which branch of them applied.
        g: Tensor = torch.ops.aten.leaky_relu_backward(directions, result, SLOPE, False)
        clamp = self._layer.clamp
        if clamp is not None:
            g = torch.ops.aten.hardtanh_backward(g, result, -clamp, clamp)
        if self._place is not None and self._place.inside is not None:
            g = g.mul_(self._place.inside)
        return g.mul_(self._style.demodulation * GAIN)

    def _upsampled(self, scaled: Tensor) -> Tensor:
        """Return the upsampling convolution of the scaled input, cut to the windows if any."""
        layer = self._layer
        assert layer.low_pass is not None
        widened = widen(scaled, layer.weight, self._scratch)
        filtered = low_pass(widened, layer.low_pass, self._padding)
        if self._place is None:
            return filtered
        shape = self._keep_places(filtered.shape[1], filtered.shape[2])
        return filtered.flatten(0, 2).index_select(0, self._kept).reshape(*shape, -1)

    def _keep_places(self, height: int, width: int) -> torch.Size:
        """Find which pixels of filtered windows, ``height x width``, are results.

        Returns:
            The shape of the results without the channels.
        """
        assert self._place is not None
        # The first filtered pixel has an odd position in the map and lacks inputs. The windows
        # begin one pixel after it, at an even position, or two pixels after it.
        origins, side = self._place.origins, self._place.pixels.shape[1]
        steps = torch.arange(side, device=origins.device)
        x, y = (1 + origins[:, axis, None] % 2 + steps for axis in (0, 1))
        rows = y[:, :, None] * width + x[:, None, :]
        first = torch.arange(len(origins), device=origins.device) * (height * width)
        self._kept = (rows + first[:, None, None]).flatten()
        self._filtered_shape = (len(origins), height, width, len(self._layer.weight))
        return rows.shape

    def _back(self, of_convolved: Tensor) -> Tensor:
        """Return the cotangents of the scaled input for those of the convolved values."""
        layer, repeats = self._layer, len(of_convolved) // len(self.result)
        g = of_convolved
        if layer.convolution is not None:
            size = (self._input_shape[1], self._input_shape[2])
            return layer.convolution.back(g, size, self._padding, self._scratch)
        assert layer.low_pass is not None
        if self._place is not None:
            rows = g.reshape(repeats, -1, g.shape[-1])
            count, height, width, channels = self._filtered_shape
            g = g.new_zeros(repeats, count * height * width, channels)
            g = g.index_copy_(1, self._kept, rows).reshape(-1, height, width, channels)
        widened = low_pass(g, layer.low_pass, 3 - self._padding)
        return widen_back(widened, layer.weight, self._scratch)


def _are_all(flags: Tensor) -> bool:
    """Return whether all flags are known to be set: only a CPU need not be waited for."""
    return flags.device.type == "cpu" and bool(flags.all())


def split_batch(x: Tensor, count: int) -> Tensor:
    """Reshape ``R count x …`` to ``R x count x …``."""
    return x.reshape(-1, count, *x.shape[1:])
