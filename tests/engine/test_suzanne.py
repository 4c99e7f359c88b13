# SPDX-License-Identifier: GPL-3.0-or-later
"""Drags of the built-in model with the default settings, which a new user tries first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from engine.baking.animated_edit import AnimatedEdit
from engine.baking.solve import BakeReport, solve
from engine.models import model_path, sample_latent
from engine.output.render import render_images
from engine.solving import drag as drag_module
from engine.solving.drag import drag
from engine.solving.manifold import distance_from_outputs
from engine.solving.options import DragOptions
from engine.solving.principal import principal_components
from engine.solving.result import DragStatus
from stylegan2 import Generator, load_generator

# The nose in the average image (truncation 0), where the head faces the viewer, as fractions of the
# width and height.
NOSE = np.array([[0.499, 0.595]], dtype=np.float32)

IntArray = npt.NDArray[np.int_]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return load_generator(model_path("suzanne"))


@pytest.mark.parametrize(
    ("method", "space", "way"),
    [
        ("linearised", "principal", -0.125),
        ("linearised", "principal", 0.125),
        ("linearised", "w+", -0.125),
        ("linearised", "w", 0.125),
        ("draggan", "w+", 0.08),
        ("freedrag", "w+", -0.08),
    ],
)
def test_the_head_follows_its_nose_and_the_background_stays(
    generator: Generator, method: str, space: str, way: float
) -> None:
    _, _, size = generator.img_shape
    latent = sample_latent(generator, 0, 0.0)
    options = DragOptions(method=method, latent_space=space)
    nose_px, way_px = NOSE * size, np.array([way * size, 0.0])
    result = drag(generator, latent, nose_px, nose_px + way_px, options)
    assert result.status is DragStatus.REACHED, result.reason
    before, after = render_images(generator, torch.from_numpy(result.latents[[0, -1]])).astype(int)
    edge = round(size * 0.05)
    border = np.ones((size, size), dtype=bool)
    border[edge:-edge, edge:-edge] = False
    assert np.abs(after - before)[border].mean() < 1
    assert np.linalg.norm(_way_of_nose(before, after) - way_px) <= 0.025 * size


def _way_of_nose(before: IntArray, after: IntArray) -> IntArray:
    """Return how far (x, y) the nose has moved, in whole pixels, by comparing the images."""
    size = len(before)
    (x, y), (width, height) = (NOSE[0] * size).round().astype(int), (size // 13, size // 16)

    def piece(image: IntArray, right: int, down: int) -> IntArray:
        rows = slice(y + down - height, y + down + height)
        return image[rows, x + right - width : x + right + width]

    costs = {
        (right, down): np.abs(piece(after, right, down) - piece(before, 0, 0)).mean()
        for right in range(-(size // 4), size // 4 + 1)
        for down in range(-(size // 6), size // 6 + 1)
    }
    return np.array(min(costs, key=lambda way: costs[way]))


@pytest.mark.parametrize("seed", [0, 2])
def test_a_handle_on_the_plain_background_ends_soon_and_the_image_stays(
    generator: Generator, seed: int
) -> None:
    _, _, size = generator.img_shape
    corner_px = np.array([[0.05, 0.05]], dtype=np.float32) * size
    latent = sample_latent(generator, seed, 0.7)
    result = drag(generator, latent, corner_px, corner_px + 0.14 * size, DragOptions())
    assert result.status is DragStatus.STALLED and "do not move the handles closer" in result.reason
    assert result.steps <= 16  # two attempts
    before, after = render_images(generator, torch.from_numpy(result.latents[[0, -1]])).astype(int)
    assert np.abs(after - before).mean() < 15


def test_a_target_far_beyond_the_images_of_the_model_ends_undamaged_and_says_so(
    generator: Generator,
) -> None:
    latent = sample_latent(generator, 700100, 0.7)
    ear, far = np.array([[99, 68]], np.float32), np.array([[122, 8]], np.float32)
    result = drag(generator, latent, ear, far, DragOptions())
    assert result.status is DragStatus.STALLED and result.is_beyond
    assert "beyond which this model has no images" in result.reason
    near = drag(generator, latent, ear, ear - 6, DragOptions())
    assert near.status is DragStatus.REACHED and not near.is_beyond


def test_a_drag_that_is_judged_ends_where_the_picture_is_still_whole(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the way that goes too far; the second one does, too.
    monkeypatch.setattr(drag_module, "second_way", lambda *_, **__: None)
    latent = sample_latent(generator, 0, 0.0)
    # The nose down and the crown up, so that the head would be longer than the model knows.
    handles = np.array([[64, 76], [64, 30]], np.float32)
    targets = np.array([[64, 90], [64, 10]], np.float32)
    far = drag(generator, latent, handles, targets, DragOptions())
    assert far.status is DragStatus.REACHED
    judged = drag(generator, latent, handles, targets, DragOptions(), judged=True)
    assert judged.status is DragStatus.STALLED and judged.is_beyond
    assert "the picture would come apart" in judged.reason
    rows = len(judged.latents)
    assert rows < len(far.latents) and judged.distances_px[-1] == far.distances_px[rows - 1]
    # What is left out are the rows that are too far from all that the mapping network makes.
    ends = [torch.from_numpy(one.latents[-1][:6]).mean(dim=0) for one in (judged, far)]
    whole, torn = (distance_from_outputs(generator, end) for end in ends)
    assert whole < 4 < torn


def test_a_bake_takes_nothing_back_of_what_an_animated_slider_changes(
    generator: Generator,
) -> None:
    latent, number, frames = sample_latent(generator, 0, 0.0), 2, 4
    components = principal_components(generator)
    parts = np.linspace(0, 1, frames, dtype=np.float32)[:, None, None]
    handle_px = np.array([[64, 76]], np.float32)
    edit = AnimatedEdit(
        first_number=1,
        latent=latent,
        handles_px=handle_px,
        targets_px=handle_px + parts * np.array([[0, 10]], np.float32),
        image_size=(128, 128),
        options=((0, DragOptions()),),
        moves=parts * 2 * components.scaled()[number].numpy() * np.ones_like(latent),
    )
    rows = solve(generator, edit, edit.keys("model"), {}, BakeReport())
    changes = np.stack([row.latent - edit.inputs(n).base for n, row in enumerate(rows)])
    along = (torch.from_numpy(changes).mean(dim=1) @ components.directions.T) / components.sigmas
    assert along[-1].norm() > 1
    # Of two standard deviations.
    assert abs(along[-1, number]) < 0.1


def test_least_squares_keep_the_fixed_area_as_it_is(generator: Generator) -> None:
    _, _, size = generator.img_shape
    chin_px = np.array([[0.5, 0.7]], dtype=np.float32) * size
    mask = np.zeros((size, size), dtype=np.uint8)
    mask[size // 2 :] = 255
    latent = sample_latent(generator, 1, 0.7)
    changes = []
    for weight in (0.0, 20.0):
        options = DragOptions(mask_weight=weight, mask_mode="soft")
        result = drag(generator, latent, chin_px, chin_px + 0.05 * size, options, mask=mask)
        assert result.status is DragStatus.REACHED, result.reason
        ends = render_images(generator, torch.from_numpy(result.latents[[0, -1]])).astype(int)
        changes.append(np.abs(ends[1] - ends[0])[: size // 2].mean())
    assert changes[1] < 0.2 * changes[0]
