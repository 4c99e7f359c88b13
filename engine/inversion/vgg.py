# SPDX-License-Identifier: GPL-3.0-or-later
"""The features of VGG16, from a file of weights that the person has.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2015),
configuration D: five blocks of 3 x 3 convolutions with ReLU, halved by their maximum in between.
The file has torchvision's names (``features.0.weight``) or those of the LPIPS package
(``net.slice1.0.weight``). If it also has the weights of LPIPS' last layers
(``lin0.model.1.weight``), these say what each channel counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2 import ModelError, read_weights

from ..errors import RequestError

# The positions of the convolutions in torchvision's list of layers, by block.
_BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_CONVOLUTION = re.compile(r"(?:.*\.)?(?:features|net\.slice[1-5])\.(0|[1-9][0-9]?)\.(weight|bias)")
_LAST = re.compile(r"(?:.*\.)?lin([0-4])\.model\.1\.weight")
# What the values of photographs were centred and scaled by, for images in [-1, 1].
_MEAN = (-0.030, -0.088, -0.188)
_DEVIATION = (0.458, 0.448, 0.450)
_ADVICE = (
    "choose torchvision's vgg16, or a file that torch.save(lpips.LPIPS(net='vgg').state_dict(), "
    "...) has written"
)

Convolution = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Vgg16:
    """The network.

    Attributes:
        blocks: For each block, weight ``O x I x 3 x 3`` and bias ``O`` of its convolutions.
        channel_weights: For each block, what each channel counts, ``C``; None for all the same.
    """

    blocks: tuple[tuple[Convolution, ...], ...]
    channel_weights: tuple[Tensor, ...] | None

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the features of each block.

        Args:
            images: ``N x 3 x H x W`` float32 in [-1, 1].

        Returns:
            Five times ``N x C x h x w``, each half as large as the one before, but 1 px at least.
        """
        mean, deviation = (images.new_tensor(v)[:, None, None] for v in (_MEAN, _DEVIATION))
        x = (images - mean) / deviation
        features: list[Tensor] = []
        for block in self.blocks:
            if features:
                # A side of 1 px, of images below 16 px, has no half.
                sides = [min(side, 2) for side in x.shape[2:]]
                x = F.max_pool2d(x, sides)
            for weight, bias in block:
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            features.append(x)
        return features


def load_vgg(path: Path, device: torch.device) -> Vgg16:
    """Load the network.

    Args:
        path: A file of ``torch.save``, or a safetensors file. Any numbers of channels are accepted.
        device: Where to compute.

    Raises:
        RequestError: The file cannot be read, or does not hold VGG16.
    """
    try:
        found = read_weights(path, lambda name: bool(_kind(name)))
    except ModelError as error:
        raise RequestError(error.message) from None
    named = {_kind(name): tensor.to(device) for name, tensor in found.items()}
    numbers = {int(kind[5:]) for kind in named if kind.startswith("conv ")}
    if numbers != {number for block in _BLOCKS for number in block}:
        what = "only the last layers of LPIPS" if not numbers and named else "no VGG16 network"
        raise RequestError(f"{path.name} has {what}; {_ADVICE}")
    blocks: list[tuple[Convolution, ...]] = []
    channels = 3
    for block in _BLOCKS:
        layers = []
        for number in block:
            weight, bias = named[f"conv {number}"], named.get(f"bias {number}")
            outputs = weight.shape[0] if weight.ndim else 0
            wanted = (outputs, channels, 3, 3)
            if bias is None or weight.shape != wanted or bias.shape != (outputs,):
                raise RequestError(
                    f"{path.name} has a network of other layers than VGG16; {_ADVICE}"
                )
            layers.append((weight, bias))
            channels = outputs
        blocks.append(tuple(layers))
    return Vgg16(tuple(blocks), _channel_weights(named, blocks, path))


def _kind(name: str) -> str:
    """Return ``conv 5``, ``bias 5`` or ``last 2`` for a name in the file; empty for others."""
    convolution, last = _CONVOLUTION.fullmatch(name), _LAST.fullmatch(name)
    if convolution is not None:
        return f"{'conv' if convolution[2] == 'weight' else 'bias'} {convolution[1]}"
    return "" if last is None else f"last {last[1]}"


def _channel_weights(
    named: dict[str, Tensor], blocks: list[tuple[Convolution, ...]], path: Path
) -> tuple[Tensor, ...] | None:
    """Return what the channels count; None if the file does not say it.

    Raises:
        RequestError: Some of the last layers are missing, or have other channels.
    """
    last = [named.get(f"last {number}") for number in range(len(blocks))]
    if all(weight is None for weight in last):
        return None
    counts = [len(block[-1][0]) for block in blocks]
    weights = []
    for weight, count in zip(last, counts, strict=True):
        if weight is None or weight.shape != (1, count, 1, 1):
            raise RequestError(f"{path.name} has other last layers than LPIPS of VGG16; {_ADVICE}")
        weights.append(weight.flatten())
    return tuple(weights)
