# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses the command line, ``python -m engine COMMAND``; ``_parser`` lists the commands.

Exit codes: 0 done, 1 failed, 2 wrong arguments, 4 done for only a part of the frames, 5 done, but
the content of a handle was lost, 130 interrupted. With 1, 4 and 5, a sentence on standard error
says why. Torch is imported when a command that needs it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from draggan_blender.protocol.losses import LOSS_NAMES, LOSSES, PIXELS
from draggan_blender.protocol.settings import DEFAULTS, OPTIONS, Option

from . import values
from .interrupt import terminate_interrupts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: What follows the program's name; None for those of this process.

    Raises:
        SystemExit: The arguments are wrong (code 2), or ask for help (code 0).
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may contain characters that the encoding of a redirected output lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    # Blender starts ``serve`` and ends it with its own messages.
    ending = contextlib.nullcontext() if run is _serve else terminate_interrupts()
    try:
        with ending:
            return run(parsed)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine",
        description="Drag points of a StyleGAN2 image to where they should be.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong arguments, 4 partly done, 5 a handle was "
        "lost, 130 interrupted.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_drag(commands)
    _add_bake(commands)
    _add_render(commands)
    _add_sample(commands)
    _add_invert(commands)
    _add_blend(commands)
    _add_directions(commands)
    _add_mix(commands)
    _add_many(commands)
    _add_info(commands)
    _add_convert(commands)
    _add_selftest(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve Blender, which starts this command itself",
        description="Read a port and a token as one line of JSON from standard input, connect to "
        "that port of 127.0.0.1, and serve requests until standard input or the connection ends.",
    )
    _add_device(serve)
    serve.set_defaults(run=_serve)


