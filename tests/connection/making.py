# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs for the tests of the connection."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

from draggan_blender.connection.events import Job
from draggan_blender.protocol import drag_messages, encode
from draggan_blender.protocol import messages as m
from draggan_blender.protocol import pairs as p
from draggan_blender.protocol import timeline as t
from draggan_blender.protocol.settings import DragSettings
from tests.fake_generator import latent_of

_ids = itertools.count(1)

READY = m.Ready(device="cpu", device_name="Fake device", torch_version="0.0")


def sample_job(image_id: str = "plane", path: str = "image.png") -> Job:
    """Return a job that makes the image of a seed."""
    request = m.Sample(
        request_id=next(_ids), model_path="model", seed=1, truncation_psi=0.7, image_path=path
    )
    return Job(request, image_id, "New image")


def drag_job(folder: Path | str = "frames", image_id: str = "plane") -> Job:
    """Return a job that drags one point 10 px to the right."""
    number = next(_ids)
    request = drag_messages.Drag(
        request_id=number,
        drag_id=number,
        model_path="model",
        latent=latent_of(1, 0.7),
        pairs=(p.Pair(handle_px=(30.0, 30.0), target_px=(40.0, 30.0)),),
        frames=m.FrameTarget(folder=str(folder), stem="drag", first_number=1),
    )
    return Job(request, image_id, "Drag Suzanne")


def bake_job(folder: Path | str = "frames", image_id: str = "plane", frame_count: int = 4) -> Job:
    """Return a job that bakes one point, which moves 1 px to the right in each frame."""
    targets = [value for index in range(frame_count) for value in (30.0 + index, 30.0)]
    edit = t.Edit(
        model_name="model",
        model_sha256="",
        first_number=1,
        latent=latent_of(1, 0.7),
        handles_px=((30.0, 30.0),),
        targets_px=struct.pack(f"<{2 * frame_count}f", *targets),
        settings=(t.SettingsFrom(number=1, settings=DragSettings()),),
    )
    request = t.Bake(
        request_id=next(_ids),
        model_path="model",
        edit=encode(edit),
        frames=m.FrameTarget(folder=str(folder), stem="bake", first_number=1),
    )
    return Job(request, image_id, "Bake Suzanne")
