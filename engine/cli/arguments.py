# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: `python -m engine serve|drag|bake|render|sample|info|convert`.

Exit codes: 0 done, 1 could not be done (a sentence on standard error says why), 2 wrong arguments,
4 done for some of the frames only (likewise), 130 interrupted.  Torch is imported by the commands
that need it, when they run.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from draggan_blender.protocol.settings import DEFAULTS, OPTIONS, Option

Pair = tuple[tuple[float, float], tuple[float, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may have letters that a redirected output's encoding has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine",
        description="Drag points of a StyleGAN2 image from where they are to where they should be.",
        epilog="Exit codes: 0 done, 1 could not be done, 2 wrong arguments, 4 partly done, "
        "130 interrupted.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_drag(commands)
    _add_bake(commands)
    _add_render(commands)
    _add_sample(commands)
    _add_info(commands)
    _add_convert(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="work for Blender, which starts this itself",
        description="Read port and token as one JSON line from standard input, connect to "
        "127.0.0.1 there, and serve requests until standard input or the connection ends.",
    )
    _add_device(serve)
    serve.set_defaults(run=_serve)


def _add_drag(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    drag = commands.add_parser(
        "drag",
        help="drag points and write the frames",
        description="Drag points of the image of a seed. Writes drag_0001.png and so on, from the "
        "first image to the last, track.npz, and contact_sheet.png into the output folder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_image(drag)
    drag.add_argument(
        "--pair",
        action="append",
        required=True,
        type=_pair,
        metavar="X,Y:X,Y",
        dest="pairs",
        help="handle and target in image pixels from the top left corner; may be repeated",
    )
    drag.add_argument("--mask", type=Path, help="image of the same size, white = may change")
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
        help="solve an edit that lives on the timeline, and write its frames",
        description="Solve an edit file frame by frame, then render the frames. The output folder "
        "gets edit.draggan, track.npz and stem_0001.png and so on; while solving, solve.journal. "
        "Whatever ends it, the same with --resume goes on where it was. The frames can be rendered "
        "by many workers at once, each with --only frames and its part of them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    bake.add_argument("edit", type=Path, help="an edit file")
    bake.add_argument("--only", choices=("solve", "frames"), help="one of the two phases")
    bake.add_argument(
        "--earlier", type=Path, help="folder of an earlier bake, to take over what has not changed"
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
        "--first-number", type=int, help="number of the track's first frame; its own if not given"
    )
    _add_frames(render)
    render.set_defaults(run=_guarded("render"))


def _add_frames(parser: argparse.ArgumentParser) -> None:
    """What `bake` and `render` have in common."""
    parser.add_argument(
        "--model", default="suzanne", help="a checkpoint file, or the built-in model"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--stem", default="bake", type=_stem, help="how the frames' names begin")
    parser.add_argument(
        "--frames", type=_frames, metavar="A-B", help="a part of the frames, by their numbers"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what is in the folder already and still right"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    _add_device(parser)


def _add_sample(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sample = commands.add_parser(
        "sample",
        help="write the image of a seed",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_image(sample)
    sample.add_argument("--out", type=Path, required=True, help="PNG file to write")
    _add_device(sample)
    sample.set_defaults(run=_guarded("sample"))


def _add_info(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    info = commands.add_parser("info", help="say what is in a checkpoint")
    info.add_argument("model", help="a checkpoint file, or `suzanne`, the built-in model")
    info.set_defaults(run=_guarded("info"))


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    convert = commands.add_parser(
        "convert",
        help="turn a .pkl checkpoint into .safetensors",
        description="Read a checkpoint without running any code in it and write the generator as "
        "a .safetensors file, which other programs can load without that care.",
    )
    convert.add_argument("source", type=Path, help="the checkpoint to read")
    convert.add_argument("destination", type=Path, help="the .safetensors file to write")
    convert.set_defaults(run=_guarded("convert"))


def _add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="suzanne", help="a checkpoint file, or the built-in model"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the image")
    parser.add_argument(
        "--psi", type=float, default=0.7, help="truncation: 1 none, 0 the average image"
    )


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--threads", type=int, default=0, help="CPU threads, 0 for one for each core"
    )


def _pair(text: str) -> Pair:
    """`x,y:x,y` as two points."""
    try:
        points = [tuple(float(value) for value in part.split(",")) for part in text.split(":")]
        (handle_x, handle_y), (target_x, target_y) = points
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a pair; expected handle and target like 30,40:44,40"
        ) from None
    return (handle_x, handle_y), (target_x, target_y)


def _frames(text: str) -> tuple[int, int]:
    """`a-b`, or one number, as the first and the last frame."""
    found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text)
    begin, end = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if end < begin:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of frames; expected 12-48")
    return begin, end


def _stem(text: str) -> str:
    """The beginning of the frames' names: no folders, nothing hidden."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no plain name; expected letters, digits, - and _"
        )
    return text


def _serve(parsed: argparse.Namespace) -> int:
    from ..serving.server import serve

    return serve(parsed.device, parsed.threads)


def _guarded(name: str) -> Callable[[argparse.Namespace], int]:
    """A command of `commands`, imported when it is called, its errors turned into sentences."""

    def run(parsed: argparse.Namespace) -> int:
        from . import commands

        return commands.run(name, parsed)

    return run
