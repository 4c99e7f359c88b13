# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows computed by themselves, exactly, at a fraction of the whole map's cost.

What a mask holds is computed as a whole; that costs little as long as it is an earlier block.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stylegan2 import Generator, WindowPass, WindowSynthesis, fused_operators, plan_windows

from .full_map import FullMapSource
from .source import FeatureGrid, FeatureView, FixedArea, Windows, grid_of, spread_of


class WindowSource:
    """Computes windows of a generator's features, and what a mask needs."""

    def __init__(
        self,
        generator: Generator,
        resolution: int,
        start: Tensor,
        free: int,
        reference_ws: Tensor,
        fixed: Tensor | None = None,
        held: int = 0,
    ) -> None:
        """Prepare the reference for the mask.

        Args:
            resolution: the feature block, as `feature_block` gives it.
            start: `num_ws x w_dim`; all latents to come have its rows from `free` on.
            free: how many of the first rows vary.
            reference_ws, fixed, held: as `FullMapSource` takes them.
        """
        self._generator = generator
        self._resolution = resolution
        self._start = start
        self._reference_ws = reference_ws
        self._free = min(free, generator.layers_below(resolution))
        self._grid = grid_of(generator, resolution)
        self._mask = fixed
        self._full: FullMapSource | None = None
        # As they are now, to the end: a drag does not change its way of computing.
        self._operators = fused_operators(start.device)
        self._syntheses: dict[tuple[int, int], WindowSynthesis] = {}
        self._held_block = 0
        self.fixed: FixedArea | None = None
        if fixed is not None and bool(fixed.any()):
            self._held_block = held or resolution
            with torch.no_grad():
                reference = generator.features(reference_ws[None], self._held_block)[0]
            self.fixed = FixedArea(reference, fixed)

    @property
    def grid(self) -> FeatureGrid:
        """The sizes of image and feature map."""
        return self._grid

    def observe(self, ws: Tensor, centres: Tensor, radius: int) -> FeatureView:
        """Compute the windows of `ws`; see `FeatureSource.observe`."""
        side = 2 * radius + 1
        columns, rows = self._grid.feature_size
        if side > min(columns, rows):
            return self._full_maps().observe(ws, centres, radius)
        wanted = (centres.detach() + 0.5).floor() - radius
        x, y = wanted.unbind(-1)
        # A window that would stick out is moved back: then none has anything but the map in it.
        origins = torch.stack([x.clamp(0, columns - side), y.clamp(0, rows - side)], dim=-1)
        run = self._synthesis(side, len(centres)).run(ws.detach(), origins.long())
        return WindowView(self, ws, run, origins)

    def whole_map(self, ws: Tensor) -> Tensor:
        """The feature map `C x h x w` of a latent, without gradient."""
        with torch.no_grad():
            return self._generator.features(ws[None], self._resolution)[0]

    @property
    def held_block(self) -> int:
        """The block whose features the mask holds; 0 without one."""
        return self._held_block

    def _synthesis(self, side: int, count: int) -> WindowSynthesis:
        key = (side, count)
        if key not in self._syntheses:
            # Without points there is nothing to compute but what the mask holds.
            wanted = self._resolution if count else self._held_block
            plan = plan_windows(
                self._generator.config,
                wanted,
                side if count else 1,
                count,
                least_crop=self._held_block,
            )
            self._syntheses[key] = WindowSynthesis(
                self._generator, wanted, plan, self._start, self._free, self._operators
            )
        return self._syntheses[key]

    def _full_maps(self) -> FullMapSource:
        if self._full is None:
            self._full = FullMapSource(
                *(self._generator, self._resolution, self._reference_ws),
                *(self._mask, self._held_block),
            )
        return self._full


class WindowView:
    """The view that `WindowSource` gives."""

    def __init__(self, source: WindowSource, ws: Tensor, run: WindowPass, origins: Tensor) -> None:
        self._source = source
        self._ws = ws
        self._run = run
        values, held = _WithGradient.apply(ws, run, source.held_block)  # type: ignore[no-untyped-call]
        self._windows = Windows(values, origins)
        self._held: Tensor | None = held

    @property
    def windows(self) -> Windows:
        """The windows around the centres, with gradient to the latent."""
        return self._windows

    def pull_back_each(self, directions: Tensor) -> Tensor:
        """In one pass; see `FeatureView.pull_back_each`."""
        return self._run.pull_back_each(directions)

    def fixed_change(self) -> Tensor:
        """Mean absolute change in the fixed area; see `FeatureView.fixed_change`."""
        if self._source.fixed is None or self._held is None:
            return self._ws.new_zeros(())
        return self._source.fixed.change(self._held)

    def fixed_difference(self) -> Tensor | None:
        """The change in the fixed area; see `FeatureView.fixed_difference`."""
        if self._source.fixed is None or self._held is None:
            return None
        return self._source.fixed.difference(self._held)

    def spread(self) -> Tensor:
        """How much the features differ over the map; see `FeatureView.spread`."""
        return spread_of(self._source.whole_map(self._ws.detach()))

    def fixed_spread(self) -> Tensor:
        """The same of the block that the mask holds."""
        assert self._held is not None, "asked only if there is a fixed area"
        return spread_of(self._held)


class _WithGradient(torch.autograd.Function):
    """Ties what a pass has computed to its latent: windows, and the map that the mask holds."""

    @staticmethod
    def forward(
        ctx: Any, ws: Tensor, run: WindowPass, held_block: int
    ) -> tuple[Tensor, Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.run, ctx.held_block, ctx.shape = run, held_block, ws.shape
        held = run.maps[held_block][0].permute(2, 0, 1) if held_block else None
        return run.values, held

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, None, None]:
        windows, held = gradients
        maps = {} if held is None else {ctx.held_block: held.permute(1, 2, 0)[None]}
        rows = ctx.run.pull_back(windows, maps)
        gradient = rows.new_zeros(ctx.shape)
        gradient[: len(rows)] = rows
        return gradient, None, None
