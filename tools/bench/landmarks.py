# SPDX-License-Identifier: GPL-3.0-or-later
"""The landmark detector: the positions of Suzanne's landmarks in a picture, and her colours.

It is a small convolutional network with one heat map for each landmark. The position is the mean of
the heat map ("integral regression": Sun et al., "Integral Human Pose Regression", ECCV 2018,
section 2), so it is not limited to whole pixels. The features under each heat map give the expected
error of the position and whether the landmark is visible; together with features of the whole
picture they give the colours.

``train_landmarks`` trains it on renders, whose landmarks and colours are known. It does not depend
on any generator or latent, so it can measure what a drag did to an image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.arrays import ByteArray, FloatArray

LANDMARKS = ("eye_left", "eye_right", "nose", "chin", "ear_left", "ear_right", "crown")
# The chroma factors of the renders (``tools.suzanne.factors``), each in [-1, 1].
COLOURS = ("fur_a", "fur_b", "eye_a", "eye_b", "background_a", "background_b")

WEIGHTS = Path(__file__).with_name("landmarks.safetensors")

# Channels at a half, a quarter, an eighth and a sixteenth of the picture's width.
_CHANNELS = (24, 48, 64, 64)
# The picture is also reduced to this many by this many mean colours, because the background is at
# the edges.
_COLOUR_CELLS = 4
_BATCH = 50


class DetectorError(Exception):
    """The detector's file is missing or invalid; the message says what to do."""


@dataclass(frozen=True)
class Prediction:
    """The network's output for B pictures, in pixels of the network's own size.

    Attributes:
        points_px: ``B x L x 2`` float32 (x, y), origin top-left, pixel centres at half-integers.
        log_scale: ``B x L`` float32, logarithm of the scale ``b`` in px of the isotropic Laplace
            distribution ``exp(-r / b) / (2 pi b^2)`` of the point's error ``r``.
        visible: ``B x L`` float32, logits.
        colours: ``B x 6`` float32, nominally in [-1, 1].
    """

    points_px: Tensor
    log_scale: Tensor
    visible: Tensor
    colours: Tensor


class _Residual(nn.Module):
    """Two convolutions with a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = _convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(F.relu(self.first(x)))
        return F.relu(y)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
    )


class LandmarkNet(nn.Module):
    """An hourglass network: down to a sixteenth of the picture's width and up again to a half."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, *_CHANNELS)
        self.down = nn.ModuleList(
            _convolution(before, after, stride=2) for before, after in pairwise(sizes)
        )
        self.encode = nn.ModuleList(_Residual(channels) for channels in _CHANNELS[1:])
        self.narrow = nn.ModuleList(
            nn.Conv2d(below, channels, 1) for channels, below in pairwise(_CHANNELS)
        )
        self.decode = nn.ModuleList(
            [_convolution(_CHANNELS[0], _CHANNELS[0]), *map(_Residual, _CHANNELS[1:-1])]
        )
        self.heat = nn.Conv2d(_CHANNELS[0], len(LANDMARKS), 1)
        described = _CHANNELS[0] + _CHANNELS[1]
        self.judge = nn.Sequential(nn.Linear(described, 48), nn.ReLU(), nn.Linear(48, 2))
        colours = 3 * (_COLOUR_CELLS**2 + len(LANDMARKS))
        self.paint = nn.Sequential(
            nn.Linear(described * len(LANDMARKS) + 2 * _CHANNELS[-1] + colours, 64),
            nn.ReLU(),
            nn.Linear(64, len(COLOURS)),
        )

    def forward(self, images: Tensor) -> Prediction:
        """Return the prediction for pictures.

        Args:
            images: ``B x 3 x S x S`` float32 in [-1, 1], ``S`` a multiple of 16.
        """
        levels = self._encode(images)
        maps = levels[-1:]
        for level in (2, 1, 0):
            wide = F.interpolate(self.narrow[level](maps[0]), scale_factor=2.0)
            decoded = self.decode[level](levels[level] + wide)
            maps.insert(0, F.relu(decoded))
        # Positions need float32, even if the convolutions are trained in bfloat16.
        with torch.autocast(images.device.type, enabled=False):
            return self._read(images, self.heat(maps[0].float()), maps)

    def deepest(self, images: Tensor) -> Tensor:
        """Return the deepest features of pictures, ``B x 64 x S/16 x S/16``; see ``forward``."""
        return self._encode(images)[-1]

    def _encode(self, images: Tensor) -> list[Tensor]:
        """Return the features at a half, a quarter, an eighth and a sixteenth of the width."""
        levels = [F.relu(self.down[0](images))]
        for down, encode in zip(self.down[1:], self.encode, strict=True):
            levels.append(encode(F.relu(down(levels[-1]))))
        return levels

    def _read(self, images: Tensor, logits: Tensor, maps: list[Tensor]) -> Prediction:
        heat = logits.flatten(2).softmax(dim=2).unflatten(2, logits.shape[2:])
        line = (torch.arange(logits.shape[-1], device=logits.device) + 0.5) * 2.0
        points = torch.stack([heat.sum(2) @ line, heat.sum(3) @ line], dim=2)
        coarse = F.avg_pool2d(heat, 2) * 4.0
        under = [
            torch.einsum("blyx,bcyx->blc", weights, features.float())
            for weights, features in ((heat, maps[0]), (coarse, maps[1]))
        ]
        described = torch.cat(under, dim=2)
        log_scale, visible = self.judge(described).unbind(dim=2)
        deepest = maps[-1].float()
        broad = F.avg_pool2d(coarse, 5, stride=1, padding=2)
        cells = F.adaptive_avg_pool2d(images, _COLOUR_CELLS)
        near = torch.einsum("blyx,bcyx->blc", broad, F.avg_pool2d(images, 4))
        whole = [described, deepest.mean((2, 3)), deepest.amax((2, 3)), cells, near]
        colours = self.paint(torch.cat([part.flatten(1) for part in whole], dim=1))
        return Prediction(points, log_scale, visible, colours)


