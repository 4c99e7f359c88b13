# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps of a drag need of a convolution layer and what never changes between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ..network.layers import GAIN, SynthesisLayer
from ..ops import weight_energy
from ..ops.convolution import Convolution
from ..ops.upsampling import kernel_matrix


@dataclass(frozen=True)
class PreparedLayer:
    """A layer's constants, all float32 on its device.

    Attributes:
        weight: ``O x I x 3 x 3``, the layer's own.
        convolution: with this weight, for a layer that keeps the size.
        low_pass: ``O x 1 x 4 x 4``, the filter with gain 4, for a layer that doubles it.
        energy: ``O x I``, see ``weight_energy``.
        affine: ``I x w_dim``, from w to the style, factors included.
        affine_bias: ``I``.
        bias: ``O``, with the gain.
        noise: ``H W``, the constant noise with its strength and the gain; None without.
        clamp: bound of the results, or None.
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
        """The weight as ``I x (9 O)``; of a frozen layer that doubles on a CPU, a view of it."""
        return kernel_matrix(self.weight)

    @classmethod
    def of(cls, layer: SynthesisLayer) -> PreparedLayer:
        """The layer's, made once for a frozen layer: what it changes to later goes unseen."""
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
