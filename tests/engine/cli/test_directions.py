# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands ``directions`` and ``mix``."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from draggan_blender.protocol import direction_files
from engine.arrays import FloatArray
from engine.cli import many as many_module
from engine.cli.arguments import main
from engine.cli.values import seeds
from engine.models import sample_latent
from engine.output.render import render_image
from engine.solving.directions import find_directions
from engine.solving.drag import drag
from engine.solving.result import DragResult, DragStatus
from stylegan2 import Generator, save_generator
from tests.tiny_generator import tiny_generator


@pytest.mark.parametrize("suffix", direction_files.SUFFIXES)
def test_directions_writes_a_file(
    generator: Generator, checkpoint: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"found{suffix}"
    assert main(["directions", "--model", str(checkpoint), "--out", str(path)]) == 0
    found = direction_files.read(path, generator.num_ws, generator.w_dim)
    wanted = find_directions(generator)
    assert [one.name for one in found] == [one.name for one in wanted]


def test_another_suffix_is_a_sentence(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["directions", "--model", str(checkpoint), "--out", str(tmp_path / "a.pkl")]) == 1
    assert "choose such a file" in capsys.readouterr().err


def test_mix_takes_the_later_layers_of_another_seed(
    generator: Generator, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mixed.png"
    given = [
        "mix",
        "--model",
        str(checkpoint),
        "--seed",
        "3",
        "--style-seed",
        "5",
        "--device",
        "cpu",
    ]
    structure, style = (sample_latent(generator, seed, 0.7) for seed in (3, 5))

    assert main([*given, "--from-layer", "4", "--out", str(out)]) == 0
    latent = np.concatenate([structure[:4], style[4:]])
    shown = np.asarray(Image.open(out)).astype(int)
    assert np.abs(shown - render_image(generator, latent)).max() <= 1

    assert main([*given, "--strip", "--weight", "0", "--out", str(out)]) == 0
    strip = np.asarray(Image.open(out))
    still = render_image(generator, structure)
    assert strip.shape[1] == still.shape[1] * generator.num_ws
    assert np.array_equal(strip[:, : still.shape[1]], still)

    assert main([*given, "--from-layer", "99", "--out", str(out)]) == 1


def test_a_mix_is_a_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mixed.jpg"
    with pytest.raises(SystemExit):
        main(["mix", "--style-seed", "5", "--out", str(out)])
    assert "does not end in .png" in capsys.readouterr().err


def test_many_brings_other_seeds_to_the_same_end(
    generator: Generator, checkpoint: Path, tmp_path: Path
) -> None:
    given = ["many", "--model", str(checkpoint), "--seed", "3", "--device", "cpu", "--to", "4-6"]
    out = ["--out", str(tmp_path)]
    assert main([*given, "--pair", "10,16:13,16", "--pair", "24,24:24,24", *out]) == 0
    rows = json.loads((tmp_path / "many.json").read_text())
    assert [row["seed"] for row in rows] == [4, 5, 6]
    assert all(row["arrived"] == (not row["problem"]) for row in rows)
    assert np.asarray(Image.open(tmp_path / "seed_0005.png")).shape[:2] == generator.img_shape[1:]
    # The dragged image and three others, in two columns.
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        width, height = sheet.size
    assert width > 2 * 192
    assert height > 2 * 192


def test_many_says_what_became_of_its_drag(
    checkpoint: Path,
    latent: FloatArray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged = []

    def losing(*args: Any, **options: Any) -> DragResult:
        judged.append(options["judged"])
        return replace(drag(*args, **options), status=DragStatus.LOST, reason="handle 1 was lost")

    monkeypatch.setattr(many_module, "drag", losing)
    tiles: list[tuple[str, Image.Image]] = []

    def keep(given: list[tuple[str, Image.Image]]) -> bytes:
        tiles.extend(given)
        return b""

    monkeypatch.setattr(many_module, "sheet", keep)
    np.save(tmp_path / "mine.npy", latent)
    given = ["many", "--model", str(checkpoint), "--latent", str(tmp_path / "mine.npy")]
    assert main([*given, "--to", "4", "--pair", "10,16:13,16", "--out", str(tmp_path)]) == 5
    said = capsys.readouterr()
    assert "not reached: handle 1 was lost" in said.out
    assert said.err == "error: handle 1 was lost\n"
    assert judged == [True]
    assert (tmp_path / "seed_0004.png").exists()
    assert tiles[0][0] == "mine.npy, dragged"
    assert max(tiles[1][1].size) == 192


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4294967295", (2**32 - 1, 2**32 - 1)),
        ("0-999", (0, 999)),
        ("4294967296", "seeds from 0 to 4294967295"),
        ("9-3", "seeds from 0 to 4294967295"),
        ("0-1000", "has 1001 seeds"),
    ],
)
def test_the_seeds_of_many(text: str, expected: object) -> None:
    if isinstance(expected, tuple):
        assert seeds(text) == expected
        return
    with pytest.raises(argparse.ArgumentTypeError, match=str(expected)):
        seeds(text)


def test_commands_write_further_channels(tmp_path: Path) -> None:
    model, out = tmp_path / "six.safetensors", tmp_path / "out"
    save_generator(tiny_generator(6), model)
    given, image = ["--model", str(model), "--seed", "3"], str(out / "mixed.png")
    assert main(["mix", *given, "--style-seed", "5", "--out", image]) == 0
    pairs = ["--pair", "10,16:14,16"]
    assert main(["many", *given, "--to", "4", *pairs, "--out", str(out)]) in (0, 5)
    for stem in ("mixed", "seed_0004"):
        for name in (f"{stem}.png", f"{stem}-channel5.png", f"{stem}-channel6.png"):
            assert (out / name).exists(), name


def test_many_refuses_a_drag_that_moves_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["many", "--model", str(checkpoint), "--to", "4", "--out", str(tmp_path)]
    assert main([*given, "--pair", "10,16:10,16"]) == 1
    assert "move one of them" in capsys.readouterr().err
