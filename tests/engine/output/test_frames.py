# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering latents, writing their files, and the contact sheet."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import engine.output.frames
import engine.output.render
import engine.output.sequence
from engine.arrays import ByteArray, FloatArray
from engine.cli.sheet import HANDLE_COLOUR, TARGET_COLOUR, before_after_sheet, sheet_rows
from engine.output.frames import FrameNames, FrameWriter, write_png
from engine.output.render import preview_pixels, render_frames, render_images
from engine.output.sequence import write_sequence
from engine.output.track import Track
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from stylegan2 import Generator, GeneratorConfig


def _image(value: int) -> ByteArray:
    return np.full((4, 6, 3), value, dtype=np.uint8)


def _pixels(path: Path) -> ByteArray:
    with Image.open(path) as image:
        return np.array(image)


def test_images_map_minus_one_to_black_and_one_to_white(
    generator: Generator, latent: FloatArray
) -> None:
    ws = torch.from_numpy(latent)[None]
    image = generator.synthesis(ws)[0].permute(1, 2, 0).numpy()
    expected = np.clip(np.round((image + 1) * 127.5), 0, 255)
    rendered = render_images(generator, ws)
    assert rendered.dtype == np.uint8 and rendered.shape == (1, 32, 32, 3)
    assert np.array_equal(rendered[0], expected)


def test_a_model_with_one_channel_gives_grey() -> None:
    config = GeneratorConfig(
        z_dim=4, w_dim=4, img_resolution=8, img_channels=1, channels=(4, 4), num_layers=1
    )
    image = render_images(Generator(config).freeze(), torch.randn(1, 4, 4))
    assert image.shape == (1, 8, 8, 3)
    assert np.array_equal(image[..., 0], image[..., 2])


def test_a_preview_is_the_image_upside_down_with_an_opaque_alpha() -> None:
    image = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    pixels = preview_pixels(image)
    assert pixels.dtype == np.float32 and pixels.flags["C_CONTIGUOUS"]
    assert np.array_equal(np.round(pixels[::-1, :, :3] * 255), image)
    assert (pixels[..., 3] == 1).all()


def test_frames_are_the_same_whatever_the_batch(generator: Generator, latent: FloatArray) -> None:
    latents = latent + np.linspace(0, 1, 11, dtype=np.float32)[:, None, None]
    frames = list(render_frames(generator, latents))
    assert len(frames) == 11
    for row in (0, 7, 8, 10):
        alone = render_images(generator, torch.from_numpy(latents[row : row + 1]))[0]
        # One grey level: a sum in another order may round differently.
        assert np.abs(frames[row].astype(int) - alone).max() <= 1


def test_frames_are_numbered_and_the_first_is_held_before(tmp_path: Path) -> None:
    written: list[tuple[int, str]] = []
    names = FrameNames(tmp_path / "new", "shot", 100)
    with FrameWriter(names, lambda number, path: written.append((number, path.name))) as writer:
        for index in range(3):
            writer.add(_image(10 * index), index)
    assert written == [(n, f"shot_{n:04d}.png") for n in (99, 100, 101, 102)]
    values = [int(_pixels(names.path(n))[0, 0, 0]) for n in (99, 100, 101, 102)]
    assert values == [0, 0, 10, 20]


