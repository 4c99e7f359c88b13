# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands ``directions`` and ``mix``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from draggan_blender.protocol import direction_files
from engine.cli.arguments import main
from engine.models import sample_latent
from engine.output.render import render_image
from engine.solving.directions import find_directions
from stylegan2 import Generator


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


def test_many_refuses_a_drag_that_moves_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["many", "--model", str(checkpoint), "--to", "4", "--out", str(tmp_path)]
    assert main([*given, "--pair", "10,16:10,16"]) == 1
    assert "move one of them" in capsys.readouterr().err
