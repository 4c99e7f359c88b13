# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a drag outlive its engine, and become the result that *Stop* would have made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from draggan_blender.protocol.drag_messages import Drag, DragFinished, Step
from draggan_blender.protocol.file_names import DRAG_JOURNAL_FILE, TRACK_FILE
from draggan_blender.protocol.live import ReplacePairs
from draggan_blender.protocol.lost_drag import FinishDrag, KeptEnd, KeptStep
from draggan_blender.protocol.messages import Done, Failed, Message
from draggan_blender.protocol.pairs import HandleState, Pair
from engine.arrays import FloatArray
from engine.models import LoadedModel, ModelCache
from engine.output.track import Track
from engine.serving.drag_job import DragJob, FinishDragJob
from engine.serving.drag_journal import DragJournal, read_steps
from engine.serving.job_queue import QueuedJob

from .client import ENDLESS, EngineClient, drag_request

STEPS = 6


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> LoadedModel:
    return ModelCache(torch.device("cpu")).get(str(checkpoint))


@pytest.fixture
def request_of(checkpoint: Path, latent: FloatArray, tmp_path: Path) -> Drag:
    request = drag_request(1, checkpoint, latent, tmp_path / "drag", ENDLESS)
    settings = replace(ENDLESS, step_size=0.02)
    return replace(request, settings=settings, previews=False)


def finishing(request: Drag) -> FinishDrag:
    return FinishDrag(**{field.name: getattr(request, field.name) for field in fields(request)})


class _Run:
    """A drag that is stopped; what is in its folder one moment before is kept beside it."""

    def __init__(self, request: Drag, model: LoadedModel, *changes: tuple[int, Any]) -> None:
        self.request, self.model = request, model
        self.folder = Path(request.frames.folder)
        self.lost = self.folder.with_name("lost")
        self.changes = dict(changes)
        self.job = QueuedJob(request)
        self.messages: list[Message] = []

    def emit(self, message: Message) -> None:
        self.messages.append(message)
        if isinstance(message, Step) and message.step in self.changes:
            self.job.tell(self.changes[message.step])
        if isinstance(message, Step) and message.step == STEPS:
            shutil.copytree(self.folder, self.lost)
            self.job.stopped.set()

    def stopped(self) -> DragFinished:
        DragJob(self.request, self.model, self.job, self.emit).run()
        return next(m for m in self.messages if isinstance(m, DragFinished))

    def lost_and_finished(self) -> DragFinished:
        shutil.rmtree(self.folder)
        self.lost.rename(self.folder)
        found: list[Message] = []
        again = finishing(self.request)
        FinishDragJob(again, self.model, QueuedJob(again), found.append).run()
        return next(m for m in found if isinstance(m, DragFinished))


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _region(request: Drag) -> Drag:
    pair = replace(request.pairs[0], radius_px=4.0, angle=0.4, scale=1.2)
    return replace(request, pairs=(pair, Pair(handle_px=(4.5, 5.0), target_px=(4.5, 5.0), key=3)))


def _masked(request: Drag) -> Drag:
    mask = np.zeros((32, 32), np.uint8)
    mask[8:22, 8:22] = 255
    return replace(request, mask=mask.tobytes())


@pytest.mark.parametrize("change", [lambda request: request, _region, _masked])
def test_the_result_is_that_of_stop(
    request_of: Drag, model: LoadedModel, change: Callable[[Drag], Drag]
) -> None:
    run = _Run(change(request_of), model)
    stopped, files = run.stopped(), _files(run.folder)
    assert set(files) > {TRACK_FILE} and DRAG_JOURNAL_FILE not in files
    finished = run.lost_and_finished()
    assert (finished.status, finished.steps) == ("stopped", STEPS)
    for name in ("latent", "track", "handles", "handles_px", "turns", "frame_count"):
        assert getattr(finished, name) == getattr(stopped, name), name
    assert _files(run.folder) == files


def test_points_and_masks_that_have_changed_are_kept(request_of: Drag, model: LoadedModel) -> None:
    masked = _masked(request_of)
    wider = np.frombuffer(masked.mask, np.uint8).reshape(32, 32).copy()
    wider[8:22, 22:28] = 255
    pairs = (*masked.pairs, Pair(handle_px=(15.0, 18.0), target_px=(25.0, 18.0), key=7))
    change = ReplacePairs(request_id=1, pairs=pairs, live=False, mask=wider.tobytes())
    run = _Run(masked, model, (2, change))
    stopped, files = run.stopped(), _files(run.folder)
    assert [handle.key for handle in stopped.handles] == [0, 7]
    track = Track.from_bytes(stopped.track)
    layers = track.picture(len(track) - 1).layers
    assert np.array_equal(layers[0].mask, wider)
    finished = run.lost_and_finished()
    assert (finished.track, finished.handles_px) == (stopped.track, stopped.handles_px)
    assert _files(run.folder) == files


