# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine writes below the agreed folders only, and replaces nothing but images."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

from draggan_blender.protocol.agreement import Folders
from draggan_blender.protocol.library import AddModel
from draggan_blender.protocol.messages import Done, Failed, FrameTarget, RenderTrack, Sample
from draggan_blender.protocol.own_picture import Alignment, BlendBack, InvertPicture
from engine.errors import RequestError
from engine.serving.agreed_folders import AgreedFolders
from engine.serving.job_queue import QueuedJob
from engine.serving.jobs import JobRunner

from .client import EngineClient

links = pytest.mark.skipif(sys.platform == "win32", reason="makes links")


def _sample(path: Path | str, model: Path | str = "", number: int = 1) -> Sample:
    return Sample(
        request_id=number,
        model_path=str(model),
        seed=1,
        truncation_psi=0.5,
        image_path=str(path),
    )


def _render(folder: Path | str) -> RenderTrack:
    frames = FrameTarget(folder=str(folder), stem="bake", first_number=1)
    return RenderTrack(request_id=1, model_path="", track=b"", frames=frames)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = tmp_path / "ours"
    folder.mkdir()
    return folder


@pytest.fixture
def agreed(ours: Path) -> AgreedFolders:
    agreed = AgreedFolders()
    agreed.agree([str(ours)])
    return agreed


def test_what_is_below_an_agreed_folder_is_accepted(agreed: AgreedFolders, ours: Path) -> None:
    agreed.check(_sample(ours / "image-0001" / "a.png"))
    agreed.check(_render(ours / "drag-0001"))
    agreed.check(_render(ours))


@pytest.mark.parametrize(
    "path", ["../a.png", "x/../../a.png", "a.png", "/etc/a.png", "ours-too/a.png", "\0/a.png"]
)
def test_everything_else_is_refused(agreed: AgreedFolders, ours: Path, path: str) -> None:
    text = path if path in ("a.png", "/etc/a.png") else f"{ours}/{path}"
    if path == "ours-too/a.png":
        text = f"{ours}-too/a.png"
    for request in (_sample(text), _render(os.path.dirname(text) or text)):
        with pytest.raises(RequestError, match="nothing is written there"):
            agreed.check(request)


def test_models_and_differences_go_below_agreed_folders_too(
    agreed: AgreedFolders, ours: Path, tmp_path: Path
) -> None:
    def invert(difference_path: Path) -> InvertPicture:
        return InvertPicture(
            request_id=1,
            model_path="",
            picture_path="a.png",
            alignment=Alignment(centre_px=(32.0, 32.0), angle=0.0, size_px=32.0),
            image_path=str(ours / "image.png"),
            tune=True,
            difference_path=str(difference_path),
        )

    def add(folder: Path) -> AddModel:
        return AddModel(request_id=1, source_path="a.pkl", folder=str(folder), size_px=16)

    agreed.check(invert(ours / "tuned.safetensors"))
    agreed.check(add(ours / "models"))
    for request in (invert(tmp_path / "tuned.safetensors"), add(tmp_path)):
        with pytest.raises(RequestError, match="nothing is written there"):
            agreed.check(request)
    with pytest.raises(RequestError, match="no difference file is written"):
        agreed.check(invert(ours / "tuned.png"))


@links
def test_links_below_an_agreed_folder_are_refused(
    agreed: AgreedFolders, ours: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (ours / "out").symlink_to(tmp_path / "elsewhere")
    (ours / "image.png").symlink_to(tmp_path / "elsewhere" / "note.txt")
    for request in (
        _sample(ours / "out" / "a.png"),
        _sample(ours / "image.png"),
        _render(ours / "out"),
        _render(ours / "out" / "deeper"),
    ):
        with pytest.raises(RequestError, match="is a link"):
            agreed.check(request)


@links
def test_an_agreed_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "draggan").symlink_to(tmp_path / "disk")
    agreed = AgreedFolders()
    agreed.agree([str(tmp_path), str(tmp_path / "draggan")])
    agreed.check(_render(tmp_path / "draggan" / "drag-0001"))


def test_an_image_replaces_an_image_and_nothing_else(
    ours: Path, checkpoint: Path, generator: object
) -> None:
    runner = JobRunner(torch.device("cpu"), lambda message: None)
    for name in ("note.txt", "note.png"):
        (ours / name).write_text("a person's own words")
        with pytest.raises(RequestError, match=r"not replaced|no image is written"):
            runner.run(QueuedJob(_sample(ours / name, checkpoint)))
        assert (ours / name).read_text() == "a person's own words"
    for number in (1, 2):
        runner.run(QueuedJob(_sample(ours / "image.png", checkpoint, number)))
    assert (ours / "image.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_written_beside_an_image_replaces_images_alone(
    agreed: AgreedFolders, ours: Path
) -> None:
    blend = BlendBack(
        request_id=1,
        model_path="",
        picture_path="",
        alignment=Alignment(centre_px=(1.0, 1.0), angle=0.0, size_px=1.0),
        base=b"",
        latent=b"1",
        image_path=str(ours / "a[1].png"),
        frames=FrameTarget(folder=str(ours), stem="b", first_number=1),
        matte=True,
    )
    agreed.check(blend)
    for name, request in (("a[1]-matte.png", blend), ("a-channel5.png", _sample(ours / "a.png"))):
        (ours / name).write_text("a person's own words")
        with pytest.raises(RequestError, match="not replaced"):
            agreed.check(request)


def test_the_agreement_reaches_a_running_engine(
    ours: Path, tmp_path: Path, checkpoint: Path
) -> None:
    folder = tmp_path / "engine"
    folder.mkdir()
    with EngineClient(folder) as client:
        client.ready()
        client.send(Folders(folders=(str(ours),)))
        client.send(_sample(tmp_path / "a.png", checkpoint, 1))
        refused = client.until_end(1)[-1]
        assert isinstance(refused, Failed) and refused.cause == "request"
        assert "not below a folder of this session" in refused.message
        client.send(_sample(ours / "a.png", checkpoint, 2))
        assert isinstance(client.until_end(2)[-1], Done)
    assert not (tmp_path / "a.png").exists()
