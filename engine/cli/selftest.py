# SPDX-License-Identifier: GPL-3.0-or-later
"""``selftest``: drag a point of the built-in model, and compare the device with the CPU."""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch

from ..arrays import ByteArray
from ..errors import RequestError
from ..machine.device import describe_device, open_device
from ..models import ModelCache, sample_latent
from ..output.render import render_image
from ..solving.drag import drag
from ..solving.options import DragOptions
from .output import Output

# The tip of Suzanne's nose in the image of this seed, and where it is dragged to, image pixels.
_SEED, _HANDLE_PX, _TARGET_PX = 150, (64.0, 72.0), (74.0, 72.0)
# The nose has to come this close to its target, in image pixels.
_NEAR_PX = 3.0
# Largest difference of an 8-bit value between the images of two devices.
_SAME = 6


def selftest(parsed: argparse.Namespace, output: Output) -> None:
    """Drag a point on a device and print the figures as one line of JSON.

    Raises:
        RequestError: There is no such device, it computes another image than the CPU, or the drag
            does not arrive.
    """
    device = open_device(parsed.device, parsed.threads)
    name = describe_device(device)
    generator = ModelCache(device).get("suzanne").generator
    latent = sample_latent(generator, _SEED, 0.7)
    if device.type != "cpu":
        on_cpu = render_image(ModelCache(torch.device("cpu")).get("suzanne").generator, latent)
        image = render_image(generator, latent)
        worst = difference(image, on_cpu)
        if worst > _SAME:
            raise RequestError(
                f"{name} computes another image than the CPU: values differ by up to {worst} of "
                f"255, and {_SAME} are allowed; choose the device cpu"
            )
    points = (np.array([place], dtype=np.float32) for place in (_HANDLE_PX, _TARGET_PX))
    handles_px, targets_px = points
    # The first steps of a process are slow: memory and threads are set up. They are not counted.
    drag(generator, latent, handles_px, targets_px, DragOptions(max_steps=2))
    result = drag(generator, latent, handles_px, targets_px, DragOptions())
    left_px = float(np.linalg.norm(result.handles_px[-1] - targets_px, axis=-1).max())
    if not left_px <= _NEAR_PX:
        raise RequestError(
            f"a drag on {name} ended {left_px:.1f} px from its target, and {_NEAR_PX:.0f} px are "
            "allowed; choose another device"
        )
    # The last word: the installer reads the last line.
    facts = {
        "device": device.type,
        "device_name": name,
        "step_ms": round(1000 * result.seconds / max(1, result.steps), 1),
        "torch": str(torch.__version__),
    }
    output.note(json.dumps(facts))


def difference(image: ByteArray, other: ByteArray) -> int:
    """Return the largest difference of a value between two ``H x W x 3`` images, 0 to 255."""
    return int(np.abs(image.astype(np.int16) - other.astype(np.int16)).max())
