# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake requests to a real engine process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from draggan_blender.protocol import encode
from draggan_blender.protocol.drag_messages import Preview
from draggan_blender.protocol.file_names import EDIT_FILE, JOURNAL_FILE, TRACK_FILE
from draggan_blender.protocol.messages import (
    Cancel,
    Cancelled,
    Done,
    Failed,
    FrameTarget,
    FrameWritten,
    Message,
    Progress,
    RenderTrack,
    Stop,
)
from draggan_blender.protocol.timeline import (
    Bake,
    BakeFinished,
    Edit,
    FrameSolved,
    RenderLatents,
    TrackMade,
)
from engine.arrays import FloatArray
from engine.output.track import Track
from stylegan2 import save_generator
from tests.tiny_generator import tiny_generator

from ..edits import FIRST, contents, moves, small_edit
from .client import EngineClient

FRAMES = [f"bake_{number:04d}.png" for number in range(FIRST - 1, FIRST + 8)]
FINISHED = sorted([*FRAMES, EDIT_FILE, TRACK_FILE])

Kind = TypeVar("Kind", bound=Message)


def bake_request(
    client: EngineClient, checkpoint: Path, edit: Edit, folder: Path, **changes: Any
) -> Bake:
    return Bake(
        request_id=client.new_id(),
        model_path=str(checkpoint),
        edit=encode(edit),
        frames=FrameTarget(folder=str(folder), stem="bake", first_number=FIRST),
        **changes,
    )


def _of(messages: list[Message], kind: type[Kind]) -> list[Kind]:
    return [message for message in messages if isinstance(message, kind)]


def _ask(client: EngineClient, request: Bake | RenderTrack | RenderLatents) -> list[Message]:
    client.send(request)
    return client.until_end(request.request_id)


@pytest.fixture(scope="module")
def baked(
    shared: EngineClient,
    checkpoint: Path,
    latent: FloatArray,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[Message]]:
    """Return the folder and the messages of a complete bake."""
    folder = tmp_path_factory.mktemp("bakes") / "first"
    messages = _ask(shared, bake_request(shared, checkpoint, small_edit(latent), folder))
    assert isinstance(messages[-1], Done), messages[-1]
    return folder, messages


def test_a_bake_leaves_its_edit_its_track_and_its_frames(
    baked: tuple[Path, list[Message]], latent: FloatArray
) -> None:
    folder, messages = baked
    assert sorted(contents(folder)) == FINISHED
    assert (folder / EDIT_FILE).read_bytes() == encode(small_edit(latent))
    assert {Path(event.path).name for event in _of(messages, FrameWritten)} == set(FRAMES)


def test_it_says_how_each_frame_was_solved_and_what_came_out(
    baked: tuple[Path, list[Message]],
) -> None:
    folder, messages = baked
    (finished,) = _of(messages, BakeFinished)
    solved = _of(messages, FrameSolved)
    assert [event.number for event in solved] == list(range(FIRST, FIRST + 8))
    assert (finished.status, finished.frame_count, finished.solved_count) == ("done", 8, 8)
    assert finished.steps == sum(event.steps for event in solved) > 0
    assert finished.track == (folder / TRACK_FILE).read_bytes()
    track = Track.from_bytes(finished.track)
    assert finished.handles_px == track.handles_px.astype("<f4").tobytes()
    assert [event.distance_px for event in solved] == pytest.approx(track.distances_px.tolist())


def test_its_progress_rises_and_its_previews_name_frames(
    baked: tuple[Path, list[Message]],
) -> None:
    _, messages = baked
    fractions = [event.fraction for event in _of(messages, Progress)]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    texts = [event.text for event in _of(messages, Progress)]
    assert "Frame 4 of 8, 0 steps" in texts and "Writing frame 8 of 8" in texts
    previews = _of(messages, Preview)
    assert previews and {event.step for event in previews} <= set(range(FIRST, FIRST + 8))


def test_the_same_again_solves_nothing_and_writes_nothing(
    shared: EngineClient,
    checkpoint: Path,
    latent: FloatArray,
    baked: tuple[Path, list[Message]],
) -> None:
    folder, _ = baked
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    messages = _ask(shared, bake_request(shared, checkpoint, small_edit(latent), folder))
    (finished,) = _of(messages, BakeFinished)
    assert (finished.solved_count, finished.steps, finished.frame_count) == (0, 0, 8)
    assert not _of(messages, FrameWritten) and not _of(messages, FrameSolved)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.png")} == before


