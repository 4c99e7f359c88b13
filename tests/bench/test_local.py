# SPDX-License-Identifier: GPL-3.0-or-later
"""Local drags: the two lists, the measures, and the command from start to end."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from engine.arrays import ByteArray
from tools.bench.landmarks import LANDMARKS, Detection
from tools.bench.local.command import main
from tools.bench.local.drags import FIRST_SEEDS, SIZE_PX, LocalDrag, draw_mask, load_drags
from tools.bench.local.kinds import KINDS, NAMES
from tools.bench.local.matching import found_px
from tools.bench.local.measures import measure_change, measure_places
from tools.bench.local.parts import PARTS, weights

LISTS = tuple(FIRST_SEEDS)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_every_kind_equally_often(name: str) -> None:
    drags = load_drags(name)
    assert len(drags) >= 40
    counts = Counter(drag.kind for drag in drags)
    assert set(counts) == set(NAMES) and len(set(counts.values())) == 1
    assert [drag.number for drag in drags] == list(range(len(drags)))
    assert {len(drag.handles_px) for drag in drags} >= {1, 2, 3, 4, 8}


def test_the_lists_have_no_seed_in_common_and_no_seed_twice() -> None:
    seeds = [drag.seed for name in LISTS for drag in load_drags(name)]
    assert len(set(seeds)) == len(seeds)
    for name, first in FIRST_SEEDS.items():
        assert all(first < drag.seed < first + 100_000 for drag in load_drags(name))


@pytest.mark.parametrize("name", LISTS)
def test_points_are_where_an_artist_could_set_them(name: str) -> None:
    kinds = {kind.name: kind for kind in KINDS}
    for drag in load_drags(name):
        kind = kinds[drag.kind]
        where = f"{name} {drag.number} {drag.kind}"
        assert ((drag.handles_px > 0) & (drag.handles_px < SIZE_PX)).all(), where
        inside = ((drag.targets_px > 0) & (drag.targets_px < SIZE_PX)).all()
        assert inside != kind.leaves, where
        pulls = np.linalg.norm(drag.targets_px - drag.handles_px, axis=1)
        assert pulls[: drag.pulled].max() >= 4.0 and (pulls[drag.pulled :] == 0).all(), where
        assert (drag.truth is not None) == kind.has_truth, where
        assert 0 < (drag.mask > 0).mean() < 0.5 and drag.part.any(), where
        # The mask contains the handles that are pulled.
        columns, rows = np.floor(drag.handles_px[: drag.pulled]).astype(int).T
        assert (drag.mask[rows, columns] == 255).all(), where
        # Most of what should change is inside the mask.
        assert (drag.mask[drag.part] == 255).mean() > 0.5, where


def test_long_pulls_are_long() -> None:
    pulls = {
        drag.kind: float(np.linalg.norm(drag.targets_px[0] - drag.handles_px[0]))
        for drag in load_drags("test")
        if drag.kind.endswith("far")
    }
    assert len(pulls) == 4 and min(pulls.values()) > 18 and max(pulls.values()) > 28


def test_a_part_is_on_one_side_and_a_mirrored_one_on_the_other() -> None:
    at = np.random.default_rng(0).uniform(-1.4, 1.4, (2000, 3))
    for part in ("ear", "eye", "brow", "cheek"):
        there, mirrored = weights(part, at, 1), weights(part, at * (-1.0, 1.0, 1.0), -1)
        np.testing.assert_array_equal(there, mirrored)
        assert there.max() > 0.5 and there[at[:, 0] < 0].max() < 0.05
    for part in PARTS:
        assert weights(part, at, 1).min() >= 0.0 and weights(part, at, 1).max() <= 1.0


def test_a_drag_in_a_smaller_model_is_the_same_drag() -> None:
    drag = load_drags("choosing")[0]
    half = drag.scaled(64)
    np.testing.assert_allclose(half.handles_px * 2, drag.handles_px)
    assert half.size_px == 64 and half.truth is not None and half.truth.shape == (64, 64, 3)
    assert (half.mask > 0).mean() == pytest.approx((drag.mask > 0).mean(), rel=0.05)
    assert half.part.mean() >= drag.part.mean()
    assert drag.scaled(SIZE_PX) is drag


def test_masks_are_hard_circles_and_boxes() -> None:
    box = draw_mask(["box", 2, 4, 6, 8], 16)
    assert set(np.unique(box)) == {0, 255} and (box > 0).sum() == 16 and box[4, 2] == 255
    circle = draw_mask(["circle", 8, 8, 4], 16)
    assert (circle > 0).sum() == pytest.approx(np.pi * 16, rel=0.1)


def picture(size: int = 64) -> ByteArray:
    """Return a picture of smooth random blobs, which looks different everywhere."""
    random = np.random.default_rng(3).normal(size=(size, size, 3))
    spectrum = np.fft.fft2(random, axes=(0, 1))
    frequency = np.fft.fftfreq(size)
    low = np.exp(-((frequency[:, None] ** 2 + frequency[None] ** 2) * 300))
    smooth = np.fft.ifft2(spectrum * low[..., None], axes=(0, 1)).real
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    image: ByteArray = (255 * smooth).astype(np.uint8)
    return image


def drag_of(truth: ByteArray | None, landmark: str | None = None) -> LocalDrag:
    size = 64
    mask = draw_mask(["circle", 30, 30, 12], size)
    part = draw_mask(["circle", 30, 30, 8], size) > 0
    return LocalDrag(
        number=0,
        kind="ear up",
        seed=1,
        factors=np.zeros(19, dtype=np.float32),
        handles_px=np.array([[30.5, 33.5], [20.5, 20.5]], dtype=np.float32),
        targets_px=np.array([[30.5, 27.5], [20.5, 20.5]], dtype=np.float32),
        pins=1,
        face_px=np.zeros((len(LANDMARKS), 2), dtype=np.float32),
        landmarks=(landmark, None),
        mask=mask,
        truth=truth,
        part=part,
    )


def detection(x: float, y: float) -> Detection:
    count = len(LANDMARKS)
    points = np.full((1, count, 2), (x, y), dtype=np.float32)
    ones = np.ones((1, count), dtype=np.float32)
    return Detection(points, ones, ones, np.zeros((1, 6), dtype=np.float32))


def test_what_changes_inside_the_mask_or_the_part_is_no_change_outside() -> None:
    before, drag = picture(), drag_of(picture())
    after = before.copy()
    after[30, 30] = 255 - after[30, 30]  # in the part
    after[30, 40] = np.where(before[30, 40] > 127, 0, 255)  # in the mask, but not in the part
    masked, free = (measure_change(drag, before, after, masked=m) for m in (True, False))
    assert masked["outside"] == 0.0 and masked["visible"] == 0.0
    assert masked["beside"] == free["beside"] == free["outside"] > 0.0
    assert free["visible"] == pytest.approx(1 / (~drag.part).sum())
    assert masked["unlike"] > 0.0
    assert measure_change(drag, before, before, masked=False)["unlike"] == 0.0


def test_small_changes_count_in_the_mean_but_are_not_visible() -> None:
    before = np.full((64, 64, 3), 100, dtype=np.uint8)
    found = measure_change(drag_of(None), before, before + np.uint8(8), masked=False)
    assert found["outside"] == 8.0 and found["visible"] == 0.0 and "unlike" not in found


@pytest.mark.parametrize(("shift", "expected"), [(0, 0.0), (1, 1.0), (4, 4.0)])
def test_content_is_found_again_where_it_is(shift: int, expected: float) -> None:
    truth = picture()
    image = np.roll(truth, shift, axis=1)
    noisy = np.clip(image * 0.9 + np.random.default_rng(0).normal(10, 3, image.shape), 0, 255)
    target = np.array([30.5, 27.5], dtype=np.float32)
    assert found_px(truth, noisy.astype(np.uint8), target, 4.0) == pytest.approx(expected, abs=0.5)


def test_content_that_is_gone_is_as_far_away_as_the_search_goes() -> None:
    other = np.random.default_rng(9).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    target = np.array([30.5, 27.5], dtype=np.float32)
    assert found_px(picture(), other, target, 8.0) >= 8.0


def test_a_landmark_is_measured_by_the_detector_and_other_points_by_their_content() -> None:
    truth = picture()
    tracked = np.array([[30.5, 28.0], [50.0, 50.0]], dtype=np.float32)
    here = measure_places(drag_of(truth, "nose"), truth, truth, detection(30.5, 27.5), tracked)
    # Pins are not among the points that must arrive. Lengths are px of 128.
    assert here["arrived"] == 1.0 and here["off"] == 0.0 and here["tracked"] == 1.0
    assert here["pins"] == 0.0
    away = measure_places(
        drag_of(truth, "nose"), truth, truth, detection(30.5, 29.0), tracked + 3.0
    )
    assert away["arrived"] == 0.0 and away["off"] == 3.0 and away["tracked"] == 0.0
    other = np.random.default_rng(9).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    by_content = measure_places(
        drag_of(truth), other, np.roll(truth, 3, axis=1), detection(0, 0), None
    )
    assert by_content["off"] == pytest.approx(6.0, abs=0.5) and "tracked" not in by_content
    assert "arrived" not in measure_places(drag_of(None), other, truth, detection(0, 0), tracked)
    # Where the start shows the same as the truth, nothing can be seen of the pull.
    assert "arrived" not in measure_places(drag_of(truth), truth, truth, detection(0, 0), tracked)


def test_the_command_measures_and_does_not_measure_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--rows", "no edit,ours", "--only", "muzzle long", "--kinds"]
    arguments += ["--mask", "free", "--out", str(tmp_path)]
    assert main(arguments) == 0
    (kept,) = tmp_path.glob("*.jsonl")
    lines = kept.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4  # two drags of the kind, two rows
    results = [json.loads(line)["measures"] for line in lines]
    still = [result for result in results if result["steps"] == 0]
    dragged = [result for result in results if result["steps"] > 0]
    assert len(still) == len(dragged) == 2
    assert all(result["outside"] == 0.0 and result["arrived"] == 0.0 for result in still)
    assert all(result["off"] < 4.0 and result["outside"] > 0.0 for result in dragged)
    printed = capsys.readouterr().out
    assert "muzzle long" in printed and "no edit" in printed
    assert main(arguments) == 0
    assert kept.read_text(encoding="utf-8").splitlines() == lines


@pytest.mark.parametrize("mask_mode", ["soft", "exact"])
def test_the_published_methods_are_measured_if_they_are_named(
    mask_mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--rows", "draggan,freedrag", "--only", "muzzle long", "--each", "1"]
    arguments += ["--max-steps", "4", "--out", str(tmp_path)]
    changed = [] if mask_mode == "soft" else ["--set", f"mask_mode={mask_mode}"]
    assert main([*arguments, *changed]) == 0
    (stored,) = tmp_path.glob("*.jsonl")
    lines = [json.loads(line) for line in stored.read_text(encoding="utf-8").splitlines()]
    found = {}
    for line in lines:
        options, _ = json.JSONDecoder().raw_decode(line["drag"]["row"])
        assert options["latent_space"] == "w+" and options["mask_mode"] == mask_mode
        found[options["method"], line["drag"]["setting"]] = line["measures"]
    methods, settings = ("draggan", "freedrag"), ("free", "mask")
    assert set(found) == {(method, setting) for method in methods for setting in settings}
    # Both move at each step, each in its own way, and a mask holds: softly, as published, unless it
    # is told to hold exactly.
    assert all(measures["steps"] == 4 and measures["beside"] > 0 for measures in found.values())
    assert found["draggan", "free"]["unlike"] != found["freedrag", "free"]["unlike"]
    for method in methods:
        free, masked = (found[method, setting] for setting in settings)
        assert masked["beside"] < free["beside"]
        assert (masked["outside"] == 0) == (mask_mode == "exact")
    printed = capsys.readouterr().out
    assert all(printed.count(f"\n{method}") == 2 for method in methods)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--rows", "magic"], "there is no row 'magic'"),
        (["--rows", "ours", "--set", "speed=2"], "a drag has no option 'speed'"),
        (["--only", "tail up"], "there is no kind 'tail up'"),
        (["--only", "ear big, pins", "--only", "ear up", "--rows", "magic"], "no row 'magic'"),
        (["--only", "ear big, pins", "--only", "ear"], "there is no kind 'ear'"),
        (["--model", "no/such.pkl"], "such.pkl"),
    ],
)
def test_a_wrong_argument_is_refused_before_the_first_drag(
    arguments: list[str], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and part in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
