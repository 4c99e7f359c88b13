# SPDX-License-Identifier: GPL-3.0-or-later
"""When the next preview is due, and how large it is, on machines of known speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from draggan_blender.protocol.drag_messages import Drag, Preview
from draggan_blender.protocol.live import Pause, ReplacePairs
from draggan_blender.protocol.messages import FrameTarget, LoadModel, Message
from draggan_blender.protocol.pairs import Pair
from engine.arrays import ByteArray
from engine.serving import drag_job, previews
from engine.serving.drag_job import DragJob
from engine.serving.job_queue import JobQueue, QueuedJob
from engine.serving.previews import Previews
from stylegan2 import GeneratorConfig

from ...stylegan2.making import random_generator, random_ws, tiny_config

LATENT = torch.zeros(1, 1)


class Machine:
    """A clock that only rendering an image advances."""

    def __init__(self, seconds_at_256_px: float) -> None:
        self.now = 100.0
        self._seconds = seconds_at_256_px

    def render_images(
        self,
        generator: object,
        latents: object,
        resolution: int,
        canvas: object,
        between: Callable[[], None],
    ) -> ByteArray:
        self.now += self._seconds * (resolution / 256) ** 2
        return np.zeros((1, resolution, resolution, 3), np.uint8)


def _previews(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, size: int, first: int = 0
) -> tuple[Previews, JobQueue, list[Preview]]:
    monkeypatch.setattr(time, "perf_counter", lambda: machine.now)
    monkeypatch.setattr(previews, "render_images", machine.render_images)
    monkeypatch.setattr(previews, "open_pass", lambda *_arguments, **_others: None)
    monkeypatch.setattr(previews, "_first_resolution", lambda _generator: first or size)
    jobs: JobQueue = JobQueue()
    emitted: list[Preview] = []
    jobs.put(LoadModel(request_id=1, model_path="a.pkl"))
    resolutions = tuple(4 << level for level in range(size.bit_length() - 2))
    model = SimpleNamespace(generator=SimpleNamespace(resolutions=resolutions))
    return Previews(jobs.take(), 5, model, emitted.append), jobs, emitted  # type: ignore[arg-type]


def test_the_next_one_is_due_when_the_last_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(0.001)
    shown, jobs, emitted = _previews(monkeypatch, machine, 64)
    assert shown.is_due()
    shown.show(LATENT, 3)
    (message,) = emitted
    assert (message.request_id, message.drag_id, message.step) == (1, 5, 3)
    machine.now += 10
    jobs.shown(2)  # of another request, which is finished
    assert not shown.is_due()
    jobs.shown(1)
    assert shown.is_due()


def test_there_are_thirty_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(0.001)
    shown, jobs, _ = _previews(monkeypatch, machine, 64)
    shown.show(LATENT, 0)
    jobs.shown(1)
    machine.now += 0.03
    assert not shown.is_due()
    machine.now += 0.004
    assert shown.is_due()


def test_on_a_slow_machine_the_steps_have_two_thirds_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(8.0)
    shown, jobs, _ = _previews(monkeypatch, machine, 64)
    shown.show(LATENT, 0)  # half a second
    jobs.shown(1)
    machine.now += 0.99
    assert not shown.is_due()
    machine.now += 0.02
    assert shown.is_due()


@pytest.mark.parametrize(
    ("seconds_at_256_px", "size", "expected"),
    [
        (1.0, 1024, [512, 256, 128, 64, 64]),
        (0.1, 1024, [512, 256, 128, 128]),
        (0.001, 1024, [512, 512]),
        (0.001, 128, [128, 128]),
        (10.0, 32, [32, 32]),
    ],
)
def test_their_size_fits_the_machine_and_the_one_that_stays_is_whole(
    monkeypatch: pytest.MonkeyPatch, seconds_at_256_px: float, size: int, expected: list[int]
) -> None:
    shown, _, emitted = _previews(monkeypatch, Machine(seconds_at_256_px), size)
    for step in range(len(expected)):
        shown.show(LATENT, step)
    shown.show(LATENT, 99, stays=True)
    assert [message.width for message in emitted] == [*expected, size]


@pytest.mark.parametrize(
    ("resolution", "channels", "expected"),
    [
        (1024, 512, 64),  # a full-size network: 16 thousand million multiply-adds for 64 px
        (1024, 32, 256),
        (128, 16, 128),
    ],
)
def test_the_first_one_is_not_one_that_takes_seconds(
    monkeypatch: pytest.MonkeyPatch, resolution: int, channels: int, expected: int
) -> None:
    config = GeneratorConfig.standard(resolution, channel_max=channels)
    assert _first_size(monkeypatch, config, torch.device("cpu")) == expected


def test_on_a_gpu_the_first_one_is_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    config = GeneratorConfig.standard(1024)
    assert _first_size(monkeypatch, config, torch.device("cuda")) == 512


def _first_size(
    monkeypatch: pytest.MonkeyPatch, config: GeneratorConfig, device: torch.device
) -> int:
    monkeypatch.setattr(previews, "device_of", lambda _generator: device)
    generator = SimpleNamespace(config=config, resolutions=config.resolutions)
    jobs: JobQueue = JobQueue()
    jobs.put(LoadModel(request_id=1, model_path="a.pkl"))
    model = SimpleNamespace(generator=generator)
    made = Previews(jobs.take(), 5, model, lambda _message: None)  # type: ignore[arg-type]
    return made.resolution


def test_what_turns_out_to_be_quick_grows_again(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(1.0)
    shown, _, emitted = _previews(monkeypatch, machine, 256)
    for _ in range(3):
        shown.show(LATENT, 0)
    machine._seconds = 0.01
    for _ in range(4):
        shown.show(LATENT, 0)
    assert [message.width for message in emitted] == [256, 128, 64, 64, 128, 256, 256]


def test_it_is_known_which_latent_was_shown_last_and_whether_in_full_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown, _, emitted = _previews(monkeypatch, Machine(0.001), 1024)
    assert not shown.has_shown(LATENT)
    shown.show(LATENT, 0)
    assert emitted[-1].width == 512
    assert shown.has_shown(LATENT.clone()) and not shown.has_shown(LATENT, in_full=True)
    assert not shown.has_shown(LATENT + 1)
    shown.show(LATENT, 0, stays=True)
    assert shown.has_shown(LATENT, in_full=True)


def _of_tiny_model() -> tuple[Previews, list[Preview], Tensor]:
    generator = random_generator(tiny_config(64)).freeze()
    jobs: JobQueue = JobQueue()
    emitted: list[Preview] = []
    jobs.put(LoadModel(request_id=1, model_path="a.pkl"))
    model = SimpleNamespace(generator=generator)
    made = Previews(jobs.take(), 5, model, emitted.append)  # type: ignore[arg-type]
    return made, emitted, random_ws(generator, 1)[0]


def _levels(message: Preview) -> NDArray[np.float32]:
    return np.frombuffer(message.pixels, np.float32) * 255


def test_what_was_begun_is_shown_and_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, emitted, ws = _of_tiny_model()
    shown.show(ws, 0, stays=True)
    begun = shown.begin(ws, 3, lambda: None)
    assert begun is not None and begun.num_layers == 3
    for name in ("render_images", "open_pass"):
        monkeypatch.setattr(previews, name, None)
    shown.show(ws.clone(), 1)
    # As the file would have it, up to the rounding of a level.
    assert np.abs(_levels(emitted[1]) - _levels(emitted[0])).max() < 1.01


def test_a_preview_that_stays_is_the_image_of_the_file_whatever_was_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown, emitted, ws = _of_tiny_model()
    shown.show(ws, 0, stays=True)
    assert shown.begin(ws, 3, lambda: None) is not None
    monkeypatch.setattr(previews, "render_pass", None)
    shown.show(ws, 1, stays=True)
    assert emitted[1].pixels == emitted[0].pixels


def test_one_that_stays_can_be_left_between_its_layers_and_nothing_is_sent() -> None:
    shown, emitted, ws = _of_tiny_model()
    calls: list[int] = []

    def leave() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        shown.show(ws, 0, stays=True, between=leave)
    assert not emitted and not shown.has_shown(ws)
    shown.show(ws, 0, stays=True, between=lambda: calls.append(1))
    assert len(emitted) == 1 and shown.has_shown(ws, in_full=True)
    assert len(calls) - 4 >= len(ws) - 2


def test_what_was_begun_of_another_latent_is_not_shown() -> None:
    shown, emitted, ws = _of_tiny_model()
    shown.begin(ws + 1, 3, lambda: None)
    shown.show(ws, 0)
    shown.show(ws, 1, stays=True)
    assert np.abs(_levels(emitted[1]) - _levels(emitted[0])).max() < 1.01


def test_of_weights_that_change_nothing_is_begun() -> None:
    shown, emitted, ws = _of_tiny_model()
    tuned = random_generator(tiny_config(64), seed=3)
    shown.use(SimpleNamespace(generator=tuned))  # type: ignore[arg-type]
    assert shown.begin(ws, 3, lambda: None) is None
    shown.show(ws, 0)
    with torch.no_grad():
        tuned.synthesis.block(64).torgb.bias.add_(0.5)
    shown.show(ws, 1)
    assert np.abs(_levels(emitted[1]) - _levels(emitted[0])).max() > 10


@pytest.mark.parametrize("live", [True, False])
def test_only_a_drag_that_a_person_pulls_at_begins_them_in_its_steps(live: bool) -> None:
    """The result of another drag does not depend on when its previews are due."""
    job, queued, ws = _drag_of_tiny_model([], live=live)
    begun = job._image_of(ws, 3, lambda: None)
    assert (begun is not None) == live
    queued.shown.clear()
    assert job._image_of(ws, 3, lambda: None) is None


@pytest.fixture
def small_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show images of 16 px first, and those in full size as soon as a drag rests."""
    monkeypatch.setattr(previews, "_SMALL_MODEL", 16)
    monkeypatch.setattr(previews, "_first_resolution", lambda _generator: 16)
    monkeypatch.setattr(previews, "_SMALLEST", 16)
    monkeypatch.setattr(drag_job, "_FULL_SIZE_AFTER_S", 0.0)


