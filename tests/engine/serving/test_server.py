# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a real engine process: what each writes and reports, and how it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image

from draggan_blender.protocol.drag_messages import DragFinished, Preview, PreviewShown, Step
from draggan_blender.protocol.messages import (
    Cancel,
    Cancelled,
    Done,
    Failed,
    FrameTarget,
    FrameWritten,
    LoadModel,
    Message,
    ModelLoaded,
    Progress,
    RenderLatent,
    RenderTrack,
    Sample,
    Sampled,
    Stop,
)
from draggan_blender.protocol.pairs import Pair
from draggan_blender.protocol.settings import DragSettings
from engine.arrays import ByteArray, FloatArray
from engine.output.track import Track

from .client import ENDLESS, EngineClient, drag_request

Kind = TypeVar("Kind", bound=Message)


def _of(messages: list[Message], kind: type[Kind]) -> list[Kind]:
    return [message for message in messages if isinstance(message, kind)]


def _pixels(path: Path) -> ByteArray:
    with Image.open(path) as image:
        return np.array(image)


def test_loading_a_model_says_what_is_in_it(shared: EngineClient, checkpoint: Path) -> None:
    for _ in range(2):  # the second time it is in memory already
        request_id = shared.new_id()
        shared.send(LoadModel(request_id=request_id, model_path=str(checkpoint)))
        messages = shared.until_end(request_id)
        loaded = _of(messages, ModelLoaded)[0]
        assert (loaded.width, loaded.height, loaded.num_ws, loaded.w_dim) == (32, 32, 8, 16)
        assert len(loaded.sha256) == 64
        assert isinstance(messages[-1], Done)


def test_a_missing_model_is_named_in_a_sentence(shared: EngineClient, tmp_path: Path) -> None:
    request_id = shared.new_id()
    shared.send(LoadModel(request_id=request_id, model_path=str(tmp_path / "gone.pkl")))
    ending = shared.until_end(request_id)[-1]
    assert isinstance(ending, Failed) and ending.cause == "model"
    assert "gone.pkl" in ending.message and "Traceback" not in ending.message


def test_another_file_than_the_expected_one_is_refused(
    shared: EngineClient, checkpoint: Path
) -> None:
    request_id = shared.new_id()
    shared.send(
        LoadModel(request_id=request_id, model_path=str(checkpoint), model_sha256="ab" * 32)
    )
    ending = shared.until_end(request_id)[-1]
    assert isinstance(ending, Failed) and ending.cause == "request"
    assert "abababababab" in ending.message


