# SPDX-License-Identifier: GPL-3.0-or-later
"""Dense motion between two images."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.inversion.registration import Follower, inverted, motion_between, moved, resized

from .scenes import CENTRE, RADIUS, SHRINK, SIZE, as_model, disc, values

SIDE = SIZE // SHRINK


def _image(x: float = 0.0, y: float = 0.0, angle_deg: float = 0.0) -> Tensor:
    return values(as_model(disc(x, y, angle_deg)))


def _truth(x: float, y: float, angle_deg: float) -> tuple[Tensor, Tensor]:
    """Return the motion, and where it is that of the disc, away from its edge."""
    places = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="xy")
    centre = torch.tensor(CENTRE) / SHRINK
    right, down = (places[i] - centre[i] - (x, y)[i] / SHRINK for i in (0, 1))
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    was = torch.stack([cos * right - sin * down, sin * right + cos * down])
    motion = was + centre[:, None, None] - torch.stack(places)
    return motion[None], was.norm(dim=0) < RADIUS / SHRINK - 2


@pytest.mark.parametrize(
    "way", [(6.0, -4.0, 0.0), (0.0, 0.0, 9.0), (5.0, 5.0, -6.0)], ids=["moved", "turned", "both"]
)
def test_a_known_motion_is_found(way: tuple[float, float, float]) -> None:
    truth, inside = _truth(*way)
    found = motion_between(_image(), _image(*way))
    far = (found - truth).norm(dim=1)[0][inside]
    assert float(truth.norm(dim=1)[0][inside].mean()) > 0.8
    assert float(far.mean()) < 0.15
    follower = Follower(_image())
    follower.follow(_image(*way))
    believed, agrees = follower.believed(_image(*way))
    corner = believed[..., :6, :6].norm(dim=1)
    assert float(corner.max()) < 0.05, "the ground does not move"
    assert float(agrees[0, 0][inside].mean()) > 0.95


def test_what_moves_far_is_found_through_the_images_between() -> None:
    way = 44.0, -20.0, 20.0
    truth, inside = _truth(*way)
    direct = motion_between(_image(), _image(*way))
    follower = Follower(_image())
    for step in range(1, 9):
        follower.follow(_image(*(step / 8 * part for part in way)))
    found, agrees = follower.believed(_image(*way))
    errors = [float((one - truth).norm(dim=1)[0][inside].mean()) for one in (direct, found)]
    assert errors[1] < 0.4 < 1.0 < errors[0]
    assert float(agrees[0, 0][inside].mean()) > 0.9


def test_what_is_covered_or_new_is_not_believed() -> None:
    before, after = _image(), _image()
    after[..., 26:38, 24:36] = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    follower = Follower(before)
    follower.follow(after)
    motion, agrees = follower.believed(after)
    explained = (moved(before, motion) - after).abs().mean(dim=1)[0, 26:38, 24:36]
    assert float(((explained < 0.05) & (agrees[0, 0, 26:38, 24:36] > 0.5)).float().mean()) < 0.2


def test_light_that_changes_is_no_motion() -> None:
    before = _image()
    slope = torch.linspace(-0.06, 0.06, SIDE)
    follower = Follower(before)
    follower.follow((before + slope).clamp(0, 1))
    motion, _ = follower.believed((before + slope).clamp(0, 1))
    assert float(motion.norm(dim=1).mean()) < 0.02


def test_there_and_back_is_no_motion() -> None:
    coarse = torch.randn(1, 2, 4, 5, generator=torch.Generator().manual_seed(2))
    motion = resized(coarse, (40, 50)) / 5
    assert float(motion.norm(dim=1).max()) > 2
    apart = motion + moved(inverted(motion), motion)
    assert float(apart[..., 6:-6, 6:-6].norm(dim=1).max()) < 0.25


def test_a_motion_for_another_size_has_its_pixels() -> None:
    motion = torch.ones(1, 2, 8, 8) * torch.tensor([1.0, 2.0])[:, None, None]
    larger = resized(motion, (16, 32))
    torch.testing.assert_close(larger[0, :, 3, 3], torch.tensor([4.0, 4.0]))
