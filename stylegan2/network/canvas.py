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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops import upsample2d
from .box import Box, PatchedMap
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
        self._boxes: dict[int, Box] = {}

    def box(self, resolution: int) -> Box:
        """Return the box of what is seen at the size of a block, see ``Box.around``."""
        known = self._boxes.get(resolution)
        if known is None:
            known = self._boxes[resolution] = Box.around(self.at(resolution))
        return known

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
    """A base or a part of an overlay, computed for N latents up to some block.

    Attributes:
        ws: ``N x num_ws x w_dim`` float32.
        matte: Where its overlay is seen; None for a base.
        below: What its overlay covers; None for a base.
        inside: Where it is seen in its overlay; None for the first part.
        before: The part before it; None for the first.
        features: Of each block so far, blended.
        colours: Of each block so far, blended and not yet added up; None if they are never seen.
    """

    ws: Tensor
    matte: Matte | None = None
    below: _Level | None = None
    inside: Matte | None = None
    before: _Level | None = None
    features: list[PatchedMap] = field(default_factory=list)
    colours: list[PatchedMap | None] = field(default_factory=list)

    def outer_box(self, block: int, config: GeneratorConfig) -> Box:
        """Return the box of a block's map in which the overlay is seen; all of it for a base."""
        if self.matte is None:
            return Box.whole(config.block_shape(block))
        return self.matte.box(block)

    def box(self, block: int, config: GeneratorConfig) -> Box:
        """Return the box in which this part of the overlay is seen."""
        outer = self.outer_box(block, config)
        return outer if self.inside is None else outer.overlap(self.inside.box(block))


# An overlay's latents with where each is seen in it, and where the overlay is seen.
_Parts = list[tuple[Tensor, Matte | None]]
_Over = tuple[_Parts, Matte | None]


