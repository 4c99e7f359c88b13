# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of drags of one's own picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.bench.invert import SIZE_PX, load_renders
from tools.bench.landmarks import LANDMARKS
from tools.bench.own import Outcome, table


def _outcome(image: str, pull: str, farthest_px: float) -> Outcome:
    return Outcome(image, pull, "1", True, farthest_px / 2, farthest_px, 8.0, 0.01, 0.9)


def test_a_line_counts_drags_whose_every_landmark_is_near() -> None:
    outcomes = [_outcome("inverted", "", far) for far in (0.5, 1.5, 2.5, 3.5)]
    outcomes.append(_outcome("inverted", "after", 1.0))
    first, second = table(outcomes)[2:]
    wanted = ["1", "inverted", "", "4", "1.0%", "8.0 px", "100%", "50%", "1.00 px", "1.00 px"]
    assert [cell.strip() for cell in first.split("|")[1:-2]] == wanted
    assert "| after | 1 |" in second


def test_renders_of_an_earlier_run_are_read_in_the_order_of_the_detector(tmp_path: Path) -> None:
    names = list(reversed(LANDMARKS))
    places = np.arange(len(names), dtype=np.float32)[None, :, None].repeat(2, axis=2)
    np.savez(
        tmp_path / f"suzanne_{SIZE_PX}px_seed5_000000.npz",
        images=np.zeros((1, 2, 2, 3), np.uint8),
        factors=np.zeros((1, 19), np.float32),
        landmarks_px=places,
        landmarks_visible=np.ones((1, len(names)), bool),
        landmark_names=np.array(names),
    )
    renders = load_renders(tmp_path, 5, 1)
    np.testing.assert_array_equal(renders.places_px[0, :, 0], np.arange(len(names))[::-1])
