# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes with regions: the head of the built-in model is turned frame by frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from draggan_blender.protocol.file_names import TRACK_FILE
from draggan_blender.protocol.settings import DragSettings
from draggan_blender.protocol.timeline import Edit, SettingsFrom
from engine.baking.row import SolvedRow
from engine.baking.run import Baked
from engine.baking.solve import BakeReport
from engine.errors import RequestError
from engine.models import LoadedModel, ModelCache, sample_latent
from engine.output.track import Track
from engine.serving.edit_file import animated_edit
from tools.suzanne.factors import FACTORS, ROLL_MAX_RAD
from tools.suzanne.truth import FactorMap

from ..edits import FIRST, bake, folder_of

FRAMES = 6
DEGREES = 20.0


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    # Already for the fixtures of this module: the last bits depend on the number of threads.
    torch.set_num_threads(1)
    return ModelCache(torch.device("cpu")).get("suzanne")


def _turned(model: LoadedModel, degrees: float = DEGREES) -> Edit:
    """Return an edit that turns the head to an angle: a region, and a plain handle on the nose."""
    size = np.array(model.generator.img_shape[:0:-1], np.float32)
    handles = np.array([[0.5, 0.48], [0.499, 0.595]], np.float32) * size
    angles = np.radians(np.linspace(0, degrees, FRAMES))
    targets = np.repeat(handles[None], FRAMES, axis=0)
    nose = complex(*(handles[1] - handles[0])) * np.exp(-1j * angles)
    targets[:, 1] = handles[0] + np.stack([nose.real, nose.imag], axis=1)
    turns = np.tile(np.array([0.0, 1.0], "<f4"), (FRAMES, 2, 1))
    turns[:, 0, 0] = angles
    return Edit(
        model_name="suzanne",
        model_sha256=model.sha256,
        first_number=FIRST,
        latent=sample_latent(model.generator, 0, 0.0).astype("<f4").tobytes(),
        handles_px=tuple((float(x), float(y)) for x, y in handles),
        targets_px=targets.astype("<f4").tobytes(),
        settings=(SettingsFrom(number=FIRST, settings=DragSettings()),),
        radii_px=(28 * float(size[0]) / 128, 0.0),
        turns=turns.tobytes(),
    )


def _roll(model: LoadedModel, track: Track) -> float:
    """Return by how many degrees the head is turned from the first image to the last: the truth."""
    # The layers that are not edited hardly change the shape.
    ends = torch.from_numpy(track.edited[[0, -1]]).mean(dim=1)
    rolls = FactorMap(model.generator).factors(ends)[:, FACTORS.index("roll")]
    return float(np.degrees((rolls[0] - rolls[1]) * ROLL_MAX_RAD))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("turned")


@pytest.fixture(scope="module")
def turned(model: LoadedModel, folder: Path) -> Baked:
    return bake(model, _turned(model), folder, frames=False)


def test_the_head_turns_with_the_region_and_its_turns_are_reported(
    model: LoadedModel, turned: Baked
) -> None:
    assert turned.reached_count == FRAMES
    assert turned.turns is not None
    asked = np.linspace(0, DEGREES, FRAMES)
    assert np.abs(np.degrees(turned.turns[:, 0, 0]) - asked).max() < 2
    assert np.abs(turned.turns[:, 0, 1] - 1).max() < 0.05
    # A plain handle has no turn.
    assert (turned.turns[:, 1] == [0, 1]).all()
    assert _roll(model, turned.track) == pytest.approx(DEGREES, abs=2)


def test_it_repeats_to_the_byte_whole_or_from_an_interrupted_bake(
    model: LoadedModel, turned: Baked, tmp_path: Path
) -> None:
    class CutShortError(Exception):
        pass

    def on_row(row: int, solved: SolvedRow, is_new: bool) -> None:
        if row == 2:
            raise CutShortError

    with pytest.raises(CutShortError):
        bake(model, _turned(model), tmp_path, frames=False, report=BakeReport(on_row=on_row))
    again = bake(model, _turned(model), tmp_path, frames=False)
    assert again.solved_count == FRAMES - 3
    assert again.data == turned.data


def test_a_later_bake_takes_over_the_frames_before_another_angle(
    model: LoadedModel, turned: Baked, folder: Path, tmp_path: Path
) -> None:
    edit = _turned(model)
    turns = np.frombuffer(edit.turns, "<f4").reshape(FRAMES, 2, 2).copy()
    turns[-1, 0, 0] += 0.02
    other = replace(edit, turns=turns.tobytes())
    before, after = (animated_edit(one, model).keys("model") for one in (edit, other))
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * (FRAMES - 1) + [False]
    from_track = bake(model, other, tmp_path, frames=False, earlier=folder_of(folder))
    assert from_track.solved_count == 1
    assert from_track.turns is not None and turned.turns is not None
    assert np.array_equal(from_track.turns[:-1], turned.turns[:-1])


def test_the_radius_is_in_every_key(model: LoadedModel) -> None:
    edit = _turned(model)
    wider = replace(edit, radii_px=(edit.radii_px[0] + 1, 0.0))
    before, after = (animated_edit(one, model).keys("model") for one in (edit, wider))
    assert not set(before) & set(after)


def test_an_edit_whose_radii_are_all_0_is_a_plain_one(model: LoadedModel) -> None:
    edit = _turned(model)
    none, plain = replace(edit, radii_px=(0.0, 0.0)), replace(edit, radii_px=(), turns=b"")
    assert animated_edit(none, model).keys("m") == animated_edit(plain, model).keys("m")
    assert not animated_edit(none, model).has_regions


def test_refining_goes_on_with_the_turns_of_the_track(model: LoadedModel, turned: Baked) -> None:
    edit = replace(_turned(model), refined_track=turned.data)
    refined = animated_edit(edit, model).refined
    assert refined is not None and turned.track.baked is not None
    assert np.array_equal(refined.turns, turned.track.baked.turns)
    # A region that was a plain handle before begins unturned.
    other = replace(edit, radii_px=edit.radii_px[::-1])
    refined = animated_edit(other, model).refined
    assert refined is not None and (refined.turns == [1, 0]).all()


def test_smoothing_smooths_the_turns_and_keeps_what_was_solved(
    model: LoadedModel, turned: Baked, folder: Path, tmp_path: Path
) -> None:
    smooth = replace(_turned(model), smoothing=1.0)
    baked = bake(model, smooth, tmp_path, frames=False, earlier=folder_of(folder))
    assert baked.solved_count == 0
    assert baked.track.baked is not None and turned.track.baked is not None
    assert np.array_equal(baked.track.baked.turns, turned.track.baked.turns)
    assert baked.turns is not None and turned.turns is not None
    differences = np.abs(baked.turns - turned.turns).max(axis=(1, 2))
    assert differences[[0, -1]].max() < 1e-5 < differences[1:-1].max() < 0.1
    assert Track.load(tmp_path / TRACK_FILE).baked is not None


@pytest.mark.parametrize("turn", [(np.nan, 1.0), (0.0, 0.0)])
def test_turns_that_are_none_are_refused(model: LoadedModel, turn: tuple[float, float]) -> None:
    edit = _turned(model)
    turns = np.frombuffer(edit.turns, "<f4").reshape(FRAMES, 2, 2).copy()
    turns[1, 0] = turn
    with pytest.raises(RequestError, match="turns are not finite"):
        animated_edit(replace(edit, turns=turns.tobytes()), model)