def test_a_cancelled_bake_goes_on_where_it_was(
    shared: EngineClient,
    checkpoint: Path,
    latent: FloatArray,
    baked: tuple[Path, list[Message]],
    tmp_path: Path,
) -> None:
    request = bake_request(shared, checkpoint, small_edit(latent), tmp_path / "bake")
    shared.send(request)

    def cancel(message: Message) -> None:
        if isinstance(message, FrameSolved) and message.number == FIRST:
            shared.send(Cancel(request_id=request.request_id))

    ending = shared.until_end(request.request_id, cancel)[-1]
    if isinstance(ending, Done):
        pytest.skip("eight frames were solved before the cancel arrived")
    assert isinstance(ending, Cancelled)
    assert (tmp_path / "bake" / JOURNAL_FILE).exists()
    messages = _ask(shared, bake_request(shared, checkpoint, small_edit(latent), tmp_path / "bake"))
    (finished,) = _of(messages, BakeFinished)
    assert 0 < finished.solved_count < 8
    assert contents(tmp_path / "bake") == contents(baked[0])


def test_an_engine_that_is_killed_in_the_middle_leaves_what_the_next_one_goes_on_with(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    long = small_edit(latent, targets_px=moves(*np.linspace(0.02, 1.2, 60)))
    (tmp_path / "engine").mkdir()
    with EngineClient(tmp_path / "engine") as doomed:
        doomed.ready()
        doomed.send(bake_request(doomed, checkpoint, long, tmp_path / "killed"))
        while (
            not isinstance(message := doomed.receive(), FrameSolved) or message.number < FIRST + 5
        ):
            pass
        doomed.process.kill()
        doomed.process.wait()
    assert (tmp_path / "killed" / JOURNAL_FILE).exists()
    messages = _ask(shared, bake_request(shared, checkpoint, long, tmp_path / "killed"))
    assert 0 < _of(messages, BakeFinished)[0].solved_count < 55
    _ask(shared, bake_request(shared, checkpoint, long, tmp_path / "whole"))
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_stopped_bake_keeps_the_frames_that_are_solved(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    long = small_edit(latent, targets_px=moves(*np.linspace(0, 4, 400)))
    request = bake_request(shared, checkpoint, long, tmp_path / "bake")
    shared.send(request)

    def stop(message: Message) -> None:
        if isinstance(message, FrameSolved) and message.number == FIRST + 1:
            shared.send(Stop(request_id=request.request_id))

    messages = shared.until_end(request.request_id, stop)
    (finished,) = _of(messages, BakeFinished)
    assert finished.status == "stopped" and 2 <= finished.frame_count < 400
    assert len(Track.from_bytes(finished.track)) == finished.frame_count
    assert len(list((tmp_path / "bake").glob("bake_*.png"))) == finished.frame_count + 1


def test_an_earlier_bake_is_taken_over_up_to_where_it_differs(
    shared: EngineClient,
    checkpoint: Path,
    latent: FloatArray,
    baked: tuple[Path, list[Message]],
    tmp_path: Path,
) -> None:
    changed = small_edit(latent, targets_px=moves(0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.0, 0.5))
    again = bake_request(
        shared, checkpoint, changed, tmp_path / "again", earlier_folder=str(baked[0])
    )
    messages = _ask(shared, again)
    (finished,) = _of(messages, BakeFinished)
    assert finished.solved_count == 1
    assert [Path(event.path).name for event in _of(messages, FrameWritten)] == [FRAMES[-1]]
    fresh = bake_request(shared, checkpoint, changed, tmp_path / "fresh")
    _ask(shared, fresh)
    assert contents(tmp_path / "again") == contents(tmp_path / "fresh")


def test_frames_with_further_channels_are_taken_over_as_well(
    shared: EngineClient, latent: FloatArray, tmp_path: Path
) -> None:
    six, first, again = tmp_path / "six.safetensors", tmp_path / "first", tmp_path / "again"
    save_generator(tiny_generator(6), six)
    edit = small_edit(latent, targets_px=moves(0.5, 1.0))
    _ask(shared, bake_request(shared, six, edit, first))
    changed = small_edit(latent, targets_px=moves(0.5, 0.8))
    request = bake_request(shared, six, changed, again, earlier_folder=str(first))
    messages = _ask(shared, request)
    (written,) = _of(messages, FrameWritten)
    assert Path(written.path).name == f"bake_{FIRST + 1:04d}.png"
    stems = ("bake", "bake-channel5", "bake-channel6")
    for name in (f"{stem}_{number:04d}.png" for stem in stems for number in (FIRST - 1, FIRST)):
        assert (again / name).read_bytes() == (first / name).read_bytes()


def test_solving_only_leaves_the_frames_to_others(
    shared: EngineClient,
    checkpoint: Path,
    latent: FloatArray,
    baked: tuple[Path, list[Message]],
    tmp_path: Path,
) -> None:
    request = bake_request(
        shared, checkpoint, small_edit(latent), tmp_path / "bake", write_frames=False
    )
    finished = _of(_ask(shared, request), BakeFinished)[0]
    assert sorted(contents(tmp_path / "bake")) == sorted([EDIT_FILE, TRACK_FILE])
    for first_row, row_count in ((5, 0), (0, 5)):
        part = RenderTrack(
            request_id=shared.new_id(),
            model_path=str(checkpoint),
            track=finished.track,
            frames=request.frames,
            first_row=first_row,
            row_count=row_count,
            skip_existing=True,
        )
        messages = _ask(shared, part)
        assert len(_of(messages, FrameWritten)) == (3 if first_row else 6)
    assert contents(tmp_path / "bake") == contents(baked[0])


def test_rows_that_a_track_does_not_have_are_refused(
    shared: EngineClient, checkpoint: Path, baked: tuple[Path, list[Message]], tmp_path: Path
) -> None:
    request = RenderTrack(
        request_id=shared.new_id(),
        model_path=str(checkpoint),
        track=(baked[0] / TRACK_FILE).read_bytes(),
        frames=FrameTarget(folder=str(tmp_path), stem="bake", first_number=FIRST),
        first_row=6,
        row_count=3,
    )
    ending = _ask(shared, request)[-1]
    assert isinstance(ending, Failed) and "rows 6 to 8" in ending.message


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"targets_px": moves(0.5, 90.0)}, "target 1 is at (102.5, 14.0) in frame 12"),
        ({"handles_px": ((12.5, 99.0),)}, "handle 1 is at (12.5, 99.0), outside"),
        ({"targets_px": moves(0.5, float("nan"))}, "in frame 12"),
        ({"latent": b"1234"}, "the latent has 4 bytes"),
        ({"masks": b"1234"}, "the mask has 4 pixels"),
        ({"model_sha256": "ab" * 32}, "abababababab"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused_in_a_sentence(
    shared: EngineClient,
    checkpoint: Path,
    latent: FloatArray,
    tmp_path: Path,
    changes: dict[str, Any],
    part: str,
) -> None:
    edit = small_edit(latent, **changes)
    ending = _ask(shared, bake_request(shared, checkpoint, edit, tmp_path / "bake"))[-1]
    assert isinstance(ending, Failed) and ending.cause == "request"
    assert part in ending.message
    assert not (tmp_path / "bake").exists()


def test_latents_are_rendered_and_come_back_as_a_track(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    latents = latent + np.linspace(0, 1, 3, dtype=np.float32)[:, None, None]
    request = RenderLatents(
        request_id=shared.new_id(),
        model_path=str(checkpoint),
        latents=latents.astype("<f4").tobytes(),
        frames=FrameTarget(folder=str(tmp_path), stem="keys", first_number=5),
    )
    messages = _ask(shared, request)
    (made,) = _of(messages, TrackMade)
    assert made.frame_count == 3
    track = Track.from_bytes(made.track)
    assert np.array_equal(track.latents(), latents) and track.first_number == 5
    assert {path.name for path in tmp_path.iterdir()} == {
        "track.npz",
        *(f"keys_{number:04d}.png" for number in range(4, 8)),
    }
