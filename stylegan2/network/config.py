# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration: the sizes and constants that define a StyleGAN2 generator.

Readers derive the sizes from the *shapes* in a checkpoint, because the class defaults differ
between the code bases that write the same format. The few scalars that shapes do not contain are
stored: the learning-rate multiplier of the mapping network and the clamp of the convolutions.

A block is named by its resolution, as in the public state dicts (``synthesis.b64``). The feature
maps of block ``r`` have ``r / 4`` times the shape of the learned constant. A square model has a
4 x 4 constant, so ``r`` is the side in pixels. In a model with a 4 x 2 constant, ``r`` is the
height.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

# How a block adds to the image. "skip": every block has a toRGB layer, and their images are added
# up. "orig": only the last block has one. "resnet": as "orig", with a residual connection around
# the two convolutions of each block.
Architecture = Literal["skip", "orig", "resnet"]
# How a label enters the mapping network. "embed": a fully connected layer, normalised, beside the
# normalised z. "concat": a matrix without bias, beside z, both normalised together (StyleGAN2 for
# TensorFlow, before its ADA version).
LabelMode = Literal["embed", "concat"]

LEAST_RESOLUTION = 4
GREATEST_RESOLUTION = 4096
# Upper limit of every dimension: rejects nonsense from a file, and is far beyond any real model.
GREATEST_SIZE = 65536


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Sizes and constants of one StyleGAN2 generator.

    Attributes:
        z_dim: Size of the input latent z.
        c_dim: Size of the label vector; 0 for a model without labels.
        w_dim: Size of one w vector.
        img_resolution: Name of the last block, a power of two from 4 to 4096; usually the height of
            the image in pixels.
        img_channels: Channels of the image, usually 3.
        channels: Feature channels of each block, from block 4 upwards.
        num_layers: Number of fully connected layers of the mapping network.
        start_shape: Height and width of the learned constant, usually (4, 4).
        mapping_features: Width of the hidden layers of the mapping network; ``w_dim`` if not given.
        embed_features: Width of the label embedding; if not given, ``w_dim``, or 0 without labels.
        lr_multiplier: Factor that the mapping network applies to its weights and biases at run
            time.
        conv_clamp: Bound of the activations after each convolution, or None.
        use_noise: Whether the convolution layers have noise inputs.
        architecture: How the blocks add to the image, see ``Architecture``.
        label_mode: How labels enter the mapping network, see ``LabelMode``.

    Raises:
        ValueError: A size is out of range, a name is unknown, or the number of channels is not the
            number of blocks.
    """

    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    img_resolution: int
    img_channels: int = 3
    channels: tuple[int, ...]
    num_layers: int = 8
    start_shape: tuple[int, int] = (4, 4)
    mapping_features: int | None = None
    embed_features: int | None = None
    lr_multiplier: float = 0.01
    conv_clamp: float | None = None
    use_noise: bool = True
    architecture: Architecture = "skip"
    label_mode: LabelMode = "embed"

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the documented way to fill a frozen dataclass
        if self.mapping_features is None:
            set_field(self, "mapping_features", self.w_dim)
        if self.embed_features is None:
            set_field(self, "embed_features", self.w_dim if self.c_dim else 0)
        self._check_resolution()
        self._check_sizes()
        if not 0 < self.lr_multiplier < float("inf"):
            raise ValueError(f"lr_multiplier must be positive, not {self.lr_multiplier}")
        if self.conv_clamp is not None and not 0 < self.conv_clamp < float("inf"):
            raise ValueError(f"conv_clamp must be positive or None, not {self.conv_clamp}")

        if self.architecture not in get_args(Architecture):
            raise ValueError(f"architecture must be skip, orig or resnet, not {self.architecture}")
        if self.label_mode not in get_args(LabelMode):
            raise ValueError(f"label_mode must be embed or concat, not {self.label_mode}")

    def _check_resolution(self) -> None:
        resolution = self.img_resolution
        in_range = LEAST_RESOLUTION <= resolution <= GREATEST_RESOLUTION
        if not in_range or resolution & (resolution - 1):
            raise ValueError(
                f"img_resolution must be a power of two from {LEAST_RESOLUTION} to "
                f"{GREATEST_RESOLUTION}, not {resolution}"
            )
        if len(self.channels) != len(self.resolutions):
            raise ValueError(
                f"a {resolution} px generator has {len(self.resolutions)} blocks, "
                f"but channels are given for {len(self.channels)}"
            )

    def _check_sizes(self) -> None:
        positive = {
            "z_dim": self.z_dim,
            "w_dim": self.w_dim,
            "img_channels": self.img_channels,
            "num_layers": self.num_layers,
            "mapping_features": self.mapping_features,
            "start height": self.start_shape[0],
            "start width": self.start_shape[1],
        }
        positive |= {f"channels of block {r}": self.channels_at(r) for r in self.resolutions}
        if self.c_dim:
            positive |= {"c_dim": self.c_dim, "embed_features": self.embed_features}
        for name, size in positive.items():
            if size is None or not 1 <= size <= GREATEST_SIZE:
                raise ValueError(f"{name} must be from 1 to {GREATEST_SIZE}, not {size}")

    @classmethod
    def standard(
        cls,
        resolution: int,
        *,
        channel_base: int = 32768,
        channel_max: int = 512,
        z_dim: int = 512,
        w_dim: int = 512,
        c_dim: int = 0,
        mapping_layers: int = 8,
        conv_clamp: float | None = None,
    ) -> GeneratorConfig:
        """Return the configuration of a square model with the usual channel rule.

        Block ``r`` has ``min(channel_base / r, channel_max)`` channels (Karras et al., "Analyzing
        and Improving the Image Quality of StyleGAN": config F has the base 32768 and the maximum
        512, config E the base 16384).

        Args:
            resolution: Side of the image in pixels, a power of two from 4 to 4096.
            channel_base: Numerator of the channel rule.
            channel_max: Upper limit of the channels of a block.
            z_dim: Size of the input latent z.
            w_dim: Size of one w vector.
            c_dim: Size of the label vector; 0 for a model without labels.
            mapping_layers: Number of fully connected layers of the mapping network.
            conv_clamp: Bound of the activations after each convolution, or None.

        Raises:
            ValueError: A size is out of range.
        """
        levels = resolution.bit_length() - LEAST_RESOLUTION.bit_length() + 1
        blocks = [LEAST_RESOLUTION << level for level in range(levels)]
        return cls(
            z_dim=z_dim,
            c_dim=c_dim,
            w_dim=w_dim,
            img_resolution=resolution,
            channels=tuple(min(channel_base // block, channel_max) for block in blocks),
            num_layers=mapping_layers,
            conv_clamp=conv_clamp,
        )

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Names of the blocks in ascending order: 4, 8, … ``img_resolution``."""
        levels = self.img_resolution.bit_length() - LEAST_RESOLUTION.bit_length() + 1
        return tuple(LEAST_RESOLUTION << level for level in range(levels))

    @property
    def num_ws(self) -> int:
        """Number of w vectors that the synthesis takes: two per block."""
        return 2 * len(self.resolutions)

    @property
    def img_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the image; height and width in pixels."""
        return (self.img_channels, *self.block_shape(self.img_resolution))

    @property
    def has_windows(self) -> bool:
        """Whether windows of its features can be computed: not across residual connections."""
        return self.architecture != "resnet"

    def has_rgb(self, resolution: int) -> bool:
        """Return whether block ``resolution`` has a toRGB layer."""
        return self.architecture == "skip" or resolution == self.img_resolution

    def block_shape(self, resolution: int) -> tuple[int, int]:
        """Return the height and width in pixels of the feature map of block ``resolution``."""
        scale = resolution // LEAST_RESOLUTION
        return self.start_shape[0] * scale, self.start_shape[1] * scale

    def channels_at(self, resolution: int) -> int:
        """Return the number of feature channels of block ``resolution``.

        Raises:
            ValueError: The model has no such block.
        """
        return self.channels[self.level_of(resolution)]

    def level_of(self, resolution: int) -> int:
        """Return the index of block ``resolution``; block 4 has the index 0.

        Raises:
            ValueError: The model has no such block.
        """
        if resolution not in self.resolutions:
            known = ", ".join(str(r) for r in self.resolutions)
            raise ValueError(f"the model has no block {resolution}, only {known}")
        return self.resolutions.index(resolution)

    def layers_below(self, resolution: int) -> int:
        """Return how many of the first w vectors affect the features of block ``resolution``.

        Block 4 has one convolution and every further block has two, with one w vector each. A toRGB
        layer comes after the features of its block and takes the w vector of the next convolution.

        Raises:
            ValueError: The model has no such block.
        """
        return 2 * self.level_of(resolution) + 1
