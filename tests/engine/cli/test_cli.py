# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from draggan_blender.protocol.settings import DragSettings
from engine.cli.arguments import main
from engine.differences import Difference
from engine.output.track import Track
from engine.solving.result import DragStatus
from stylegan2 import load_generator, save_generator, sha256_of
from tests.vgg_files import write_vgg

from ..serving.client import ROOT, START


def _drag_arguments(checkpoint: Path, out: Path, *more: str) -> list[str]:
    model = ["--model", str(checkpoint), "--seed", "3", "--device", "cpu"]
    return ["drag", *model, "--pair", "12.5,14:17,14", "--out", str(out), *more]


def test_a_drag_writes_frames_track_and_sheet(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = main(_drag_arguments(checkpoint, out, "--max-steps", "6", "--linear-reach", "8"))
    # Nothing can be followed far in the images of random weights.
    assert code in (0, 5)
    track = Track.load(out / "track.npz")
    assert track.options["max_steps"] == 6 and track.options["linear_reach"] == 8.0
    names = {path.name for path in out.iterdir()}
    frames = {f"drag_{number:04d}.png" for number in range(len(track) + 1)}
    assert names == frames | {"track.npz", "contact_sheet.png"}
    printed = capsys.readouterr().out
    (out / "drag_notes.png").touch()
    assert main(_drag_arguments(checkpoint, out, "--max-steps", "1")) == 0
    handles_px = track.handles_px[:, 0]
    assert np.linalg.norm(np.diff(handles_px, axis=0), axis=1).max() <= 32 / 256 + 1e-5
    assert {path.name for path in out.glob("drag_*")} == {
        *(f"drag_{number:04d}.png" for number in range(len(Track.load(out / "track.npz")) + 1)),
        "drag_notes.png",
    }
    assert f"{len(track)} frames, track.npz and contact_sheet.png are in {out}" in printed


def test_a_region_is_turned(checkpoint: Path, tmp_path: Path) -> None:
    arguments = _drag_arguments(checkpoint, tmp_path / "out", "--max-steps", "2")
    assert main([*arguments, "--pair", "18,18:18,18:6,10,1.1"]) in (0, 5)
    assert Track.load(tmp_path / "out" / "track.npz").targets_px.tolist() == [[17, 14], [18, 18]]


@pytest.mark.parametrize("region", ["-1", "4,inf", "4,0,0", "4,0,1,1", "a"])
def test_a_wrong_region_is_a_sentence(
    region: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["drag", "--pair", f"1,1:2,2:{region}", "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert "such as 30,40:44,40:12,15,1.1" in " ".join(capsys.readouterr().err.split())


def test_two_pairs_and_a_mask(checkpoint: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.fromarray(np.full((32, 32), 255, np.uint8)).save(mask)
    arguments = _drag_arguments(checkpoint, tmp_path / "out", "--mask", str(mask))
    assert main([*arguments, "--pair", "20,20:22,22", "--max-steps", "1"]) == 0
    assert Track.load(tmp_path / "out" / "track.npz").targets_px.tolist() == [[17, 14], [22, 22]]


def test_a_drag_by_another_method(checkpoint: Path, tmp_path: Path) -> None:
    arguments = _drag_arguments(checkpoint, tmp_path / "out", "--method", "freedrag")
    assert main([*arguments, "--latent-space", "w", "--max-steps", "1"]) == 0
    options = Track.load(tmp_path / "out" / "track.npz").options
    assert options["method"] == "freedrag" and options["latent_space"] == "w"


def test_every_option_of_a_drag_can_be_given() -> None:
    from engine.cli.arguments import _parser

    parsed = _parser().parse_args(_drag_arguments(Path("m"), Path("o")))
    for field in dataclasses.fields(DragSettings):
        assert getattr(parsed, field.name) == getattr(DragSettings(), field.name)


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (["--r2", "0"], "r2 must be above 0"),
        (["--pair", "3,3:90,3"], "target 2 is at (90.0, 3.0)"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--mask", str(Path(__file__))], "is not an image file"),
        (["--mask", "no/such.png"], "no/such.png"),
        (["--model", "no/such.pkl"], "such.pkl"),
        (["--model", "~no-such-person/such.pkl"], "~no-such-person/such.pkl cannot be read"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_code_1(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], part: str
) -> None:
    assert main(_drag_arguments(checkpoint, tmp_path / "out", *more)) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and part in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_black_mask_is_refused_because_nothing_could_move(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = tmp_path / "black.png"
    Image.new("L", (32, 32)).save(mask)
    arguments = _drag_arguments(checkpoint, tmp_path / "out", "--mask", str(mask))
    assert main(arguments) == 1
    assert "black everywhere, so nothing may move" in capsys.readouterr().err
    assert main([*arguments, "--mask-mode", "soft", "--mask-weight", "0"]) == 0


def test_a_mask_that_unpacks_beyond_all_measure_is_a_sentence(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (32, 32)).save(mask)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert main(_drag_arguments(checkpoint, tmp_path / "out", "--mask", str(mask))) == 1
    said = capsys.readouterr().err
    assert "mask.png has more than" in said and "million pixels, the most that are read" in said


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["drag", "--out", "x"],
        ["drag", "--out", "x", "--pair", "1,2"],
        ["drag", "--out", "x", "--pair", "1,2:3,four"],
        ["sample", "--seed", "one", "--out", "x"],
    ],
)
def test_wrong_arguments_are_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_sample_writes_the_image_of_a_seed(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "seed.png"
    assert main(["sample", "--model", str(checkpoint), "--seed", "3", "--out", str(path)]) == 0
    with Image.open(path) as image:
        assert image.size == (32, 32)


def test_info_says_what_is_in_a_checkpoint(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(checkpoint)]) == 0
    printed = capsys.readouterr().out
    assert "32 x 32 px, 3 channels" in printed and "w 8 x 16" in printed


def test_text_of_a_file_cannot_steer_the_terminal(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.safetensors"
    save_generator(load_generator(checkpoint), copy, license_note="free\x1b[2J\nnoise      no")
    assert main(["info", str(copy)]) == 0
    assert "licence    free?[2J?noise      no\n" in capsys.readouterr().out


def test_a_name_that_the_output_cannot_encode_is_no_trouble(
    checkpoint: Path, tmp_path: Path
) -> None:
    model = tmp_path / "modèle.pkl"
    shutil.copy(checkpoint, model)
    done = subprocess.run(
        [sys.executable, "-m", "engine", "info", str(model)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mod\\xe8le.pkl" in done.stdout


def test_too_little_memory_is_a_sentence(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = mock.patch("engine.cli.commands.render_image", side_effect=MemoryError)
    with full:
        code = main(["sample", "--model", str(checkpoint), "--out", str(tmp_path / "x.png")])
    assert code == 1
    assert "not enough memory" in capsys.readouterr().err


def test_convert_writes_a_checkpoint_that_loads(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    assert main(["convert", str(checkpoint), str(copy)]) == 0
    assert load_generator(copy).img_shape == (3, 32, 32)


def test_info_of_something_else_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "model.pkl"
    page.write_text("<!doctype html><title>Sign in</title>")
    assert main(["info", str(page)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_started_as_a_file_in_isolated_mode_it_finds_its_packages(
    checkpoint: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-I", START, "info", str(checkpoint)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "32 x 32 px" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals for a single process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drag_is_code_130_without_a_traceback_and_keeps_its_images(
    checkpoint: Path, tmp_path: Path, number: signal.Signals
) -> None:
    arguments = _drag_arguments(checkpoint, tmp_path / "out", "--max-steps", "0")
    arguments += ["--patience", "1000000", "--tolerance-px", "0", "--method", "draggan"]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "engine", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        while not process.stdout.readline().startswith("step"):
            pass
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "interrupted\n"
    assert (tmp_path / "out" / "drag_0001.png").is_file()
    assert Track.load(tmp_path / "out" / "track.npz").status == DragStatus.STOPPED.value


def test_a_picture_is_inverted_and_the_tuned_model_makes_its_image(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = tmp_path / "picture.png", tmp_path / "out"
    Image.fromarray(np.full((48, 40, 3), 90, dtype=np.uint8)).save(picture)
    where = ["--alignment", "20,24,0,32", "--keep-alignment"]
    model = ["--model", str(checkpoint), "--device", "cpu"]
    short = ["--steps", "10", "--seconds", "2", "--tune"]
    assert main(["invert", str(picture), "--out", str(out), *model, *where, *short]) == 0
    assert {path.name for path in out.iterdir()} == {
        "latent.npy",
        "model.png",
        "compare.png",
        "result.json",
        "tuned.safetensors",
    }
    facts = json.loads((out / "result.json").read_text())
    assert (facts["centre_x"], facts["size_px"]) == (20.0, 32.0)
    assert facts["tuned_error"] < facts["error"]
    with Image.open(out / "compare.png") as sheet:
        assert sheet.size == (3 * 32, 32)
    assert "(error " in capsys.readouterr().out
    tuned = ["--model", str(out / "tuned.safetensors"), "--device", "cpu"]
    assert main(["sample", "--out", str(tmp_path / "seed.png"), *tuned]) == 0
    assert main(["info", str(out / "tuned.safetensors")]) == 0
    assert "tiny.safetensors" in capsys.readouterr().out
    blended = ["--latent", str(out / "latent.npy"), "--out", str(tmp_path / "blended.png")]
    assert main(["blend", str(picture), "--found", str(out), *blended, *tuned]) == 0


def test_a_picture_is_compared_by_the_loss_of_a_file(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = tmp_path / "picture.png", tmp_path / "out"
    Image.fromarray(np.full((48, 40, 3), 90, dtype=np.uint8)).save(picture)
    common = ["invert", str(picture), "--out", str(out), "--steps", "10", "--model"]
    common += [str(checkpoint), "--device", "cpu", "--loss", "vgg"]
    assert main(common) == 1
    assert "needs a file with the weights of VGG16; choose one" in capsys.readouterr().err
    assert main([*common, "--loss-file", str(write_vgg(tmp_path / "vgg.pth"))]) == 0
    assert json.loads((out / "result.json").read_text())["loss"] == "vgg"
    unread = ["--loss-file", str(tmp_path / "vgg.pth"), "--loss", "pixels"]
    assert main([*common, *unread]) == 1
    assert "--loss pixels reads no file; add --loss vgg" in capsys.readouterr().err
    assert main([*common, "--noise", "--loss", "pixels"]) == 1
    assert "noise maps change nothing in this model" in capsys.readouterr().err


def test_a_drag_of_an_inverted_picture_is_blended_onto_it(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, found = tmp_path / "picture.png", tmp_path / "found"
    noise = np.random.default_rng(1).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(picture)
    model = ["--model", str(checkpoint), "--device", "cpu"]
    inverted = ["--alignment", "20,24,0,32", "--keep-alignment", "--steps", "10"]
    assert main(["invert", str(picture), "--out", str(found), *model, *inverted]) == 0
    dragged = ["--latent", str(found / "latent.npy"), "--max-steps", "3"]
    out = ["--out", str(tmp_path / "drag"), "--pair", "12,16:20,16"]
    assert main(["drag", *out, *dragged, *model]) == 0
    given = [str(picture), "--found", str(found), *model]
    track = ["--track", str(tmp_path / "drag" / "track.npz"), "--matte"]
    still, folder = tmp_path / "still.png", tmp_path / "blend"
    capsys.readouterr()
    assert main(["blend", *given, *track, "--out", str(still), "--json"]) == 0
    (end,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert end == {"event": "finished", "path": str(still)}
    assert main(["blend", *given, *track, "--out", str(folder), "--json"]) == 0
    *saved, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert end == {"event": "finished", "frames": len(saved) - 1}
    files = sorted(path.name for path in folder.iterdir())
    assert files[0] == "blend-matte_0000.png"
    assert len(files) % 2 == 0
    first, matte = (np.asarray(Image.open(folder / name)) for name in (files[-1], files[0]))
    assert (first.shape, matte.shape) == (noise.shape, noise.shape[:2])
    changed = (np.asarray(Image.open(still)) != noise).any(axis=2)
    assert not changed[np.asarray(Image.open(tmp_path / "still-matte.png")) == 0].any()
    same = ["--latent", str(found / "latent.npy")]
    assert main(["blend", *given, *same, "--out", str(still)]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(still)), noise)
    result = (found / "result.json").read_text()
    sha256 = json.loads(result)["model_sha256"]
    for text, refusal in (
        (result.replace(sha256, "0" * 64), "not the model that this image was made with"),
        ("[1]", "the result of the command invert"),
    ):
        (found / "result.json").write_text(text)
        assert main(["blend", *given, *same, "--out", str(still)]) == 1
        assert refusal in capsys.readouterr().err


def test_a_tuned_model_is_refused_before_the_search(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuned = tmp_path / "tuned.safetensors"
    Difference(sha256_of(checkpoint), checkpoint.name, str(checkpoint), {}).save(tuned)
    monkeypatch.setattr("engine.cli.invert.find", lambda *args, **options: pytest.fail("searched"))
    arguments = ["invert", "x.png", "--model", str(tuned), "--out", str(tmp_path), "--tune"]
    assert main([*arguments, "--device", "cpu"]) == 1
    assert "tuned to a picture already" in capsys.readouterr().err


@pytest.mark.parametrize("frame", ["1", "1,2,3,4,5", "a,b", "1,nan"])
def test_a_frame_that_is_none_is_refused(
    frame: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["invert", "x.png", "--out", str(tmp_path), "--alignment", frame])
    assert "is not a frame" in capsys.readouterr().err
