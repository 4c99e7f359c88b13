# SPDX-License-Identifier: GPL-3.0-or-later
"""How many multiply-adds a drag step cannot do without: the floor under its time.

Counted are the convolutions of one image.  A 3 x 3 convolution from I to O channels takes `9 I O`
for each pixel of its result; one that doubles the size is a transposed convolution and takes them
for each pixel of its *input*; toRGB takes `I O` a pixel.  Filters, modulation, noise and the loss
are not counted: they are small, or need not be there.

The way back costs a convolution as much again for the gradient of its input, and once more for that
of its weights where these depend on the latent.  It begins at the features, for the loss reads
nothing above them.  The least input gradient, of the constant, is counted too; it is nothing beside
the rest.
"""

from __future__ import annotations

import math

from stylegan2 import GeneratorConfig

KERNEL = 9


def of_literal_step(config: GeneratorConfig, block: int) -> int:
    """The public programs' step: the whole network forward, colours included, weights modulated.

    Args:
        block: the resolution of the block whose features are read.
    """
    top = config.img_resolution
    return of_features(config, top) + of_colours(config, top) + 2 * of_features(config, block)


def of_full_step(config: GeneratorConfig, block: int) -> int:
    """Our step with full maps: to the block and back, no gradient of a weight."""
    return 2 * of_features(config, block)


def of_windowed_step(config: GeneratorConfig, block: int, points: int, side: int) -> int:
    """Our step with windows, to the block and back; what a mask needs is not counted.

    Args:
        points: how many windows.
        side: the windows' width in pixels of the block.
    """
    return 2 * of_windows(config, block, points, side)


def of_features(config: GeneratorConfig, block: int) -> int:
    """Forward from the constant to the features of a block."""
    blocks = config.resolutions[: config.level_of(block) + 1]
    return sum(_block(config, resolution) for resolution in blocks)


def of_colours(config: GeneratorConfig, block: int) -> int:
    """Forward through the toRGB layers up to a block."""
    return sum(
        math.prod(config.block_shape(resolution))
        * config.channels_at(resolution)
        * config.img_channels
        for resolution in config.resolutions[: config.level_of(block) + 1]
    )


def of_windows(config: GeneratorConfig, block: int, points: int, side: int) -> int:
    """Forward to square windows of a block's features.

    The lower blocks are computed whole, the upper ones in a window for each point; where to change
    over is chosen so that it is least.  Windows take the widest place that they can be in, and
    none is wider than its map.
    """
    best = of_features(config, block)
    windowed = 0
    for resolution in reversed(config.resolutions[1 : config.level_of(block) + 1]):
        below = side_below(side)
        windowed += points * _convolutions(
            config,
            resolution,
            _within(config, resolution // 2, below),
            _within(config, resolution, side),
        )
        best = min(best, windowed + of_features(config, resolution // 2))
        side = below
    return best


def side_below(side: int) -> int:
    """How wide a window of the block below is needed, at most, for one of `side` pixels.

    The convolution reads a pixel more on each side: `h = side + 2`.  Pixels `[a, a + h)` of the
    upsampling one read rows `a - 1` to `a + h + 1` of the transposed convolution, through the
    filter, and so inputs from `ceil((a - 3) / 2)` to `floor((a + h + 1) / 2)`.
    """
    wide = side + 2
    return max((a + wide + 1) // 2 - (a - 2) // 2 + 1 for a in (0, 1))


def _block(config: GeneratorConfig, resolution: int) -> int:
    """Both convolutions of a block (the first has but one) over the whole map."""
    area = math.prod(config.block_shape(resolution))
    if resolution == config.resolutions[0]:
        return KERNEL * area * config.channels_at(resolution) ** 2
    return _convolutions(config, resolution, math.prod(config.block_shape(resolution // 2)), area)


def _convolutions(config: GeneratorConfig, resolution: int, below: int, area: int) -> int:
    """A block's two convolutions, by the pixels that they read below and those of the result."""
    channels = config.channels_at(resolution)
    return KERNEL * channels * (below * config.channels_at(resolution // 2) + area * channels)


def _within(config: GeneratorConfig, resolution: int, side: int) -> int:
    """The pixels of a square window on a block's map."""
    return math.prod(min(side, length) for length in config.block_shape(resolution))
