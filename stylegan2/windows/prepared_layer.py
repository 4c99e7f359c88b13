# SPDX-License-Identifier: GPL-3.0-or-later
"""The constants of a convolution layer that all steps of a drag use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ..network.layers import GAIN, SynthesisLayer
from ..ops import weight_energy
from ..ops.convolution import Convolution
from ..ops.fused import PANEL
from ..ops.upsampling import kernel_matrix
from ..ops.wide_winograd import wide_kernels
from ..ops.winograd import winograd_kernels

# The most channels of a layer in panels: the weights of more would be read from memory again for
# each part of a map.
_MOST_IN_PANELS = 256


@dataclass(frozen=True)
class PreparedLayer:
    """The constants of a layer, all float32 on its device.

    Attributes:
        weight: ``O x I x 3 x 3``, the weight of the layer.
        convolution: The convolution with this weight; None for an upsampling layer.
        low_pass: ``O x 1 x 4 x 4``, the filter with gain 4 of an upsampling layer; otherwise None.
        energy: ``O x I``, see ``weight_energy``.
        affine: ``I x w_dim``, the matrix from a w vector to the style, run-time factor included.
        affine_bias: ``I``, its bias, run-time factor included.
        bias: ``O``, the bias of the layer, gain included.
        noise: ``H W``, the constant noise, strength and gain included; None without noise inputs.
        clamp: Bound of the results, or None.
    """

    weight: Tensor
    convolution: Convolution | None
    low_pass: Tensor | None
    energy: Tensor
    affine: Tensor
    affine_bias: Tensor
    bias: Tensor
    noise: Tensor | None
    clamp: float | None

    @cached_property
    def matrix(self) -> Tensor:
        """The weight as ``I x (9 O)``; a view for a frozen upsampling layer on a CPU."""
        return kernel_matrix(self.weight)

    @cached_property
    def in_panels(self) -> Tensor | None:
        """The weight for ``FusedOperators.map_convolved`` or ``map_widened``.

        ``K x P x I x PANEL``, where K is 16, or 1 for an upsampling layer; None if it does not fit.
        """
        outputs, inputs = self.weight.shape[:2]
        if outputs % PANEL or inputs % PANEL or max(outputs, inputs) > _MOST_IN_PANELS:
            return None
        if self.convolution is None:
            matrices = self.matrix[None]
        else:
            matrices = winograd_kernels(self.weight).transpose(1, 2)
        columns = matrices.shape[2] // PANEL
        panels = matrices.reshape(len(matrices), inputs, columns, PANEL).transpose(1, 2)
        return panels.contiguous()

    @cached_property
    def wide_kernels(self) -> Tensor | None:
        """The weight for products of tiles of 4 x 4 results, ``36 x I x O``; see ``wide_kernels``.

        None for a layer that doubles the size, and where the tiles of 2 x 2 results are computed in
        panels or the channels do not fit.
        """
        few = min(self.weight.shape[:2]) <= _MOST_IN_PANELS
        if self.convolution is None or few or any(n % PANEL for n in self.weight.shape[:2]):
            return None
        return wide_kernels(self.weight)

    @classmethod
    def of(cls, layer: SynthesisLayer) -> PreparedLayer:
        """Return the constants of a layer.

        A frozen layer keeps them, so that later calls return the same object; changes of its
        parameters are not picked up until the layer is frozen or loaded again.
        """
        known = layer.prepared
        if isinstance(known, cls) and known.weight.device == layer.weight.device:
            return known
        made = cls._make(layer)
        if layer.energy is not None:
            layer.prepared = made
        return made

    @classmethod
    def _make(cls, layer: SynthesisLayer) -> PreparedLayer:
        weight = layer.weight.detach()
        taps = layer.up_taps
        low_pass = None if taps is None else (taps * 4).expand(len(weight), 1, 4, 4).contiguous()
        noise = None
        if layer.use_noise:
            noise = (layer.noise_const * (layer.noise_strength.detach() * GAIN)).flatten()
        affine = layer.affine
        return cls(
            weight=weight,
            convolution=Convolution(weight) if taps is None else None,
            low_pass=low_pass,
            energy=weight_energy(weight) if layer.energy is None else layer.energy,
            affine=affine.weight.detach() * affine.weight_gain,
            affine_bias=affine.bias.detach() * affine.bias_gain,
            bias=layer.bias.detach() * GAIN,
            noise=noise,
            clamp=layer.conv_clamp,
        )
