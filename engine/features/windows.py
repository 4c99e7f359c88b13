# SPDX-License-Identifier: GPL-3.0-or-later
"""Computes only the windows of a feature map, exactly, at a fraction of the whole map's cost.

The map of the held block, which the fixed area of a mask needs, is computed as a whole. That costs
little if the held block is an early one. On a canvas the windows are blended with what is below,
and the held map, which is not, is a computation of its own. It is also one where windows are
cheaper from a lower block on, see ``choose_plan``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from stylegan2 import (
    Canvas,
    Generator,
    GeneratorConfig,
    WindowPass,
    WindowPlan,
    WindowSynthesis,
    fused_operators,
    plan_windows,
    window_graphs,
)

from .full_map import FullMapSource
from .source import (
    FeatureGrid,
    FeatureView,
    FixedArea,
    ImageOf,
    Windows,
    grid_of,
    reference_map,
    spread_of,
)

# The largest number of windows in a group, see ``WindowSource._groups``.
_GROUP = 16


class WindowSource:
    """A ``FeatureSource`` that computes only windows, and the held map if there is a mask."""

    def __init__(
        self,
        generator: Generator,
        resolution: int,
        start: Tensor,
        num_layers: int,
        reference_ws: Tensor,
        fixed: Tensor | None = None,
        held: int = 0,
        canvas: Canvas | None = None,
        *,
        directions: int = 0,
        between: Callable[[], None] = lambda: None,
        image_of: ImageOf | None = None,
    ) -> None:
        """Compute the features that the fixed area keeps, if there is a mask.

        Args:
            generator: Frozen, on the device to compute on.
            resolution: The feature block, see ``source.feature_block``.
            start: ``num_ws x w_dim`` float32. Every latent to observe equals it from row
                ``num_layers`` on.
            num_layers: How many of the first w vectors may change.
            reference_ws: ``num_ws x w_dim`` float32, the latent whose features the fixed area
                keeps.
            fixed: ``H x W`` float32 in the image's size, 1 where nothing may change; None without
                a mask. See ``source.FixedArea``.
            held: The block whose features the fixed area keeps, see ``source.held_block``; 0 for
                the feature block.
            canvas: The picture whose features are observed, of which one latent changes; None for
                the pictures of the generator.
            directions: How many directions of each window are pulled back at every latent with
                ``FeatureView.pull_back_each``, usually.
            between: Called between parts of the computations; it may raise to end them.
            image_of: See ``drag.drag``. With a canvas or a fixed area nobody is asked.
        """
        self._generator = generator
        self._canvas = canvas
        self._resolution = resolution
        self._start = start
        self._reference_ws = reference_ws
        self._num_layers = min(num_layers, generator.layers_below(resolution))
        self._grid = grid_of(generator, resolution)
        self._mask = fixed
        self._directions = directions
        self._between = between
        self._image_of = image_of
        self._full: FullMapSource | None = None
        # Looked up once, so that a drag does not switch operators when they become ready.
        self._operators = fused_operators(start.device)
        self._graphs = window_graphs(generator, start.device)
        # With the synthesis, whether the held map is computed apart from it.
        self._syntheses: dict[tuple[int, int], tuple[WindowSynthesis, bool]] = {}
        self._held_block = 0
        self.fixed: FixedArea | None = None
        if fixed is not None and bool(fixed.any()):
            self._held_block = held or resolution
            reference = reference_map(generator, canvas, self._held_block, reference_ws)
            self.fixed = FixedArea(reference, fixed)

    @property
    def grid(self) -> FeatureGrid:
        """The sizes of the image and of the feature map."""
        return self._grid

    def observe(self, ws: Tensor, centres: Tensor, radius: int) -> FeatureView:
        """Compute the windows of a latent; see ``source.FeatureSource.observe``."""
        side = 2 * radius + 1
        columns, rows = self._grid.feature_size
        if side > min(columns, rows):
            return self._full_maps().observe(ws, centres, radius)
        wanted = (centres.detach() + 0.5).floor() - radius
        x, y = wanted.unbind(-1)
        # A window that would extend beyond the map is moved back, so that all its pixels exist.
        origins = torch.stack([x.clamp(0, columns - side), y.clamp(0, rows - side)], dim=-1)
        image = None
        if self._image_of is not None and self._canvas is None and self.fixed is None:
            image = self._image_of(ws.detach(), self._num_layers, self._between)
        groups = self._groups(origins)
        runs, is_held_apart = [], False
        for group in groups:
            synthesis, is_held_apart = self._synthesis(side, len(group), len(groups) > 1)
            runs.append(synthesis.run(ws.detach(), group.long(), image))
        held = runs[0]
        if is_held_apart:
            held = self._synthesis(1, 0)[0].run(ws.detach(), origins[:0].long())
        return WindowView(self, ws, runs, held, origins)

    def whole_map(self, ws: Tensor) -> Tensor:
        """Return the feature map of a latent.

        Args:
            ws: ``num_ws x w_dim`` float32.

        Returns:
            ``C x h x w`` float32, without a gradient.
        """
        where = self._generator if self._canvas is None else self._canvas
        with torch.no_grad():
            return where.features(ws[None], self._resolution)[0]

    @property
    def held_block(self) -> int:
        """The block whose features the fixed area keeps; 0 if nothing is fixed."""
        return self._held_block

    def _groups(self, origins: Tensor) -> tuple[Tensor, ...]:
        """Return the windows, ``P x 2``, in groups that are computed one after the other.

        A backward pass that takes each window apart costs the same in groups, with less memory, and
        can be left between them. Other passes share what whole maps compute, and are not divided.
        """
        if not self._directions or len(origins) <= _GROUP:
            return (origins,)
        return torch.tensor_split(origins, math.ceil(len(origins) / _GROUP))

    def _synthesis(
        self, side: int, count: int, is_group: bool = False
    ) -> tuple[WindowSynthesis, bool]:
        key = (side, count)
        if key not in self._syntheses:
            # Without points, only the held map is computed.
            wanted = self._resolution if count else self._held_block
            is_blended = self._canvas is not None and count > 0
            plan, is_held_apart = choose_plan(
                self._generator.config,
                wanted,
                side if count else 1,
                count,
                held=self._held_block,
                directions=self._directions,
                must_be_apart=is_blended or is_group,
            )
            synthesis = WindowSynthesis(
                self._generator,
                wanted,
                plan,
                self._start,
                self._num_layers,
                self._operators,
                self._canvas if is_blended else None,
                self._between,
                self._graphs,
            )
            self._syntheses[key] = synthesis, is_held_apart
        return self._syntheses[key]

    def _full_maps(self) -> FullMapSource:
        if self._full is None:
            self._full = FullMapSource(
                self._generator,
                self._resolution,
                self._reference_ws,
                self._mask,
                self._held_block,
                self._canvas,
                between=self._between,
            )
        return self._full


def choose_plan(
    config: GeneratorConfig,
    resolution: int,
    side: int,
    count: int,
    *,
    held: int = 0,
    directions: int = 0,
    must_be_apart: bool = False,
) -> tuple[WindowPlan, bool]:
    """Return the plan of windows, and whether the map of the held block is computed apart.

    Args:
        config: The network.
        resolution: The feature block.
        side: Side of the windows, feature pixels.
        count: Number of windows; 0 for the held map alone.
        held: The held block; 0 without a mask.
        directions: See ``WindowSource``.
        must_be_apart: Whether the held map cannot be one that the windows are computed from: on a
            canvas, and where windows are in groups.
    """
    together = plan_windows(config, resolution, side, count, least_crop=held, directions=directions)
    if not held or not count:
        return together, False
    alone = plan_windows(config, resolution, side, count, directions=directions)
    of_held = plan_windows(config, held, 1, 0, least_crop=held).multiply_adds
    is_apart = must_be_apart or (
        multiply_adds(alone, count, directions) + of_held
        < multiply_adds(together, count, directions)
    )
    return (alone if is_apart else together), is_apart


def multiply_adds(plan: WindowPlan, count: int, directions: int) -> int:
    """Return the multiply-adds of a forward pass and of the directions that are pulled back."""
    return plan.multiply_adds + directions * count * plan.multiply_adds_back


class WindowView:
    """The ``FeatureView`` of a ``WindowSource``."""

    def __init__(
        self,
        source: WindowSource,
        ws: Tensor,
        runs: Sequence[WindowPass],
        held_run: WindowPass,
        origins: Tensor,
    ) -> None:
        """Connect the results of passes to the latent.

        Args:
            source: What has computed them.
            ws: ``num_ws x w_dim`` float32, the latent.
            runs: The passes with the windows, in order.
            held_run: The pass with the held map, often the only one of these.
            origins: ``P x 2`` float32, see ``Windows``.
        """
        self._source = source
        self._ws = ws
        self._runs = runs
        self._held: Tensor | None = None
        values = []
        for run in [*runs, *([] if held_run in runs else [held_run])]:
            block = source.held_block if run is held_run else 0
            part, held = _WithGradient.apply(ws, run, block)  # type: ignore[no-untyped-call]
            values.append(part)
            self._held = held if run is held_run else self._held
        together = values[0] if len(runs) == 1 else torch.cat(values[: len(runs)])
        self._windows = Windows(together, origins)

    @property
    def windows(self) -> Windows:
        """The windows around the centres, with a gradient to the latent."""
        return self._windows

    def pull_back_each(self, directions: Tensor) -> Tensor:
        """Differentiate each group in one pass; see ``source.FeatureView.pull_back_each``."""
        parts = torch.split(directions, [len(run.values) for run in self._runs], dim=1)
        rows = [run.pull_back_each(part) for run, part in zip(self._runs, parts, strict=True)]
        return torch.cat(rows, dim=1)

    def fixed_change(self) -> Tensor:
        """Return the mean absolute change; see ``source.FeatureView.fixed_change``."""
        if self._source.fixed is None or self._held is None:
            return self._ws.new_zeros(())
        return self._source.fixed.change(self._held)

    def fixed_difference(self) -> Tensor | None:
        """Return the change as a vector; see ``source.FeatureView.fixed_difference``."""
        if self._source.fixed is None or self._held is None:
            return None
        return self._source.fixed.difference(self._held)

    def spread(self) -> Tensor:
        """Compute the whole map for its spread; see ``source.FeatureView.spread``."""
        return spread_of(self._source.whole_map(self._ws.detach()))

    def fixed_spread(self) -> Tensor:
        """Return the spread of the held map; see ``source.FeatureView.fixed_spread``."""
        assert self._held is not None, "called only if there is a fixed area"
        return spread_of(self._held)


class _WithGradient(torch.autograd.Function):
    """Connects a pass's windows and held map to the latent for autograd."""

    @staticmethod
    def forward(
        ctx: Any, ws: Tensor, run: WindowPass, held_block: int
    ) -> tuple[Tensor, Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.run, ctx.held_block, ctx.shape = run, held_block, ws.shape
        held = run.maps[held_block][0].permute(2, 0, 1) if held_block else None
        # Another tensor of the same values: the one of the pass would refer to this node, which
        # refers to the pass, and only a collection of garbage would free them.
        return run.values.detach(), held

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, None, None]:
        windows, held = gradients
        maps = {} if held is None else {ctx.held_block: held.permute(1, 2, 0)[None]}
        rows = ctx.run.pull_back(windows, maps)
        gradient = rows.new_zeros(ctx.shape)
        gradient[: len(rows)] = rows
        return gradient, None, None
