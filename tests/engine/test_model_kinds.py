# SPDX-License-Identifier: GPL-3.0-or-later
"""Models other than square RGB ones: labels, alpha, other shapes and architectures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from draggan_blender.protocol.messages import FrameTarget, Message
from draggan_blender.protocol.own_picture import (
    Alignment,
    BlendBack,
    InvertPicture,
    PictureInverted,
)
from engine.baking.animated_edit import Truncation
from engine.cli.arguments import main
from engine.errors import RequestError
from engine.features.choice import open_source
from engine.features.full_map import FullMapSource
from engine.models import sample_latent
from engine.output.render import preview_pixels, render_image, render_images
from engine.serving.job_queue import QueuedJob
from engine.serving.jobs import JobRunner
from stylegan2 import Generator, GeneratorConfig, load_generator, save_generator

SIZES: dict[str, Any] = {"img_resolution": 32, "channels": (12,) * 4, "w_dim": 12, "z_dim": 12}
SIZES |= {"num_layers": 2}
WHOLE = Alignment(centre_px=(20.0, 20.0), angle=0.0, size_px=32.0)
KINDS: dict[str, dict[str, Any]] = {
    "grey": {"img_channels": 1},
    "rgba": {"img_channels": 4},
    "7 channels": {"img_channels": 7},
    "portrait": {"start_shape": (4, 2)},
    "orig": {"architecture": "orig"},
    "resnet": {"architecture": "resnet"},
    "no noise": {"use_noise": False},
    "labels": {"c_dim": 4},
}


def made(**change: Any) -> Generator:
    torch.manual_seed(5)
    generator = Generator(GeneratorConfig(**(SIZES | change)))
    for layer in generator.mapping.children():
        torch.nn.init.normal_(layer.get_parameter("weight"), std=30)
    return generator.freeze()


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "labels.safetensors"
    save_generator(made(c_dim=4), path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_can_be_dragged(kind: str, tmp_path: Path) -> None:
    path, out = tmp_path / "model.safetensors", tmp_path / "out"
    save_generator(made(**KINDS[kind]), path)
    mask = tmp_path / "mask.png"
    size = (16, 32) if kind == "portrait" else (32, 32)
    Image.new("L", size, 255).save(mask)
    arguments = ["drag", "--model", str(path), "--pair", "6,12:10,12", "--max-steps", "2"]
    arguments += ["--mask", str(mask), "--out", str(out), "--device", "cpu"]
    assert main(arguments) in (0, 5)
    with Image.open(out / "drag_0001.png") as image:
        assert image.size == size
        assert image.mode == ("RGBA" if kind == "rgba" else "RGB")


@pytest.mark.parametrize("kind", ["grey", "rgba"])
def test_every_kind_of_model_takes_a_picture_and_blends_it_back(kind: str, tmp_path: Path) -> None:
    path, out, picture = tmp_path / "model.safetensors", tmp_path / "out", tmp_path / "own.png"
    save_generator(made(**KINDS[kind]), path)
    pixels = np.full((40, 40, 3), 90, dtype=np.uint8)
    Image.fromarray(pixels).save(picture)
    arguments = ["invert", str(picture), "--model", str(path), "--out", str(out), "--tune"]
    arguments += ["--steps", "10", "--seconds", "1", "--device", "cpu"]
    assert main(arguments) == 0
    with Image.open(out / "model.png") as image:
        assert image.mode == ("RGBA" if kind == "rgba" else "RGB")
        width, height = image.size
    with Image.open(out / "compare.png") as sheet:
        assert (sheet.mode, sheet.size) == ("RGB", (3 * width, height))

    messages: list[Message] = []
    runner = JobRunner(torch.device("cpu"), messages.append)
    asked = InvertPicture(
        request_id=1,
        model_path=str(path),
        picture_path=str(picture),
        image_path=str(tmp_path / "image.png"),
        alignment=WHOLE,
        steps=10,
        seconds=1.0,
        tune_path=str(tmp_path / "tuned.safetensors"),
        tune_seconds=0.5,
    )
    runner.run(QueuedJob(asked))
    (found,) = (one for one in messages if isinstance(one, PictureInverted))
    assert 0 <= found.tuned_error <= found.error
    assert (tmp_path / "image.png").is_file()

    latent = np.load(out / "latent.npy")
    edited = tmp_path / "edited.png"
    request = BlendBack(
        request_id=1,
        model_path=str(path),
        picture_path=str(picture),
        image_path=str(edited),
        alignment=WHOLE,
        base=latent.tobytes(),
        latent=(latent + np.float32(2)).astype("<f4").tobytes(),
        frames=FrameTarget(folder=str(tmp_path), stem="b", first_number=1),
    )
    runner.run(QueuedJob(request))
    with Image.open(edited) as image:
        assert (image.mode, image.size) == ("RGB", (40, 40))
        assert (np.asarray(image) != pixels).any()


def test_alpha_is_rendered_and_previewed() -> None:
    generator = made(img_channels=4)
    latent = torch.from_numpy(sample_latent(generator, 1, 1.0))[None]
    (image,) = render_images(generator, latent)
    assert image.shape == (32, 32, 4)
    expected = (generator.synthesis(latent)[0, 3] + 1) * 127.5
    assert np.abs(image[..., 3] - expected.clamp(0, 255).numpy()).max() <= 0.51
    assert image[..., 3].std() > 5
    pixels = preview_pixels(image)
    np.testing.assert_allclose(pixels[::-1, :, 3] * 255, image[..., 3], atol=1e-3)
    opaque = preview_pixels(image[..., :3])
    assert (opaque[..., 3] == 1).all()


def test_grey_models_give_grey_and_further_channels_are_left_out() -> None:
    for channels in (1, 2, 7):
        generator = made(img_channels=channels)
        latent = torch.from_numpy(sample_latent(generator, 1, 1.0))[None]
        (image,) = render_images(generator, latent)
        assert image.shape == (32, 32, 3)
        assert (image[..., 0] == image[..., 1]).all() == (channels < 3)


def test_residual_connections_need_whole_maps() -> None:
    generator = made(architecture="resnet")
    start = torch.from_numpy(sample_latent(generator, 1, 1.0))
    source = open_source(generator, 32, start, num_layers=4, points=1, windows=True)
    assert isinstance(source, FullMapSource)


def test_labels_change_the_latent_and_are_checked() -> None:
    generator = made(c_dim=4)
    latents = [sample_latent(generator, 1, 1.0, label) for label in range(-1, 4)]
    for index, latent in enumerate(latents):
        for other in latents[:index]:
            assert np.abs(latent - other).max() > 1e-3
    assert np.array_equal(latents[0], sample_latent(generator, 1, 1.0))
    for label in (-2, 4):
        with pytest.raises(RequestError, match="from 0 to 3, or -1 for none"):
            sample_latent(generator, 1, 1.0, label)
    plain = made()
    assert np.array_equal(sample_latent(plain, 1, 1.0, 7), sample_latent(plain, 1, 1.0))


def test_an_animated_truncation_is_that_of_the_label() -> None:
    generator = made(c_dim=4)
    found = Truncation.of_seed(generator, 1, 1.0, (0.5,), label=2)
    whole, average = (sample_latent(generator, 1, psi, 2) for psi in (1.0, 0.0))
    assert np.array_equal(found.direction, whole - average)


def _sample(path: Path | str, out: Path, *more: str) -> int:
    return main(["sample", "--model", str(path), "--out", str(out), "--device", "cpu", *more])


def test_the_command_line_takes_a_label_and_says_which_it_took(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = {}
    for label in ("-1", "0", "2"):
        assert _sample(model_file, tmp_path / "image.png", "--label", label) == 0
        images[label] = (tmp_path / "image.png").read_bytes()
    assert len(set(images.values())) == 3
    assert "choose another" not in capsys.readouterr().out
    assert _sample(model_file, tmp_path / "image.png") == 0
    assert (tmp_path / "image.png").read_bytes() == images["0"]
    assert "label 0 of 4; choose another with --label" in capsys.readouterr().out


def test_a_mix_takes_a_label(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mix.png"
    given = ["mix", "--model", str(model_file), "--seed", "1", "--style-seed", "1", "--out"]
    given += [str(out), "--psi", "1", "--device", "cpu"]
    assert main([*given, "--label", "2"]) == 0
    generator = load_generator(model_file)
    wanted = render_image(generator, sample_latent(generator, 1, 1.0, 2))
    np.testing.assert_array_equal(np.asarray(Image.open(out)), wanted)
    with_label = out.read_bytes()
    assert main(given) == 0
    assert out.read_bytes() != with_label
    assert "label 0 of 4; choose another with --label" in capsys.readouterr().out
    assert main([*given, "--label", "4"]) == 1
    assert main([*given, "--model", "suzanne", "--label", "1"]) == 1
    assert "has no labels" in capsys.readouterr().err


def test_wrong_labels_are_refused(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sample(model_file, tmp_path / "image.png", "--label", "4") == 1
    assert "the label must be from 0 to 3" in capsys.readouterr().err
    assert _sample("suzanne", tmp_path / "image.png", "--label", "1") == 1
    assert "has no labels" in capsys.readouterr().err
    assert _sample("suzanne", tmp_path / "image.png", "--label", "-1") == 0
