# SPDX-License-Identifier: GPL-3.0-or-later
"""``LayerPass`` with the fused operators: the same values in fewer passes over memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..network.layers import GAIN, SLOPE
from ..ops import precision
from ..ops.fused import Activation, FusedOperators
from ..ops.scratch import Scratch
from ..ops.wide_winograd import PRODUCTS, tiles_of
from .layer_pass import KnownLayer, LayerPass, LayerStyle, Place, split_batch
from .prepared_layer import PreparedLayer

_FEW_PIXELS = 32
_FEW_CHANNELS = 32
# Pixels from which tiles of 4 x 4 results are faster: below, reading the kernels takes longer.
_MANY_PIXELS = 1024


def compute_layer(
    operators: FusedOperators | None,
    layer: PreparedLayer,
    style: LayerStyle,
    x: Tensor,
    place: Place | None,
    *,
    keep: bool,
    scratch: Scratch,
    known: KnownLayer | None = None,
) -> LayerPass | FusedPass:
    """Compute a layer with the fused operators if they are faster, otherwise with torch.

    Args:
        operators: The fused operators, or None.
        layer: As for ``LayerPass``.
        style: As for ``LayerPass``.
        x: As for ``LayerPass``.
        place: As for ``LayerPass``.
        keep: As for ``LayerPass``.
        scratch: As for ``LayerPass``.
        known: As for ``LayerPass``.
    """
    if operators is not None and _is_faster(operators, layer, x):
        return FusedPass(operators, layer, style, x, place, keep=keep, scratch=scratch, known=known)
    return LayerPass(layer, style, x, place, keep=keep, scratch=scratch, known=known)


def _is_faster(operators: FusedOperators, layer: PreparedLayer, x: Tensor) -> bool:
    """Return whether the operators can compute a layer and are faster than torch.

    With few pixels or channels the larger kernels of Winograd's algorithm cost more than it saves.
    """
    if x.device != operators.device or x.dtype != torch.float32:
        return False
    if precision.reduced() is not None:  # which these operators do not have
        return False
    is_large = min(layer.weight.shape[:2]) >= _FEW_CHANNELS and x[..., 0].numel() > _FEW_PIXELS
    return layer.convolution is None or is_large


def compute_map(
    operators: FusedOperators | None,
    layer: PreparedLayer,
    style: LayerStyle,
    x: Tensor,
    *,
    keep: bool,
    scratch: Scratch,
) -> KnownLayer | None:
    """Compute a layer on a whole map in the way that is fastest for images on a CPU.

    The values are those of ``compute_layer`` up to rounding, which may be several times as large:
    they are for images that are looked at, and not for results.

    Args:
        operators: The fused operators, or None.
        layer: As for ``LayerPass``.
        style: As for ``LayerPass``.
        x: ``1 x h x w x in_channels``.
        keep: As for ``LayerPass``.
        scratch: As for ``LayerPass``.

    Returns:
        None if the operators cannot compute the layer so.
    """
    if operators is None or x.dtype != torch.float32 or precision.reduced() is not None:
        return None
    if operators.has_maps and layer.in_panels is not None:
        return _in_panels(operators, layer, style, x, keep=keep)
    is_large = x[..., 0].numel() >= _MANY_PIXELS
    if operators.has_wide_tiles and is_large and layer.wide_kernels is not None:
        return _in_wide_tiles(operators, layer, style, x, keep=keep, scratch=scratch)
    return None


def _in_panels(
    operators: FusedOperators,
    layer: PreparedLayer,
    style: LayerStyle,
    x: Tensor,
    *,
    keep: bool,
) -> KnownLayer:
    """Compute a layer part by part, matrix products included."""
    kernels = layer.in_panels
    assert kernels is not None, "the layer has panels"
    doubles = layer.convolution is None
    size = [pixels * (2 if doubles else 1) for pixels in x.shape[1:3]]
    activation = activation_of(layer, style, (len(x), *size), keep=keep)
    compute = operators.map_widened if doubles else operators.map_convolved
    compute(x.contiguous(), style.scale, kernels, activation)
    return KnownLayer(style, activation.result, activation.convolved)


def _in_wide_tiles(
    operators: FusedOperators,
    layer: PreparedLayer,
    style: LayerStyle,
    x: Tensor,
    *,
    keep: bool,
    scratch: Scratch,
) -> KnownLayer:
    """Compute a layer that keeps the size by tiles of 4 x 4 results."""
    kernels = layer.wide_kernels
    assert kernels is not None, "the layer has such kernels"
    inputs, outputs = kernels.shape[1:]
    activation = activation_of(layer, style, x.shape[:3], keep=keep)
    count = len(x) * tiles_of(x.shape[1], x.shape[2])
    # One row more than there are tiles: at a distance of a power of two, what belongs to one tile
    # would share few places of the cache.
    tiles = scratch.take("wide tiles", (PRODUCTS, count + 1, inputs), x)[:, :count]
    operators.wide_tiles(x.contiguous(), style.scale, tiles)
    products = scratch.take("wide products", (PRODUCTS, count + 1, outputs), x)[:, :count]
    torch.bmm(tiles, kernels, out=products)
    operators.wide_outputs(products, activation)
    return KnownLayer(style, activation.result, activation.convolved)


class FusedPass:
    """``LayerPass`` with the fused operators; arguments and results are the same."""

    def __init__(
        self,
        operators: FusedOperators,
        layer: PreparedLayer,
        style: LayerStyle,
        x: Tensor,
        place: Place | None,
        *,
        keep: bool,
        scratch: Scratch,
        known: KnownLayer | None = None,
    ) -> None:
        """Compute the layer with its constant noise; see ``LayerPass``."""
        self._operators, self._layer, self._style, self._scratch = operators, layer, style, scratch
        self._input, self._padding = x.contiguous(), 1 if place is None else 0
        count, height, width, _ = x.shape
        if place is not None:
            size = (place.pixels.shape[1], place.pixels.shape[2])
        elif layer.convolution is None:
            size = (2 * height, 2 * width)
        else:
            size = (height, width)
        self._activation = activation_of(
            layer, style, (count, *size), place, keep=keep, known=known
        )
        self.result = self._activation.result
        self._origins = self._filtered_from(place)
        if known is not None:
            return
        if layer.convolution is None:
            self._widen()
        else:
            self._convolve(layer.convolution.transformed())

    def known(self) -> KnownLayer:
        """Return what was computed."""
        return KnownLayer(self._style, self.result, self._activation.convolved)

    def pull_back(self, directions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute vector-Jacobian products; see ``LayerPass.pull_back``."""
        layer, style, count = self._layer, self._style, len(directions)
        directions = directions.contiguous()
        of_factor = of_scale = None
        if self._activation.convolved is not None:
            of_factor = directions.new_empty(count, len(layer.weight))
            of_scale = directions.new_empty(count, self._input.shape[3])
        if layer.convolution is None:
            g = self._widen_back(directions, of_factor)
            if of_scale is not None:
                products = split_batch(g, len(self._input)) * self._input
                of_scale = products.sum(dim=(2, 3)).flatten(0, 1)
            g = g * style.scale
        else:
            kernels = layer.convolution.transformed()
            g = self._convolve_back(directions, kernels, of_factor, of_scale)
        if of_factor is None or of_scale is None:
            return g, None
        # ``of_factor`` contains the demodulation once, so the power is one less than the 3 in
        # ``LayerPass.pull_back``.
        of_energy = (of_factor * style.demodulation**2) @ layer.energy
        return g, of_scale - style.scale * of_energy

    def _tile_count(self, count: int) -> int:
        return count * ((self.result.shape[1] + 1) // 2) * ((self.result.shape[2] + 1) // 2)

    def _convolve(self, kernels: Tensor) -> None:
        x, count = self._input, self._tile_count(len(self._input))
        tiles = self._scratch.take("tiles", (16, count, kernels.shape[2]), x)
        self._operators.tiles(x, self._style.scale, self._padding, tiles)
        products = self._scratch.take("products", (16, count, kernels.shape[1]), x)
        torch.bmm(tiles, kernels.transpose(1, 2), out=products)
        self._operators.outputs(products, self._activation)

    def _convolve_back(
        self, directions: Tensor, kernels: Tensor, of_factor: Tensor | None, of_scale: Tensor | None
    ) -> Tensor:
        count = self._tile_count(len(directions))
        products = self._scratch.take("products", (16, count, kernels.shape[1]), directions)
        self._operators.outputs_back(directions, self._activation, products, of_factor)
        tiles = self._scratch.take("tiles", (16, count, kernels.shape[2]), directions)
        torch.bmm(products, kernels, out=tiles)
        g = directions.new_empty(len(directions), *self._input.shape[1:])
        scale = self._style.scale
        self._operators.tiles_back(tiles, scale, self._input, g, of_scale, self._padding)
        return g

    def _filtered_from(self, place: Place | None) -> Tensor | None:
        """Return where the filter of an upsampling layer begins, see ``FusedOperators.widened``."""
        if self._layer.convolution is not None:
            return None
        if place is None:
            return self._input.new_full((len(self._input), 2), -1, dtype=torch.int32)
        # As in ``LayerPass._keep_places``: the windows begin one or two pixels after the first.
        return (1 + place.origins % 2).int()

    def _widen(self) -> None:
        assert self._origins is not None
        count, height, width, channels = self._input.shape
        matrix = self._layer.matrix
        shape = (count * height * width, matrix.shape[1])
        products = self._scratch.take("products", shape, self._input)
        torch.mm((self._input * self._style.scale).view(-1, channels), matrix, out=products)
        self._operators.widened(products, self._origins, self._activation, (height, width))

    def _widen_back(self, directions: Tensor, of_factor: Tensor | None) -> Tensor:
        assert self._origins is not None
        height, width = self._input.shape[1:3]
        matrix = self._layer.matrix
        shape = (len(directions) * height * width, matrix.shape[1])
        products = self._scratch.take("products", shape, directions)
        self._operators.widened_back(
            directions, self._origins, self._activation, products, of_factor, (height, width)
        )
        return (products @ matrix.t()).view(len(directions), *self._input.shape[1:])


def activation_of(
    layer: PreparedLayer,
    style: LayerStyle,
    shape: Sequence[int],
    place: Place | None = None,
    *,
    keep: bool,
    known: KnownLayer | None = None,
) -> Activation:
    """Return the activation of a layer, with tensors for its results.

    Args:
        layer: As for ``LayerPass``.
        style: As for ``LayerPass``.
        shape: That of the results without the channels, ``(N, h', w')``.
        place: As for ``LayerPass``.
        keep: As for ``LayerPass``.
        known: As for ``LayerPass``.
    """
    noise, inside = layer.noise, None
    if place is not None:
        inside = None if place.inside is None else place.inside.contiguous()
        noise = None if noise is None else noise.take(place.pixels)
    if known is None:
        result = style.scale.new_empty(*shape, len(layer.weight))
        convolved = torch.empty_like(result) if keep else None
    else:
        result = known.result.contiguous()
        convolved = known.convolved if keep else None
        convolved = None if convolved is None else convolved.contiguous()
    return Activation(
        factor=style.demodulation * GAIN,
        bias=layer.bias,
        noise=noise,
        inside=inside,
        slope=SLOPE,
        clamp=layer.clamp,
        result=result,
        convolved=convolved,
    )
