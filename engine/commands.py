# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands of the command line do; the part of it that needs torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from stylegan2 import convert_checkpoint, inspect_checkpoint

from .arrays import ByteArray
from .device import describe_device, open_device
from .drag import DragStatus, DragStep, drag
from .drag_options import DragOptions
from .errors import RequestError
from .even_rows import even_rows
from .frame_writer import FrameNames, FrameWriter, write_png
from .inputs import check_latent
from .models import LoadedModel, ModelCache, model_path, sample_latent
from .render import render_frames, render_images
from .sheet import before_after_sheet
from .track import Track
from .worker import failure


def run(name: str, parsed: argparse.Namespace) -> int:
    """Run a command; returns 0, or 1 after saying what is wrong."""
    try:
        _COMMANDS[name](parsed)
    except Exception as error:  # the root of the process
        cause, sentence = failure(error)
        if cause == "internal":
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return 1
    return 0


def _load(parsed: argparse.Namespace) -> LoadedModel:
    device = open_device(parsed.device, parsed.threads)
    model, _ = ModelCache(device).get(parsed.model)
    print(f"{model.path.name} on {describe_device(device)}")
    return model


def _drag(parsed: argparse.Namespace) -> None:
    options = DragOptions(**{item.name: getattr(parsed, item.name) for item in fields(DragOptions)})
    model = _load(parsed)
    latent = sample_latent(model.generator, parsed.seed, parsed.psi)
    mask = None if parsed.mask is None else _read_mask(parsed.mask)
    handles, targets = (
        np.array([pair[side] for pair in parsed.pairs], dtype=np.float32) for side in (0, 1)
    )
    result = drag(
        model.generator, latent, handles, targets, options, mask=mask, on_step=_print_step
    )
    result = even_rows(result, model.generator.img_shape[2])
    track = Track.from_drag(
        result, targets, options, model_name=model.path.name, model_sha256=model.sha256
    )
    frames = list(render_frames(model.generator, track.latents()))
    names = FrameNames(parsed.out, "drag")
    with FrameWriter(names) as writer:
        for index, frame in enumerate(frames):
            writer.add(frame, index)
    # A longer drag may have left its frames here: they would look like the end of this one.
    number = names.first_number + len(frames)
    while names.path(number).exists():
        names.path(number).unlink()
        number += 1
    track.save(parsed.out / "track.npz")
    before_after_sheet(track, frames, parsed.out / "contact_sheet.png", names.first_number)
    per_step = result.seconds / max(1, result.steps)
    verdict = "" if result.status is DragStatus.REACHED else "not reached: "
    print(f"{verdict}{result.reason} ({result.seconds:.1f} s, {per_step:.3f} s a step)")
    print(f"{len(track)} frames, track.npz and contact_sheet.png are in {parsed.out}")


def _print_step(step: DragStep) -> None:
    if step.step % 10 == 0:
        print(f"step {step.step:4d}  loss {step.loss:.4f}  {step.distance_px:6.2f} px to go")


def _read_mask(path: Path) -> ByteArray:
    try:
        with Image.open(path) as image:
            return np.array(image.convert("L"))
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise RequestError(f"the mask {path} is not an image file") from None


def _sample(parsed: argparse.Namespace) -> None:
    model = _load(parsed)
    latent = sample_latent(model.generator, parsed.seed, parsed.psi)
    rows = check_latent(model.generator, latent)[None]
    write_png(parsed.out, render_images(model.generator, rows)[0])
    print(f"the image of seed {parsed.seed} is {parsed.out}")


def _info(parsed: argparse.Namespace) -> None:
    info = inspect_checkpoint(model_path(parsed.model))
    config = info.config
    channels, height, width = config.img_shape
    blocks = ", ".join(f"{r}: {config.channels_at(r)}" for r in config.resolutions)
    lines = {
        "file": info.path,
        "container": f"{info.container}, {info.path.stat().st_size / 1e6:.1f} MB",
        "SHA-256": info.sha256,
        "made from": info.source_sha256,
        "licence": info.license_note,
        "network": f"{info.architecture}, {info.parameters:,} weights",
        "image": f"{width} x {height} px, {channels} channels",
        "latents": f"z {config.z_dim}, w {config.num_ws} x {config.w_dim}",
        "labels": config.c_dim or "none",
        "mapping": f"{config.num_layers} layers",
        "channels": blocks,
        "noise": "yes" if config.use_noise else "no",
        "clamp": config.conv_clamp or "none",
    }
    for label, value in lines.items():
        if value != "":
            # Some of it is the file's own text, which must not steer the terminal.
            shown = "".join(c if c.isprintable() else "?" for c in str(value))
            print(f"{label:10} {shown}")


def _convert(parsed: argparse.Namespace) -> None:
    convert_checkpoint(parsed.source, parsed.destination)
    print(f"{parsed.destination} holds the generator of {parsed.source.name}")


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "drag": _drag,
    "sample": _sample,
    "info": _info,
    "convert": _convert,
}
