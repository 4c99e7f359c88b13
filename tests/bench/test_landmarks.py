# SPDX-License-Identifier: GPL-3.0-or-later
"""The landmark detector on renders that it was not trained on, its file, and its training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from engine.arrays import ByteArray
from tools.bench.landmarks import COLOURS, LANDMARKS, WEIGHTS, Detector, DetectorError, Prediction
from tools.bench.renders import Renders, bend, load_renders, vary
from tools.bench.train_landmarks import detector_loss

DATA = Path(__file__).resolve().parents[1] / "data" / "landmarks"


class Truth(TypedDict):
    """What is stored with the renders, with an entry for each of them."""

    points_px: list[list[list[float]]]
    visible: list[list[bool]]
    colours: list[list[float]]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load()


@pytest.fixture(scope="module")
def truth() -> Truth:
    """Return ``points_px``, ``visible`` and ``colours`` of the stored renders."""
    stored: Truth = json.loads((DATA / "renders.json").read_text(encoding="utf-8"))
    return stored


@pytest.fixture(scope="module")
def renders(truth: Truth) -> ByteArray:
    """Return the stored renders, ``N x 128 x 128 x 3`` uint8."""
    with Image.open(DATA / "renders.png") as strip:
        return np.stack(np.split(np.asarray(strip.convert("RGB")), len(truth["points_px"]), axis=1))


def test_it_finds_the_landmarks_and_colours_of_renders(
    detector: Detector, renders: ByteArray, truth: Truth
) -> None:
    found = detector.detect(renders)
    seen = np.array(truth["visible"])
    errors = np.linalg.norm(found.points_px - np.array(truth["points_px"]), axis=2)
    assert errors[seen].max() < 1.5
    assert found.error_px[seen].max() < 2.0
    assert ((found.visible > 0.5) == seen).mean() > 0.9
    assert np.sqrt(np.mean((found.colours - np.array(truth["colours"])) ** 2)) < 0.2


def test_images_of_another_size_give_places_in_their_own_pixels(
    detector: Detector, renders: ByteArray
) -> None:
    large = renders[:1].repeat(2, axis=1).repeat(2, axis=2)
    found, expected = detector.detect(large), detector.detect(renders[:1])
    np.testing.assert_allclose(found.points_px, 2 * expected.points_px, atol=1.2)
    np.testing.assert_allclose(found.error_px, 2 * expected.error_px, rtol=0.3)


def test_it_expects_a_large_error_where_there_is_no_head(
    detector: Detector, renders: ByteArray
) -> None:
    blank = np.full((1, 128, 128, 3), 128, dtype=np.uint8)
    assert detector.detect(blank).error_px.mean() > 3 * detector.detect(renders).error_px.mean()


def test_its_file_contains_its_accuracy_which_is_good_enough(detector: Detector) -> None:
    assert WEIGHTS.stat().st_size < 1_000_000
    held_out = detector.figures["held_out"]
    assert held_out["pictures"] >= 500
    assert held_out["mean_px"] * 128 / detector.size_px < 1.0


def test_a_missing_file_and_another_file_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="train it with python"):
        Detector.load(tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other, {"size_px": "128", "figures": "{}"})
    with pytest.raises(DetectorError, match=r"other\.safetensors is not a landmark detector"):
        Detector.load(other)
    other.write_bytes(b"nothing of the kind")
    with pytest.raises(DetectorError, match="is not a landmark detector"):
        Detector.load(other)


def test_bending_moves_landmarks_with_the_picture() -> None:
    size = 64
    places = torch.tensor([[[20.5, 24.5]], [[40.5, 30.5]], [[32.5, 45.5]]]).repeat(4, 1, 1)
    line = torch.arange(size) + 0.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    away = (x - places[..., :1, None]) ** 2 + (y - places[..., 1:, None]) ** 2
    spots = torch.exp(-away[:, 0] / 8.0)[:, None].expand(-1, 3, -1, -1)
    bent, moved = bend(spots, places, torch.Generator().manual_seed(3))
    weight = bent[:, 0] ** 2 / (bent[:, 0] ** 2).sum((1, 2), keepdim=True)
    centres = torch.stack([(weight * x).sum((1, 2)), (weight * y).sum((1, 2))], dim=1)
    assert (moved[:, 0] - centres).norm(dim=1).max() < 0.5
    distance = (moved - places)[:, 0].norm(dim=1)
    assert distance.max() > 2.0  # while some pictures stay as they are
    assert distance.min() < 0.01


def make_shard(path: Path, names: tuple[str, ...]) -> None:
    count = 3
    np.savez(
        path,
        images=np.arange(count, dtype=np.uint8)[:, None, None, None]
        .repeat(16, 1)
        .repeat(16, 2)
        .repeat(3, 3),
        factors=np.tile(np.linspace(-1, 1, 7, dtype=np.float32), (count, 1)),
        factor_names=np.array(["yaw", *COLOURS]),
        landmarks_px=np.arange(2 * len(names), dtype=np.float32).reshape(1, -1, 2).repeat(count, 0),
        landmarks_visible=np.ones((count, len(names)), dtype=bool),
        landmark_names=np.array(names),
    )


def test_shards_are_read_in_order_with_landmarks_by_name(tmp_path: Path) -> None:
    make_shard(tmp_path / "a.npz", tuple(reversed(LANDMARKS)))
    make_shard(tmp_path / "b.npz", ("brow", *LANDMARKS))
    training, held_out = load_renders(tmp_path, 2)
    assert (len(training), len(held_out)) == (4, 2)
    assert training.images[:, 0, 0, 0].tolist() == [0, 1, 2, 0]
    last = 2 * (len(LANDMARKS) - 1)
    assert training.points_px[0, 0].tolist() == [last, last + 1]
    assert held_out.points_px[0, 0].tolist() == [2.0, 3.0]
    torch.testing.assert_close(training.colours[0], torch.linspace(-1, 1, 7)[1:])


def test_shards_without_a_landmark_and_too_few_pictures_are_refused(tmp_path: Path) -> None:
    make_shard(tmp_path / "a.npz", LANDMARKS)
    with pytest.raises(ValueError, match="holds 3 pictures, but more than 3 are needed"):
        load_renders(tmp_path, 3)
    make_shard(tmp_path / "b.npz", LANDMARKS[1:])
    with pytest.raises(ValueError, match=r"b\.npz has no landmark eye_left"):
        load_renders(tmp_path, 1)


def test_the_loss_rewards_being_right_and_being_sure_only_if_right() -> None:
    count = len(LANDMARKS)
    truth = Renders(
        torch.zeros(1, 3, 16, 16, dtype=torch.uint8),
        torch.full((1, count, 2), 8.0),
        torch.ones(1, count),
        torch.zeros(1, 6),
        torch.zeros(1, 7),
    )

    def loss(error_px: float, log_scale: float) -> float:
        points = truth.points_px + torch.tensor([error_px, 0.0])
        scales, seen = torch.full((1, count), log_scale), torch.full((1, count), 4.0)
        prediction = Prediction(points, scales, seen, truth.colours)
        return detector_loss(prediction, truth.points_px, truth).item()

    assert loss(0.1, -2.0) < loss(0.1, 0.0) < loss(3.0, 0.0) < loss(3.0, -2.0)
    # For an error r, the scale with the smallest loss is r / 2.
    assert loss(2.0, 0.0) < min(loss(2.0, 0.5), loss(2.0, -0.5))


def test_varied_pictures_are_of_the_same_size_and_range() -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=random)
    points = torch.full((8, len(LANDMARKS), 2), 16.0)
    batch = Renders(images, points, points[..., 0], torch.zeros(8, 6), torch.zeros(8, 7))
    varied, moved = vary(batch, random)
    assert varied.shape == (8, 3, 32, 32) and moved.shape == points.shape
    assert 0.9 < varied.abs().max() < 2.0
