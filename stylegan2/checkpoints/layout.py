# SPDX-License-Identifier: GPL-3.0-or-later
"""From named shapes to a configuration, and from named tensors to a generator.

The reader of every container provides the names and shapes of the public PyTorch state dict. All
sizes are derived from the shapes. The configuration then defines the expected names and shapes, and
the file must contain exactly these. Memory for the weights is allocated only after that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..network.config import (
    GREATEST_RESOLUTION,
    LEAST_RESOLUTION,
    Architecture,
    GeneratorConfig,
)
from ..network.generator import Generator
from ..network.shapes import describe_shape
from .refusal import damaged, printable, unsupported

Shapes = Mapping[str, tuple[int, ...]]

# Last part of the keys of the filters, which checkpoints contain and this network does not need.
RESAMPLE_FILTER = "resample_filter"

# Last parts of the keys of tensors that training does not optimise.
BUFFERS = ("noise_const", "w_avg")

# The limit of trained values and buffers, eight times the largest public model.
MAX_VALUES = 256_000_000
MAX_RANK = 8
MAX_MAPPING_LAYERS = 64


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The content of a model file.

    Attributes:
        container: Name of the file format for people, such as "NVIDIA pickle".
        config: The sizes and constants of the model.
        tensors: The state dict of a ``Generator`` with that configuration, float32.
        source_sha256: For a converted file, the SHA-256 hash of the file that it was made from;
            otherwise empty.
        license_note: The text of the file about its licence; may be empty.
        notes: What was assumed or computed because the file does not contain it, a sentence each.
    """

    container: str
    config: GeneratorConfig
    tensors: Mapping[str, Tensor]
    source_sha256: str = ""
    license_note: str = ""
    notes: tuple[str, ...] = ()


def config_from_shapes(
    shapes: Shapes, *, lr_multiplier: float, conv_clamp: float | None
) -> GeneratorConfig:
    """Return the configuration of a generator with tensors of the given shapes.

    Args:
        shapes: The shape of each tensor by its key in the state dict.
        lr_multiplier: As in ``GeneratorConfig``.
        conv_clamp: As in ``GeneratorConfig``.

    Raises:
        Refusal: The shapes are not those of a StyleGAN2 generator.
    """
    num_layers = 0
    while f"mapping.fc{num_layers}.weight" in shapes and num_layers < MAX_MAPPING_LAYERS:
        num_layers += 1
    if not num_layers:
        raise unsupported(
            "has no mapping network (mapping.fc0), so it is not a StyleGAN2 generator"
        )
    blocks = [LEAST_RESOLUTION]
    # ``check_shapes`` refuses the tensors of larger blocks as surplus.
    while blocks[-1] < GREATEST_RESOLUTION:
        if f"synthesis.b{2 * blocks[-1]}.conv1.weight" not in shapes:
            break
        blocks.append(2 * blocks[-1])
    embed_features, c_dim = _optional_matrix(shapes, "mapping.embed.weight")
    with_rgb = [r for r in blocks if f"synthesis.b{r}.torgb.weight" in shapes]
    architecture: Architecture = "skip"
    if "synthesis.b8.skip.weight" in shapes:
        architecture = "resnet"
    elif len(blocks) > 1 and with_rgb == blocks[-1:]:
        architecture = "orig"
    first = _sizes(shapes, "mapping.fc0.weight", 2)
    last = _sizes(shapes, f"mapping.fc{num_layers - 1}.weight", 2)
    start = _sizes(shapes, "synthesis.b4.const", 3)
    try:
        return GeneratorConfig(
            z_dim=first[1] - embed_features,
            c_dim=c_dim,
            w_dim=last[0],
            img_resolution=blocks[-1],
            img_channels=_sizes(shapes, f"synthesis.b{blocks[-1]}.torgb.weight", 4)[0],
            channels=tuple(_sizes(shapes, f"synthesis.b{r}.conv1.weight", 4)[0] for r in blocks),
            num_layers=num_layers,
            start_shape=(start[1], start[2]),
            mapping_features=first[0] if num_layers > 1 else None,
            embed_features=embed_features,
            lr_multiplier=lr_multiplier,
            conv_clamp=conv_clamp,
            use_noise="synthesis.b4.conv1.noise_const" in shapes,
            architecture=architecture,
            label_mode="concat" if c_dim and "mapping.embed.bias" not in shapes else "embed",
        )
    except ValueError as error:
        raise damaged(f"has impossible sizes: {error}") from error


def _sizes(shapes: Shapes, key: str, rank: int) -> tuple[int, ...]:
    shape = shapes.get(key)
    if shape is None:
        raise damaged(f"lacks the tensor {key} of a StyleGAN2 generator")
    if len(shape) != rank:
        raise damaged(f"has {key} of shape {describe_shape(shape)}, but rank {rank} is expected")
    return shape


