# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import RequestError
from engine.output.track import BakedRows, Track, rows_of_part
from engine.output.track_arrays import TrackError
from engine.pictures import Picture
from engine.solving.options import DragOptions
from engine.solving.result import DragResult, DragStatus

ROWS, POINTS, LAYERS = 4, 2, 3


@pytest.fixture
def result() -> DragResult:
    rng = np.random.default_rng(0)
    latents = np.repeat(rng.normal(size=(1, 6, 8)).astype(np.float32), ROWS, axis=0)
    latents[1:, :LAYERS] += rng.normal(size=(ROWS - 1, LAYERS, 8)).astype(np.float32)
    return DragResult(
        status=DragStatus.REACHED,
        reason="",
        latents=latents,
        num_layers=LAYERS,
        keys=tuple(range(POINTS)),
        targets_px=np.ones((POINTS, 2), np.float32),
        handles_px=rng.normal(size=(ROWS, POINTS, 2)).astype(np.float32),
        distances_px=np.arange(ROWS, dtype=np.float32),
        losses=np.arange(ROWS, dtype=np.float32),
        best_index=3,
        steps=ROWS - 1,
        seconds=1.0,
    )


@pytest.fixture
def track(result: DragResult) -> Track:
    return Track.from_drag(
        result,
        DragOptions(max_steps=9),
        model_name="tiny.pkl",
        model_sha256="ab" * 32,
    )


def test_a_track_comes_back_from_a_file_as_it_was(track: Track, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "track.npz"
    track.save(path)
    again = Track.load(path)
    for item in fields(Track):
        assert np.array_equal(getattr(again, item.name), getattr(track, item.name)), item.name
    assert again.options["max_steps"] == 9 and again.status == "reached"
    assert [entry.name for entry in path.parent.iterdir()] == ["track.npz"]


def test_its_latents_are_those_of_the_drag_bit_by_bit(result: DragResult, track: Track) -> None:
    again = Track.from_bytes(track.to_bytes())
    assert np.array_equal(again.latents(), result.latents)
    assert again.edited.shape == (ROWS, LAYERS, 8)


def test_equal_tracks_are_equal_bytes(track: Track) -> None:
    assert track.to_bytes() == track.to_bytes()


@pytest.mark.parametrize(
    "data",
    [b"", b"<!doctype html>", b"PK\x03\x04 and then nothing", b"\x93NUMPY\x01\x00", b"\x80\x04N."],
)
def test_foreign_bytes_are_no_track(data: bytes) -> None:
    with pytest.raises(TrackError, match="not a track"):
        Track.from_bytes(data)


def test_a_file_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.npz"
    path.write_text("hello")
    with pytest.raises(TrackError, match=r"notes\.npz: this is not a track"):
        Track.load(path)


def test_every_truncation_is_refused(track: Track) -> None:
    data = track.to_bytes()
    for length in range(0, len(data), 97):
        with pytest.raises(TrackError):
            Track.from_bytes(data[:length])


def test_every_flipped_byte_is_refused_or_harmless(track: Track) -> None:
    data = track.to_bytes()
    for position in range(0, len(data), 41):
        broken = bytearray(data)
        broken[position] ^= 0xFF
        with contextlib.suppress(TrackError):
            Track.from_bytes(bytes(broken))


def _with_members(track: Track, **changes: object) -> bytes:
    with np.load(io.BytesIO(track.to_bytes())) as stored:
        arrays = dict(stored)
    arrays.update(changes)
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value for name, value in arrays.items() if value is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"losses": None}, "unexpected are losses"),
        ({"extra": np.zeros(1)}, "unexpected are extra"),
        ({"losses": np.zeros(3, np.float32)}, "losses has shape"),
        ({"losses": np.zeros(ROWS)}, "losses is float64"),
        ({"handles_px": np.zeros((ROWS, POINTS, 3), np.float32)}, "handles_px has shape"),
        ({"edited": np.zeros((ROWS, 7, 8), np.float32)}, "7 edited layers"),
        ({"edited": np.zeros((0, 3, 8), np.float32)}, "0 rows"),
        ({"edited": np.zeros((ROWS, 3, 9), np.float32)}, "start has shape"),
        ({"start": np.full((6, 8), np.nan, np.float32)}, "not finite"),
        ({"targets_px": np.zeros(2, np.float32)}, "not tables"),
        ({"options": np.array("[1]")}, "options are not readable"),
        ({"options": np.array("{")}, "options are not readable"),
        ({"status": np.zeros(2)}, "status is float64"),
        ({"format_version": np.array(5)}, "format version 5"),
    ],
)
def test_a_member_that_does_not_fit_is_named(
    track: Track, changes: dict[str, Any], part: str
) -> None:
    with pytest.raises(TrackError) as caught:
        Track.from_bytes(_with_members(track, **changes))
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': (",
        "{[]: 1}",
        "{'descr': (), 'fortran_order': False, 'shape': (1,)}",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**30},)}}",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**13},)}}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
    ],
)
def test_a_member_whose_header_is_made_to_do_harm_is_refused(track: Track, header: str) -> None:
    line = header.encode() + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line
    buffer = io.BytesIO()
    source = zipfile.ZipFile(io.BytesIO(track.to_bytes()))
    with source, zipfile.ZipFile(buffer, "w") as archive:
        for info in source.infolist():
            is_start = info.filename == "start.npy"
            archive.writestr(info.filename, member if is_start else source.read(info))
    with pytest.raises(TrackError, match="damaged"):
        Track.from_bytes(buffer.getvalue())