@pytest.mark.usefixtures("small_first")
def test_an_image_in_full_size_is_left_when_the_mouse_moves_on() -> None:
    emitted: list[Message] = []
    job, queued, ws = _drag_of_tiny_model(emitted, live=True)
    job._show_at_rest(ws)
    queued.shown.set()
    queued.tell(ReplacePairs(request_id=1, pairs=(PAIR,), live=True))
    again_s = job._show_at_rest(ws)
    assert again_s is not None, "it is to be called again"
    assert queued.take_pairs() is not None
    assert job._show_at_rest(ws) is None
    assert [message.width for message in emitted if isinstance(message, Preview)] == [16, 64]


@pytest.mark.usefixtures("small_first")
def test_a_paused_drag_shows_its_image_in_full_size_whatever_waits() -> None:
    emitted: list[Message] = []
    job, queued, ws = _drag_of_tiny_model(emitted, live=True)
    queued.tell(Pause(request_id=1, paused=True))
    queued.tell(ReplacePairs(request_id=1, pairs=(PAIR,), live=True))
    job._show_at_rest(ws)
    queued.shown.set()
    assert job._show_at_rest(ws) is None, "it waits for something to arrive"
    assert not queued.has_news
    queued.tell(Pause(request_id=1, paused=False))
    assert queued.has_news