def _add_drag(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    drag = commands.add_parser(
        "drag",
        help="drag points and write the frames",
        description="Drag points of the image of a seed. Write the frames drag_0001.png and so "
        "on, drag_0000.png, which repeats the first one for the time before it, track.npz, and "
        "contact_sheet.png into the output folder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_image(drag)
    _add_latent(drag)
    drag.add_argument(
        "--pair",
        action="append",
        required=True,
        type=values.pair,
        metavar="X,Y:X,Y[:RADIUS[,ANGLE[,SCALE]]]",
        dest="pairs",
        help="handle and target in image pixels from the top left corner; with a radius in pixels, "
        "the disc around the handle is moved as one, turned counter-clockwise by an angle in "
        "degrees (0) and scaled by a factor (1); can be repeated",
    )
    drag.add_argument("--mask", type=Path, help="mask image of the same size, white = may change")
    drag.add_argument("--out", type=Path, required=True, help="folder to write to")
    _add_device(drag)
    options = drag.add_argument_group("options of the drag")
    for name, option in OPTIONS.items():
        _add_option(options, name, option)
    drag.set_defaults(run=_guarded("drag"))


def _add_option(options: argparse._ArgumentGroup, name: str, option: Option) -> None:
    """Add one option of a drag: a text or a number."""
    default = DEFAULTS[name]
    kind = type(default)
    help_text = option.full_description
    if option.choices:
        help_text += ": " + ", ".join(choice.value for choice in option.choices)
    if option.methods:
        help_text += f" (used by {', '.join(option.methods)})"
    options.add_argument(
        "--" + name.replace("_", "-"),
        type=kind,
        default=default,
        metavar=kind.__name__.upper(),
        help=help_text,
    )


def _add_bake(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bake = commands.add_parser(
        "bake",
        help="solve an animated edit and write its frames",
        description="Solve an edit file frame by frame, then render its frames. Write "
        "edit.draggan, track.npz, the frames stem_0001.png and so on, one more before the first, "
        "which repeats it, and during solving solve.journal into the output folder. After an "
        "interruption, the same command with --resume continues where it was. Many workers can "
        "render the frames at the same time, each with --only frames and its own part of them in "
        "--frames.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    bake.add_argument("edit", type=Path, help="an edit file")
    bake.add_argument("--only", choices=("solve", "frames"), help="run only one of the two phases")
    bake.add_argument(
        "--earlier", type=Path, help="folder of an earlier bake, to reuse what has not changed"
    )
    _add_frames(bake)
    bake.set_defaults(run=_guarded("bake"))


def _add_render(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    render = commands.add_parser(
        "render",
        help="render frames of a track again",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    render.add_argument("track", type=Path, help="a track.npz")
    render.add_argument(
        "--first-number",
        type=values.frame_number,
        help="number of the track's first frame, if not the stored one",
    )
    _add_frames(render)
    render.set_defaults(run=_guarded("render"))


def _add_frames(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that ``bake`` and ``render`` share."""
    _add_model(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--stem", default="bake", type=values.stem, help="what the names of the frames start with"
    )
    parser.add_argument(
        "--frames", type=values.frames, metavar="A-B", help="only these frames, by their numbers"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what is in the folder already and still valid"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    _add_device(parser)


def _add_sample(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sample = commands.add_parser(
        "sample",
        help="write the image of a seed",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_image(sample)
    _add_latent(sample)
    sample.add_argument("--out", type=values.png, required=True, help="PNG file to write")
    _add_device(sample)
    sample.set_defaults(run=_guarded("sample"))


def _add_invert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    invert = commands.add_parser(
        "invert",
        help="find the latent of a picture",
        description="Find the latent whose image is nearest to a picture. Write latent.npy, "
        "model.png, compare.png and result.json, and with --tune or --noise tuned.safetensors, "
        "which can be used wherever a model can, into the output folder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    invert.add_argument("picture", type=Path, help="an image file")
    _add_model(invert)
    invert.add_argument("--out", type=Path, required=True, help="folder to write to")
    invert.add_argument(
        "--alignment",
        type=values.alignment,
        metavar="X,Y[,ANGLE[,SIZE]]",
        help="the frame that the model's image fills: its middle in pixels of the picture from the "
        "top left corner, its angle in degrees counter-clockwise (0) and the length of its longer "
        "side in pixels; the largest square in the middle if not given",
    )
    invert.add_argument(
        "--keep-alignment", action="store_true", help="do not refine where the frame is"
    )
    invert.add_argument("--steps", type=int, default=80, help="the most steps, 10 or more")
    invert.add_argument(
        "--seconds", type=float, default=0.0, help="the most seconds, also of the tuning; 0 for any"
    )
    invert.add_argument("--tune", action="store_true", help="tune the model to the picture")
    invert.add_argument(
        "--noise", action="store_true", help="also find noise maps: fine details that no latent has"
    )
    invert.add_argument(
        "--loss",
        choices=LOSS_NAMES,
        default=PIXELS,
        help="how picture and image are compared: "
        + "; ".join(f"{choice.value}: {choice.description}" for choice in LOSSES),
    )
    invert.add_argument(
        "--loss-file",
        type=Path,
        help="the weights of --loss vgg, or another checkpoint for --loss discriminator",
    )
    invert.add_argument("--json", action="store_true", help="print one JSON object per line")
    _add_device(invert)
    invert.set_defaults(run=_guarded("invert"))


def _add_blend(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    blend = commands.add_parser(
        "blend",
        help="put the edits of an inverted picture back onto it",
        description="Put what edits have changed onto the picture, in its full size; the rest "
        "stays to the bit. Give the model that was dragged, such as "
        "--model found/tuned.safetensors.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    blend.add_argument("picture", type=Path, help="the image file that was inverted")
    _add_model(blend)
    blend.add_argument(
        "--found", type=Path, required=True, metavar="FOLDER", help="what invert has written"
    )
    edit = blend.add_mutually_exclusive_group(required=True)
    edit.add_argument("--latent", type=Path, metavar="FILE", help="the edited image's latent")
    edit.add_argument(
        "--track", type=Path, metavar="FILE", help="the track.npz of a drag or a bake"
    )
    blend.add_argument(
        "--out",
        type=values.png_or_folder,
        required=True,
        help="a PNG file for one image, of a track the last one; or a folder for all of its images",
    )
    blend.add_argument(
        "--matte",
        action="store_true",
        help="also write how far each pixel was changed, as grey PNG named -matte",
    )
    blend.add_argument("--json", action="store_true", help="print one JSON object per line")
    _add_device(blend)
    blend.set_defaults(run=_guarded("blend"))


def _add_directions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    directions = commands.add_parser(
        "directions",
        help="write the directions of a model",
        description="Find the principal and the factorised directions of a model, and write them "
        "as a .npz or .safetensors file, which Import Directions in Blender reads.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_model(directions)
    directions.add_argument(
        "--out", type=Path, required=True, help=".npz or .safetensors file to write"
    )
    _add_device(directions)
    directions.set_defaults(run=_guarded("directions"))


def _add_mix(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    mix = commands.add_parser(
        "mix",
        help="mix the structure of one seed with the style of another",
        description="Write the image of a seed whose later layers have the latent of another seed.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_image(mix)
    mix.add_argument("--style-seed", type=int, required=True, help="seed of the style")
    mix.add_argument(
        "--from-layer",
        type=int,
        default=-1,
        help="the first layer that the style changes, from 0; -1 for the later half",
    )
    mix.add_argument(
        "--weight", type=values.weight, default=1.0, help="how much of the style is taken, -2 to 2"
    )
    mix.add_argument(
        "--strip",
        action="store_true",
        help="write all crossings beside each other, from the first layer on",
    )
    mix.add_argument("--out", type=values.png, required=True, help="PNG file to write")
    _add_device(mix)
    mix.set_defaults(run=_guarded("mix"))


def _add_many(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    many = commands.add_parser(
        "many",
        help="drag one seed, and bring other seeds to the same end",
        description="Drag points of the image of a seed, and apply what that changes to other "
        "seeds, at the strength that brings what was dragged as far in each. Write the images "
        "seed_0000.png and so on, many.json, and contact_sheet.png into the output folder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_image(many)
    _add_latent(many)
    many.add_argument(
        "--pair",
        action="append",
        required=True,
        type=values.pair,
        metavar="X,Y:X,Y",
        dest="pairs",
        help="handle and target in image pixels from the top left corner; a pair with both at one "
        "place pins it, and the end is then measured from there; can be repeated",
    )
    many.add_argument(
        "--to",
        type=values.seeds,
        required=True,
        metavar="A-B",
        help="the other seeds, such as 0-15",
    )
    many.add_argument(
        "--exact", action="store_true", help="bring what was dragged to the very place"
    )
    many.add_argument("--out", type=Path, required=True, help="folder to write to")
    _add_device(many)
    many.set_defaults(run=_guarded("many"))


def _add_info(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    info = commands.add_parser("info", help="print what is in a checkpoint")
    info.add_argument("model", help="a checkpoint file, or ``suzanne``, the built-in model")
    info.set_defaults(run=_guarded("info"))


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    convert = commands.add_parser(
        "convert",
        help="convert a checkpoint to .safetensors",
        description="Read a checkpoint without running any code in it, and write its generator as "
        "a .safetensors file, which any program can load without running code.",
    )
    convert.add_argument("source", help="the checkpoint to read, or the name of a built-in model")
    convert.add_argument(
        "destination", type=values.safetensors, help="the .safetensors file to write"
    )
    convert.set_defaults(run=_guarded("convert"))


def _add_selftest(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    selftest = commands.add_parser(
        "selftest",
        help="test a device with a drag of the built-in model",
        description="Drag a point of the built-in model on a device. Print name of the device, "
        "time of a step and version of PyTorch as one line of JSON.",
    )
    _add_device(selftest)
    selftest.set_defaults(run=_guarded("selftest"))


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="suzanne", help="a checkpoint file, or the name of a built-in model"
    )


def _add_image(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the image")
    parser.add_argument(
        "--psi", type=float, default=0.7, help="truncation psi: 1 for none, 0 for the average image"
    )
    parser.add_argument(
        "--label",
        type=int,
        help="label of a model with labels: a number from 0, or -1 for none; without this option 0",
    )


def _add_latent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--latent",
        type=Path,
        metavar="FILE",
        help="a saved latent in place of a seed: .npz of the official projector, .npy, or .pt of a "
        "pivot or another projector",
    )


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--threads", type=int, default=0, help="number of CPU threads, 0 for one per core"
    )


def _serve(parsed: argparse.Namespace) -> int:
    from ..serving.server import serve

    return serve(parsed.device, parsed.threads)


def _guarded(name: str) -> Callable[[argparse.Namespace], int]:
    """Return a function that imports ``cli.commands`` when it is called, and runs a command."""

    def run(parsed: argparse.Namespace) -> int:
        from . import commands

        return commands.run(name, parsed)

    return run
