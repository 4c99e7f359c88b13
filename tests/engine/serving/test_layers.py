# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests about images with masked layers, run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from draggan_blender.protocol.drag_messages import Drag, DragFinished, Preview
from draggan_blender.protocol.live import CheckPoints, PointsChecked
from draggan_blender.protocol.messages import FrameTarget, Message, RenderLatent, RenderTrack
from draggan_blender.protocol.pairs import Pair
from draggan_blender.protocol.pictures import decode_picture
from draggan_blender.protocol.settings import DragSettings
from draggan_blender.protocol.timeline import RenderLatents
from engine.arrays import ByteArray, FloatArray
from engine.output.render import preview_pixels
from engine.serving.job_queue import QueuedJob
from engine.serving.jobs import JobRunner

MASK = np.zeros((32, 32), np.uint8)
MASK[4:26, 2:24] = 255


class _Engine:
    """Runs requests one after the other and keeps their events."""

    def __init__(self, checkpoint: Path) -> None:
        self.model: dict[str, Any] = {"model_path": str(checkpoint)}
        self.events: list[Message] = []
        self._runner = JobRunner(torch.device("cpu"), self.events.append)

    def run(self, request: Message) -> list[Message]:
        self.events.clear()
        job = QueuedJob(request)  # type: ignore[arg-type]
        job.shown.set()
        self._runner.run(job)
        return list(self.events)


@pytest.fixture
def engine(checkpoint: Path) -> _Engine:
    return _Engine(checkpoint)


def _image(path: Path) -> ByteArray:
    return np.array(Image.open(path))


def _finished(engine: _Engine, latent: bytes, folder: Path) -> tuple[DragFinished, Preview]:
    request = Drag(
        request_id=1,
        drag_id=1,
        latent=latent,
        pairs=(Pair(key=1, handle_px=(12.5, 14.0), target_px=(13.5, 14.0)),),
        settings=DragSettings(max_steps=4, softness=2.0),
        mask=MASK.tobytes(),
        frames=FrameTarget(folder=str(folder), stem="a", first_number=1),
        **engine.model,
    )
    events = engine.run(request)
    (finished,) = (one for one in events if isinstance(one, DragFinished))
    return finished, [one for one in events if isinstance(one, Preview)][-1]


def test_an_image_with_a_layer_is_dragged_shown_and_rendered_alike(
    engine: _Engine, latent: FloatArray, tmp_path: Path
) -> None:
    still = tmp_path / "still.png"
    data = latent.astype("<f4").tobytes()
    engine.run(RenderLatent(request_id=2, latent=data, image_path=str(still), **engine.model))
    finished, preview = _finished(engine, data, tmp_path / "drag")
    picture = decode_picture(finished.latent)
    assert picture.latent == data and len(picture.layers) == 1
    last = tmp_path / "drag" / f"a_{finished.frame_count:04d}.png"
    image = _image(last)
    assert np.array_equal(image[MASK == 0], _image(still)[MASK == 0])
    assert not np.array_equal(image, _image(still))
    assert preview.pixels == preview_pixels(image).tobytes()

    engine.run(
        RenderLatent(request_id=3, latent=finished.latent, image_path=str(still), **engine.model)
    )
    assert still.read_bytes() == last.read_bytes()

    again = FrameTarget(folder=str(tmp_path / "again"), stem="a", first_number=1)
    engine.run(RenderTrack(request_id=4, track=finished.track, frames=again, **engine.model))
    assert (tmp_path / "again" / last.name).read_bytes() == last.read_bytes()

    keys = FrameTarget(folder=str(tmp_path / "keys"), stem="a", first_number=1)
    pictures = [data, finished.latent]
    request = RenderLatents(
        request_id=5,
        latents=b"".join(pictures),
        sizes=tuple(map(len, pictures)),
        frames=keys,
        **engine.model,
    )
    engine.run(request)
    assert (tmp_path / "keys" / "a_0002.png").read_bytes() == last.read_bytes()


def test_points_are_checked_in_the_image_with_its_layer(
    engine: _Engine, latent: FloatArray, tmp_path: Path
) -> None:
    finished, _ = _finished(engine, latent.astype("<f4").tobytes(), tmp_path)
    request = CheckPoints(
        request_id=2, latent=finished.latent, points_px=((12.0, 14.0),), **engine.model
    )
    (answer,) = (one for one in engine.run(request) if isinstance(one, PointsChecked))
    assert len(answer.flat) == 1
