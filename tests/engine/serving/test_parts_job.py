# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a picture, through the connection."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from draggan_blender.protocol.messages import Done, Failed, Message
from draggan_blender.protocol.parts import FindParts, PartsFound
from engine.arrays import FloatArray

from .client import EngineClient


def _messages(client: EngineClient, checkpoint: Path, latent: bytes) -> list[Message]:
    request = FindParts(request_id=client.new_id(), model_path=str(checkpoint), latent=latent)
    client.send(request)
    messages: list[Message] = []
    while not messages or not isinstance(messages[-1], Done | Failed):
        message = client.receive()
        if getattr(message, "request_id", None) == request.request_id:
            messages.append(message)
    return messages


def test_a_tree_arrives_and_a_wrong_latent_is_a_sentence(
    shared: EngineClient, checkpoint: Path, latent: FloatArray
) -> None:
    data = latent.astype("<f4").tobytes()
    messages = _messages(shared, checkpoint, data)
    (found,) = (one for one in messages if isinstance(one, PartsFound))
    assert isinstance(messages[-1], Done)
    parents = np.frombuffer(found.parents, "<i4")
    assert len(parents) == 2 * found.rows * found.columns - 1
    assert parents[-1] == -1
    assert (np.frombuffer(found.heights, "<f4") >= 0.0).all()
    ending = _messages(shared, checkpoint, data[:-4])[-1]
    assert isinstance(ending, Failed)
    assert ending.cause == "request"
