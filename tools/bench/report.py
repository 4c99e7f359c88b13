# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes ``docs/benchmark.md``: the tables, the meaning of their columns, and the conditions."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from draggan_blender.protocol.atomic_files import replacing, write_atomically

from .landmarks import COLOURS, LANDMARKS, Detector
from .pairs import FIRST_SEEDS, TRUNCATION_PSI, Pair, task_of
from .pictures import best_and_worst, enlarged, marked, sheet
from .results import Result, decode_latent
from .rows import OURS, REFERENCE, ROWS, Row
from .runs import Bench
from .summary import COLUMNS, against_reference, as_markdown, table_of

# The picture shows this many best and this many worst drags of this setting.
SHOWN_SETTING = "3"
SHOWN = 5

TITLES = {
    "1": "One landmark",
    "3": "Three landmarks",
    "7": "All seven landmarks",
    "mask": "One landmark with a mask",
    "back1": "There and back, one landmark",
    "back3": "There and back, three landmarks",
}

# Results by setting, then by the row's name, in the order of the pairs.
Results = Mapping[str, Mapping[str, Sequence[Result]]]


def write_report(
    folder: Path,
    results: Results,
    pairs: Sequence[Pair],
    model_sha256: str,
    detector: Detector,
    bench: Bench,
) -> None:
    """Write ``benchmark.png`` and ``benchmark.md`` into a folder.

    Args:
        folder: Is made if it is missing.
        results: Of a full run: all settings and all ``ROWS``.
        pairs: The pairs that were dragged, in their order.
        model_sha256: SHA-256 of the model file.
        detector: The detector that measured.
        bench: Renders the images of the picture.

    Raises:
        OSError: The folder or a file cannot be written.
    """
    with replacing(folder / "benchmark.png") as temporary:
        _picture(results[SHOWN_SETTING], pairs, bench, temporary)
    text = document(results, pairs, model_sha256, detector)
    write_atomically(folder / "benchmark.md", text.encode("utf-8"))


def document(results: Results, pairs: Sequence[Pair], model_sha256: str, detector: Detector) -> str:
    """Return the page's text, Markdown; arguments as for ``write_report``."""
    parts = [_introduction()]
    for setting, rows in results.items():
        count = max(map(len, rows.values()))
        lines = [f"### {TITLES[setting]}", f"{count} pairs.", as_markdown(table_of(setting, rows))]
        sentence = against_reference(rows, OURS)
        parts.append("\n\n".join([*lines, f"{sentence}." if sentence else ""]).rstrip())
    parts += [_columns(), _rows(), _protocol(pairs), _detector(detector), _picture_text()]
    parts.append(_conditions(model_sha256))
    return "\n\n".join(parts) + "\n"


def _introduction() -> str:
    return f"""# Drag quality

This page is written by `python3 dev.py bench drag --list test`; do not edit it. The benchmark drags
landmarks of the built-in model to their positions in another image. A detector, trained on renders
whose landmarks are known, then measures where the landmarks are. `{REFERENCE}` is the paper's
method with the paper's settings, implemented literally (`tools/bench/reference.py`); `{OURS}` is
the default of the extension. All lengths are pixels of an image of 128 px.

## Results"""


def _columns() -> str:
    lines = [f"- **{column.heading}**: {column.meaning}." for column in COLUMNS]
    return "\n".join(["## The columns", "", *lines])


def _rows() -> str:
    lines = [f"- `{row.name}`: {_description(row)}." for row in ROWS.values()]
    return "\n".join(["## The rows", "", *lines])


def _description(row: Row) -> str:
    if row.kind == "none":
        return "the unchanged image"
    if row.kind == "paper":
        return (
            "the paper's method, literally: radii of 3 and 12 image pixels (smaller radii, scaled "
            "by the image size over 512 as in the authors' program, are not better)"
        )
    changes = ", ".join(f"{name} = {value}" for name, value in row.options.items())
    return f"the engine with {changes}" if changes else "the default options of the engine"