def test_rows_that_change_nothing_cannot_swell_beyond_the_limit(track: Track) -> None:
    rows = 1_000_000
    swollen = replace(
        track,
        start=np.zeros((18, 512), np.float32),
        edited=np.zeros((rows, 0, 512), np.float32),
        numbers=np.arange(rows),
        handles_px=np.zeros((rows, 0, 2), np.float32),
        targets_px=np.zeros((0, 2), np.float32),
        losses=np.zeros(rows, np.float32),
        distances_px=np.zeros(rows, np.float32),
    )
    with pytest.raises(TrackError, match="latents are over the limit"):
        Track.from_bytes(swollen.to_bytes())


def test_a_pickle_inside_is_never_loaded(track: Track) -> None:
    objects = np.empty(1, dtype=object)
    with pytest.raises(TrackError):
        Track.from_bytes(_with_members(track, losses=objects))


def test_an_archive_that_claims_to_be_huge_is_refused_unread(track: Track) -> None:
    buffer = io.BytesIO()
    source = zipfile.ZipFile(io.BytesIO(track.to_bytes()))
    with source, zipfile.ZipFile(buffer, "w") as archive:
        for info in source.infolist():
            archive.writestr(info.filename, source.read(info))
    data = bytearray(buffer.getvalue())
    # The uncompressed size of the first entry of the central directory, 24 bytes into it.
    position = data.index(b"PK\x01\x02") + 24
    data[position : position + 4] = (0xF0000000).to_bytes(4, "little")
    with pytest.raises(TrackError, match="over the limit"):
        Track.from_bytes(bytes(data))


def test_rows_without_handles_are_possible(track: Track) -> None:
    bare = replace(
        track,
        handles_px=np.zeros((ROWS, 0, 2), np.float32),
        targets_px=np.zeros((0, 2), np.float32),
    )
    assert len(Track.from_bytes(bare.to_bytes())) == ROWS


def _baked(track: Track, **changes: object) -> Track:
    values: dict[str, Any] = {
        "keys": np.arange(ROWS * 32, dtype=np.uint8).reshape(ROWS, 32),
        "steps": np.arange(ROWS),
        "statuses": np.zeros(ROWS, np.uint8),
        "solved": np.ones((ROWS, LAYERS, 8), np.float32),
        "solved_handles_px": np.zeros((ROWS, POINTS, 2), np.float32),
    }
    return replace(track, baked=BakedRows(**{**values, **changes}), first_number=40)