def test_sampling_gives_the_latent_of_the_seed_and_writes_its_image(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    request_id = shared.new_id()
    path = tmp_path / "new folder" / "start.png"
    shared.send(
        Sample(
            request_id=request_id,
            model_path=str(checkpoint),
            seed=3,
            truncation_psi=0.7,
            image_path=str(path),
        )
    )
    messages = shared.until_end(request_id)
    sampled = np.frombuffer(_of(messages, Sampled)[0].latent, dtype="<f4").reshape(8, 16)
    assert np.allclose(sampled, latent, atol=1e-6)
    assert _pixels(path).shape == (32, 32, 3)
    again = tmp_path / "again.png"
    request_id = shared.new_id()
    shared.send(
        RenderLatent(
            request_id=request_id,
            model_path=str(checkpoint),
            latent=sampled.tobytes(),
            image_path=str(again),
        )
    )
    assert isinstance(shared.until_end(request_id)[-1], Done)
    assert again.read_bytes() == path.read_bytes()


def test_an_image_that_cannot_be_written_names_the_path(
    shared: EngineClient, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    request_id = shared.new_id()
    shared.send(
        Sample(
            request_id=request_id,
            model_path=str(checkpoint),
            seed=3,
            truncation_psi=0.7,
            image_path=str(tmp_path / "file" / "start.png"),
        )
    )
    ending = shared.until_end(request_id)[-1]
    assert isinstance(ending, Failed) and ending.cause == "files"
    assert str(tmp_path / "file") in ending.message


@pytest.fixture(scope="module")
def finished(
    shared: EngineClient,
    checkpoint: Path,
    latent: FloatArray,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[Message]]:
    """Return the folder and the messages of a complete drag."""
    folder = tmp_path_factory.mktemp("frames") / "drag"
    request = drag_request(shared.new_id(), checkpoint, latent, folder)
    shared.send(request)
    return folder, shared.until_end(request.request_id)


def test_a_drag_reports_every_step_and_then_its_result(
    finished: tuple[Path, list[Message]],
) -> None:
    _, messages = finished
    steps = _of(messages, Step)
    assert [step.step for step in steps] == list(range(len(steps)))
    assert [handle.place_px for handle in steps[0].handles] == [(12.5, 14.0)]
    assert steps[0].distance_px == pytest.approx(4.5)
    result = _of(messages, DragFinished)[0]
    assert result.status in {"reached", "step_limit"}
    assert result.distance_px < steps[0].distance_px
    assert result.steps == len(steps) - 1
    assert isinstance(messages[-1], Done) and isinstance(messages[-2], DragFinished)
    fractions = [message.fraction for message in _of(messages, Progress)]
    assert fractions == sorted(fractions) and fractions[-1] == 1


def test_a_drag_writes_its_frames_the_hold_frame_and_the_track(
    finished: tuple[Path, list[Message]],
) -> None:
    folder, messages = finished
    result = _of(messages, DragFinished)[0]
    rows = result.frame_count
    expected = {f"drag_{number:04d}.png" for number in range(19, 20 + rows)} | {"track.npz"}
    assert {path.name for path in folder.iterdir()} == expected
    assert {Path(m.path).name for m in _of(messages, FrameWritten)} == expected - {"track.npz"}
    hold, first = ((folder / f"drag_{number:04d}.png").read_bytes() for number in (19, 20))
    assert hold == first
    assert (folder / "track.npz").read_bytes() == result.track
    last = Track.from_bytes(result.track).latents()[-1]
    assert last.astype("<f4").tobytes() == result.latent


def test_the_first_and_the_last_preview_equal_their_files(
    finished: tuple[Path, list[Message]],
) -> None:
    folder, messages = finished
    previews = _of(messages, Preview)
    rows = _of(messages, DragFinished)[0].frame_count
    for preview, row in ((previews[0], 0), (previews[-1], rows - 1)):
        pixels = np.frombuffer(preview.pixels, dtype="<f4").reshape(32, 32, 4)
        file = _pixels(folder / f"drag_{20 + row:04d}.png")
        # A preview is computed together with the next step: some values lie on the other side of
        # a half.
        apart = np.abs(np.round(pixels[::-1, :, :3] * 255) - file)
        assert apart.max() <= 1 and apart.mean() < 0.01
        assert (pixels[..., 3] == 1).all()
    assert previews[0].step == 0
    assert previews[-1].step <= _of(messages, Step)[-1].step


@pytest.mark.parametrize(
    ("previews", "shows", "expected"),
    [(True, False, {2}), (True, True, {4, 5}), (False, False, {0})],
)
def test_previews_come_as_they_are_shown(
    shared: EngineClient,
    checkpoint: Path,
    latent: FloatArray,
    tmp_path: Path,
    previews: bool,
    shows: bool,
    expected: set[int],
) -> None:
    """A client that shows no preview gets the first and the last one.

    One that shows them gets three, perhaps one more before the stop arrives, and the last one.
    """
    request = drag_request(shared.new_id(), checkpoint, latent, tmp_path, ENDLESS)
    request = replace(request, previews=previews)
    counts: Counter[type] = Counter()
    stop_at = 3 if shows else 60

    def on_message(message: Message) -> None:
        counts[type(message)] += 1
        if isinstance(message, Preview) and shows:
            shared.send(PreviewShown(request_id=request.request_id))
        if type(message) is (Preview if shows else Step) and counts[type(message)] == stop_at:
            shared.send(Stop(request_id=request.request_id))

    shared.send(request)
    messages = shared.until_end(request.request_id, on_message)
    assert len(_of(messages, Preview)) in expected


def test_a_drag_of_a_few_large_steps_is_an_even_sequence(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    settings = DragSettings(method="linearised", linear_reach=8.0, tolerance_px=0.5)
    request = drag_request(shared.new_id(), checkpoint, latent, tmp_path, settings)
    shared.send(request)
    messages = shared.until_end(request.request_id)
    result = _of(messages, DragFinished)[0]
    handles_px = np.frombuffer(result.handles_px, dtype="<f4").reshape(-1, 2)
    assert len(handles_px) == result.frame_count == len(list(tmp_path.glob("*.png"))) - 1
    # The image is 32 px wide: an eighth of a pixel is a 256th of the width.
    assert np.linalg.norm(np.diff(handles_px, axis=0), axis=1).max() <= 1 / 8 + 1e-5
    assert np.array_equal(Track.from_bytes(result.track).handles_px[:, 0], handles_px)
    assert result.frame_count > 2 * result.steps > 0


def test_a_track_gives_the_same_frames_again(
    shared: EngineClient, checkpoint: Path, finished: tuple[Path, list[Message]], tmp_path: Path
) -> None:
    folder, messages = finished
    request_id = shared.new_id()
    shared.send(
        RenderTrack(
            request_id=request_id,
            model_path=str(checkpoint),
            track=_of(messages, DragFinished)[0].track,
            frames=FrameTarget(folder=str(tmp_path), stem="drag", first_number=20),
        )
    )
    assert isinstance(shared.until_end(request_id)[-1], Done)
    for path in folder.glob("*.png"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_bytes_that_are_no_track_are_refused(
    shared: EngineClient, checkpoint: Path, tmp_path: Path
) -> None:
    request_id = shared.new_id()
    shared.send(
        RenderTrack(
            request_id=request_id,
            model_path=str(checkpoint),
            track=b"<html>",
            frames=FrameTarget(folder=str(tmp_path), stem="drag", first_number=1),
        )
    )
    ending = shared.until_end(request_id)[-1]
    assert isinstance(ending, Failed) and ending.cause == "request"
    assert "not a track" in ending.message


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"latent": b"1234"}, "belongs to another model"),
        ({"mask": b"\0" * 7}, "create the mask again"),
        ({"pairs": (Pair(handle_px=(5, 5), target_px=(5, 40)),)}, "target 1 is at (5.0, 40.0)"),
        ({"settings": DragSettings(method="magic")}, "method must be one of draggan"),
        ({"settings": DragSettings(feature_resolution=64)}, "no block of 64 px"),
    ],
)
def test_a_drag_that_does_not_fit_the_model_is_refused(
    shared: EngineClient,
    checkpoint: Path,
    latent: FloatArray,
    tmp_path: Path,
    changes: dict[str, Any],
    part: str,
) -> None:
    request = replace(
        drag_request(shared.new_id(), checkpoint, latent, tmp_path / "frames"), **changes
    )
    shared.send(request)
    ending = shared.until_end(request.request_id)[-1]
    assert isinstance(ending, Failed) and ending.cause == "request"
    assert part in ending.message
    assert not (tmp_path / "frames").exists()


