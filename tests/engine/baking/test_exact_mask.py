# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes with an exact mask: frames hold to the bit, and reuse is as without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from draggan_blender.protocol.layering import MaskedChange, composed, mixed
from draggan_blender.protocol.settings import DragSettings
from draggan_blender.protocol.timeline import Edit, MaskFrom, SettingsFrom
from engine.arrays import ByteArray, FloatArray
from engine.baking.solve import BakeReport
from engine.errors import RequestError
from engine.models import LoadedModel, sample_latent
from engine.output.render import render_image
from engine.output.track import Track
from engine.pictures import Picture
from engine.serving.edit_file import animated_edit
from engine.solving.drag import drag
from stylegan2 import Generator

from ..edits import FIRST, HOME, bake, contents, folder_of, moves, small_edit

SETTINGS = DragSettings(max_steps=6, tolerance_px=0.5, softness=2.0)


@pytest.fixture(scope="module")
def model(generator: Generator, checkpoint: Path) -> LoadedModel:
    # Already for the fixtures of this module: the last bits depend on the number of threads.
    torch.set_num_threads(1)
    return LoadedModel(generator, checkpoint, "")


def _mask(right: int) -> ByteArray:
    mask = np.zeros((32, 32), np.uint8)
    mask[4:26, 2:right] = 255
    return mask


EARLY, LATE = _mask(24), _mask(28)


def _edit(latent: FloatArray, /, **changes: Any) -> Edit:
    return small_edit(
        latent,
        **{
            "settings": (SettingsFrom(number=FIRST, settings=SETTINGS),),
            # The mask changes at the fifth frame.
            "mask_spans": (MaskFrom(number=FIRST, index=0), MaskFrom(number=FIRST + 4, index=1)),
            "masks": EARLY.tobytes() + LATE.tobytes(),
            **changes,
        },
    )


def _frames(path: Path) -> list[ByteArray]:
    names = folder_of(path).names
    return [np.array(Image.open(names.path(FIRST + row))) for row in range(8)]


