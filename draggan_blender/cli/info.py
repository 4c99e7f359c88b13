# SPDX-License-Identifier: GPL-3.0-or-later
"""``info``: list the GAN images of a file and their state, without the engine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import EditError
from ..export import farm
from ..jobs import bake_folder, folders
from ..properties.owners import Plane
from ..scene import frame_files, images, models, sampling
from . import frames as frame_ranges
from .bake import solved_folder
from .running import Running, add_common, named


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "info",
        help="list the GAN images of the file and their state",
        description="List the GAN images of the file: model, points, and what is solved and "
        "rendered. The engine is not needed.",
    )
    parser.add_argument(
        "--object", metavar="NAME", action="append", default=[], help="a GAN image; repeatable"
    )
    parser.add_argument("--out", metavar="FOLDER", help="the --out of the bakes to list")
    add_common(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, running: Running) -> None:
    for plane in named(options.object):
        facts = _facts(plane, options.out)
        running.succeed({"object": plane.name, **facts}, "\n".join(_lines(plane.name, facts)))


def _facts(plane: Plane, out: str | None) -> dict[str, Any]:
    """Return what the JSON says of an image."""
    settings = plane.draggan
    try:
        model, problem = models.model_path(settings.source), ""
    except EditError as error:
        model, problem = "", str(error)
    return {
        "model": model,
        "model_found": bool(model) and Path(model).is_file(),
        "model_sha256": settings.model_sha256,
        "size_px": list(settings.size),
        "label": settings.sampled_label if settings.label_count else None,
        "labels": settings.label_count,
        "has_image": bool(settings.latent),
        "pairs": len(settings.pairs),
        "enabled_pairs": sum(pair.enabled for pair in settings.pairs),
        "animated": sampling.is_animated(plane),
        "sequence": _sequence(plane),
        "bake": _bake(plane, out),
        "prepared_for_farm": farm.prepared_base(plane) is not None,
        **({"error": problem} if problem else {}),
    }


def _sequence(plane: Plane) -> dict[str, Any] | None:
    sequence = plane.draggan.sequence
    if sequence.image is None:
        return None
    folder = images.sequence_folder(plane)
    span = range(sequence.first_frame, sequence.first_frame + sequence.frame_count)
    return {
        "kind": sequence.kind.lower(),
        "folder": str(folder),
        "first_frame": span.start,
        "frame_count": len(span),
        "missing": frame_files.missing(folder, sequence.stem, span),
        "has_track": bool(plane.draggan.track),
    }


def _bake(plane: Plane, out: str | None) -> dict[str, Any] | None:
    """Return what the JSON says of the solved bake of an image; see ``solved_folder``."""
    folder = solved_folder(plane, out)
    if folder is None:
        return None
    span = bake_folder.frames_of(bake_folder.read_track(folder), folder)
    stem = folders.stem_of(plane)
    return {
        "folder": str(folder),
        "first_frame": span.start,
        "frame_count": len(span),
        "missing": frame_files.missing(folder, stem, span),
    }


def _lines(name: str, facts: dict[str, Any]) -> list[str]:
    """Return the lines that tell a person the same."""
    width, height = facts["size_px"]
    found = "" if facts["model_found"] else " (not found)"
    animated = ", animated" if facts["animated"] else ""
    lines = [
        f"{name}: {width} x {height} px" if facts["has_image"] else f"{name}: no image yet",
        f"  model     {facts.get('error') or facts['model']}{found}",
        f"  points    {facts['enabled_pairs']} of {facts['pairs']} pairs enabled{animated}",
    ]
    for label in ("sequence", "bake"):
        part = facts[label]
        if part is None:
            lines.append(f"  {label:9} none")
            continue
        first, count = part["first_frame"], part["frame_count"]
        words = frame_ranges.in_words(range(first, first + count)) if count else "none"
        missing = f", {part['missing']} files missing" if part["missing"] else ""
        lines.append(f"  {label:9} frames {words}{missing}, in {part['folder']}")
    return lines