def test_no_file_is_ever_seen_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    replace = os.replace

    def spy(source: Path, destination: Path) -> None:
        seen.append([path.name for path in tmp_path.iterdir()])
        replace(source, destination)

    monkeypatch.setattr(os, "replace", spy)
    write_png(tmp_path / "a.png", _image(1))
    assert [name.startswith(".a.png.") for name in seen[0]] == [True]
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_error_of_the_disk_reaches_the_caller_and_earlier_files_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, image: ByteArray) -> None:
        if path.name.endswith("0003.png"):
            raise OSError(28, "No space left on device", str(path))
        write_png(path, image)

    monkeypatch.setattr(engine.output.frames, "write_png", full)
    writer = FrameWriter(FrameNames(tmp_path, "a"))
    for index in range(3):
        writer.add(_image(0), index)
    with pytest.raises(OSError, match="No space left") as caught:
        writer.close()
    assert caught.value.filename.endswith("a_0003.png")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rename_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    (tmp_path / "a.png" / "inside").touch()
    with pytest.raises(OSError) as caught:
        write_png(tmp_path / "a.png", _image(0))
    assert caught.value.filename == str(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_giving_up_removes_what_was_written(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FrameWriter(FrameNames(tmp_path, "a")) as writer:
        for index in range(5):
            writer.add(_image(0), index)
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_the_caller_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def slow(path: Path, image: ByteArray) -> None:
        assert release.wait(10)
        write_png(path, image)

    monkeypatch.setattr(engine.output.frames, "write_png", slow)
    with FrameWriter(FrameNames(tmp_path, "a")) as writer:
        for index in range(8):
            writer.add(_image(0), index)  # would hang here if it waited
        assert list(tmp_path.iterdir()) == []
        release.set()
    assert len(list(tmp_path.iterdir())) == 9


def test_the_rows_of_a_sheet_include_both_ends(track: Track) -> None:
    rows = sheet_rows(track, 3)
    assert rows[0] == 0 and rows[-1] == len(track) - 1 and len(rows) == min(3, len(track))


@pytest.fixture(scope="module")
def track(generator: Generator, latent: FloatArray) -> Track:
    handles, targets = np.array([[8.5, 14.5]]), np.array([[20.5, 14.5]])
    options = DragOptions(max_steps=4, step_size=0.02)
    result = drag(generator, latent, handles, targets, options)
    return Track.from_drag(result, options, model_name="t", model_sha256="0" * 64)


def test_a_sheet_shows_handles_and_targets_where_they_are(
    generator: Generator, track: Track, tmp_path: Path
) -> None:
    frames = list(render_frames(generator, track.latents()))
    path = tmp_path / "sheet.png"
    before_after_sheet(track, frames, path, 1, count=2)
    sheet = _pixels(path)
    assert sheet.shape == (256 + 16, 2 * 256 + 24, 3)
    first, last = sheet[8:264, 8:264], sheet[8:264, 272:528]
    assert tuple(first[14 * 8 + 4, 8 * 8 + 4]) == HANDLE_COLOUR
    x, y = (track.handles_px[-1, 0] * 8).astype(int)
    assert tuple(last[y, x]) == HANDLE_COLOUR
    for picture in (first, last):
        ring = (picture == TARGET_COLOUR).all(axis=2)
        rows, columns = np.nonzero(ring)
        assert columns.mean() == pytest.approx(20.5 * 8, abs=3)
        assert rows.mean() == pytest.approx(14.5 * 8, abs=3)


def test_a_sheet_wants_a_frame_for_every_row(track: Track, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="as many frames"):
        before_after_sheet(track, [_image(0)] * 99, tmp_path / "sheet.png", 1)


def test_the_files_of_a_sequence_that_is_given_up_can_stay(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FrameWriter(FrameNames(tmp_path, "a"), keep=True) as writer:
        writer.add(_image(0), 0)
        while not (tmp_path / "a_0001.png").exists():
            time.sleep(0.001)
        raise KeyError
    assert {path.name for path in tmp_path.iterdir()} == {"a_0000.png", "a_0001.png"}


def test_many_writers_of_one_file_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def write(value: int) -> None:
        for _ in range(20):
            write_png(path, _image(value))

    threads = [threading.Thread(target=write, args=(value,)) for value in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
    assert _pixels(path).min() == _pixels(path).max()


def test_a_frame_does_not_depend_on_which_part_of_a_sequence_it_is_in(
    generator: Generator, latent: FloatArray, tmp_path: Path
) -> None:
    latents = latent + np.linspace(0, 1, 9, dtype=np.float32)[:, None, None]

    def latent_of(row: int) -> FloatArray:
        row_latent: FloatArray = latents[row]
        return row_latent

    write_sequence(generator, latent_of, range(9), FrameNames(tmp_path / "whole", "a"))
    for rows in (range(2), range(2, 7), range(7, 9)):
        write_sequence(generator, latent_of, rows, FrameNames(tmp_path / "parts", "a"))
    files = [{p.name: p.read_bytes() for p in d.iterdir()} for d in sorted(tmp_path.iterdir())]
    assert files[0] == files[1] and len(files[0]) == 10


def test_batches_give_the_same_sequence(
    generator: Generator, latent: FloatArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = latent + np.linspace(0, 1, 9, dtype=np.float32)[:, None, None]
    sizes: list[int] = []

    def counted(rendered: Generator, batch: torch.Tensor, **options: Any) -> ByteArray:
        sizes.append(len(batch))
        return render_images(rendered, batch, **options)

    monkeypatch.setattr(engine.output.render, "render_images", counted)
    write_sequence(generator, latents.__getitem__, range(9), FrameNames(tmp_path / "one", "a"))
    # Batches of four, as on a GPU.
    monkeypatch.setattr(engine.output.sequence, "images_at_once", lambda generator: 4)
    names = FrameNames(tmp_path / "four", "a")
    (tmp_path / "four").mkdir()
    names.path(3).touch()  # the file of the third row exists already
    counts: list[int] = []
    write_sequence(
        generator,
        latents.__getitem__,
        range(9),
        names,
        skip_existing=True,
        on_rendered=counts.append,
    )
    assert sizes == [1] * 9 + [4, 4] and counts == list(range(1, 10))
    assert not names.path(3).stat().st_size
    for row in (0, 1, 3, 4, 5, 6, 7, 8):
        number = names.first_number + row
        one, four = _pixels(tmp_path / "one" / f"a_{number:04d}.png"), _pixels(names.path(number))
        assert np.abs(one.astype(int) - four).max() <= 1


def test_only_rows_without_a_file_are_rendered_if_that_is_wanted(
    generator: Generator, latent: FloatArray, tmp_path: Path
) -> None:
    names = FrameNames(tmp_path, "a")
    asked: list[int] = []

    def latent_of(row: int) -> FloatArray:
        asked.append(row)
        return latent

    write_sequence(generator, latent_of, range(4), names)
    names.path(0).unlink()  # the file before the first belongs to row 0 too
    names.path(3).unlink()
    asked.clear()
    counts: list[int] = []
    write_sequence(
        generator, latent_of, range(4), names, skip_existing=True, on_rendered=counts.append
    )
    assert asked == [0, 2] and counts == [1, 2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 5
