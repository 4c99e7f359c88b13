# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of feature sources, the coordinate spaces, and the fixed area of a mask.

A drag reads the feature map only near its handles, so it requests a square window around each of
them and never the whole map. ``full_map.FullMapSource`` computes the map and cuts the windows out;
``windows.WindowSource`` computes only the windows. Both return the same values, apart from
rounding, and a drag method does not depend on which one it has.

Two coordinate spaces are used. *Image pixels*: (x, y), origin at the top left, pixel centres at
half-integers. *Feature positions*: (x, y) in pixels of the feature map, pixel centres at integers,
so that integers are indices into the tensor. ``FeatureGrid`` converts between them; each axis has
its own scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from stylegan2 import Canvas, Generator, ImagePass

# The feature block of Pan et al., "Drag Your GAN", section 4, and of the official code.
USUAL_FEATURE_RESOLUTION = 128


# Asked for the pass of the image of a latent, ``num_ws x w_dim``, before features of it are
# computed. The pass is one that can be differentiated by the given number of w vectors; it calls
# the given function between its parts. The answer is None if the image is not about to be shown.
ImageOf = Callable[[Tensor, int, Callable[[], None]], ImagePass | None]


@dataclass(frozen=True)
class FeatureGrid:
    """The sizes of the image and of the feature map, and the conversions between them.

    Each axis is converted separately, with Python numbers: a tensor of sizes would have to be
    copied to the GPU, and the drag loop would wait for the copy.

    Attributes:
        image_size: (width, height) of the image, pixels.
        feature_size: (width, height) of the feature map, pixels.
    """

    image_size: tuple[int, int]
    feature_size: tuple[int, int]

    def to_feature(self, points_px: Tensor) -> Tensor:
        """Convert image pixels to feature positions: ``p * feature_size / image_size - 0.5``.

        Args:
            points_px: ``... x 2``.

        Returns:
            ``... x 2``.
        """
        (width, height), (columns, rows) = self.image_size, self.feature_size
        x, y = points_px.unbind(-1)
        return torch.stack([x * (columns / width), y * (rows / height)], dim=-1) - 0.5

    def to_image(self, positions: Tensor) -> Tensor:
        """Convert feature positions to image pixels, ``... x 2``; the inverse of ``to_feature``."""
        (width, height), (columns, rows) = self.image_size, self.feature_size
        x, y = (positions + 0.5).unbind(-1)
        return torch.stack([x * (width / columns), y * (height / rows)], dim=-1)

    def clamp(self, positions: Tensor) -> Tensor:
        """Clamp feature positions ``... x 2`` to the map: from -0.5 to its size - 0.5."""
        columns, rows = self.feature_size
        x, y = positions.unbind(-1)
        return torch.stack([x.clamp(-0.5, columns - 0.5), y.clamp(-0.5, rows - 0.5)], dim=-1)


def grid_of(generator: Generator, resolution: int) -> FeatureGrid:
    """Return the sizes of a generator's image and of the feature map of one of its blocks."""
    _, height, width = generator.img_shape
    rows, columns = generator.config.block_shape(resolution)
    return FeatureGrid((width, height), (columns, rows))


