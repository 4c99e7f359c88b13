# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes many images as one picture."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from torch import Tensor


def save_sheet(images: Tensor, path: Path) -> None:
    """Write images ``rows x columns x 3 x S x S``, nominally in [-1, 1], as one picture.

    Raises:
        OSError: The file cannot be written.
    """
    sheet = images.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)
    pixels = (sheet * 127.5 + 128.0).clamp(0.0, 255.0).byte().numpy()
    Image.fromarray(pixels).save(path, quality=88)


def save_grid(images: Tensor, columns: int, path: Path) -> None:
    """Write images ``N x 3 x S x S`` in rows; ``N`` must be a multiple of the columns."""
    save_sheet(images.unflatten(0, (-1, columns)), path)
