# SPDX-License-Identifier: GPL-3.0-or-later
"""The literal implementation of the paper's method: its conventions, and that it drags."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models import sample_latent
from stylegan2 import Generator
from tools.bench.reference import (
    ReferenceOptions,
    drag_literally,
    image_and_features,
    motion_loss,
    scaled_activations,
    track,
)
from tools.bench.weight_modulated import modulated_weights


def single_pixels(size: int, *points: tuple[int, int]) -> torch.Tensor:
    """Return features ``1 x size x size``: 1 at the points (x, y), 0 elsewhere."""
    features = torch.zeros(1, size, size)
    for x, y in points:
        features[0, y, x] = 1.0
    return features


@pytest.mark.parametrize(("offset", "is_found"), [(3, True), (4, False)])
def test_the_search_window_does_not_include_its_edge(offset: int, is_found: bool) -> None:
    features = single_pixels(16, (8 + offset, 8 - offset))
    found = track(features, torch.tensor([[8, 8]]), torch.ones(1, 1), r2=4.0)
    assert (found.tolist() == [[8 + offset, 8 - offset]]) == is_found


def test_equally_near_features_give_the_first_in_reading_order_and_the_border_clips() -> None:
    features = single_pixels(16, (2, 1), (0, 2))
    assert track(features, torch.tensor([[0, 0]]), torch.ones(1, 1), 4.0).tolist() == [[2, 1]]


@pytest.mark.parametrize(("r1", "count"), [(1.0, 1), (2.0, 9), (3.0, 25)])
def test_the_disc_does_not_include_its_edge(r1: float, count: int) -> None:
    features = torch.zeros(1, 1, 16, 16, requires_grad=True)
    target = torch.tensor([[12.0, 8.0]])
    # The step is a whole pixel, so the gradient is at the disc's pixels, moved by one.
    loss = motion_loss(features + torch.rand(16, 16), torch.tensor([[8, 8]]), target, r1)
    loss.backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    touched = features.grad[0, 0].abs() > 1e-6
    assert int(touched.sum()) == count
    assert bool(touched[8, 9])


def test_the_loss_is_the_mean_change_one_whole_pixel_ahead_and_nothing_within_a_pixel() -> None:
    ramp = torch.arange(16.0).expand(16, 16)[None, None] * 0.5
    handles = torch.tensor([[8, 8], [4, 4]])
    targets = torch.tensor([[9.5, 8.0], [4.6, 4.6]])
    # 1.5 px to go: the step is a whole pixel, not the rest; the second point is near enough.
    assert motion_loss(ramp, handles, targets, 3.0).item() == pytest.approx(0.5, abs=1e-5)


def test_a_drag_follows_the_point_and_changes_the_first_six_latents_only(
    generator: Generator,
) -> None:
    latent = sample_latent(generator, 3, 0.7)
    handles = np.array([[12.5, 14.5]], dtype=np.float32)
    targets = handles + np.array([3.0, 0.0], dtype=np.float32)
    result = drag_literally(
        generator, latent, handles, targets, ReferenceOptions(step_size=0.02, max_steps=60)
    )
    assert np.linalg.norm(result.handles_px - targets) < np.linalg.norm(handles - targets)
    assert result.reached == bool(np.linalg.norm(result.handles_px - targets) <= 1.0)
    assert 0 < result.steps <= 60
    np.testing.assert_array_equal(result.latent[6:], latent[6:])
    assert not np.array_equal(result.latent[:6], latent[:6])


def test_the_mask_holds_what_it_fixes(generator: Generator) -> None:
    latent = sample_latent(generator, 3, 0.7)
    handles = np.array([[12.5, 14.5]], dtype=np.float32)
    mask = np.zeros((32, 32), dtype=np.uint8)
    mask[8:22, 6:22] = 255
    _, before = image_and_features(generator, torch.from_numpy(latent[None]))
    changes = []
    for given in (None, mask):
        options = ReferenceOptions(step_size=0.02, max_steps=20, mask_weight=100.0)
        result = drag_literally(generator, latent, handles, handles + 4.0, options, mask=given)
        _, after = image_and_features(generator, torch.from_numpy(result.latent[None]))
        changes.append(float((after - before).abs()[..., torch.from_numpy(mask == 0)].mean()))
    assert changes[1] < 0.5 * changes[0]


def test_a_drag_with_modulated_weights_is_the_same_drag(generator: Generator) -> None:
    latent = sample_latent(generator, 3, 0.7)
    handles = np.array([[12.5, 14.5]], dtype=np.float32)
    options = ReferenceOptions(max_steps=3)
    ours, literal = (
        drag_literally(
            generator,
            latent,
            handles,
            handles + 4.0,
            options,
            network=network,
        )
        for network in (scaled_activations, modulated_weights)
    )
    np.testing.assert_allclose(literal.latent, ours.latent, atol=1e-4)
    np.testing.assert_array_equal(literal.handles_px, ours.handles_px)
    assert not np.array_equal(ours.latent, latent)


def test_a_drag_asks_after_each_step_whether_to_stop(generator: Generator) -> None:
    latent = sample_latent(generator, 3, 0.7)
    handles = np.array([[12.5, 14.5]], dtype=np.float32)
    answers = iter([False, False, True])
    result = drag_literally(
        generator,
        latent,
        handles,
        handles + 8.0,
        ReferenceOptions(),
        should_stop=lambda: next(answers),
    )
    assert (result.steps, result.reached) == (2, False)
