# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that decides the shape and the arithmetic of a StyleGAN2 generator.

The configuration is derived from the *shapes* in a checkpoint wherever these say it (readers must
not trust class defaults, which differ between code bases that write the same format), and holds the
few scalars that shapes cannot tell: the learning-rate multiplier of the mapping network and the
clamp of the convolutions.

Resolutions name blocks, as in the public state dicts (`synthesis.b64`): block `r` works at
`r / 4` times the shape of the learned constant, which is 4 x 4 in a square model, so that `r` is
then the size in pixels.  In a model with a 4 x 2 constant, `r` is the height.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_RESOLUTION = 4
GREATEST_RESOLUTION = 4096
GREATEST_SIZE = 65536
"""Upper limit of every single dimension; a guard against nonsense, far beyond any real model."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Sizes and constants of one StyleGAN2 generator with the skip architecture.

    Attributes:
        z_dim: size of the input latent.
        c_dim: size of the label vector; 0 for a model without labels.
        w_dim: size of the intermediate latent.
        img_resolution: name of the last block, a power of two from 4; usually the height.
        img_channels: channels of the image, usually 3.
        channels: feature channels of each block, from block 4 upwards.
        num_layers: fully connected layers of the mapping network.
        start_shape: height and width of the learned constant, usually (4, 4).
        mapping_features: width of the mapping network's hidden layers; `w_dim` if not given.
        embed_features: width of the label embedding; `w_dim` if not given, 0 without labels.
        lr_multiplier: runtime factor of the mapping network's weights and biases.
        conv_clamp: bound of the activations after each convolution, or None.
        use_noise: whether convolution layers have noise inputs.

    Raises:
        ValueError: if a size is not positive, or the resolution and the channels do not fit.
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
        """Make the configuration of a square model by the usual channel rule.

        Block `r` gets `min(channel_base / r, channel_max)` channels (Karras et al., "Analyzing and
        Improving the Image Quality of StyleGAN", config F has 32768 and 512, config E 16384).
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
        """The names of the blocks: 4, 8, … `img_resolution`."""
        levels = self.img_resolution.bit_length() - LEAST_RESOLUTION.bit_length() + 1
        return tuple(LEAST_RESOLUTION << level for level in range(levels))

    @property
    def num_ws(self) -> int:
        """How many latents w steer the synthesis: two for each block."""
        return 2 * len(self.resolutions)

    @property
    def img_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the image."""
        return (self.img_channels, *self.block_shape(self.img_resolution))

    def block_shape(self, resolution: int) -> tuple[int, int]:
        """Height and width in pixels of the feature map of block `resolution`."""
        scale = resolution // LEAST_RESOLUTION
        return self.start_shape[0] * scale, self.start_shape[1] * scale

    def channels_at(self, resolution: int) -> int:
        """Feature channels of block `resolution`."""
        return self.channels[self.level_of(resolution)]

    def level_of(self, resolution: int) -> int:
        """Index of block `resolution`, counted from block 4.

        Raises:
            ValueError: if the model has no such block.
        """
        if resolution not in self.resolutions:
            known = ", ".join(str(r) for r in self.resolutions)
            raise ValueError(f"the model has no block {resolution}, only {known}")
        return self.resolutions.index(resolution)

    def layers_below(self, resolution: int) -> int:
        """How many latents w, counted from the first, steer the features of block `resolution`.

        Block 4 has one convolution and every further block two; the toRGB layers, which share
        their w with the next block, come after the features.
        """
        return 2 * self.level_of(resolution) + 1
