# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of points before a drag, and regions, through the connection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from draggan_blender.protocol.drag_messages import DragFinished, Step
from draggan_blender.protocol.live import CheckPoints, PointsChecked
from draggan_blender.protocol.messages import Done, Failed, Message
from draggan_blender.protocol.pairs import Pair
from draggan_blender.protocol.settings import DragSettings
from engine.arrays import FloatArray

from .client import EngineClient, drag_request


def _answer(client: EngineClient, request: CheckPoints | None, number: int) -> list[Message]:
    if request is not None:
        client.send(request)
    messages: list[Message] = []
    while not messages or not isinstance(messages[-1], Done | Failed):
        message = client.receive()
        if getattr(message, "request_id", None) == number:
            messages.append(message)
    return messages


def test_each_point_has_an_answer(
    shared: EngineClient, checkpoint: Path, latent: FloatArray
) -> None:
    request = CheckPoints(
        request_id=shared.new_id(),
        model_path=str(checkpoint),
        latent=latent.astype("<f4").tobytes(),
        points_px=((3.0, 4.0), (16.0, 16.0), (32.0, 0.0)),
    )
    messages = _answer(shared, request, request.request_id)
    (checked,) = (one for one in messages if isinstance(one, PointsChecked))
    assert len(checked.flat) == 3
    assert isinstance(messages[-1], Done)


def test_a_point_outside_the_image_is_a_sentence(
    shared: EngineClient, checkpoint: Path, latent: FloatArray
) -> None:
    request = CheckPoints(
        request_id=shared.new_id(),
        model_path=str(checkpoint),
        latent=latent.astype("<f4").tobytes(),
        points_px=((3.0, 40.0),),
    )
    ending = _answer(shared, request, request.request_id)[-1]
    assert isinstance(ending, Failed)
    assert "outside the image" in ending.message


def test_a_region_reports_its_angle_and_scale(
    shared: EngineClient, checkpoint: Path, latent: FloatArray, tmp_path: Path
) -> None:
    request = drag_request(shared.new_id(), checkpoint, latent, tmp_path, DragSettings(max_steps=3))
    region = Pair(
        key=7, handle_px=(16.0, 16.0), target_px=(17.0, 16.0), radius_px=6.0, angle=0.2, scale=1.1
    )
    plain = replace(request.pairs[0], key=3)
    request = replace(request, pairs=(plain, region))
    shared.send(request)
    messages = _answer(shared, None, request.request_id)
    steps = [one for one in messages if isinstance(one, Step)]
    assert [handle.key for handle in steps[0].handles] == [3, 7]
    assert steps[0].handles[1].angle == pytest.approx(0.0, abs=1e-4)
    assert steps[0].handles[1].scale == pytest.approx(1.0, abs=1e-4)
    (finished,) = (one for one in messages if isinstance(one, DragFinished))
    turns = np.frombuffer(finished.turns, "<f4").reshape(finished.frame_count, 2, 2)
    assert np.abs(turns[:, 0] - [0, 1]).max() < 1e-6
    assert finished.handles[1].angle == pytest.approx(float(turns[-1, 1, 0]))