def test_a_drag_that_has_ended_keeps_the_steps_of_its_result(
    request_of: Drag, model: LoadedModel, tmp_path: Path
) -> None:
    # Lost while the frames were written.
    run = _Run(request_of, model)
    run.stopped()
    kept = read_steps(run.lost / DRAG_JOURNAL_FILE)
    journal = DragJournal(run.lost / DRAG_JOURNAL_FILE)
    for step in kept:
        journal.append(step)
    journal.append(KeptEnd(steps=3))
    journal.close()
    assert run.lost_and_finished().steps == 2


def _step(number: int, pairs: tuple[Pair, ...] = ()) -> KeptStep:
    handles = (HandleState(key=0, place_px=(1.0, float(number)), distance_px=2.0),)
    return KeptStep(loss=0.1, latent=bytes([number] * 16), handles=handles, pairs=pairs)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / DRAG_JOURNAL_FILE
    writer = DragJournal(path)
    for number in range(3):
        writer.append(_step(number, () if number else (Pair(handle_px=(1, 2), target_px=(3, 4)),)))
    writer.close()
    return path


def test_a_journal_is_read_up_to_its_first_damage(journal: Path) -> None:
    data, steps = journal.read_bytes(), read_steps(journal)
    assert [step.handles[0].place_px[1] for step in steps] == [0.0, 1.0, 2.0]
    counts = []
    for end in range(len(data)):
        journal.write_bytes(data[:end])
        counts.append(len(read_steps(journal)))
        journal.write_bytes(data[:end] + bytes([data[end] ^ 0x10]) + data[end + 1 :])
        assert read_steps(journal) == steps[: counts[-1]]
    assert counts == sorted(counts) and set(counts) == {0, 1, 2}


def test_a_full_disk_costs_the_journal_and_not_the_drag(
    request_of: Drag, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    class Full(FileIO):
        def write(self, data: Any) -> int:
            written.append(len(data))
            if len(written) > 3:
                raise OSError(28, "No space left on device")
            return super().write(data)

    monkeypatch.setattr("engine.serving.drag_journal.FileIO", Full)
    run = _Run(request_of, model)
    assert run.stopped().steps == STEPS
    assert len(written) == 4
    assert not list(run.lost.iterdir())


def test_a_folder_that_vanishes_during_a_drag_is_made_again(
    request_of: Drag, model: LoadedModel
) -> None:
    folder, job = Path(request_of.frames.folder), QueuedJob(request_of)

    def emit(message: Message) -> None:
        if isinstance(message, Step) and message.step == 2:
            shutil.rmtree(folder)
        if isinstance(message, Step) and message.step == STEPS:
            job.stopped.set()

    DragJob(request_of, model, job, emit).run()
    assert len(list(folder.glob("drag_*.png"))) == len(Track.load(folder / TRACK_FILE)) + 1


def test_a_link_in_place_of_the_journal_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"of the person")
    path = tmp_path / DRAG_JOURNAL_FILE
    os.symlink(other, path)
    DragJournal(path).close()
    assert other.read_bytes() == b"of the person" and not path.is_symlink()


def test_a_killed_engine_leaves_its_steps_to_the_next_one(
    shared: EngineClient, request_of: Drag, tmp_path: Path
) -> None:
    folder = Path(request_of.frames.folder)
    endless = replace(request_of, settings=ENDLESS)
    (tmp_path / "first").mkdir()
    with EngineClient(tmp_path / "first") as engine:
        engine.ready()
        engine.send(endless)
        step = 0
        while step < 4:
            message = engine.receive()
            step = message.step if isinstance(message, Step) else step
        engine.process.kill()
        engine.process.wait()
    endless = replace(endless, request_id=shared.new_id())
    shared.send(finishing(endless))
    messages = shared.until_end(endless.request_id)
    assert isinstance(messages[-1], Done)
    finished = next(m for m in messages if isinstance(m, DragFinished))
    assert finished.steps >= 4
    assert len(Track.load(folder / TRACK_FILE)) == finished.frame_count
    assert len(list(folder.glob("drag_*.png"))) == finished.frame_count + 1
    assert not (folder / DRAG_JOURNAL_FILE).exists()
    endless = replace(endless, request_id=shared.new_id())
    shared.send(finishing(endless))
    ending = shared.until_end(endless.request_id)[-1]
    assert isinstance(ending, Failed) and "drag.journal" in ending.message