@pytest.mark.usefixtures("small_first")
@pytest.mark.parametrize("rests", [False, True])
def test_an_image_in_full_size_is_left_when_a_drag_that_was_paused_goes_on(rests: bool) -> None:
    emitted: list[Message] = []
    job, queued, ws = _drag_of_tiny_model(emitted, live=True)
    job._latent = ws
    job._show_at_rest(ws if rests else None)
    queued.shown.set()
    # Nothing was pulled in the meantime: only a drag that has not arrived has steps to make.
    queued.tell(Pause(request_id=1, paused=False))
    job._show_at_rest(ws if rests else None)
    sizes = [message.width for message in emitted if isinstance(message, Preview)]
    assert sizes == ([16, 64] if rests else [16])


PAIR = Pair(handle_px=(9.0, 9.0), target_px=(9.0, 9.0), key=1)


def _drag_of_tiny_model(emitted: list[Message], *, live: bool) -> tuple[DragJob, QueuedJob, Tensor]:
    generator = random_generator(tiny_config(64)).freeze()
    request = Drag(
        request_id=1,
        model_path="a.pkl",
        drag_id=1,
        latent=b"",
        pairs=(PAIR,),
        frames=FrameTarget(folder="drag", stem="drag", first_number=1),
        live=live,
    )
    queued = QueuedJob(request)
    model = SimpleNamespace(generator=generator)
    job = DragJob(request, model, queued, emitted.append)  # type: ignore[arg-type]
    return job, queued, random_ws(generator, 1)[0]