def _optional_matrix(shapes: Shapes, key: str) -> tuple[int, int]:
    if key not in shapes:
        return 0, 0
    rows, columns = _sizes(shapes, key, 2)
    return rows, columns


def expected_shapes(config: GeneratorConfig) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the state dict of ``Generator(config)`` without making it."""
    w_dim, hidden = config.w_dim, config.mapping_features
    embedded = config.embed_features
    assert hidden is not None and embedded is not None  # filled in by GeneratorConfig
    shapes: dict[str, tuple[int, ...]] = {"mapping.w_avg": (w_dim,)}
    if config.c_dim:
        shapes |= _linear("mapping.embed", config.c_dim, embedded)
        if config.label_mode == "concat":
            del shapes["mapping.embed.bias"]
    widths = [config.z_dim + embedded] + [hidden] * (config.num_layers - 1) + [w_dim]
    for index in range(config.num_layers):
        shapes |= _linear(f"mapping.fc{index}", widths[index], widths[index + 1])
    below = 0
    for resolution in config.resolutions:
        block, channels = f"synthesis.b{resolution}", config.channels_at(resolution)
        noise_shape = config.block_shape(resolution) if config.use_noise else None
        if below:
            shapes |= _convolution(f"{block}.conv0", below, channels, w_dim, noise_shape)
            if config.architecture == "resnet":
                shapes[f"{block}.skip.weight"] = (channels, below, 1, 1)
        else:
            shapes[f"{block}.const"] = (channels, *config.start_shape)
        shapes |= _convolution(f"{block}.conv1", channels, channels, w_dim, noise_shape)
        if config.has_rgb(resolution):
            shapes |= _linear(f"{block}.torgb.affine", w_dim, channels)
            shapes[f"{block}.torgb.weight"] = (config.img_channels, channels, 1, 1)
            shapes[f"{block}.torgb.bias"] = (config.img_channels,)
        below = channels
    return shapes


def _linear(prefix: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.weight": (outputs, inputs), f"{prefix}.bias": (outputs,)}


def _convolution(
    prefix: str, inputs: int, outputs: int, w_dim: int, noise_shape: tuple[int, int] | None
) -> dict[str, tuple[int, ...]]:
    shapes = _linear(f"{prefix}.affine", w_dim, inputs)
    shapes[f"{prefix}.weight"] = (outputs, inputs, 3, 3)
    shapes[f"{prefix}.bias"] = (outputs,)
    if noise_shape:
        shapes[f"{prefix}.noise_strength"] = ()
        shapes[f"{prefix}.noise_const"] = noise_shape
    return shapes


def check_shapes(shapes: Shapes, config: GeneratorConfig) -> None:
    """Raise ``Refusal`` if a file does not have exactly the tensors of a configuration.

    Args:
        shapes: The shape of each tensor of the file by its key.
        config: The configuration that the shapes must fit.

    Raises:
        Refusal: A tensor is missing, is surplus, or has another shape.
    """
    expected = expected_shapes(config)
    if sum(math.prod(shape) for shape in expected.values()) > MAX_VALUES:
        raise damaged("is larger than any StyleGAN2 generator")
    for key, shape in expected.items():
        found = shapes.get(key)
        if found is None:
            raise damaged(f"lacks the tensor {key} of a StyleGAN2 generator")
        if found != shape:
            raise damaged(
                f"has {key} of shape {describe_shape(found)}, "
                f"but {describe_shape(shape)} is expected"
            )
    surplus = [key for key in shapes if key not in expected]
    if surplus:
        raise unsupported(
            f"has the tensor {printable(surplus[0])}, which no StyleGAN2 generator has, so it is "
            "another network"
        )


def check_finite(key: str, tensor: Tensor) -> None:
    """Raise ``Refusal`` if a tensor has an infinite or NaN value.

    Args:
        key: Name of the tensor for the message.
        tensor: Any shape, a floating-point type.

    Raises:
        Refusal: A value is infinite or NaN.
    """
    if not bool(torch.isfinite(tensor).all()):
        raise damaged(f"is damaged: {key} has values that are infinite or NaN")


def build_generator(checkpoint: Checkpoint, device: torch.device | str) -> Generator:
    """Return the frozen generator of a checkpoint, with its weights on ``device``."""
    generator = Generator(checkpoint.config, init_weights=False)
    generator.notes = checkpoint.notes
    # Assigned and not copied, so that the weights are in memory once.
    generator.load_state_dict(dict(checkpoint.tensors), assign=True)
    return generator.to(device).freeze()
