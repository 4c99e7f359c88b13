# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered shards in memory: the weight of an error near each landmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tools.suzanne.dataset import FOCUS_WEIGHTS, load_pictures
from tools.suzanne.factors import FACTORS

SIZE = 64


def _save_shard(path: Path, factor_names: tuple[str, ...] = FACTORS) -> None:
    """Write two pictures with landmarks in another order; the chin of the second is hidden."""
    names = (*reversed(FOCUS_WEIGHTS), "brow")
    places = np.full((2, len(names), 2), -100.0, dtype=np.float32)  # far outside
    places[:, names.index("chin")] = (48.5, 32.5)
    places[:, names.index("eye_left")] = (16.5, 8.5)
    visible = np.ones((2, len(names)), dtype=bool)
    visible[1, names.index("chin")] = False
    np.savez(
        path,
        images=np.full((2, SIZE, SIZE, 3), 255, dtype=np.uint8),
        factors=np.zeros((2, len(factor_names)), dtype=np.float32),
        factor_names=np.array(factor_names),
        landmarks_px=places,
        landmarks_visible=visible,
        landmark_names=np.array(names),
    )


def test_an_error_counts_more_at_each_landmark_that_is_seen(tmp_path: Path) -> None:
    _save_shard(tmp_path / "a.npz")
    _save_shard(tmp_path / "b.npz")
    pictures, held_out = load_pictures(tmp_path, 1)
    assert (len(pictures), len(held_out)) == (3, 1)
    batch = pictures.batch(torch.tensor([0, 1]), SIZE)
    assert set(batch.images.flatten().tolist()) == {1.0}
    weights = batch.weights[:, 0]  # pixel (x, y) has its centre at x + 0.5, y + 0.5
    for picture, chin in ((0, 1 + FOCUS_WEIGHTS["chin"]), (1, 1.0)):
        assert weights[picture, 32, 48].item() == pytest.approx(chin, abs=1e-3)
        assert weights[picture, 8, 16].item() == pytest.approx(1 + FOCUS_WEIGHTS["eye_left"])
        assert weights[picture, 60, 4].item() == pytest.approx(1.0, abs=1e-3)
    small = pictures.batch(torch.tensor([0]), SIZE // 2)
    assert small.images.shape == (1, 3, SIZE // 2, SIZE // 2)
    # The chin is at (24.25, 16.25) of these, a quarter of a pixel from the centre of (24, 16).
    assert small.weights[0, 0, 16, 24].item() == pytest.approx(1 + FOCUS_WEIGHTS["chin"], rel=0.05)


def test_shards_of_other_factors_and_too_few_pictures_are_refused(tmp_path: Path) -> None:
    _save_shard(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="holds 2 pictures, but more than 2 are needed"):
        load_pictures(tmp_path, 2)
    _save_shard(tmp_path / "b.npz", FACTORS[:-1])
    with pytest.raises(ValueError, match=r"b\.npz was rendered with other factors"):
        load_pictures(tmp_path, 1)
