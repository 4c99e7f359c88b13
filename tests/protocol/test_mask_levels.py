# SPDX-License-Identifier: GPL-3.0-or-later
"""A mask counts by its luminance and its alpha, the same on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from draggan_blender.protocol.mask_levels import mask_levels
from engine.cli.commands import _read_mask


@pytest.mark.parametrize(
    ("pixel", "level"),
    [
        ((0.3,), 0.3),
        ((1.0, 0.5), 0.5),
        ((0.7, 0.7, 0.7), 0.7),
        ((0.0, 1.0, 0.0), 0.7152),
        ((1.0, 1.0, 1.0, 0.0), 0.0),
        ((1.0, 1.0, 1.0, 1.0), 1.0),
        ((1.0, 0.0, 0.0, 0.5), 0.1063),
    ],
)
def test_the_level_of_a_pixel(pixel: tuple[float, ...], level: float) -> None:
    found = mask_levels(np.array([[pixel]], dtype=np.float32))
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(level, abs=1e-6)


def test_greys_are_exact() -> None:
    values = np.arange(256, dtype=np.float32) / 255
    pixels = np.repeat(values[None, :, None], 4, axis=2)
    pixels[..., 3] = 1
    assert np.array_equal(mask_levels(pixels)[0], values)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_the_command_line_reads_the_same(tmp_path: Path, mode: str) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 4), dtype=np.uint8)
    image = Image.fromarray(colours, "RGBA").convert(mode)
    image.save(tmp_path / "mask.png")
    expected = mask_levels(np.array(image.convert("RGBA"), np.float32) / 255) * 255
    assert np.array_equal(_read_mask(tmp_path / "mask.png"), np.rint(expected).astype(np.uint8))
