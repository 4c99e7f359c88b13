# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparison of the fused operators with torch on this machine: correctness and speed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from ..network.layers import SynthesisLayer
from ..ops.fused import FusedOperators
from ..ops.scratch import Scratch
from .fused_pass import FusedPass, compute_map
from .layer_pass import KnownLayer, LayerPass, LayerStyle, Place
from .plan import side_below
from .prepared_layer import PreparedLayer

# Allowed difference between the fused operators and torch, relative to the largest magnitude.
_CLOSE = 1e-5
# The same for tiles of 4 x 4 results; see ``wide_winograd``.
_WIDE_CLOSE = 3e-5
_W_DIM = 5
_ROUNDS = 20
_ORIGINS = ((-3, 2), (4, 9), (2, 1))


@dataclass(frozen=True)
class _Case:
    """A layer with random parameters, its input, and the place of its windows."""

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
        """Return a case.

        Args:
            channels: Input and output channels of the layer.
            side: Side of the map in pixels.
            window: Side of the windows in pixels; 0 for the whole map.
            doubles: Whether the layer upsamples.
            clamp: Bound of the results, or None.
            device: Device of all tensors.
        """
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
            # ``side_below`` takes the side of the block's windows, which are two pixels smaller
            # than those of its upsampling layer.
            count, below = len(_ORIGINS), side_below(window - 2) if doubles else window + 2
        x = torch.randn(count, below, below, channels[0], generator=random).to(device)
        return cls(prepared, style, x, place)

    def plain(self, scratch: Scratch) -> LayerPass:
        """Compute the case with torch."""
        return LayerPass(self.layer, self.style, self.x, self.place, scratch=scratch)

    def fused(self, operators: FusedOperators, scratch: Scratch) -> FusedPass:
        """Compute the case with the fused operators."""
        layer, style, x, place = self.layer, self.style, self.x, self.place
        return FusedPass(operators, layer, style, x, place, keep=True, scratch=scratch)


@torch.no_grad()
def difference(operators: FusedOperators) -> str | None:
    """Compare the operators with torch on small layers: whole maps, windows, and gradients.

    Returns:
        A description of the first wrong value, or None if all are right.
    """
    scratch = Scratch()
    # The last one is computed by tiles of 4 x 4 results. It has no clamp: what is compared with the
    # largest magnitude is the error of values far beyond.
    for channels, side, doubles, clamp, close in (
        ((64, 96), 20, False, 0.7, _CLOSE),
        ((64, 96), 20, True, 0.7, _CLOSE),
        ((288, 320), 33, False, None, _WIDE_CLOSE),
    ):
        case = _Case.of(channels, side, 0, doubles=doubles, clamp=clamp, device=operators.device)
        layer, style, x = case.layer, case.style, case.x
        known = compute_map(operators, layer, style, x, keep=True, scratch=scratch)
        if known is not None and not _are_equal(known, case.plain(scratch).known(), close):
            return f"they compute a whole map wrongly ({channels=}, {doubles=})"
    if operators.has_patch_costs and not _are_patches_compared(operators):
        return "they compare patches wrongly"
    for doubles in (False, True):
        for clamp in (None, 0.7):
            for window in (0, 7):
                case = _Case.of(
                    (40, 72),
                    20,
                    window,
                    doubles=doubles,
                    clamp=clamp,
                    device=operators.device,
                )
                plain, fused = case.plain(scratch), case.fused(operators, scratch)
                wrong = _difference(plain, fused)
                if wrong is not None:
                    return f"they compute {wrong} of a layer wrongly ({doubles=}, {window=})"
    return None


def _are_patches_compared(operators: FusedOperators) -> bool:
    random = torch.Generator().manual_seed(2)
    count, side, samples, channels, memory = 2, 6, 5, 40, 0.5
    windows = torch.randn(count, side, side, channels, generator=random)
    places = torch.randint(side - 1, (count, 3, samples, 2), generator=random)
    fractions = torch.rand(places.shape, generator=random)
    pixels = places[..., 1] * side + places[..., 0]
    references, first = torch.randn(2, count, samples, channels, generator=random)
    rows = windows.flatten(1, 2)
    number = torch.arange(count)[:, None, None]
    a, b, d, e = (rows[number, pixels + step] for step in (0, 1, side, side + 1))
    x, y = fractions[..., :1], fractions[..., 1:]
    values = torch.lerp(torch.lerp(a, b, x), torch.lerp(d, e, x), y)
    expected = (values - references[:, None]).abs().sum(dim=(2, 3))
    expected += memory * (values - first[:, None]).abs().sum(dim=(2, 3))
    tensors = windows, pixels.int(), fractions, references, first
    return _are_close(operators.patch_costs(*tensors, memory), expected)


def _difference(plain: LayerPass, fused: FusedPass) -> str | None:
    random = torch.Generator().manual_seed(1)
    shape = (2 * len(plain.result), *plain.result.shape[1:])
    directions = torch.randn(shape, generator=random).to(plain.result.device)
    expected = (plain.result, *plain.pull_back(directions))
    found = (fused.result, *fused.pull_back(directions))
    names = ("the result", "the gradient of the input", "the gradient of the style")
    for name, one, other in zip(names, found, expected, strict=True):
        assert one is not None and other is not None
        if not _are_close(one, other):
            return name
    return None


def _are_equal(one: KnownLayer, other: KnownLayer, close: float) -> bool:
    assert one.convolved is not None and other.convolved is not None
    are_close = _are_close(one.result, other.result, close)
    return are_close and _are_close(one.convolved, other.convolved, close)


def _are_close(one: Tensor, other: Tensor, close: float = _CLOSE) -> bool:
    # This form of the comparison counts NaN as a difference.
    return bool((one - other).abs().max() <= close * other.abs().max())


@torch.no_grad()
def speed_up(operators: FusedOperators) -> float:
    """Return how many times as fast as torch the operators are, for both layers of a usual block.

    The measured time includes the gradients.
    """
    of_plain = of_fused = 0.0
    for doubles in (False, True):
        case = _Case.of((512, 512), 64, 14, doubles=doubles, clamp=None, device=operators.device)
        scratch = Scratch()
        # The first round contains work that is done only once, so it is not counted.
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
    """Return the time in seconds after the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
