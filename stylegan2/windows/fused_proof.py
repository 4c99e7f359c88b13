# SPDX-License-Identifier: GPL-3.0-or-later
"""The fused operators beside torch's, on this machine: are they right, and are they faster?"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from ..network.layers import SynthesisLayer
from ..ops.fused import FusedOperators
from ..ops.scratch import Scratch
from .fused_pass import FusedPass
from .layer_pass import LayerPass, LayerStyle, Place
from .plan import side_below
from .prepared_layer import PreparedLayer

_CLOSE = 1e-5
"""Of the largest magnitude, between the fused operators and torch's."""
_W_DIM = 5
_ROUNDS = 20
_ORIGINS = ((-3, 2), (4, 9), (2, 1))


@dataclass(frozen=True)
class _Case:
    """A layer of random parameters, and what it is to compute."""

    layer: PreparedLayer
    style: LayerStyle
    x: Tensor
    place: Place | None

    @classmethod
    def of(
        cls,
        channels: tuple[int, int],
        side: int,
        window: int,
        *,
        doubles: bool,
        clamp: float | None,
        device: torch.device,
    ) -> _Case:
        """A map of so many pixels, or windows of it with so many results (0: the map)."""
        random = torch.Generator().manual_seed(0)
        layer = SynthesisLayer(
            *channels, w_dim=_W_DIM, shape=(side, side), upsample=doubles, conv_clamp=clamp
        )
        for tensor in (*layer.parameters(), layer.noise_const):
            tensor.copy_(torch.randn(tensor.shape, generator=random))
        layer.to(device).requires_grad_(False).freeze()
        prepared = PreparedLayer.of(layer)
        style = LayerStyle.of(prepared, torch.randn(_W_DIM, generator=random).to(device))
        place, count, below = None, 1, side // 2 if doubles else side
        if window:
            place = Place.of(torch.tensor(_ORIGINS, device=device), window, (side, side))
            # ``side_below`` is of the block's result, which is two pixels smaller.
            count, below = len(_ORIGINS), side_below(window - 2) if doubles else window + 2
        x = torch.randn(count, below, below, channels[0], generator=random).to(device)
        return cls(prepared, style, x, place)

    def plain(self, scratch: Scratch) -> LayerPass:
        """By torch."""
        return LayerPass(self.layer, self.style, self.x, self.place, scratch=scratch)

    def fused(self, operators: FusedOperators, scratch: Scratch) -> FusedPass:
        """By the operators."""
        layer, style, x, place = self.layer, self.style, self.x, self.place
        return FusedPass(operators, layer, style, x, place, keep=True, scratch=scratch)


@torch.no_grad()
def difference(operators: FusedOperators) -> str | None:
    """Compare the operators with torch's on small layers, whole and in windows, and back.

    Returns:
        What they compute wrongly, or None.
    """
    scratch = Scratch()
    for doubles in (False, True):
        for clamp in (None, 0.7):
            for window in (0, 7):
                case = _Case.of(
                    *((40, 72), 20, window),
                    doubles=doubles,
                    clamp=clamp,
                    device=operators.device,
                )
                plain, fused = case.plain(scratch), case.fused(operators, scratch)
                wrong = _difference(plain, fused)
                if wrong is not None:
                    return f"they compute {wrong} of a layer wrongly ({doubles=}, {window=})"
    return None


def _difference(plain: LayerPass, fused: FusedPass) -> str | None:
    random = torch.Generator().manual_seed(1)
    shape = (2 * len(plain.result), *plain.result.shape[1:])
    directions = torch.randn(shape, generator=random).to(plain.result.device)
    expected = (plain.result, *plain.pull_back(directions))
    found = (fused.result, *fused.pull_back(directions))
    names = ("the result", "the derivative", "the style's derivative")
    for name, one, other in zip(names, found, expected, strict=True):
        assert one is not None and other is not None
        # Written so that NaN is a difference.
        if not (one - other).abs().max() <= _CLOSE * other.abs().max():
            return name
    return None


@torch.no_grad()
def speed_up(operators: FusedOperators) -> float:
    """How many times as fast as torch's they are for a usual block's two layers, and back."""
    of_plain = of_fused = 0.0
    for doubles in (False, True):
        case = _Case.of(*((512, 512), 64, 14), doubles=doubles, clamp=None, device=operators.device)
        scratch = Scratch()
        # The first round has what is done once.
        for is_counted in (False, True):
            started = _now_s(operators.device)
            for _ in range(_ROUNDS):
                done = case.plain(scratch)
                done.pull_back(done.result)
            between = _now_s(operators.device)
            for _ in range(_ROUNDS):
                also = case.fused(operators, scratch)
                also.pull_back(also.result)
            of_plain += is_counted * (between - started)
            of_fused += is_counted * (_now_s(operators.device) - between)
    return of_plain / of_fused


def _now_s(device: torch.device) -> float:
    """The time when all that the device was given is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
