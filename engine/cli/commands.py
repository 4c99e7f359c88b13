# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the commands of the command line that need torch, and reports their errors."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from draggan_blender.protocol.file_names import TRACK_FILE
from draggan_blender.protocol.mask_levels import mask_levels
from draggan_blender.protocol.settings import DEFAULTS, OPTIONS
from stylegan2 import convert_checkpoint, inspect_checkpoint

from ..arrays import ByteArray
from ..differences import find_base, is_difference, read_difference
from ..errors import RequestError, printable
from ..image_files import read_image
from ..inputs import device_of
from ..machine.device import describe_device, open_device
from ..machine.operators import await_operators
from ..models import LoadedModel, ModelCache, model_path
from ..output.even_rows import even_rows
from ..output.frames import FrameNames, FrameWriter, write_image
from ..output.render import Canvases, render_image
from ..output.track import Track
from ..serving.failures import failure
from ..solving.drag import drag
from ..solving.options import DragOptions
from ..solving.result import DragStep
from .bake import bake, render
from .blend import run_blend
from .directions import directions, mix
from .ending import FAILED, PARTLY_DONE, drag_ended, note_flat, note_result
from .interrupt import interrupt_stops
from .invert import run_invert
from .many import many
from .output import Output
from .places import require_place
from .sampled import sampled
from .selftest import selftest
from .sheet import before_after_sheet

# The commands whose ``--out`` is a file; that of ``blend`` is one or the other.
_OF_ONE_FILE = ("sample", "mix", "directions")


def run(name: str, parsed: argparse.Namespace) -> int:
    """Run a command and return its exit code; an error is printed as a sentence.

    Args:
        name: The command.
        parsed: Its arguments.

    Returns:
        0, or ``FAILED``, or ``PARTLY_DONE`` if some frames were finished before the error, or
        ``HANDLE_LOST`` if a drag was finished, but has lost a handle.
    """
    output = Output(as_json=getattr(parsed, "json", False))
    try:
        if "out" in parsed:
            is_png = parsed.out.suffix.lower() == ".png"
            is_file = name in _OF_ONE_FILE or (name == "blend" and is_png)
            require_place(parsed.out, is_folder=not is_file)
        return _COMMANDS[name](parsed, output) or 0
    except Exception as error:  # the root of the process
        cause, sentence = failure(error)
        if cause == "internal":
            raise
        code = PARTLY_DONE if output.done_count else FAILED
        output.failed(sentence, code)
        return code


def _load(parsed: argparse.Namespace, output: Output) -> LoadedModel:
    device = open_device(parsed.device, parsed.threads)
    model = ModelCache(device).get(parsed.model)
    output.note(f"{model.path.name} on {describe_device(device)}")
    for note in model.generator.notes:
        output.note(f"note: {note}")
    return model


def _load_checked(parsed: argparse.Namespace, output: Output) -> LoadedModel:
    """Load a model, and refuse it if its images are not finite."""
    model = _load(parsed, output)
    model.require_image()
    return model


def _bake(parsed: argparse.Namespace, output: Output) -> None:
    bake(parsed, _load_checked(parsed, output), output)


def _render(parsed: argparse.Namespace, output: Output) -> None:
    render(parsed, _load_checked(parsed, output), output)


def _drag(parsed: argparse.Namespace, output: Output) -> int:
    options = DragOptions(**{name: getattr(parsed, name) for name in OPTIONS})
    model = _load_checked(parsed, output)
    await_operators(device_of(model.generator))
    latent = sampled(parsed, model, output)
    mask = None if parsed.mask is None else _read_mask(parsed.mask)
    holds = options.mask_mode == "exact" or options.mask_weight > 0
    if mask is not None and holds and not mask.any():
        raise RequestError(
            f"the mask {parsed.mask} is black everywhere, so nothing may move; paint white where "
            "the image may change"
        )
    handles, targets = (
        np.array([pair[side] for pair in parsed.pairs], dtype=np.float32) for side in (0, 1)
    )
    regions = np.array([pair[2] for pair in parsed.pairs], dtype=np.float32)
    turns = np.stack([np.radians(regions[:, 1]), regions[:, 2]], axis=1)
    for name in _unused(options):
        output.note(f"--{name.replace('_', '-')} has no effect with the method {options.method}")
    with interrupt_stops() as was_interrupted:
        result = drag(
            model.generator,
            latent,
            handles,
            targets,
            options,
            mask=mask,
            radii_px=regions[:, 0],
            turns=turns,
            judged=True,
            on_step=_print_step,
            should_stop=was_interrupted,
        )
    note_flat(result, output)
    result = even_rows(result, model.generator.img_shape[2])
    track = Track.from_drag(result, options, model_name=model.path.name, model_sha256=model.sha256)
    canvases = Canvases(model.generator)
    frames = [
        render_image(model.generator, track.picture(row), canvases, every_channel=True)
        for row in range(len(track))
    ]
    names = FrameNames(parsed.out, "drag", channels=model.generator.img_shape[0])
    with FrameWriter(names) as writer:
        for index, frame in enumerate(frames):
            writer.add(frame, index)
    # Remove the frames of an earlier, longer drag, which would look like the end of this one.
    number = names.first_number + len(frames)
    while names.path(number).exists():
        for path in names.paths(number):
            path.unlink(missing_ok=True)
        number += 1
    track.save(parsed.out / TRACK_FILE)
    before_after_sheet(track, frames, parsed.out / "contact_sheet.png", names.first_number)
    note_result(result, output)
    output.note(f"{len(track)} frames, track.npz and contact_sheet.png are in {parsed.out}")
    return drag_ended(result, output, was_interrupted=was_interrupted())


