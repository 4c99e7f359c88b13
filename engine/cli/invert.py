# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``invert``: finds the latent of a picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from draggan_blender.protocol.atomic_files import replacing, write_atomically
from draggan_blender.protocol.losses import DISCRIMINATOR, VGG

from ..arrays import ByteArray
from ..errors import RequestError
from ..inputs import device_of
from ..inversion.alignment import AlignedPicture, Alignment
from ..inversion.finding import FoundPicture, find, require_changeable
from ..inversion.loss_choice import LossChoice, make_loss
from ..inversion.solve import InversionOptions, InversionStep
from ..inversion.source import read_picture
from ..inversion.tuning import TuningOptions
from ..inversion.verdict import coverage_of
from ..models import LoadedModel
from ..output.frames import write_image, write_png
from ..output.render import render_image
from .output import Output

DIFFERENCE_FILE = "tuned.safetensors"


def run_invert(parsed: argparse.Namespace, model: LoadedModel, output: Output) -> None:
    """Invert a picture, tune the model if asked, and write what was found into a folder.

    The folder gets ``latent.npy``, ``model.png`` (the model's version), ``compare.png`` (the part
    in the frame, the model's version and their difference), ``result.json``, and with tuning or
    noise ``tuned.safetensors``.

    Raises:
        RequestError: The picture or its frame cannot be used, the weights of the loss are not
            there or nothing reads them, a tuned model is to be tuned, or noise maps change nothing
            in the model.
        OSError: A file cannot be read or written.
    """
    if parsed.loss_file is not None and parsed.loss not in (DISCRIMINATOR, VGG):
        raise RequestError(
            f"--loss {parsed.loss} reads no file; add --loss {VGG} or --loss {DISCRIMINATOR}, or "
            "leave --loss-file out"
        )
    require_changeable(model, tune=parsed.tune, noise=parsed.noise)
    device = device_of(model.generator)
    loss = make_loss(LossChoice(parsed.loss, parsed.loss_file), model.path, device)
    pixels = read_picture(parsed.picture)
    found = find(
        model,
        pixels,
        _frame(parsed.alignment, pixels),
        InversionOptions(
            steps=parsed.steps,
            seconds=parsed.seconds,
            align=not parsed.keep_alignment,
            noise=parsed.noise,
        ),
        TuningOptions(seconds=parsed.seconds) if parsed.tune else None,
        loss=loss,
        on_step=_printer(output),
    )
    names = ["latent.npy", "model.png", "compare.png", "result.json"]
    tuned = parsed.out / DIFFERENCE_FILE
    if found.changes:
        found.difference(model).save(tuned)
        names.append(DIFFERENCE_FILE)
    else:
        tuned.unlink(missing_ok=True)  # of an earlier search, it would be taken for this one's
    latent, frame = found.inversion.latent, found.inversion.alignment
    image = render_image(found.generator, latent, every_channel=True)
    write_image(parsed.out / "model.png", image)
    write_png(parsed.out / "compare.png", comparison(model, pixels, frame, image))
    with replacing(parsed.out / "latent.npy", keep_suffix=True) as path:
        np.save(path, latent.astype("<f4"))
    _write_result(parsed.out / "result.json", model, parsed.loss, found)
    output.finished(
        f"{found.sentence}; {parsed.out} has {', '.join(names[:-1])} and {names[-1]}",
        **_facts(found),
    )


def comparison(
    model: LoadedModel, pixels: ByteArray, frame: Alignment, image: ByteArray
) -> ByteArray:
    """Return what the frame shows, the model's version, and their difference, side by side.

    Args:
        model: The model.
        pixels: ``H x W x 3`` uint8, the picture.
        frame: The frame on it.
        image: ``h x w x C`` uint8, the model's version; channels after the third are left out.

    Returns:
        ``h x 3w x 3`` uint8; where the difference is grey there is none.
    """
    device = device_of(model.generator)
    height, width, _ = image.shape
    crop, _ = AlignedPicture(pixels, (height, width), device).crop(
        frame.to_tensor()[None].to(device)
    )
    shown = ((crop[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    wanted = shown.cpu().numpy()
    colours = image[..., :3]
    far = (colours.astype(np.int16) - wanted.astype(np.int16)) + 128
    sheet = np.concatenate([wanted, colours, far.clip(0, 255).astype(np.uint8)], axis=1)
    return np.ascontiguousarray(sheet)


def _frame(values: tuple[float, ...] | None, pixels: ByteArray) -> Alignment:
    height, width, _ = pixels.shape
    whole = Alignment.whole(width, height)
    if values is None:
        return whole
    given = dict(zip(("centre_x", "centre_y", "angle_deg", "size_px"), values, strict=False))
    return Alignment(**{**asdict(whole), **given})


def _printer(output: Output) -> Callable[[InversionStep], None]:
    count = 0

    def on_step(step: InversionStep) -> None:
        nonlocal count
        count += 1
        if count % 20 == 0:
            output.note(f"{step.phase:6} {step.fraction:4.0%}  loss {step.loss:.4f}")

    return on_step


def _facts(whole: FoundPicture) -> dict[str, int | float | str]:
    found, tuned = whole.inversion, whole.tuning
    facts: dict[str, int | float | str] = {
        **{name: round(value, 4) for name, value in asdict(found.alignment).items()},
        "error": round(found.error, 5),
        "coverage": coverage_of(found.error).value,
        "steps": found.steps,
        "seconds": round(found.seconds, 2),
    }
    if found.noise is not None:
        facts["noise_error"] = round(found.noise.error, 5)
    if tuned is not None:
        facts |= {"tuned_error": round(tuned.error, 5), "tuned_seconds": round(tuned.seconds, 2)}
    return facts


def _write_result(path: Path, model: LoadedModel, loss: str, found: FoundPicture) -> None:
    facts = {
        "model": model.path.name,
        "model_sha256": model.sha256,
        "loss": loss,
        **_facts(found),
        "verdict": found.sentence,
    }
    write_atomically(path, (json.dumps(facts, indent=1) + "\n").encode())