def test_the_track_of_a_bake_comes_back_as_it_was(track: Track) -> None:
    baked = _baked(track)
    again = Track.from_bytes(baked.to_bytes())
    assert again.first_number == 40 and again.baked is not None
    for item in fields(BakedRows):
        assert np.array_equal(getattr(again.baked, item.name), getattr(baked.baked, item.name))
    assert (again.solved_latents()[:, :LAYERS] == 1).all()
    assert not again.solved_handles_px().any()
    assert Track.from_bytes(track.to_bytes()).baked is None


def test_what_was_not_smoothed_is_as_it_was_solved(track: Track) -> None:
    none = {"solved": np.empty((0, LAYERS, 8)), "solved_handles_px": np.empty((0, POINTS, 2))}
    again = Track.from_bytes(_baked(track, **none).to_bytes())
    assert np.array_equal(again.solved_latents(), track.latents())
    assert np.array_equal(again.solved_handles_px(), track.handles_px)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"keys": np.zeros((ROWS, 31), np.uint8)}, "keys has shape"),
        ({"steps": np.zeros(ROWS + 1)}, "steps has shape"),
        ({"statuses": np.full(ROWS, 200)}, "statuses are unknown"),
        ({"solved": np.zeros((ROWS, LAYERS, 9))}, "solved has shape"),
        ({"solved": np.full((ROWS, LAYERS, 8), np.inf)}, "solved holds values"),
        ({"solved_handles_px": np.zeros((ROWS, 9, 2))}, "solved_handles_px has shape"),
        ({"turns": np.zeros((ROWS, 9, 2))}, "turns has shape"),
        ({"turns": np.full((ROWS, POINTS, 2), np.nan)}, "turns holds values"),
    ],
)
def test_rows_of_a_bake_that_do_not_fit_are_named(
    track: Track, changes: dict[str, Any], part: str
) -> None:
    with pytest.raises(TrackError) as caught:
        Track.from_bytes(_baked(track, **changes).to_bytes())
    assert part in str(caught.value)


def test_only_a_track_with_turns_is_of_the_third_version(track: Track) -> None:
    turned = _baked(track, turns=np.ones((ROWS, POINTS, 2), np.float32))
    for one, version in ((track, 2), (_baked(track), 2), (turned, 3)):
        with np.load(io.BytesIO(one.to_bytes())) as arrays:
            assert int(arrays["format_version"]) == version
            assert ("turns" in arrays) == (version == 3)
    again = Track.from_bytes(turned.to_bytes()).baked
    assert again is not None and (again.turns == 1).all() and again.turns.shape[1] == POINTS


def test_a_track_of_the_first_version_is_read(track: Track) -> None:
    added = ("keys", "steps", "statuses", "solved", "solved_handles_px", "first_number")
    old = _with_members(track, **dict.fromkeys(added), format_version=np.array(1))
    again = Track.from_bytes(old)
    assert np.array_equal(again.latents(), track.latents())
    assert (again.first_number, again.baked) == (1, None)


def test_latents_from_elsewhere_make_a_track(track: Track) -> None:
    latents = track.latents()
    made = Track.from_pictures(
        [Picture(one) for one in latents], model_name="m", model_sha256="ab" * 32, first_number=7
    )
    again = Track.from_bytes(made.to_bytes())
    assert np.array_equal(again.latents(), latents)
    assert all(np.array_equal(again.latent(row), latents[row]) for row in range(ROWS))
    assert again.edited.shape[1] == LAYERS and len(again.targets_px) == 0


@pytest.mark.parametrize(
    ("first", "count", "rows"), [(0, 0, (0, 4)), (1, 2, (1, 3)), (3, 0, (3, 4))]
)
def test_a_part_of_a_track_has_its_rows(
    track: Track, first: int, count: int, rows: tuple[int, int]
) -> None:
    assert rows_of_part(track, first, count) == range(*rows)


@pytest.mark.parametrize(("first", "count"), [(4, 0), (3, 2), (9, 1)])
def test_rows_that_there_are_not_are_refused(track: Track, first: int, count: int) -> None:
    with pytest.raises(RequestError, match="it has rows 0 to 3"):
        rows_of_part(track, first, count)
