# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of the model's images, composed onto pictures that it knows and does not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from draggan_blender.protocol.layering import Layer
from engine.arrays import ByteArray, FloatArray
from engine.errors import RequestError
from engine.inversion import edits
from engine.inversion.alignment import Alignment
from engine.inversion.blending import Blended
from engine.inversion.edits import blended, write_blended, write_single
from engine.models import sample_latent
from engine.output import frames
from engine.output.frames import FrameNames
from engine.output.render import render_image
from engine.pictures import Picture
from stylegan2 import Generator, load_generator
from stylegan2.models import builtin_model_path

SIDE = 128


@pytest.fixture(scope="module")
def suzanne() -> Generator:
    path = builtin_model_path("suzanne")
    assert path is not None
    return load_generator(path)


@pytest.fixture(scope="module")
def latents(suzanne: Generator) -> tuple[FloatArray, FloatArray]:
    """Return a latent, and the same with the pose and shape of another seed."""
    first, other = (sample_latent(suzanne, seed, 0.7) for seed in (3, 4))
    changed = first.copy()
    changed[:6] += np.float32(0.4) * (other - first)[:6]
    return first, changed


def _strange() -> ByteArray:
    """Return a picture of 320 x 320 px that the model does not cover: stripes and noise."""
    rows, columns = np.mgrid[0:320, 0:320]
    noise = np.random.default_rng(3).integers(-30, 30, (320, 320, 3))
    stripes = 128 + 70 * np.sign(np.sin(rows / 7.0 + columns / 19.0))
    picture: ByteArray = (stripes[..., None] + noise).clip(0, 255).astype(np.uint8)
    return picture


def test_outside_of_a_mask_a_picture_that_is_not_covered_stays(
    suzanne: Generator, latents: tuple[FloatArray, FloatArray]
) -> None:
    first, changed = latents
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[60:110, 40:90] = 255
    edit = Picture(first, (Layer(mask=mask, softness=4.0, latent=changed),))
    picture = _strange()
    frame = Alignment(165.0, 150.0, 5.0, 2.0 * SIDE)
    (result,) = blended(suzanne, picture, frame, first, [edit])
    change = np.abs(result.image.astype(int) - picture).max(axis=2)
    assert (change > 20).sum() > 2000, "the edit is there"
    # The mask in the picture, with what is widened and feathered: 5 px of the model.
    rows, columns = np.nonzero(change > 1)
    angle = np.radians(frame.angle_deg)
    right, down = columns + 0.5 - frame.centre_x, rows + 0.5 - frame.centre_y
    x = (np.cos(angle) * right - np.sin(angle) * down) / 2 + SIDE / 2
    y = (np.sin(angle) * right + np.cos(angle) * down) / 2 + SIDE / 2
    assert x.min() > 40 - 5 and x.max() < 90 + 5
    assert y.min() > 60 - 5 and y.max() < 110 + 5
    np.testing.assert_array_equal(result.image[result.matte == 0], picture[result.matte == 0])


def test_an_edit_moves_the_picture_to_the_truth(
    suzanne: Generator, latents: tuple[FloatArray, FloatArray]
) -> None:
    first, changed = latents
    picture = render_image(suzanne, first)
    frame = Alignment.whole(SIDE, SIDE)
    wanted = render_image(suzanne, changed)
    (result,) = blended(suzanne, picture, frame, first, [Picture(changed)])
    before = np.abs(picture.astype(float) - wanted).mean()
    after = np.abs(result.image.astype(float) - wanted).mean()
    assert before > 5
    assert after < 0.2 * before


def test_one_edit_and_the_last_row_of_a_sequence_are_the_same(
    suzanne: Generator, latents: tuple[FloatArray, FloatArray]
) -> None:
    first, changed = latents
    picture, frame = _strange(), Alignment.whole(320, 320)
    looked: list[int] = []
    pictures = [Picture(first), Picture(changed)]
    one, two = blended(suzanne, picture, frame, first, pictures, lambda: looked.append(1))
    np.testing.assert_array_equal(one.image, picture)
    assert not one.matte.any()
    (single,) = blended(suzanne, picture, frame, first, [Picture(changed)])
    np.testing.assert_array_equal(single.image, two.image)
    assert 4 <= len(looked) <= 1 + edits._MOST_STEPS, "between both, motion is followed in steps"


def test_no_image_and_no_matte_is_left_if_one_file_cannot_be_written(tmp_path: Path) -> None:
    one = Blended(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8))
    for blocked in ("blend_0003.png", "blend-matte_0003.png"):
        folder = tmp_path / blocked.partition("_")[0]
        (folder / blocked).mkdir(parents=True)
        with pytest.raises(OSError, match=blocked):
            edits.write_blended([one] * 3, FrameNames(folder, "blend"), matte=True)
        assert [path.name for path in folder.iterdir()] == [blocked]
    (tmp_path / "still.png").mkdir()
    with pytest.raises(OSError, match="still"):
        edits.write_single(one, tmp_path / "still.png", matte=True)
    assert not (tmp_path / "still-matte.png").exists()


def test_a_frame_off_the_picture_is_refused(
    suzanne: Generator, latents: tuple[FloatArray, FloatArray]
) -> None:
    first, _ = latents
    with pytest.raises(RequestError, match="outside the picture"):
        next(blended(suzanne, _strange(), Alignment(999.0, 0.0, 0.0, 99.0), first, []))


@pytest.mark.parametrize("failing", ["blend_0003.png", "blend-matte_0003.png"])
def test_nothing_is_left_of_a_sequence_whose_last_file_cannot_be_written(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = frames.write_png

    def write_png(path: Path, image: ByteArray) -> None:
        if path.name == failing:
            raise OSError(28, "No space left on device")
        write(path, image)

    monkeypatch.setattr(frames, "write_png", write_png)
    rows = [Blended(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8))] * 3
    with pytest.raises(OSError, match="No space left"):
        write_blended(rows, FrameNames(tmp_path, "blend"), matte=True)
    assert not list(tmp_path.iterdir())


def test_no_matte_is_left_of_an_image_that_cannot_be_written(tmp_path: Path) -> None:
    one = Blended(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8))
    (tmp_path / "still.png").mkdir()
    with pytest.raises(OSError, match=r"still\.png"):
        write_single(one, tmp_path / "still.png", matte=True)
    assert [path.name for path in tmp_path.iterdir()] == ["still.png"]
    write_single(one, tmp_path / "other.png", matte=True)
    assert (tmp_path / "other-matte.png").is_file()
