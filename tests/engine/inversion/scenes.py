# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of a patterned disc that is moved and turned on a patterned ground."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from engine.arrays import ByteArray

# Pixels of the pictures, and how many times smaller the model's images are.
SIZE, SHRINK = 256, 4
CENTRE, RADIUS = (120.0, 130.0), 62.0


def disc(x: float = 0.0, y: float = 0.0, angle_deg: float = 0.0) -> ByteArray:
    """Return the picture, ``SIZE x SIZE x 3`` uint8; pixels and degrees counter-clockwise."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    right, down = columns - CENTRE[0] - x, rows - CENTRE[1] - y
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    u, v = cos * right - sin * down, sin * right + cos * down
    inside = np.clip(RADIUS + 0.5 - np.hypot(u, v), 0, 1)[..., None]
    broad = np.stack([np.sin(u / 9), np.sin(v / 11 + 1), np.sin((u + v) / 13)], axis=-1)
    fine = np.sin(u * 1.1) * np.sin(v * 0.9)
    own = 130 + 60 * broad + 20 * fine[..., None]
    ground = 90 + 12 * np.sin(columns * 0.9) * np.sin(rows * 0.8)
    mixed = inside * own + (1 - inside) * ground[..., None]
    picture: ByteArray = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return picture


def as_model(picture: ByteArray) -> ByteArray:
    """Return how a model shows a picture: smaller, so without its fine pattern."""
    side = SIZE // SHRINK
    parts = picture.reshape(side, SHRINK, side, SHRINK, 3).astype(np.float32)
    image: ByteArray = np.rint(parts.mean(axis=(1, 3))).astype(np.uint8)
    return image


def values(image: ByteArray) -> Tensor:
    """Return an image as ``1 x 3 x H x W`` float32 in [0, 1]."""
    return torch.from_numpy(image / np.float32(255)).permute(2, 0, 1)[None]