def _protocol(pairs: Sequence[Pair]) -> str:
    first = FIRST_SEEDS["test"]
    return f"""## The protocol

A pair consists of two images, A and B, from two consecutive seeds. Seeds are taken in order from
{first} (`numpy` seeds, truncation psi {TRUNCATION_PSI}). A pair is used only if the detector sees
all seven landmarks ({_names()}) in both
images, is certain of their positions, and finds them inside the image. The last of these
{len(pairs)} pairs ends with seed {pairs[-1].seeds[1]}. Pair i drags landmark i, or the landmarks i,
i + 1 and i + 3 (mod 7), or all seven. Methods and settings were chosen with another list of pairs,
whose seeds start at {FIRST_SEEDS["choosing"]}; nothing was chosen with this list.

With a mask, the target is 8 px from the handle, towards the position of the landmark in B, and
everything farther than 22 px from the line between them must not change. There and back: from A to
the positions in B, and from the result back to the positions in A."""


def _names() -> str:
    return ", ".join(name.replace("_", " ") for name in LANDMARKS)


def _detector(detector: Detector) -> str:
    figures = detector.figures
    lines = [
        "## The detector",
        "",
        f"Trained on {figures['training_renders']} renders ({figures['date']}), "
        f"{detector.size_px} px, which are not the pictures that it is tested on. Errors are in "
        "px, over the landmarks that the camera sees; the last column is the root mean square "
        f"error of the six colours ({', '.join(COLOURS)}), each from -1 to 1.",
        "",
        "| | pictures | mean | median | 95 % | visibility correct | colours |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    each = ["", "| | " + " | ".join(LANDMARKS) + " |", "|---|" + "---:|" * len(LANDMARKS)]
    for key, title in (("held_out", "held-out renders"), ("generated", "the model's own images")):
        if key in figures:
            found = figures[key]
            cells = [f"{found[name]:.2f}" for name in ("mean_px", "median_px", "p95_px")]
            cells += [f"{found['visibility']:.1%}", f"{found['colours_rms']:.3f}"]
            lines.append(f"| {title} | {found['pictures']} | " + " | ".join(cells) + " |")
            each.append(f"| {title} | " + " | ".join(f"{found[n]:.2f}" for n in LANDMARKS) + " |")
    return "\n".join(lines + each)


def _picture_text() -> str:
    return f"""## Ten drags

![Ten drags of three landmarks](benchmark.png)

The {SHOWN} best (left) and the {SHOWN} worst (right) drags of `{OURS}` by distance, with three
landmarks: image A with handles (red) and targets (blue), the result of `{REFERENCE}`, the result of
`{OURS}`, and image B."""


def _conditions(model_sha256: str) -> str:
    return f"""## Conditions

| | |
|---|---|
| date | {datetime.now(tz=UTC).date().isoformat()} |
| machine | {cpu_name()}, {os.cpu_count()} cores, {platform.system()} |
| versions | Python {platform.python_version()}, PyTorch {torch.__version__} |
| model | `suzanne.safetensors`, SHA-256 {model_sha256[:16]}… |
| a drag | one CPU thread, float32; the machine also did other work, and a row that was measured \
again alone after a change has its seconds from a later run than the other rows |

`python3 dev.py bench drag --row 'mine:step_size=0.01'` measures other settings of the engine with
the pairs for choosing; `--help` describes all options."""


def cpu_name() -> str:
    """Return the name of the processor, or its architecture if the system does not name it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _picture(
    rows: Mapping[str, Sequence[Result]], pairs: Sequence[Pair], bench: Bench, path: Path
) -> None:
    ours, reference = rows[OURS], rows[REFERENCE]
    chosen = best_and_worst([result.measures["md"] for result in ours], SHOWN)
    lines = []
    for number in chosen:
        pair = pairs[number]
        task = task_of(pair, SHOWN_SETTING)
        shape = pair.latents[0].shape
        ends = [bench.render(decode_latent(r[number].latent, shape)) for r in (reference, ours)]
        pictures = [
            marked(pair.images[0], task.handles_px, task.targets_px),
            *(marked(end, task.targets_px, task.targets_px) for end in ends),
            enlarged(pair.images[1]),
        ]
        lines.append((f"pair {number}: {ours[number].measures['md']:.1f} px", pictures))
    sheet(("A", REFERENCE, OURS, "B"), lines).save(path, format="PNG", optimize=True)
