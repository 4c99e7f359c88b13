# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: which parts of which feature maps a window depends on, and what they cost.

Between the latent and a feature map StyleGAN2 has no operation that reads the whole image. A
convolution reads one pixel around its output. The upsampling convolution with its low-pass filter
reads one pixel of the map below on each side of its output. So a window of a map depends on a
smaller window of the map below it. In the lower blocks that window covers most of its map, and
computing the whole map is cheaper. So a plan has a block up to which whole maps are computed;
windows are cut from the map of that block, and the blocks above it compute windows only.

All windows of one block have the same size, so that they form a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..network.config import GeneratorConfig

# Multiply-adds of a 3 x 3 kernel per pair of channels: for each output pixel of a convolution, and
# for each input pixel of an upsampling convolution.
_KERNEL = 9


@dataclass(frozen=True)
class WindowBlock:
    """The sizes of the windows of one block.

    Attributes:
        resolution: Name of the block.
        side_in: Side of the windows of the block below that the block reads, in its pixels.
        side_out: Side of the windows that the block computes, in its pixels.
    """

    resolution: int
    side_in: int
    side_out: int

    def multiply_adds(self, config: GeneratorConfig) -> int:
        """Return the multiply-adds of the convolutions of one window."""
        channels = config.channels_at(self.resolution)
        upsampling = self.side_in**2 * config.channels_at(self.resolution // 2)
        return _KERNEL * channels * (upsampling + self.side_out**2 * channels)


@dataclass(frozen=True)
class WindowPlan:
    """The way to compute windows of the features of one block.

    Attributes:
        side: Side of the requested windows in pixels of their block.
        crop: Name of the last block that computes its whole map. It is the requested block if
            windows save nothing.
        blocks: The blocks above it, upwards; the last one computes the requested windows.
        multiply_adds: Multiply-adds of the convolutions in one forward pass.
        multiply_adds_back: Those that take one cotangent of one window back to the latent.
    """

    side: int
    crop: int
    blocks: tuple[WindowBlock, ...]
    multiply_adds: int
    multiply_adds_back: int

    @property
    def cut_side(self) -> int:
        """Side of the windows that are cut from the last whole map, in its pixels."""
        return self.blocks[0].side_in if self.blocks else self.side


def side_below(side: int) -> int:
    """Return the side of the window below that a window of ``side`` pixels depends on.

    Both sides are in pixels of their own block.

    For its output ``[a, a + side)`` the second convolution of a block reads
    ``[a - 1, a + side + 1)`` of the first one. Output ``o`` of the first one, the upsampling
    convolution, reads the inputs from ``ceil((o - 3) / 2)`` to ``floor((o + 2) / 2)``. The returned
    number of pixels, from ``floor((a - 3) / 2)`` on, contains these inputs for every ``a``.
    """
    return (side + 8) // 2


def plan_windows(
    config: GeneratorConfig,
    resolution: int,
    side: int,
    count: int,
    *,
    least_crop: int = 0,
    directions: int = 0,
) -> WindowPlan:
    """Return the plan with the fewest multiply-adds.

    Windows share what whole maps compute in a forward pass, but not in a backward pass that takes
    cotangents of each window apart. So with many windows whole maps are the cheapest for a forward
    pass, and windows from a low block on for such a backward pass.

    Args:
        config: The configuration of the generator.
        resolution: Name of the block of the requested features.
        side: Side of the windows in pixels of that block.
        count: Number of windows.
        least_crop: Name of a block; the blocks up to this one compute their whole maps.
        directions: How many cotangents of each window are taken back to the latent after each
            forward pass, as ``WindowPass.pull_back_each`` does.

    Raises:
        ValueError: The model has no block ``resolution``.
    """
    blocks = config.resolutions[: config.level_of(resolution) + 1]
    whole = [whole_multiply_adds(config, block) for block in blocks]
    best = WindowPlan(side, resolution, (), sum(whole), sum(whole))
    least = (1 + directions * count) * sum(whole)
    windows: tuple[WindowBlock, ...] = ()
    needed = side
    for level in range(len(blocks) - 1, 0, -1):
        block = WindowBlock(blocks[level], side_below(needed), needed)
        fits = block.side_out <= min(config.block_shape(block.resolution))
        if blocks[level - 1] < least_crop or not fits:
            break
        windows = (block, *windows)
        needed = block.side_in
        below, above = sum(whole[:level]), sum(b.multiply_adds(config) for b in windows)
        forward = below + count * above
        cost = forward + directions * count * (below + above)
        if cost < least:
            least = cost
            best = WindowPlan(side, blocks[level - 1], windows, forward, below + above)
    return best


def whole_multiply_adds(config: GeneratorConfig, resolution: int) -> int:
    """Return the multiply-adds of the convolutions of a block for its whole map."""
    height, width = config.block_shape(resolution)
    channels = config.channels_at(resolution)
    cost = height * width * channels * channels
    if resolution > config.resolutions[0]:
        cost += height * width // 4 * config.channels_at(resolution // 2) * channels
    return _KERNEL * cost
