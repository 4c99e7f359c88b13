# SPDX-License-Identifier: GPL-3.0-or-later
"""When the next preview is due, and how large it is, on machines of known speed."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from draggan_blender.protocol.drag_messages import Preview
from draggan_blender.protocol.messages import LoadModel
from engine.arrays import ByteArray
from engine.serving import previews
from engine.serving.job_queue import JobQueue
from engine.serving.previews import Previews

LATENT = torch.zeros(1, 1)


class Machine:
    """A clock that only rendering an image advances."""

    def __init__(self, seconds_at_256_px: float) -> None:
        self.now = 100.0
        self._seconds = seconds_at_256_px

    def render_images(
        self, generator: object, latents: object, resolution: int, canvas: object
    ) -> ByteArray:
        self.now += self._seconds * (resolution / 256) ** 2
        return np.zeros((1, resolution, resolution, 3), np.uint8)


def _previews(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, size: int
) -> tuple[Previews, JobQueue, list[Preview]]:
    monkeypatch.setattr(time, "perf_counter", lambda: machine.now)
    monkeypatch.setattr(previews, "render_images", machine.render_images)
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