def test_cancel_ends_a_drag_within_a_step_and_leaves_nothing(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    request = drag_request(
        shared.new_id(), checkpoint, latent, tmp_path / "frames", settings=ENDLESS
    )

    def cancel(message: Message) -> None:
        if isinstance(message, Step) and message.step == 3:
            shared.send(Cancel(request_id=request.request_id))

    shared.send(request)
    messages = shared.until_end(request.request_id, cancel)
    assert isinstance(messages[-1], Cancelled)
    assert not _of(messages, DragFinished)
    assert not (tmp_path / "frames").exists()


def test_stop_ends_a_drag_where_it_is_and_keeps_it(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    request = drag_request(shared.new_id(), checkpoint, latent, tmp_path, ENDLESS)

    def stop(message: Message) -> None:
        if isinstance(message, Step) and message.step == 3:
            shared.send(Stop(request_id=request.request_id))

    shared.send(request)
    messages = shared.until_end(request.request_id, stop)
    result = _of(messages, DragFinished)[0]
    assert isinstance(messages[-1], Done) and result.status == "stopped"
    assert result.steps == len(_of(messages, Step)) - 1
    assert (tmp_path / "track.npz").exists()


def test_a_queued_request_is_cancelled_at_once_and_every_request_ends_once(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    running = drag_request(shared.new_id(), checkpoint, latent, tmp_path, ENDLESS)
    shared.send(running)
    queued = [LoadModel(request_id=shared.new_id(), model_path=str(checkpoint)) for _ in "ab"]
    for request in queued:
        shared.send(request)
    shared.send(Cancel(request_id=queued[0].request_id))
    messages = shared.until_end(queued[0].request_id)
    assert isinstance(messages[-1], Cancelled)
    shared.send(Cancel(request_id=running.request_id))
    messages += shared.until_end(queued[1].request_id)
    shared.send(Cancel(request_id=running.request_id))  # too late, must not do anything
    last = LoadModel(request_id=shared.new_id(), model_path=str(checkpoint))
    shared.send(last)
    messages += shared.until_end(last.request_id)
    endings = [(m.request_id, m.kind) for m in messages if isinstance(m, Done | Failed | Cancelled)]
    assert endings == [
        (queued[0].request_id, "cancelled"),
        (running.request_id, "cancelled"),
        (queued[1].request_id, "done"),
        (last.request_id, "done"),
    ]
