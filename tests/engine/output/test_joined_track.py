# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.output.frames import FrameNames
from engine.output.joined_track import joined_track, rows_before
from engine.output.linked_frames import frames_taken_over
from engine.output.track import Track

MODEL = "ab" * 32


def _track(
    seed: int, rows: int, layers: int, points: int, start: FloatArray | None = None
) -> Track:
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(6, 8)).astype(np.float32) if start is None else start
    edited = np.repeat(start[None, :layers], rows, axis=0)
    edited[1:] += rng.normal(size=(rows - 1, layers, 8)).astype(np.float32)
    return Track(
        start=start,
        edited=edited,
        numbers=np.arange(rows),
        handles_px=rng.normal(size=(rows, points, 2)).astype(np.float32),
        targets_px=rng.normal(size=(points, 2)).astype(np.float32),
        losses=np.arange(rows, dtype=np.float32),
        distances_px=np.arange(rows, dtype=np.float32),
        model_name="tiny.pkl",
        model_sha256=MODEL,
        options={"max_steps": seed},
        status="reached",
        first_number=7,
    )


@pytest.mark.parametrize("layers", [(3, 2), (2, 4)])
def test_the_rows_before_the_drag_and_its_own_come_back(layers: tuple[int, int]) -> None:
    earlier = _track(1, 5, layers[0], 2)
    later = _track(2, 4, layers[1], 2, earlier.latent(3))
    joined = joined_track(earlier, 3, later, (11, 12), (12, 13))
    again = Track.from_bytes(joined.to_bytes())
    assert len(again) == 7
    np.testing.assert_array_equal(again.latents()[:3], earlier.latents()[:3])
    np.testing.assert_array_equal(again.latents()[3:], later.latents())
    assert (again.options, again.first_number) == ({"max_steps": 2}, 7)
    # The handles are 12 and 13, which the drag has moved, and then 11.
    np.testing.assert_array_equal(again.handles_px[:3, 0], earlier.handles_px[:3, 1])
    np.testing.assert_array_equal(again.handles_px[3:, :2], later.handles_px)
    np.testing.assert_array_equal(again.handles_px[:3, 1], later.handles_px[[0] * 3, 1])
    np.testing.assert_array_equal(again.handles_px[:3, 2], earlier.handles_px[:3, 0])
    np.testing.assert_array_equal(again.handles_px[3:, 2], earlier.handles_px[[3] * 4, 0])
    np.testing.assert_array_equal(again.targets_px[2], earlier.targets_px[0])


def test_the_last_row_is_repeated_up_to_a_drag_after_the_end() -> None:
    earlier = _track(1, 3, 2, 1)
    later = _track(2, 2, 2, 1, earlier.latent(2))
    assert rows_before(earlier, 5) == [0, 1, 2, 2, 2]
    joined = joined_track(earlier, 5, later, (0,), (4,))
    assert joined.handles_px.shape == (7, 1, 2)
    np.testing.assert_array_equal(joined.latents()[2:5], earlier.latents()[[2, 2, 2]])


def test_tracks_that_do_not_fit_are_refused() -> None:
    earlier, later = _track(1, 3, 2, 1), _track(2, 2, 2, 1)
    with pytest.raises(RequestError, match="do not match its track"):
        joined_track(earlier, 2, later, (), (1,))
    other = Track(**{**vars(later), "model_sha256": "cd" * 32})
    with pytest.raises(RequestError, match="another model"):
        joined_track(earlier, 2, other, (1,), (1,))


def test_further_channels_are_taken_from_their_own_files(tmp_path: Path) -> None:
    earlier = FrameNames(tmp_path / "a", "old", 3, channels=6)
    earlier.folder.mkdir()
    for number in (3, 4):
        for path in earlier.paths(number):
            path.write_text(path.name)
    names = FrameNames(tmp_path / "b", "new", 5, channels=6)
    with frames_taken_over(earlier, [0, 1], names):
        for number, source in ((4, 3), (5, 3), (6, 4)):
            for path in names.paths(number):
                expected = path.name.replace("new", "old").replace(f"{number:04}", f"{source:04}")
                assert path.read_text() == expected


def test_frames_are_taken_over_and_removed_again_after_a_failure(tmp_path: Path) -> None:
    earlier = FrameNames(tmp_path / "a", "old", 3)
    earlier.folder.mkdir()
    for number in (2, 3, 5):
        earlier.path(number).write_bytes(b"%d" % number)
    names = FrameNames(tmp_path / "b", "new", 3)
    with frames_taken_over(earlier, [0, 1, 2, 2], names):
        # The frame that is missing is left out.
        found = {path.name: path.read_bytes() for path in names.folder.iterdir()}
        assert found == {
            "new_0002.png": b"3",
            "new_0003.png": b"3",
            "new_0005.png": b"5",
            "new_0006.png": b"5",
        }
    assert len(list(names.folder.iterdir())) == 4
    again = FrameNames(tmp_path / "c", "new", 3)
    with pytest.raises(ValueError, match="over"), frames_taken_over(earlier, [0], again):
        raise ValueError("over")
    assert list(again.folder.iterdir()) == []
    assert len(list(earlier.folder.iterdir())) == 3
