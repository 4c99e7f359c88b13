# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures with more than one latent: overlays, each with a mask and a latent, over a base.

A style is applied to a feature map place by place, so several latents can share one picture. An
overlay is computed from the constant upwards with its own latent. After each block its features are
blended with those of what is below it, ``x = m * block(x, w) + (1 - m) * x_below``, where m is the
mask averaged to the size of the block. The RGB of each block is blended in the same way before it
is added to the image. Finally the image is blended with the image below by the mask in full size,
so that it equals the image below, to the bit, wherever the mask is zero. What is below an overlay
may itself contain overlays. An overlay may have several latents itself: further ones are *clipped*
to it, each seen through its own mask in place of the first, inside the overlay only.

Blending the features of two latents by place is known from copying parts between images: Suzuki et
al., "Spatially Controllable Image Synthesis with Internal Representation Collaging" (2018), and
Collins et al., "Editing in Style" (2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import upsample2d
from .config import GeneratorConfig
from .generator import Generator
from .shapes import check_shape


class Matte:
    """A mask with a soft border, in the size of every block.

    Attributes:
        full: ``1 x 1 x H x W`` float32 in the size of the image, 0 to 1: how much of the overlay is
            seen at each pixel.
    """

    def __init__(self, config: GeneratorConfig, free: Tensor, softness: float = 0.0) -> None:
        """Soften a mask inwards: where it is zero, the matte is zero.

        Args:
            config: The configuration of the generator whose images the mask is for.
            free: ``H x W`` float32 in the size of the image, 0 = what is below, 1 = the overlay.
            softness: Over how many pixels the matte rises from 0 at the border of the mask's zeros
                to the value of the mask; 0 for the mask as it is.

        Raises:
            ValueError: The mask has another size than the image.
        """
        check_shape("free", free, config.img_shape[1:])
        self._config = config
        self.full = (free * _rise(free, softness))[None, None]
        self._sizes: dict[int, Tensor] = {}

    def at(self, resolution: int) -> Tensor:
        """Return the matte averaged to the size of a block, ``1 x 1 x height x width`` float32."""
        known = self._sizes.get(resolution)
        if known is None:
            shape = self._config.block_shape(resolution)
            known = self._sizes[resolution] = F.adaptive_avg_pool2d(self.full, shape)
        return known


def _rise(free: Tensor, softness: float) -> Tensor:
    """Return ``H x W``, rising smoothly from 0 at the zeros of a mask to 1 within ``softness`` px.

    The distance to the nearest zero is Euclidean, computed for both axes one after the other
    (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012).
    """
    far = float(softness) + 1
    squares = torch.where(free > 0, torch.full_like(free, far * far), torch.zeros_like(free))
    steps = range(1, int(far) + 1)
    for _ in range(2):
        nearest = squares.clone()
        for step in steps:
            nearest[step:] = torch.minimum(nearest[step:], squares[:-step] + step * step)
            nearest[:-step] = torch.minimum(nearest[:-step], squares[step:] + step * step)
        squares = nearest.T.contiguous()
    share = (squares.sqrt() / far).clamp(0, 1)
    return share * share * (3 - 2 * share)


@dataclass(frozen=True, eq=False)
class Overlay:
    """A latent that is seen through a matte.

    Attributes:
        ws: ``num_ws x w_dim`` float32.
        matte: Where it is seen.
        clipped: Further latents of the overlay, which are seen inside it only.
    """

    ws: Tensor
    matte: Matte
    clipped: tuple[Overlay, ...] = ()


@dataclass(eq=False)
class _Level:
    """A base or an overlay, computed for N latents up to some block.

    Attributes:
        parts: Its latents, ``N x num_ws x w_dim`` float32 each, and where each is seen inside it;
            None for the first.
        matte: Where it is seen; None for a base.
        below: What it covers; None for a base.
        features: ``N x C x h x w`` of each block so far, blended.
        colours: ``N x img_channels x h x w`` of each block so far, blended and not yet added up.
    """

    parts: list[tuple[Tensor, Matte | None]]
    matte: Matte | None = None
    below: _Level | None = None
    features: list[Tensor] = field(default_factory=list)
    colours: list[Tensor] = field(default_factory=list)


class Canvas:
    """A picture of several latents, of which the topmost may change.

    The latents that do not change are computed once. The others are the *open* ones: they change
    together, by the same change. Methods take the latent of the lowest open one, and add its change
    since the start to the others.

    Attributes:
        generator: The generator.
        start: ``num_ws x w_dim`` float32, the latent of the lowest open one.
    """

    def __init__(
        self, generator: Generator, base: Tensor, overlays: Sequence[Overlay], first_open: int
    ) -> None:
        """Take over the latents; nothing is computed yet.

        Args:
            generator: Frozen, on the device of the latents.
            base: ``num_ws x w_dim`` float32.
            overlays: What covers the base, from the lowest to the topmost.
            first_open: The lowest one that may change: 0 for the base, 1 for the first overlay.

        Raises:
            ValueError: There is no such overlay.
        """
        if not 0 <= first_open <= len(overlays):
            raise ValueError(
                f"there are {len(overlays)} overlays, but the first open is {first_open}"
            )
        self.generator = generator
        levels: list[tuple[list[tuple[Tensor, Matte | None]], Matte | None]] = [
            ([(base, None)], None)
        ]
        for one in overlays:
            clipped = [(part.ws, part.matte) for part in one.clipped]
            levels.append(([(one.ws, None), *clipped], one.matte))
        self.start = levels[first_open][0][0][0]
        self._open = levels[first_open:]
        self._below: _Level | None = None
        for parts, matte in levels[:first_open]:
            whole = [(latent[None], inside) for latent, inside in parts]
            self._below = _Level(whole, matte, self._below)

    @property
    def has_below(self) -> bool:
        """Whether something is below that does not change."""
        return self._below is not None

    @property
    def is_single(self) -> bool:
        """Whether exactly one latent changes."""
        return len(self._open) == 1 and len(self._open[0][0]) == 1

    @property
    def matte(self) -> Matte | None:
        """Where the lowest open latent is seen; None if it is the base."""
        return self._open[0][1]

    def below(self, resolution: int) -> Tensor:
        """Return the features of what does not change, ``1 x C x h x w`` float32.

        Args:
            resolution: Name of the block.

        Raises:
            ValueError: The model has no such block.
        """
        assert self._below is not None, "asked only if has_below"
        with torch.no_grad():
            return self._features(self._below, resolution)

    def features(self, ws: Tensor, resolution: int) -> Tensor:
        """Compute the blended features of one block; see ``Generator.features``.

        Args:
            ws: ``N x num_ws x w_dim`` float32, see the class.
            resolution: Name of the block.
        """
        return self._features(self._top(ws), resolution)

    def image(self, ws: Tensor, resolution: int | None = None) -> Tensor:
        """Compute the picture, or the smaller one of a block; see ``SynthesisNetwork.forward``.

        Args:
            ws: ``N x num_ws x w_dim`` float32, see the class.
            resolution: Name of a block; None for the last.
        """
        top = self.generator.config.img_resolution if resolution is None else resolution
        return self._image(self._top(ws), top)

    def share_below(self, other: Canvas) -> None:
        """Take over what another canvas has computed of what is below.

        Args:
            other: A canvas with the same latents and masks below.
        """
        self._below = other._below

    def _top(self, ws: Tensor) -> _Level:
        level = self._below
        for parts, matte in self._open:
            moved = [
                (ws if latent is self.start else latent + (ws - self.start), inside)
                for latent, inside in parts
            ]
            level = _Level(moved, matte, level)
        assert level is not None, "there is at least one open latent"
        return level

    def _features(self, level: _Level, resolution: int) -> Tensor:
        """Compute a level, and what is below, up to a block; return its features there."""
        config, network = self.generator.config, self.generator.synthesis
        count = config.level_of(resolution) + 1
        for block in config.resolutions[len(level.features) : count]:
            last = config.layers_below(block)
            under = level.features[-1] if level.features else None
            x: Tensor | None = None
            for ws, inside in level.parts:
                y = network.block(block)(under, ws[:, max(last - 2, 0) : last], "const")
                x = y if x is None or inside is None else torch.lerp(x, y, inside.at(block))
            assert x is not None, "a level has at least one latent"
            if level.below is not None and level.matte is not None:
                x = torch.lerp(self._features(level.below, block), x, level.matte.at(block))
            level.features.append(x)
        return level.features[count - 1]

    def _colours(self, level: _Level, resolution: int) -> Tensor:
        config, network = self.generator.config, self.generator.synthesis
        self._features(level, resolution)
        count = config.level_of(resolution) + 1
        for block in config.resolutions[len(level.colours) : count]:
            x = level.features[config.level_of(block)]
            colour: Tensor | None = None
            for ws, inside in level.parts:
                y = network.block(block).torgb(x, ws[:, config.layers_below(block)])
                colour = (
                    y
                    if colour is None or inside is None
                    else torch.lerp(colour, y, inside.at(block))
                )
            assert colour is not None, "a level has at least one latent"
            if level.below is not None and level.matte is not None:
                colour = torch.lerp(
                    self._colours(level.below, block), colour, level.matte.at(block)
                )
            level.colours.append(colour)
        return level.colours[count - 1]

    def _image(self, level: _Level, resolution: int) -> Tensor:
        config, taps = self.generator.config, self.generator.synthesis.taps
        self._colours(level, resolution)
        image = level.colours[0]
        for colour in level.colours[1 : config.level_of(resolution) + 1]:
            image = upsample2d(image, taps) + colour
        if level.below is None or level.matte is None:
            return image
        # Exact where the matte is 0 or 1: there ``lerp`` returns one of both, unchanged.
        return torch.lerp(self._image(level.below, resolution), image, level.matte.at(resolution))