@dataclass(frozen=True)
class Detection:
    """The detector's output for N images, in pixels of these images.

    Attributes:
        points_px: ``N x L x 2`` float32 (x, y), in the order of ``LANDMARKS``.
        error_px: ``N x L`` float32, the expected distance of ``points_px`` from the truth.
        visible: ``N x L`` float32 in [0, 1], the probability that the camera sees the landmark.
        colours: ``N x 6`` float32, in the order of ``COLOURS``, nominally in [-1, 1].
    """

    points_px: FloatArray
    error_px: FloatArray
    visible: FloatArray
    colours: FloatArray


class Detector:
    """The trained network and its measured accuracy.

    Attributes:
        network: In evaluation mode, without gradients.
        size_px: Width and height of the pictures that it was trained on.
        figures: Its accuracy and training, as ``train_landmarks`` writes them.
    """

    def __init__(self, network: LandmarkNet, size_px: int, figures: Mapping[str, Any]) -> None:
        """Take a trained network; see the attributes."""
        self.network = network.eval().requires_grad_(False)
        self.size_px = size_px
        self.figures = figures

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Detector:
        """Read a detector's file, by default the one that belongs to the repository.

        Raises:
            DetectorError: The file is missing, or it is not a detector.
        """
        network = LandmarkNet()
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
                metadata = file.metadata() or {}
            size_px, figures = int(metadata["size_px"]), json.loads(metadata["figures"])
            network.load_state_dict(tensors)
        except FileNotFoundError:
            hint = "train it with python -m tools.bench.train_landmarks"
            raise DetectorError(f"the detector's weights {path} are missing; {hint}") from None
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise DetectorError(f"{path.name} is not a landmark detector: {error}") from error
        return cls(network, size_px, figures)

    @torch.no_grad()
    def detect(self, images: ByteArray) -> Detection:
        """Find the landmarks and colours of images.

        Args:
            images: ``N x H x W x 3`` uint8, sRGB, top row first, square; they are resized to
                ``size_px`` if necessary.
        """
        scale = images.shape[2] / self.size_px
        parts = [self._predict(torch.from_numpy(part)) for part in _batches(images)]
        points, log_scale, visible, colours = (torch.cat(p) for p in zip(*parts, strict=True))
        # The mean of r under the isotropic Laplace distribution is 2 b.
        return Detection(
            (points * scale).numpy(),
            (2.0 * scale * log_scale.exp()).numpy(),
            visible.sigmoid().numpy(),
            colours.numpy(),
        )

    def _predict(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pixels = images.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        if pixels.shape[2:] != (self.size_px, self.size_px):
            size = (self.size_px, self.size_px)
            pixels = F.interpolate(pixels, size=size, mode="bilinear", antialias=True)
        seen = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return seen.points_px, seen.log_scale, seen.visible, seen.colours


def _batches(images: ByteArray) -> list[ByteArray]:
    return [images[first : first + _BATCH] for first in range(0, len(images), _BATCH)]
