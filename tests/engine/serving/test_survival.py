# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever fails in a request or after it, the engine lives and does the next request."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from draggan_blender.protocol.drag_messages import Drag
from draggan_blender.protocol.messages import (
    Cancelled,
    Done,
    Failed,
    FrameTarget,
    LoadModel,
    Message,
    ModelRequest,
    Sample,
)
from draggan_blender.protocol.pairs import Pair
from engine.errors import RequestError
from engine.machine.priority import Foreground
from engine.models import ModelCache, sample_latent
from engine.serving import jobs as jobs_module
from engine.serving.failures import failure
from engine.serving.job_queue import JobQueue, QueuedJob
from engine.serving.jobs import JobRunner
from engine.serving.worker import Worker
from engine.solving.principal import principal_components
from stylegan2 import Generator, ModelError, save_generator
from tests.tiny_generator import tiny_generator


def test_only_a_pull_is_run_in_the_foreground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a failure there ends the request alone."""
    foreground, ran = Foreground(), []

    def run(_runner: object, job: QueuedJob) -> None:
        ran.append((job.request.request_id, threading.current_thread().name))
        raise RequestError("not possible")

    monkeypatch.setattr(JobRunner, "run", run)
    worker = Worker(JobQueue(), lambda _message: None, "cpu", 1, None, foreground)
    pair = Pair(handle_px=(4.0, 4.0), target_px=(8.0, 4.0))
    for number, live in ((1, True), (2, False)):
        drag = Drag(
            request_id=number,
            model_path="model",
            drag_id=number,
            latent=b"",
            pairs=(pair,),
            frames=FrameTarget(folder=str(tmp_path), stem="drag", first_number=1),
            live=live,
        )
        ending = worker._do(QueuedJob(drag))
        assert isinstance(ending, Failed) and ending.message == "not possible"
    here = threading.current_thread().name
    apart = "foreground_0" if sys.platform == "linux" else here
    assert ran == [(1, apart), (2, here)]


class _Engine:
    """A worker in a thread; ``do`` returns the ending of a request."""

    def __init__(self) -> None:
        self._queue, self._ended = JobQueue(), threading.Condition()
        self._endings: dict[int, Message] = {}
        worker = Worker(self._queue, self._take, "cpu", 1)
        threading.Thread(target=worker.run, daemon=True).start()

    def _take(self, message: Message) -> None:
        if isinstance(message, Done | Failed | Cancelled):
            with self._ended:
                self._endings[message.request_id] = message
                self._ended.notify_all()

    def do(self, request: ModelRequest) -> Message:
        self._queue.put(request)
        with self._ended:
            assert self._ended.wait_for(lambda: request.request_id in self._endings, 60)
            return self._endings[request.request_id]


def _saved(folder: Path, change: Callable[[Generator], None]) -> Path:
    generator = tiny_generator()
    with torch.no_grad():
        change(generator)
    path = folder / "broken.safetensors"
    save_generator(generator, path)
    return path


def _sample(request_id: int, model: Path, folder: Path) -> Sample:
    return Sample(
        request_id=request_id,
        model_path=str(model),
        seed=1,
        truncation_psi=1.0,
        image_path=str(folder / "image.png"),
    )


def _overflow_latents(generator: Generator) -> None:
    for name, weight in generator.mapping.named_parameters():
        if name.endswith("weight"):
            weight.fill_(3e38)


def _overflow_images(generator: Generator) -> None:
    last = generator.resolutions[-1]
    for name, weight in generator.synthesis.named_parameters():
        if name.startswith(f"b{last}.torgb") and name.endswith("weight"):
            weight.fill_(3e38)


@pytest.mark.parametrize("change", [_overflow_latents, _overflow_images])
def test_a_model_that_overflows_is_refused_and_the_next_one_works(
    change: Callable[[Generator], None], checkpoint: Path, tmp_path: Path
) -> None:
    broken, engine = _saved(tmp_path, change), _Engine()
    for number, request in enumerate(
        (
            LoadModel(request_id=1, model_path=str(broken)),
            LoadModel(request_id=2, model_path=str(broken)),
            _sample(3, broken, tmp_path),
            LoadModel(request_id=4, model_path=str(broken)),
        ),
        1,
    ):
        ending = engine.do(request)
        assert isinstance(ending, Failed), number
        assert ending.cause in ("model", "request")
        assert "overflow" in ending.message or "not finite" in ending.message
    assert not (tmp_path / "image.png").exists()
    assert isinstance(engine.do(_sample(5, checkpoint, tmp_path)), Done)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("bad"), np.linalg.LinAlgError("bad")]
)
def test_what_fails_after_a_request_does_not_end_the_engine(
    error: Exception, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(_generator: Generator) -> None:
        calls.append(1)
        raise error

    monkeypatch.setattr(jobs_module, "principal_components", fail)
    engine = _Engine()
    assert [type(engine.do(_sample(i, checkpoint, tmp_path))) for i in (1, 2, 3)] == [Done] * 3
    # The queue's next request is taken after getting ready: two of three have tried.
    assert len(calls) == 1, "what has failed is not tried again after each request"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_short_memory_is_said_as_such(error: Exception) -> None:
    assert failure(error)[0] == "memory"


def test_an_allocation_that_fails_in_a_request_fails_only_that_request(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, real = _Engine(), sample_latent
    monkeypatch.setattr(
        jobs_module, "sample_latent", lambda *_: torch.empty(1 << 62, dtype=torch.uint8)
    )
    ending = engine.do(_sample(1, checkpoint, tmp_path))
    assert isinstance(ending, Failed) and ending.cause == "memory"
    monkeypatch.setattr(jobs_module, "sample_latent", real)
    assert isinstance(engine.do(_sample(2, checkpoint, tmp_path)), Done)


def test_a_model_whose_seeds_all_give_one_image_says_so() -> None:
    generator = tiny_generator()
    with torch.no_grad():
        for name, parameter in generator.mapping.named_parameters():
            parameter.fill_(1.0 if name.endswith("bias") else 0.0)
    with pytest.raises(RequestError, match="all seeds of this model give one image"):
        principal_components(generator)


def test_a_refused_model_is_not_kept(tmp_path: Path) -> None:
    cache = ModelCache(torch.device("cpu"))
    with pytest.raises(ModelError, match="latents hold values that are not finite"):
        cache.get(str(_saved(tmp_path, _overflow_latents)))
    assert cache.current is None
