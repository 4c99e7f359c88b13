# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts between the socket and the algorithms, without an engine process."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from draggan_blender.protocol import Decoder, encode
from draggan_blender.protocol.drag_messages import DragFinished, Preview, Step
from draggan_blender.protocol.messages import (
    FrameWritten,
    LoadModel,
    Message,
    Progress,
    RenderLatent,
)
from draggan_blender.protocol.settings import DragSettings
from engine.arrays import FloatArray
from engine.errors import RequestError
from engine.machine.device import choose_device, use_threads
from engine.models import ModelCache, model_path, sample_latent
from engine.output.track import Track
from engine.serving.failures import failure
from engine.serving.job_parts import should_stop
from engine.serving.job_queue import JobQueue, QueuedJob
from engine.serving.jobs import JobCancelledError, JobRunner
from engine.serving.outbox import Outbox
from engine.solving import manifold, picture, principal
from stylegan2 import Generator, ModelError
from stylegan2.models import BUILTIN_MODELS

from .client import ENDLESS, drag_request


def _preview(step: int, drag_id: int = 1) -> Preview:
    return Preview(
        request_id=1, drag_id=drag_id, step=step, width=1, height=1, pixels=bytes([step]) * 16
    )


class _Wire:
    """A socket that sends only when it is allowed to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()
        self.messages: list[Message] = []
        self._decoder = Decoder(trusted=True)

    def send(self, data: bytes) -> None:
        self.begun.set()
        assert self.open.wait(10)
        self.messages.extend(self._decoder.feed(data))


def test_of_unsent_previews_of_a_drag_only_the_latest_is_sent() -> None:
    wire = _Wire()
    outbox = Outbox(wire.send, lambda error: None)
    progress = [Progress(request_id=1, fraction=0.0, text=str(number)) for number in range(3)]
    outbox.put(progress[0])
    assert wire.begun.wait(10)  # from here on all messages wait
    for message in (
        _preview(1),
        progress[1],
        _preview(2),
        _preview(7, drag_id=2),
        progress[2],
        _preview(3),
    ):
        outbox.put(message)
    wire.open.set()
    assert outbox.flush(10)
    assert wire.messages == [*progress[:2], _preview(7, drag_id=2), progress[2], _preview(3)]


def test_a_broken_connection_is_reported_once() -> None:
    lost: list[OSError] = []
    reported = threading.Event()

    def send(data: bytes) -> None:
        raise ConnectionResetError("gone")

    def on_lost(error: OSError) -> None:
        lost.append(error)
        reported.set()

    outbox = Outbox(send, on_lost)
    outbox.put(Progress(request_id=1, fraction=0.0, text=""))
    outbox.put(Progress(request_id=1, fraction=0.0, text=""))
    assert reported.wait(10)
    assert [str(error) for error in lost] == ["gone"]
    assert not outbox.flush(0.01)


def _load(request_id: int) -> LoadModel:
    return LoadModel(request_id=request_id, model_path="x")


def test_jobs_come_out_in_order_and_waiting_ones_can_be_taken_away() -> None:
    jobs = JobQueue()
    for request_id in (1, 2, 3):
        jobs.put(_load(request_id))
    assert jobs.cancel(2)
    assert not jobs.cancel(2)
    assert [jobs.take().request.request_id for _ in range(2)] == [1, 3]


def test_a_running_job_is_told_and_one_that_is_over_is_not_found() -> None:
    jobs = JobQueue()
    jobs.put(_load(1))
    jobs.put(_load(2))
    first = jobs.take()
    jobs.stop(1)
    assert first.stopped.is_set() and not jobs.cancel(1) and first.cancelled.is_set()
    jobs.stop(2)
    second = jobs.take()
    assert second.stopped.is_set() and not second.cancelled.is_set()
    assert not jobs.cancel(1) and not second.cancelled.is_set()


def test_causes_and_sentences() -> None:
    assert failure(RequestError("too far")) == ("request", "too far")
    disk = OSError(28, "No space left on device", "/x/a.png")
    assert failure(disk) == (
        "files",
        "cannot read or write /x/a.png: No space left on device; free some space on this disk, or "
        "choose a folder on another one",
    )
    unknown = OSError(errno.EIO, "Input/output error", "/x/a.png")
    assert failure(unknown) == ("files", "cannot read or write /x/a.png: Input/output error")
    assert failure(MemoryError())[0] == "memory"
    assert failure(torch.OutOfMemoryError("CUDA out of memory"))[0] == "memory"
    assert failure(RuntimeError("DefaultCPUAllocator: can't allocate memory: you"))[0] == "memory"
    cause, message = failure(KeyError("x"))
    assert cause == "internal" and "KeyError" in message and "see the log" in message


def test_a_model_is_kept_until_its_file_changes(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    cache = ModelCache(torch.device("cpu"))
    first = cache.get(str(path))
    assert cache.get(str(path)) is first
    os.utime(path, (1, 1))
    second = cache.get(str(path))
    assert second is not first and second.sha256 == first.sha256
    path.unlink()
    with pytest.raises(ModelError):
        cache.get(str(path))


def test_built_in_names_are_files_of_the_package() -> None:
    for name in BUILTIN_MODELS:
        assert model_path(name).name == f"{name}.safetensors"
        assert model_path(name).parent.name == "models"
    assert model_path("folder/suzanne") == Path("folder/suzanne")


def test_a_seed_is_the_latent_of_numpys_old_generator(generator: Generator) -> None:
    z = np.random.RandomState(12).randn(1, 16).astype(np.float32)
    with torch.no_grad():
        expected = generator.mapping(torch.from_numpy(z), truncation_psi=0.5)[0].numpy()
    assert np.array_equal(sample_latent(generator, 12, 0.5), expected)
    assert not np.allclose(sample_latent(generator, 13, 0.5), expected)


@pytest.mark.parametrize(("seed", "psi"), [(-1, 0.7), (2**32, 0.7), (0, 9.0), (0, float("nan"))])
def test_seeds_and_truncations_out_of_range_are_refused(
    generator: Generator, seed: int, psi: float
) -> None:
    with pytest.raises(RequestError):
        sample_latent(generator, seed, psi)


def test_the_cpu_is_always_there_and_auto_finds_something() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in {"cpu", "cuda", "mps"}


@pytest.mark.parametrize("wish", ["gpu", "cuda:x", "", "cuda:999"])
def test_a_device_that_is_not_there_is_refused(wish: str) -> None:
    with pytest.raises(RequestError, match="device"):
        choose_device(wish)


def test_a_negative_number_of_threads_is_refused() -> None:
    with pytest.raises(RequestError, match="threads"):
        use_threads(-1)


def test_what_the_outbox_sends_is_what_the_protocol_says() -> None:
    wire = _Wire()
    wire.open.set()
    outbox = Outbox(wire.send, lambda error: None)
    outbox.put(_preview(4))
    assert outbox.flush(10)
    assert encode(wire.messages[0]) == encode(_preview(4))


@pytest.mark.parametrize("signal", ["cancelled", "stopped"])
def test_cancel_and_stop_take_effect_before_another_step(
    checkpoint: Path, latent: FloatArray, tmp_path: Path, signal: str
) -> None:
    request = drag_request(1, checkpoint, latent, tmp_path / "frames", ENDLESS)
    job = QueuedJob(request)
    messages: list[Message] = []

    def emit(message: Message) -> None:
        messages.append(message)
        if isinstance(message, Step) and message.step == 3:
            getattr(job, signal).set()

    runner = JobRunner(torch.device("cpu"), emit)
    if signal == "cancelled":
        with pytest.raises(JobCancelledError):
            runner.run(job)
        assert not (tmp_path / "frames").exists()
    else:
        runner.run(job)
        assert isinstance(messages[-1], DragFinished)
    assert max(m.step for m in messages if isinstance(m, Step)) <= 4


def test_what_the_first_drag_would_wait_for_is_computed_before(
    checkpoint: Path, latent: FloatArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = JobRunner(torch.device("cpu"), lambda message: None)
    runner.get_ready(lambda: True)  # without a model there is nothing to do
    image = str(tmp_path / "shown.png")
    shown = RenderLatent(
        request_id=1,
        model_path=str(checkpoint),
        latent=latent.astype("<f4").tobytes(),
        image_path=image,
    )
    runner.run(QueuedJob(shown))
    runner.get_ready(lambda: True)
    monkeypatch.setattr(principal, "decompose", None)
    monkeypatch.setattr(picture, "_differences", None)
    monkeypatch.setattr(manifold, "_outputs", None)
    settings = DragSettings(max_steps=1)
    assert settings.latent_space == "automatic"
    runner.run(QueuedJob(drag_request(2, checkpoint, latent, tmp_path, settings)))


def test_a_drag_continues_the_sequence_of_another_and_renders_only_its_own_images(
    checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    messages: list[Message] = []
    runner = JobRunner(torch.device("cpu"), messages.append)
    settings = DragSettings(method="draggan", max_steps=3, step_size=0.02)
    runner.run(QueuedJob(drag_request(1, checkpoint, latent, tmp_path / "one", settings)))
    first = messages.pop()
    assert isinstance(first, DragFinished)
    count = first.frame_count - 1
    start = np.frombuffer(first.latent, "<f4").reshape(latent.shape)
    request = replace(
        drag_request(2, checkpoint, start, tmp_path / "two", settings),
        earlier_track=first.track,
        earlier_count=count,
        earlier_keys=(0,),
        earlier_folder=str(tmp_path / "one"),
        earlier_stem="drag",
    )
    messages.clear()
    runner.run(QueuedJob(request))
    second = messages.pop()
    assert isinstance(second, DragFinished)
    assert len(np.frombuffer(second.handles_px, "<f4")) == 2 * second.frame_count
    track = Track.from_bytes(second.track)
    assert len(track) == count + second.frame_count
    np.testing.assert_array_equal(track.latent(count), start)
    written = sorted(m.number for m in messages if isinstance(m, FrameWritten))
    assert written == list(range(20 + count, 20 + len(track)))
    names = {path.name for path in (tmp_path / "two").glob("*.png")}
    assert len(names) == len(track) + 1
    for path in (tmp_path / "one").glob("*.png"):
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes()


def test_the_sequence_of_a_drag_begins_earlier_to_end_in_time(
    checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    messages: list[Message] = []
    runner = JobRunner(torch.device("cpu"), messages.append)
    settings = DragSettings(method="draggan", max_steps=3, step_size=0.02)

    def first_of(earliest: int, latest: int) -> tuple[int, int]:
        """Drag, check the files and the track, and return the first number and the count."""
        folder = tmp_path / f"{earliest}-{latest}"
        request = drag_request(1, checkpoint, latent, folder, settings)
        assert request.frames.first_number == 20
        runner.run(QueuedJob(replace(request, earliest=earliest, latest=latest)))
        finished = messages.pop()
        assert isinstance(finished, DragFinished)
        first, count = finished.first_number, finished.frame_count
        assert Track.from_bytes(finished.track).first_number == first
        assert Track.load(folder / "track.npz").first_number == first
        names = sorted(path.name for path in folder.glob("*.png"))
        assert names == [f"drag_{number:04d}.png" for number in range(first - 1, first + count)]
        return first, count

    first, count = first_of(0, 0)
    assert first == 20 and 4 <= count < 19
    for earliest, latest, wanted in (
        (1, 20, 21 - count),
        (1, 20 + count - 2, 19),
        (1, 20 + count - 1, 20),
        (1, 900, 20),
        (19, 20, 19),
    ):
        assert first_of(earliest, latest) == (wanted, count)


def test_a_job_is_asked_for_both_signals_in_the_middle_of_a_step() -> None:
    job = QueuedJob(LoadModel(request_id=1, model_path="model"))
    assert not should_stop(job)
    job.stopped.set()
    assert should_stop(job)
    job.cancelled.set()
    with pytest.raises(JobCancelledError):
        should_stop(job)