@dataclass(frozen=True)
class Windows:
    """One square piece of the feature map for each of P points.

    Attributes:
        values: ``P x S x S x C`` float32.
        origins: ``P x 2`` float32, the feature position (x, y) of each window's first pixel. Where
            a window ends at the border of the map, samples outside it have the border's value.
    """

    values: Tensor
    origins: Tensor

    def sample(self, positions: Tensor) -> Tensor:
        """Sample the windows bilinearly, each at its own positions.

        This selects rows by index instead of calling ``grid_sample``: it is exact at integer
        positions, the same on every device, and on the CPU sums the gradient in a fixed order.

        Args:
            positions: ``P x Q x 2`` feature positions, Q for each window; clamped to the window.

        Returns:
            ``P x Q x C`` float32.
        """
        count, side, _, channels = self.values.shape
        pixels, fraction = self.corner_of(positions)
        rows = self.values.reshape(count * side * side, channels)
        window = torch.arange(count, device=rows.device)[:, None]
        index = (window * side * side + pixels).flatten()
        right, below = min(side - 1, 1), min(side - 1, 1) * side

        def corner(step: int) -> Tensor:
            return rows.index_select(0, index + step).reshape(count, -1, channels)

        fx, fy = fraction[..., :1], fraction[..., 1:]
        upper = torch.lerp(corner(0), corner(right), fx)
        lower = torch.lerp(corner(below), corner(below + right), fx)
        return torch.lerp(upper, lower, fy)

    def of_samples(self, positions: Tensor, factors: Tensor) -> Tensor:
        """Apply the adjoint of ``sample``, to R sets of factors of the samples.

        Args:
            positions: ``P x Q x 2``, as for ``sample``.
            factors: ``R x P x Q x C``.

        Returns:
            ``R x P x S x S x C``: the factors of the values with the same sum of products.
        """
        count, side, _, channels = self.values.shape
        pixels, fraction = self.corner_of(positions)
        x, y = fraction[..., None].unbind(-2)
        right, below = min(side - 1, 1), min(side - 1, 1) * side
        window = torch.arange(count, device=pixels.device)[:, None]
        index = (window * side * side + pixels).flatten()
        total = factors.new_zeros(len(factors), count * side * side, channels)
        for step, share in (
            (0, (1 - x) * (1 - y)),
            (right, x * (1 - y)),
            (below, (1 - x) * y),
            (below + right, x * y),
        ):
            total.index_add_(1, index + step, (share * factors).flatten(1, 2))
        return total.view(len(factors), count, side, side, channels)

    def corner_of(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the upper left pixel of the four around each position, and where between them.

        Args:
            positions: ``P x Q x 2``, as for ``sample``.

        Returns:
            ``P x Q`` int64, indices into the pixels of a window; and ``P x Q x 2``, 0 to 1.
        """
        side = self.values.shape[1]
        local = (positions - self.origins[:, None]).clamp(0, side - 1)
        first = local.floor().clamp(max=max(side - 2, 0))
        x, y = first.long().unbind(-1)
        return y * side + x, local - first


class FeatureView(Protocol):
    """The features of one latent: windows around the points, and the fixed area."""

    @property
    def windows(self) -> Windows:
        """The windows around the centres, with a gradient to the latent."""
        ...

    def pull_back_each(self, directions: Tensor) -> Tensor:
        """Return the derivatives of ``sum(direction * window)``, separately for each window.

        Args:
            directions: ``R x P x S x S x C`` float32, R directions for each of the P windows.

        Returns:
            ``R x P x L x w_dim`` float32, the derivatives with respect to the first L w vectors of
            the latent. These include all that may change and on which the features depend.
        """
        ...

    def fixed_change(self) -> Tensor:
        """Return the mean absolute change of the features in the fixed area.

        The change is from the source's reference latent. The mean is over the fixed area only, so
        that the weight of this term relative to motion supervision does not depend on the size of
        the area.

        Returns:
            A scalar with a gradient to the latent; zero if nothing is fixed.
        """
        ...

    def fixed_difference(self) -> Tensor | None:
        """Return the change of the features in the fixed area as a vector.

        Returns:
            One dimension, with a gradient to the latent. Its sum of squares is the mean square of
            the change over the fixed area and all channels. None if nothing is fixed.
        """
        ...

    def spread(self) -> Tensor:
        """Return the spread of the whole feature map, a scalar; see ``spread_of``.

        Differences of features in units of the spread are comparable between networks. This may
        compute the whole map, so call it once per drag.
        """
        ...

    def fixed_spread(self) -> Tensor:
        """Return the spread of the map that ``fixed_difference`` compares, a scalar.

        Call this only if ``fixed_difference`` does not return None.
        """
        ...


class FeatureSource(Protocol):
    """Computes views of the features of latents; created for each drag."""

    @property
    def grid(self) -> FeatureGrid:
        """The sizes of the image and of the feature map."""
        ...

    def observe(self, ws: Tensor, centres: Tensor, radius: int) -> FeatureView:
        """Compute the features of a latent.

        Args:
            ws: ``num_ws x w_dim`` float32.
            centres: ``P x 2`` feature positions; P may be 0.
            radius: Windows have ``2 radius + 1`` pixels a side, around the pixel nearest to the
                centre.
        """
        ...


def feature_block(generator: Generator, wanted: int = 0) -> int:
    """Return the resolution of the block whose features a drag reads.

    Args:
        generator: The generator to drag with.
        wanted: A block's resolution, or 0 for the usual one: 128, or the last block if that is
            smaller.

    Raises:
        ValueError: The generator has no such block.
    """
    resolutions = generator.resolutions
    if not wanted:
        return min(USUAL_FEATURE_RESOLUTION, resolutions[-1])
    if wanted not in resolutions:
        known = ", ".join(str(resolution) for resolution in resolutions)
        raise ValueError(f"the model has no block of {wanted} px, only {known}")
    return wanted


def spread_of(features: Tensor) -> Tensor:
    """Return the spread of a feature map: how far features are from their channel's mean.

    Args:
        features: ``C x H x W``.

    Returns:
        A scalar, the root mean square over all positions and channels.
    """
    centred = features - features.mean(dim=(1, 2), keepdim=True)
    return centred.square().mean().sqrt()


def held_block(generator: Generator, resolution: int, num_layers: int, wanted: int = 0) -> int:
    """Return the resolution of the block whose features the fixed area of a mask keeps.

    Args:
        generator: The generator to drag with.
        resolution: The feature block, see ``feature_block``.
        num_layers: How many of the first w vectors may change.
        wanted: A block's resolution, or 0 for the first block that all w vectors that may change
            have acted on, at most ``resolution``. All later blocks change only if this one does:
            where its features, and those around them, stay the same, the image stays the same.

    Raises:
        ValueError: The generator has no such block, or it comes after the feature block.
    """
    blocks = [block for block in generator.resolutions if block <= resolution]
    if not wanted:
        below = generator.config.layers_below
        return next((block for block in blocks if below(block) >= num_layers), resolution)
    if wanted not in blocks:
        known = ", ".join(str(block) for block in blocks)
        raise ValueError(f"no block of {wanted} px up to the feature block, only {known}")
    return wanted


@torch.no_grad()
def reference_map(
    generator: Generator, canvas: Canvas | None, resolution: int, reference_ws: Tensor
) -> Tensor:
    """Return the features that the fixed area keeps, ``C x H x W`` float32.

    Args:
        generator: Frozen, on the device to compute on.
        canvas: The picture whose features are observed, or None.
        resolution: The held block.
        reference_ws: ``num_ws x w_dim`` float32, the latent whose features are kept, unless there
            is something on the canvas that cannot change: then these are the features of that.
    """
    if canvas is None:
        return generator.features(reference_ws[None], resolution)[0]
    if canvas.has_below:
        return canvas.below(resolution)[0]
    return canvas.features(reference_ws[None], resolution)[0]


class FixedArea:
    """The fixed area of a mask: the features that it keeps, and the weight of each position."""

    def __init__(self, reference: Tensor, fixed: Tensor) -> None:
        """Store the reference and scale the mask to the size of the map.

        Args:
            reference: ``C x H x W`` float32, the features to keep, of the held block.
            fixed: ``height x width`` float32 in the image's size, 1 where nothing may change.
                Values between 0 and 1 weigh a pixel accordingly. If no pixel is 1, as in a mask
                that is light grey at its darkest, the change is scaled by the largest value.
        """
        self._reference = reference
        _, rows, columns = reference.shape
        weights = torch.nn.functional.adaptive_avg_pool2d(fixed[None], (rows, columns))
        self._weights = weights * (fixed.max() / (weights.sum() * len(reference)))

    def change(self, features: Tensor) -> Tensor:
        """Return the weighted mean of ``|F - F0|`` over the area and all channels, a scalar.

        Args:
            features: F, ``C x H x W``; F0 is the reference.
        """
        return ((features - self._reference).abs() * self._weights).sum()

    def difference(self, features: Tensor) -> Tensor:
        """Return the weighted ``F - F0`` as a vector; see ``FeatureView.fixed_difference``.

        Args:
            features: F, ``C x H x W``; F0 is the reference.
        """
        return ((features - self._reference) * self._weights.sqrt()).flatten()
