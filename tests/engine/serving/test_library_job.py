# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding a model to a library: checked, converted once, with a thumbnail; or nothing is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from draggan_blender.protocol.library import AddModel, ModelAdded
from draggan_blender.protocol.messages import LoadModel, Message, Progress
from engine.errors import RequestError
from engine.library_names import library_path
from engine.models import LoadedModel, ModelCache
from engine.serving.job_parts import JobCancelledError
from engine.serving.job_queue import QueuedJob
from engine.serving.jobs import JobRunner
from engine.serving.library_job import add_model
from engine.serving.sheet_job import seed_pixels
from stylegan2 import ModelError, load_generator, sha256_of

ROOT = Path(__file__).resolve().parents[3]
PICKLE = ROOT / "tests" / "data" / "golden" / "ada_r64.pkl"
CPU = torch.device("cpu")


def _request(source: Path, folder: Path) -> AddModel:
    return AddModel(request_id=4, source_path=str(source), folder=str(folder), size_px=16)


def _add(source: Path, folder: Path) -> ModelAdded:
    emitted: list[Message] = []
    request = _request(source, folder)
    add_model(request, CPU, QueuedJob(request), emitted.append)
    added = emitted.pop()
    assert isinstance(added, ModelAdded)
    fractions = [message.fraction for message in emitted if isinstance(message, Progress)]
    assert len(fractions) == len(emitted) and fractions == sorted(fractions)
    return added


def test_a_pickle_is_converted_and_has_a_thumbnail(tmp_path: Path) -> None:
    added = _add(PICKLE, tmp_path / "models")
    path = Path(added.path)
    assert path.parent == tmp_path / "models" and path.suffix == ".safetensors"
    assert (added.sha256, added.source_sha256) == (sha256_of(path), sha256_of(PICKLE))
    assert (added.width, added.height, added.c_dim) == (64, 64, 0)
    generator = load_generator(PICKLE)
    expected = seed_pixels(generator, 0, 0.5, 16)
    found = np.frombuffer(added.pixels, np.float32).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)
    assert (added.thumbnail_width, added.thumbnail_height) == (16, 16)


def test_the_same_content_is_converted_once(tmp_path: Path) -> None:
    first = _add(PICKLE, tmp_path)
    stamp = Path(first.path).stat().st_mtime_ns
    assert _add(PICKLE, tmp_path) == first
    assert Path(first.path).stat().st_mtime_ns == stamp
    # The converted file is the same model: it says what it was made from.
    again = _add(Path(first.path), tmp_path / "other")
    assert (again.sha256, again.source_sha256) == (first.sha256, first.source_sha256)


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"", PICKLE.read_bytes()[:5000]])
def test_a_file_that_is_not_a_model_is_refused_and_leaves_nothing(
    content: bytes, tmp_path: Path
) -> None:
    source, folder = tmp_path / "face.pkl", tmp_path / "models"
    source.write_bytes(content)
    with pytest.raises(ModelError, match=r"face\.pkl"):
        _add(source, folder)
    assert not folder.exists() or not list(folder.iterdir())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.pkl"):
        _add(tmp_path / "gone.pkl", tmp_path)


@pytest.mark.parametrize("after", range(1, 5))
def test_a_cancelled_request_leaves_nothing(after: int, tmp_path: Path) -> None:
    request = _request(PICKLE, tmp_path / "models")
    job, emitted = QueuedJob(request), list[Message]()

    def emit(message: Message) -> None:
        emitted.append(message)
        if len(emitted) == after:
            job.cancelled.set()

    with pytest.raises(JobCancelledError):
        add_model(request, CPU, job, emit)
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())


def test_the_engine_runs_it_without_a_model(tmp_path: Path) -> None:
    emitted: list[Message] = []
    runner = JobRunner(CPU, emitted.append)
    runner.run(QueuedJob(_request(PICKLE, tmp_path)))
    assert isinstance(emitted[-1], ModelAdded)


def test_the_model_that_is_worked_with_stays(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = JobRunner(CPU, lambda message: None)
    runner.run(QueuedJob(LoadModel(request_id=1, model_path=str(checkpoint))))
    working = runner._models.current
    assert working is not None
    runner.run(QueuedJob(_request(PICKLE, tmp_path / "models")))
    assert runner._models.current is working

    def refuse(self: LoadedModel) -> None:
        raise RequestError("its images are black")

    monkeypatch.setattr(LoadedModel, "require_image", refuse)
    with pytest.raises(RequestError, match="black"):
        runner.run(QueuedJob(_request(PICKLE, tmp_path / "other")))
    assert runner._models.current is working
    assert not list((tmp_path / "other").iterdir())


def test_names_of_files_are_usable() -> None:
    folder = Path("models")
    assert library_path(folder, Path("/a/ffhq.pkl"), "ab" * 32).name == "ffhq-abababab.safetensors"
    assert len(library_path(folder, Path("x" * 250 + ".pkl"), "0" * 64).name) < 120
    assert library_path(folder, Path("/a/....pkl"), "0" * 64).name == "model-00000000.safetensors"


def test_images_of_the_source_accept_the_converted_model(tmp_path: Path) -> None:
    added = _add(PICKLE, tmp_path)
    model = ModelCache(CPU).get(added.path)
    for sha256 in ("", added.sha256, added.source_sha256.upper()):
        model.require(sha256)
    with pytest.raises(RequestError, match="is not the model"):
        model.require("0" * 64)
