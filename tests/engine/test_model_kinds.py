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
from engine.arrays import ByteArray, FloatArray
from engine.baking.animated_edit import Truncation
from engine.baking.folder import BakeFolder
from engine.cli.arguments import main
from engine.errors import RequestError
from engine.features.choice import open_source
from engine.features.full_map import FullMapSource
from engine.models import sample_latent
from engine.output.frames import FrameNames, write_image
from engine.output.render import preview_pixels, render_image, render_images
from engine.output.sequence import write_sequence
from engine.output.track import Track
from engine.pictures import Picture
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
        assert image.mode == ("RGBA" if kind in ("rgba", "7 channels") else "RGB")
    further = {path.name for path in out.glob("drag-channel*_0001.png")}
    expected = {f"drag-channel{channel}_0001.png" for channel in (5, 6, 7)}
    assert further == (expected if kind == "7 channels" else set())


def test_a_model_of_one_block_is_not_tuned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out, picture = tmp_path / "model.safetensors", tmp_path / "out", tmp_path / "own.png"
    save_generator(made(img_resolution=4, channels=(12,)), path)
    Image.new("RGB", (40, 40)).save(picture)
    arguments = ["invert", str(picture), "--model", str(path), "--out", str(out), "--tune"]
    assert main([*arguments, "--device", "cpu"]) == 1
    assert "only one block, so it cannot be tuned" in capsys.readouterr().err


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
        tune=True,
        difference_path=str(tmp_path / "tuned.safetensors"),
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


def test_grey_models_give_grey_and_further_channels_are_given_if_asked_for() -> None:
    for channels in (1, 2, 3, 4, 7):
        generator = made(img_channels=channels)
        latent = torch.from_numpy(sample_latent(generator, 1, 1.0))[None]
        (image,) = render_images(generator, latent)
        assert image.shape == (32, 32, 3 if channels < 4 else 4)
        assert (image[..., 0] == image[..., 1]).all() == (channels < 3)
        (every,) = render_images(generator, latent, every_channel=True)
        assert every.shape == (32, 32, max(channels, 3))
        assert np.array_equal(every[..., : image.shape[2]], image)


def _channel(generator: Generator, latent: FloatArray, channel: int) -> ByteArray:
    """Return a channel of an image, counted from 1, by the definition."""
    values = generator.synthesis(torch.from_numpy(latent)[None])[0, channel - 1]
    level: ByteArray = ((values + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    return level


def _opened(path: Path) -> ByteArray:
    with Image.open(path) as image:
        return np.array(image)


def test_further_channels_are_files_beside_those_of_the_colours(tmp_path: Path) -> None:
    generator = made(img_channels=6)
    latents = [sample_latent(generator, seed, 1.0) for seed in range(3)]
    names = FrameNames(tmp_path, "bake", 8, channels=6)
    write_sequence(generator, latents.__getitem__, range(3), names)
    files = {path.name for path in tmp_path.iterdir()}
    stems = ("bake", "bake-channel5", "bake-channel6")
    assert files == {f"{stem}_{number:04d}.png" for stem in stems for number in range(7, 11)}
    for row, latent in enumerate(latents):
        for channel in (5, 6):
            found = _opened(tmp_path / f"bake-channel{channel}_{8 + row:04d}.png")
            assert np.array_equal(found, _channel(generator, latent, channel))
        assert _opened(names.path(8 + row)).shape == (32, 32, 4)
    # Whatever is missing is made again, and nothing else.
    kept = names.path(9).stat().st_mtime_ns
    (tmp_path / "bake-channel6_0010.png").unlink()
    write_sequence(generator, latents.__getitem__, range(3), names, skip_existing=True)
    assert {path.name for path in tmp_path.iterdir()} == files
    assert names.path(9).stat().st_mtime_ns == kept


def test_stale_files_of_further_channels_go_with_their_frame(tmp_path: Path) -> None:
    generator = made(img_channels=5)
    latents = [sample_latent(generator, seed, 1.0) for seed in range(4)]

    def track(seeds: list[int]) -> Track:
        pictures = [Picture(latents[seed]) for seed in seeds]
        return Track.from_pictures(pictures, model_name="m", model_sha256="0", first_number=3)

    folder = BakeFolder(FrameNames(tmp_path, "bake", 3))
    before = track([0, 1, 2])
    write_sequence(generator, before.picture, range(3), folder.names)
    before.save(folder.track_path)
    folder.remove_stale(track([0, 3, 2]))
    left = {path.name for path in tmp_path.glob("*.png")}
    numbers = (2, 3, 5)
    stems = ("bake", "bake-channel5")
    assert left == {f"{stem}_{number:04d}.png" for stem in stems for number in numbers}


def test_the_files_of_a_still(tmp_path: Path) -> None:
    image = np.arange(4 * 6 * 6, dtype=np.uint8).reshape(4, 6, 6)
    paths = write_image(tmp_path / "image.png", image)
    names = [path.name for path in paths]
    assert names == ["image-channel5.png", "image-channel6.png", "image.png"]
    assert np.array_equal(_opened(paths[0]), image[..., 4])
    assert np.array_equal(_opened(paths[2]), image[..., :4])


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