def _unused(options: DragOptions) -> list[str]:
    """Return the options that were changed and that the method does not read."""
    return [
        name
        for name, option in OPTIONS.items()
        if option.methods
        and options.method not in option.methods
        and getattr(options, name) != DEFAULTS[name]
    ]


def _print_step(step: DragStep) -> None:
    if step.step % 10 == 0:
        print(f"step {step.step:4d}  loss {step.loss:.4f}  {step.distance_px:6.2f} px to go")


def _read_mask(path: Path) -> ByteArray:
    pixels = np.array(read_image(path), dtype=np.float32)
    levels: ByteArray = np.rint(mask_levels(pixels / 255) * 255).astype(np.uint8)
    return levels


def _sample(parsed: argparse.Namespace, output: Output) -> None:
    model = _load(parsed, output)
    latent = sampled(parsed, model, output)
    write_image(parsed.out, render_image(model.generator, latent, every_channel=True))
    what = f"seed {parsed.seed}" if parsed.latent is None else parsed.latent.name
    output.note(f"the image of {what} is in {parsed.out}")


def _invert(parsed: argparse.Namespace, output: Output) -> None:
    run_invert(parsed, _load(parsed, output), output)


def _blend(parsed: argparse.Namespace, output: Output) -> None:
    run_blend(parsed, _load(parsed, output), output)


def _directions(parsed: argparse.Namespace, output: Output) -> None:
    directions(parsed, _load(parsed, output), output)


def _mix(parsed: argparse.Namespace, output: Output) -> None:
    mix(parsed, _load(parsed, output), output)


def _many(parsed: argparse.Namespace, output: Output) -> int:
    model = _load_checked(parsed, output)
    await_operators(device_of(model.generator))
    return many(parsed, model, output)


def _info(parsed: argparse.Namespace, output: Output) -> None:
    path = model_path(parsed.model)
    if is_difference(path):
        difference = read_difference(path)
        output.note(f"file       {path}, {path.stat().st_size / 1e6:.1f} MB")
        output.note(f"tuned from {difference.base_name}, {difference.base_sha256}")
        path = find_base(difference, path)
    info = inspect_checkpoint(path)
    config = info.config
    channels, height, width = config.img_shape
    blocks = ", ".join(f"{r}: {config.channels_at(r)}" for r in config.resolutions)
    lines: dict[str, object] = {
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
        "notes": "; ".join(info.notes),
    }
    for label, value in lines.items():
        if value != "":
            # Some values are text from the file, which must not control the terminal.
            output.note(f"{label:10} {printable(str(value), most=None)}")


def _convert(parsed: argparse.Namespace, output: Output) -> None:
    source = model_path(parsed.source)
    if is_difference(source):
        raise RequestError(
            f"{source.name} has only what tuning changed in {read_difference(source).base_name}, "
            "and opens together with it; convert that model"
        )
    convert_checkpoint(source, parsed.destination)
    output.note(f"the generator of {source.name} is in {parsed.destination}")


_COMMANDS: dict[str, Callable[[argparse.Namespace, Output], int | None]] = {
    "bake": _bake,
    "render": _render,
    "drag": _drag,
    "sample": _sample,
    "invert": _invert,
    "blend": _blend,
    "directions": _directions,
    "mix": _mix,
    "many": _many,
    "info": _info,
    "convert": _convert,
    "selftest": selftest,
}
