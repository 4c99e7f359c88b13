# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bake leaves in its folder, and what the next bake reuses of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from draggan_blender.protocol import encode
from draggan_blender.protocol.file_names import JOURNAL_FILE, TRACK_FILE
from engine.arrays import FloatArray
from engine.baking.folder import rows_by_key
from engine.baking.row import SolvedRow
from engine.baking.run import NothingSolvedError
from engine.baking.solve import BakeReport
from engine.errors import RequestError
from engine.models import LoadedModel
from engine.output.render import render_image
from engine.output.track import Track
from engine.pictures import Picture
from engine.serving.edit_file import decode_edit
from stylegan2 import Generator

from ..edits import FIRST, bake, contents, folder_of, moves, small_edit

# The targets of ``small_edit``, except in the last two frames.
CHANGED = moves(0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 0.5, 0.25)


@pytest.fixture(scope="module")
def model(generator: Generator, checkpoint: Path) -> LoadedModel:
    """Return the tiny generator with its file."""
    return LoadedModel(generator, checkpoint, "ab" * 32)


@pytest.fixture(scope="module")
def plain(model: LoadedModel, latent: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an uninterrupted bake of ``small_edit``, which no test may change."""
    folder = tmp_path_factory.mktemp("plain")
    bake(model, small_edit(latent), folder)
    return folder


class CutShortError(Exception):
    """Stands in for a crash."""


def _crash_after(rows: int) -> BakeReport:
    def on_row(row: int, solved: SolvedRow, is_new: bool) -> None:
        if row + 1 == rows:
            raise CutShortError

    return BakeReport(on_row=on_row)


def test_the_track_has_what_the_next_bake_needs(plain: Path, model: LoadedModel) -> None:
    track = Track.load(plain / TRACK_FILE)
    assert (len(track), track.status, track.first_number) == (8, "done", FIRST)
    rows = rows_by_key(track, (model.generator.num_ws, model.generator.w_dim), 1)
    assert [row.steps for row in rows.values()][3:6] == [0, 0, 0]
    assert np.array_equal([row.latent for row in rows.values()], track.latents())
    assert rows_by_key(track, (8, 15), 1) == {} and rows_by_key(track, (8, 16), 2) == {}


def test_frames_show_the_rows_of_the_track(plain: Path, model: LoadedModel) -> None:
    from PIL import Image

    track = Track.load(plain / TRACK_FILE)
    for row in (0, 7):
        path = folder_of(plain).names.path(FIRST + row)
        with Image.open(path) as image:
            assert np.array_equal(
                np.asarray(image), render_image(model.generator, track.latent(row))
            )


def test_a_hold_changes_no_pixel(plain: Path) -> None:
    frames = [folder_of(plain).names.path(FIRST + row).read_bytes() for row in (2, 3, 4, 5)]
    assert len(set(frames)) == 1


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_one_that_was_cut_short_goes_on_to_the_same_end(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path, rows: int
) -> None:
    edit = small_edit(latent)
    with pytest.raises(CutShortError):
        bake(model, edit, tmp_path, report=_crash_after(rows))
    journal = tmp_path / JOURNAL_FILE
    journal.write_bytes(journal.read_bytes() + b"half a row")
    baked = bake(model, edit, tmp_path)
    assert baked.solved_count == 8 - rows
    assert contents(tmp_path) == contents(plain)


def test_without_resume_everything_is_solved_again(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path
) -> None:
    edit = small_edit(latent)
    bake(model, edit, tmp_path)
    assert bake(model, edit, tmp_path, resume=False).solved_count == 8
    assert contents(tmp_path) == contents(plain)


def test_a_changed_edit_in_the_same_folder_leaves_no_frame_of_the_old_one(
    model: LoadedModel, latent: FloatArray, tmp_path: Path
) -> None:
    bake(model, small_edit(latent), tmp_path / "twice")
    kept = folder_of(tmp_path / "twice").names.path(FIRST + 5).stat().st_mtime_ns
    changed = small_edit(latent, targets_px=CHANGED)
    baked = bake(model, changed, tmp_path / "twice", frames=False)
    assert baked.solved_count == 2
    names = {path.name for path in (tmp_path / "twice").glob("*.png")}
    assert names == {f"bake_{number:04d}.png" for number in range(FIRST - 1, FIRST + 6)}
    assert folder_of(tmp_path / "twice").names.path(FIRST + 5).stat().st_mtime_ns == kept
    bake(model, changed, tmp_path / "twice")
    bake(model, changed, tmp_path / "fresh")
    assert contents(tmp_path / "twice") == contents(tmp_path / "fresh")


def test_a_shorter_edit_leaves_no_frames_behind_its_end(
    model: LoadedModel, latent: FloatArray, tmp_path: Path
) -> None:
    bake(model, small_edit(latent), tmp_path)
    bake(model, small_edit(latent, targets_px=moves(0.5, 1.0)), tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_a_part_of_the_rows_is_solved_and_what_is_there_stays(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path
) -> None:
    edit = small_edit(latent)
    first = bake(model, edit, tmp_path, row_count=3)
    assert (len(first.track), first.track.status) == (3, "stopped")
    assert bake(model, edit, tmp_path).solved_count == 5
    again = bake(model, edit, tmp_path, row_count=2)
    assert (len(again.track), again.solved_count) == (8, 0)
    assert bake(model, edit, tmp_path, row_count=2, resume=False).solved_count == 2
    assert contents(tmp_path) == contents(plain)


@pytest.mark.parametrize("can_link", [True, False])
def test_an_earlier_bake_gives_its_rows_and_its_frames(
    model: LoadedModel,
    latent: FloatArray,
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    can_link: bool,
) -> None:
    if not can_link:

        def refuse(source: Path, destination: Path) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refuse)
    changed = small_edit(latent, targets_px=CHANGED)
    earlier = folder_of(plain)
    baked = bake(model, changed, tmp_path / "new", earlier=earlier, frames=False)
    assert baked.solved_count == 2
    new = folder_of(tmp_path / "new").names
    assert len(list(new.folder.glob("*.png"))) == 7
    shared = os.path.samefile(new.path(FIRST), earlier.names.path(FIRST))
    assert shared == can_link
    bake(model, changed, tmp_path / "new")
    bake(model, changed, tmp_path / "fresh")
    assert contents(tmp_path / "new") == contents(tmp_path / "fresh")


def test_an_earlier_bake_that_was_interrupted_gives_the_rows_it_has(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path
) -> None:
    with pytest.raises(CutShortError):
        bake(model, small_edit(latent), tmp_path / "cut", report=_crash_after(5))
    earlier = folder_of(tmp_path / "cut")
    baked = bake(model, small_edit(latent), tmp_path / "new", earlier=earlier)
    assert baked.solved_count == 3
    assert contents(tmp_path / "new") == contents(plain)


def test_a_folder_that_is_not_there_gives_nothing(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path
) -> None:
    earlier = folder_of(tmp_path / "gone")
    assert bake(model, small_edit(latent), tmp_path / "new", earlier=earlier).solved_count == 8
    assert contents(tmp_path / "new") == contents(plain)


def test_files_that_are_damaged_are_not_believed(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path
) -> None:
    bake(model, small_edit(latent), tmp_path)
    track = tmp_path / TRACK_FILE
    track.write_bytes(track.read_bytes()[:-50])
    (tmp_path / JOURNAL_FILE).write_bytes(b"\0" * 500)
    assert bake(model, small_edit(latent), tmp_path).solved_count == 8
    assert contents(tmp_path) == contents(plain)


def test_one_that_is_stopped_before_its_first_frame_has_no_result(
    model: LoadedModel, latent: FloatArray, tmp_path: Path
) -> None:
    with pytest.raises(NothingSolvedError):
        bake(model, small_edit(latent), tmp_path, report=BakeReport(should_stop=lambda: True))
    assert not (tmp_path / TRACK_FILE).exists()


def test_smoothing_is_for_what_is_seen_and_not_for_what_is_taken_over(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path
) -> None:
    bumpy = moves(0.5, 1.5, 0.5, 1.5, 0.5, 1.5, 0.5, 1.5)
    rough = bake(model, small_edit(latent, targets_px=bumpy), tmp_path / "rough").track
    smooth_edit = small_edit(latent, targets_px=bumpy, smoothing=1.0, poses=(FIRST + 3,))
    baked = bake(model, smooth_edit, tmp_path / "smooth", earlier=folder_of(tmp_path / "rough"))
    assert baked.solved_count == 0
    track = baked.track
    assert np.array_equal(track.solved_latents(), rough.latents())
    assert np.array_equal(track.solved_handles_px(), rough.handles_px)
    equal = [np.array_equal(track.latent(row), rough.latent(row)) for row in range(8)]
    assert equal == [True, False, False, True, False, False, False, True]
    ways = np.abs(np.diff(track.handles_px[:, 0, 0]))
    assert ways.max() < np.abs(np.diff(rough.handles_px[:, 0, 0])).max()
    assert bake(model, smooth_edit, tmp_path / "fresh").solved_count == 8
    assert contents(tmp_path / "smooth") == contents(tmp_path / "fresh")
    assert bake(model, smooth_edit, tmp_path / "fresh").solved_count == 0


def test_a_finished_bake_can_be_refined(
    model: LoadedModel, latent: FloatArray, plain: Path, tmp_path: Path
) -> None:
    track = (plain / TRACK_FILE).read_bytes()
    refined = small_edit(latent, refined_track=track)
    baked = bake(model, refined, tmp_path, earlier=folder_of(plain))
    assert baked.solved_count == 8
    before = Track.from_bytes(track)
    assert baked.track.distances_px.mean() <= before.distances_px.mean() + 0.05
    assert bake(model, refined, tmp_path).solved_count == 0


def test_a_track_of_other_handles_cannot_be_refined(
    model: LoadedModel, latent: FloatArray, tmp_path: Path
) -> None:
    latents = np.repeat(latent[None], 8, axis=0)
    bare = Track.from_pictures(
        [Picture(one) for one in latents],
        model_name="tiny",
        model_sha256=model.sha256,
        first_number=FIRST,
    )
    edit = small_edit(latent, refined_track=bare.to_bytes())
    with pytest.raises(RequestError, match="has 0 handles"):
        bake(model, edit, tmp_path)


@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"PK\x03\x04 something", b"{}"])
def test_bytes_that_are_no_edit_are_a_sentence(data: bytes) -> None:
    with pytest.raises(RequestError, match=r"^shot\.draggan is not .*save it again from Blender$"):
        decode_edit(data, "shot.draggan")


def test_every_truncation_of_an_edit_is_refused(latent: FloatArray) -> None:
    data = encode(small_edit(latent))
    for length in range(0, len(data), 31):
        with pytest.raises(RequestError):
            decode_edit(data[:length])
    with pytest.raises(RequestError):
        decode_edit(data + data)
    assert decode_edit(data) == small_edit(latent)