def _add(levels: list[_Level], parts: _Parts, matte: Matte | None) -> None:
    """Append an overlay to the levels below it, each of which is the last part of its overlay.

    A clipped part repeats a level below with another latent. Each part is therefore blended with
    the level that it repeats, so that an overlay whose latents are those below shows what is below.
    """
    level: _Level | None = None
    for number, (ws, inside) in enumerate(parts):
        below = levels[-1] if levels else None
        following = parts[number + 1][1] if number + 1 < len(parts) else None
        if following is not None:
            for under, over in pairwise(levels):
                if over.matte is not None and torch.equal(over.matte.full, following.full):
                    below = under
                    break
        level = _Level(ws, matte, below, inside, level)
    assert level is not None, "an overlay has at least one latent"
    levels.append(level)


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
        every: list[_Over] = [([(base, None)], None)]
        for one in overlays:
            clipped = [(part.ws, part.matte) for part in one.clipped]
            every.append(([(one.ws, None), *clipped], one.matte))
        self.start = every[first_open][0][0][0]
        self._open = every[first_open:]
        self._below: list[_Level] = []
        for parts, matte in every[:first_open]:
            _add(self._below, [(latent[None], inside) for latent, inside in parts], matte)

    @property
    def has_below(self) -> bool:
        """Whether something is below that does not change."""
        return bool(self._below)

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
        with torch.no_grad():
            return self._whole(self._features(self._below[-1], resolution), resolution)

    def features(self, ws: Tensor, resolution: int) -> Tensor:
        """Compute the blended features of one block; see ``Generator.features``.

        Args:
            ws: ``N x num_ws x w_dim`` float32, see the class.
            resolution: Name of the block.
        """
        return self._whole(self._features(self._top(ws), resolution), resolution)

    def image(self, ws: Tensor, resolution: int | None = None) -> Tensor:
        """Compute the picture, or the smaller one of a block; see ``SynthesisNetwork.forward``.

        Args:
            ws: ``N x num_ws x w_dim`` float32, see the class.
            resolution: Name of a block; None for the last.
        """
        config = self.generator.config
        top = config.img_resolution if resolution is None else resolution
        if not config.has_rgb(top):
            return F.adaptive_avg_pool2d(self.image(ws), config.block_shape(top))
        return self._whole(self._image(self._top(ws), top), top)

    def share_below(self, other: Canvas) -> None:
        """Take over what another canvas has computed of what is below.

        Args:
            other: A canvas with the same latents and masks below.
        """
        self._below = other._below

    def _whole(self, known: PatchedMap, resolution: int) -> Tensor:
        return known.cut(Box.whole(self.generator.config.block_shape(resolution)))

    def _top(self, ws: Tensor) -> _Level:
        levels = list(self._below)
        for parts, matte in self._open:
            moved = [
                (ws if latent is self.start else latent + (ws - self.start), inside)
                for latent, inside in parts
            ]
            _add(levels, moved, matte)
        return levels[-1]

    def _features(self, level: _Level, resolution: int) -> PatchedMap:
        """Compute a level, and what is below, up to a block; return its features there."""
        count = self.generator.config.level_of(resolution) + 1
        for block in self.generator.config.resolutions[len(level.features) : count]:
            x = self._block(level, block)
            level.features.append(self._blended(level, block, x, self._features))
        return level.features[count - 1]

    def _block(self, level: _Level, block: int) -> Tensor:
        """Compute the features of a block where the level is seen, without what it covers."""
        config, network = self.generator.config, self.generator.synthesis.block(block)
        last = config.layers_below(block)
        ws, box = level.ws[:, max(last - 2, 0) : last], level.box(block, config)
        if not level.features:
            return box.cut(network(None, ws, "const"))
        needed = box.below_block(config.block_shape(block // 2))
        x = network(level.features[-1].cut(needed), ws, "const", needed.doubled())
        return box.within(needed.doubled()).cut(x)

    def _colours(self, level: _Level, resolution: int) -> PatchedMap | None:
        """Return the colours of a block; None if they are never seen."""
        config = self.generator.config
        self._features(level, resolution)
        count = config.level_of(resolution) + 1
        for block in config.resolutions[len(level.colours) : count]:
            if not config.has_rgb(block):
                level.colours.append(None)
                continue
            x = level.features[config.level_of(block)].cut(level.box(block, config))
            w = level.ws[:, config.layers_below(block)]
            colour = self.generator.synthesis.block(block).torgb(x, w)
            level.colours.append(self._blended(level, block, colour, self._seen_colours))
        return level.colours[count - 1]

    def _seen_colours(self, level: _Level, resolution: int) -> PatchedMap:
        colours = self._colours(level, resolution)
        assert colours is not None
        return colours

    def _image(self, level: _Level, resolution: int) -> PatchedMap:
        config = self.generator.config
        self._colours(level, resolution)
        box = level.box(resolution, config)
        image = self._sum(level, resolution, box)
        return self._blended(level, resolution, image, self._image)

    def _sum(self, level: _Level, resolution: int, box: Box) -> Tensor:
        """Add up the colours of the blocks up to one of them, in a box of it."""
        config = self.generator.config
        image = self._seen_colours(level, resolution).cut(box)
        if config.architecture != "skip" or resolution == config.resolutions[0]:
            return image
        needed = box.below_image(config.block_shape(resolution // 2))
        smaller = self._sum(level, resolution // 2, needed)
        larger = upsample2d(smaller, self.generator.synthesis.taps)
        return box.within(needed.doubled()).cut(larger) + image

    def _blended(
        self, level: _Level, block: int, x: Tensor, known: Callable[[_Level, int], PatchedMap]
    ) -> PatchedMap:
        """Blend what a level shows with the part before it, and with what it covers.

        Args:
            level: The level.
            block: Name of the block.
            x: ``N x C x h x w``, of the level's box.
            known: Returns the same of another level.

        Returns:
            The map, which equals what is below, to the bit, where the matte is zero.
        """
        config = self.generator.config
        box, outer = level.box(block, config), level.outer_box(block, config)
        # ``lerp`` returns one of both, unchanged, where a matte is 0 or 1.
        if level.before is not None and level.inside is not None:
            before, seen = known(level.before, block), box.cut(level.inside.at(block))
            x = PatchedMap(box, torch.lerp(before.cut(box), x, seen), before).cut(outer)
        if level.below is None or level.matte is None:
            return PatchedMap(outer, x)
        below, seen = known(level.below, block), outer.cut(level.matte.at(block))
        return PatchedMap(outer, torch.lerp(below.cut(outer), x, seen), below)