@pytest.fixture(scope="module")
def plain(model: LoadedModel, latent: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bake of ``_edit``, which no test may change."""
    path = tmp_path_factory.mktemp("plain")
    bake(model, _edit(latent), path)
    return path


def test_no_frame_changes_where_its_mask_is_black(
    model: LoadedModel, latent: FloatArray, plain: Path
) -> None:
    still = render_image(model.generator, latent)
    for row, frame in enumerate(_frames(plain)):
        held = (EARLY if row < 4 else LATE) == 0
        assert np.array_equal(frame[held], still[held])
        assert not np.array_equal(frame, still)


def test_the_first_frame_is_that_of_a_drag(
    model: LoadedModel, latent: FloatArray, plain: Path
) -> None:
    track = Track.load(folder_of(plain).track_path)
    edit = animated_edit(_edit(latent), model)
    inputs = edit.inputs(0)
    alone = drag(
        model.generator,
        latent,
        np.array([HOME], np.float32),
        inputs.targets_px,
        inputs.options,
        mask=EARLY,
        least_steps=1,
    )
    assert np.array_equal(track.solved_latents()[0], alone.latents[-1])
    assert track.picture(0).equals(alone.picture(-1))


def test_smoothed_frames_hold_too_and_the_solved_latents_stay(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path
) -> None:
    bake(model, _edit(latent, smoothing=1.0), tmp_path)
    track, unsmoothed = (Track.load(folder_of(path).track_path) for path in (tmp_path, plain))
    assert np.array_equal(track.solved_latents(), unsmoothed.solved_latents())
    assert not track.picture(1).equals(unsmoothed.picture(1))
    still = render_image(model.generator, latent)
    frames = _frames(tmp_path)
    assert np.array_equal(frames[1][EARLY == 0], still[EARLY == 0])


def test_a_bake_that_was_interrupted_gives_the_same_files(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path
) -> None:
    edit = _edit(latent)

    class _CrashError(Exception):
        pass

    def crash(row: int, solved: object, is_new: bool) -> None:
        if row == 5:
            raise _CrashError

    with pytest.raises(_CrashError):
        bake(model, edit, tmp_path, report=BakeReport(on_row=crash))
    again = bake(model, edit, tmp_path)
    assert again.solved_count <= 3
    assert contents(tmp_path) == contents(plain)
    assert bake(model, edit, tmp_path).solved_count == 0


def test_a_bake_starts_from_an_image_with_layers(
    model: LoadedModel, latent: FloatArray, tmp_path: Path
) -> None:
    generator = model.generator
    handles = np.array([HOME], np.float32)
    dragged = drag(
        generator,
        latent,
        handles,
        handles + np.array([[0.8, 0]], np.float32),
        animated_edit(_edit(latent), model).inputs(0).options,
        mask=EARLY,
    )
    picture = dragged.picture(-1)
    edit = _edit(
        latent,
        latent=picture.to_bytes(),
        targets_px=moves(*[1.0] * 8),
        masks=EARLY.tobytes(),
        mask_spans=(MaskFrom(number=FIRST, index=0),),
    )
    track = bake(model, edit, tmp_path).track
    assert all(len(track.picture(row).layers) == 1 for row in range(8))
    assert np.array_equal(track.picture(0).latent, latent)
    still = render_image(generator, Picture(latent))
    for frame in _frames(tmp_path):
        assert np.array_equal(frame[EARLY == 0], still[EARLY == 0])


def test_an_animated_truncation_moves_the_held_image_as_it_would_without_the_edit(
    model: LoadedModel, tmp_path: Path
) -> None:
    generator = model.generator
    psi = tuple(0.7 - 0.05 * row for row in range(8))
    latent = sample_latent(generator, 3, 0.7)
    edit = _edit(latent, seed=3, sampled_psi=0.7, truncation_psi=psi)
    bake(model, edit, tmp_path)
    for row, frame in enumerate(_frames(tmp_path)):
        held = (EARLY if row < 4 else LATE) == 0
        base = animated_edit(edit, model).inputs(row).opened.picture.latent
        still = render_image(generator, base)
        assert np.array_equal(frame[held], still[held])
    assert not np.array_equal(base, latent)


def test_animated_strengths_of_other_edits_are_seen_where_nothing_is_dragged(
    model: LoadedModel, latent: FloatArray, tmp_path: Path
) -> None:
    below = np.zeros((32, 32), np.uint8)
    below[28:] = 255
    change = sample_latent(model.generator, 5, 0.7) - latent
    other = MaskedChange(mask=below, softness=0.0, change=change)
    strengths = (0.0, 0.0, 0.25, 0.5, 1.0, 1.0, 1.0, 0.0)
    edit = _edit(
        latent,
        mask_spans=(MaskFrom(number=FIRST, index=0),),
        masks=EARLY.tobytes(),
        layered=composed(latent, [other]),
        strengths=strengths,
    )
    assert bake(model, edit, tmp_path).solved_count == 8
    for frame, picture in zip(
        _frames(tmp_path), mixed(latent, [other], [[one] for one in strengths]), strict=True
    ):
        expected = render_image(model.generator, model.picture(picture))
        assert np.array_equal(frame[EARLY == 0], expected[EARLY == 0])
        assert not np.array_equal(frame, expected)
    # Another strength changes its frame and, because they follow, the later ones.
    later = replace(edit, strengths=(*strengths[:4], 0.75, *strengths[5:]))
    keys, changed = (animated_edit(one, model).keys("") for one in (edit, later))
    assert [one == other for one, other in zip(keys, changed, strict=True)] == [
        *[True] * 4,
        *[False] * 4,
    ]
    assert bake(model, edit, tmp_path).solved_count == 0


def test_strengths_that_do_not_fit_the_edits_are_refused(
    model: LoadedModel, latent: FloatArray
) -> None:
    other = MaskedChange(mask=EARLY, softness=0.0, change=np.ones_like(latent))
    edit = _edit(latent, layered=composed(latent, [other]), strengths=(1.0,) * 16)
    with pytest.raises(RequestError, match="2 strengths for 1 masked edits"):
        animated_edit(edit, model)
