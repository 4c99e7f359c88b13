# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of which feature maps a window of the last one depends on, and what they cost.

Between the latent and a feature map StyleGAN2 has no operation that looks at the whole image: a
convolution reads one pixel around, and the upsampling one, with its low-pass filter, one pixel of
the map below on either side of where its output is. So a window of a map depends on a smaller part
of the map below it, that part soon covers most of its map, and then it is cheaper to compute the
whole maps: up to some block these are computed, windows are cut from the last one, and from there
on there are only windows.

Windows of one block are all of the same size, so that they form a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..network.config import GeneratorConfig

_KERNEL = 9
"""Multiplications of a 3 x 3 kernel for each pair of channels: for each output pixel of a
convolution, and for each input pixel of one that doubles the size."""


@dataclass(frozen=True)
class WindowBlock:
    """How one block computes its windows.

    Attributes:
        resolution: the block.
        side_in: pixels of the block below that a window is computed from, in each direction.
        side_out: pixels of this block that come out.
    """

    resolution: int
    side_in: int
    side_out: int

    def multiply_adds(self, config: GeneratorConfig) -> int:
        """Of one window, convolutions alone."""
        channels = config.channels_at(self.resolution)
        doubling = self.side_in**2 * config.channels_at(self.resolution // 2)
        return _KERNEL * channels * (doubling + self.side_out**2 * channels)


@dataclass(frozen=True)
class WindowPlan:
    """How to compute windows of the features of one block.

    Attributes:
        side: of the windows that are wanted, pixels of their block.
        crop: the last block that is computed as a whole: the one that is wanted, if windows save
            nothing.
        blocks: those above it, upwards; the last one's windows are what is wanted.
        multiply_adds: of a forward pass over all of it, convolutions alone.
    """

    side: int
    crop: int
    blocks: tuple[WindowBlock, ...]
    multiply_adds: int

    @property
    def cut_side(self) -> int:
        """The side of the windows that are cut from the last whole map."""
        return self.blocks[0].side_in if self.blocks else self.side


def side_below(side: int) -> int:
    """How many pixels of the block below a window of ``side`` pixels is computed from.

    The output ``[a, a + side)`` of a block's second convolution reads ``[a - 1, a + side + 1)`` of its
    first, the upsampling one, whose output ``o`` reads the inputs from ``ceil((o - 3) / 2)`` to
    ``floor((o + 2) / 2)``. From ``floor((a - 3) / 2)`` on, as many are enough for any a.
    """
    return (side + 8) // 2


def plan_windows(
    config: GeneratorConfig, resolution: int, side: int, count: int, *, least_crop: int = 0
) -> WindowPlan:
    """The way to compute windows with the fewest multiply-adds.

    Args:
        resolution: the block whose features are wanted.
        side: of the windows, pixels of that block.
        count: how many of them.
        least_crop: blocks up to this one are computed as a whole in any case.
    """
    blocks = config.resolutions[: config.level_of(resolution) + 1]
    whole = [whole_multiply_adds(config, block) for block in blocks]
    best = WindowPlan(side, resolution, (), sum(whole))
    windows: tuple[WindowBlock, ...] = ()
    needed = side
    for level in range(len(blocks) - 1, 0, -1):
        block = WindowBlock(blocks[level], side_below(needed), needed)
        fits = block.side_out <= min(config.block_shape(block.resolution))
        if blocks[level - 1] < least_crop or not fits:
            break
        windows = (block, *windows)
        needed = block.side_in
        cost = sum(whole[:level]) + count * sum(b.multiply_adds(config) for b in windows)
        if cost < best.multiply_adds:
            best = WindowPlan(side, blocks[level - 1], windows, cost)
    return best


def whole_multiply_adds(config: GeneratorConfig, resolution: int) -> int:
    """Of a block's whole map, convolutions alone."""
    height, width = config.block_shape(resolution)
    channels = config.channels_at(resolution)
    cost = height * width * channels * channels
    if resolution > config.resolutions[0]:
        cost += height * width // 4 * config.channels_at(resolution // 2) * channels
    return _KERNEL * cost
