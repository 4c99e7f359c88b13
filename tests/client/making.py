# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs and requests for the tests of the Blender side."""

from __future__ import annotations

import itertools
from pathlib import Path

from draggan_blender.protocol import messages as m
from draggan_blender.session import Job
from tests.fake_generator import latent_of

_ids = itertools.count(1)

READY = m.Ready(device="cpu", device_name="Fake device", torch_version="0.0")


def sample_job(image_id: str = "plane", path: str = "image.png") -> Job:
    """A job that asks for the image of a seed."""
    request = m.Sample(
        request_id=next(_ids), model_path="model", seed=1, truncation_psi=0.7, image_path=path
    )
    return Job(request, image_id, "New image")


def drag_job(folder: Path | str = "frames", image_id: str = "plane") -> Job:
    """A job that drags one point 10 px to the right."""
    number = next(_ids)
    request = m.Drag(
        request_id=number,
        drag_id=number,
        model_path="model",
        latent=latent_of(1, 0.7),
        pairs=(m.Pair(handle_px=(30.0, 30.0), target_px=(40.0, 30.0)),),
        frames=m.FrameTarget(folder=str(folder), stem="drag", first_number=1),
    )
    return Job(request, image_id, "Drag Suzanne")
