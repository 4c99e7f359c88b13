# SPDX-License-Identifier: GPL-3.0-or-later
"""Latents that other programs have saved are read, and everything else is named."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.arrays import FloatArray
from engine.cli.arguments import main
from engine.errors import RequestError
from engine.latent_files import latent_from_file

NUM_WS, W_DIM = 4, 6
WHOLE = np.random.default_rng(1).normal(size=(NUM_WS, W_DIM)).astype(np.float32)
ONE = WHOLE[0]
REPEATED = np.tile(ONE, (NUM_WS, 1))


def _read(path: Path) -> FloatArray:
    return latent_from_file(path, NUM_WS, W_DIM)


def _npz(path: Path, value: Any) -> None:
    np.savez(path, w=value)


def _torch(path: Path, value: Any) -> None:
    torch.save(torch.from_numpy(value), path)


def _legacy(path: Path, value: Any) -> None:
    torch.save(torch.from_numpy(value), path, _use_new_zipfile_serialization=False)


# How a file of the official projector, of pivotal tuning and of others is written.
WRITERS: dict[str, Callable[[Path, Any], None]] = {
    "projected_w.npz": _npz,
    "w.npy": lambda path, value: np.save(path, value),
    "0.pt": _torch,
    "old.pt": _legacy,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (WHOLE[None], WHOLE),
        (WHOLE, WHOLE),
        (ONE, REPEATED),
        (ONE[None], REPEATED),
        (ONE[None, None], REPEATED),
        (WHOLE.astype(np.float64), WHOLE),
    ],
)
def test_every_usual_shape_is_read(
    tmp_path: Path, name: str, value: FloatArray, expected: FloatArray
) -> None:
    path = tmp_path / name
    WRITERS[name](path, value)
    found = _read(path)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "value",
    [
        torch.nn.Parameter(torch.from_numpy(WHOLE[None])),
        {"latent": torch.from_numpy(WHOLE)},
        {"w": torch.from_numpy(WHOLE), "loss": 0.1},
        # The projector of rosinality, which writes one entry for each picture.
        {"face.png": {"img": torch.zeros(1, 3, 4, 4), "latent": torch.from_numpy(WHOLE)}},
        [torch.from_numpy(WHOLE)],
    ],
)
def test_the_files_of_other_projectors_are_read(tmp_path: Path, value: object) -> None:
    path = tmp_path / "latent.pt"
    torch.save(value, path)
    np.testing.assert_array_equal(_read(path), WHOLE)


@pytest.mark.parametrize("name", ["both.npz", "both.pt"])
def test_of_several_names_the_most_telling_one_is_taken(tmp_path: Path, name: str) -> None:
    path, values = tmp_path / name, {"latent": ONE, "W_plus": WHOLE, "w": ONE}
    if name.endswith(".npz"):
        np.savez(path, **values)
    else:
        torch.save({key: torch.from_numpy(value) for key, value in values.items()}, path)
    np.testing.assert_array_equal(_read(path), WHOLE)


def test_a_vector_that_was_expanded_is_read(tmp_path: Path) -> None:
    path = tmp_path / "expanded.pt"
    torch.save(torch.from_numpy(ONE.copy()).expand(1, NUM_WS, W_DIM), path)
    np.testing.assert_array_equal(_read(path), REPEATED)


def test_bytes_in_a_file_do_not_make_it_an_archive_of_arrays(tmp_path: Path) -> None:
    path = tmp_path / "latent.pt"
    torch.save({"w": torch.from_numpy(WHOLE), "made from": "projected_w.npy"}, path)
    np.testing.assert_array_equal(_read(path), WHOLE)


class _Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch harmed",)


def _objects(path: Path) -> None:
    np.savez(path, w=np.array([_Harm()], dtype=object))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "two.npz": (lambda p: _npz(p, np.stack([WHOLE, WHOLE])), "holds the latents of 2 images"),
    "other.npz": (lambda p: _npz(p, np.zeros((1, 9, 512))), "has 9 x 512 values, and this model"),
    "nan.npy": (lambda p: np.save(p, WHOLE * np.nan), "not finite"),
    "nan.pt": (lambda p: _torch(p, WHOLE * np.inf), "not finite|infinite"),
    "names.npz": (lambda p: np.savez(p, a=WHOLE, b=WHOLE), "one array named w is expected.*a, b"),
    "text.npz": (lambda p: np.savez(p, w=np.array("text")), "numbers are expected"),
    "objects.npz": (_objects, "not a saved latent"),
    "cut.npy": (lambda p: p.write_bytes(b"\x93NUMPY\1\0"), "is not a saved latent"),
    "empty.npy": (lambda p: p.write_bytes(b""), "is empty"),
    "harm.pt": (lambda p: torch.save({"w": _Harm()}, p), "nothing in it was run"),
    "harm.pkl": (lambda p: p.write_bytes(pickle.dumps(_Harm())), "not a file of torch.save"),
    "none.pt": (lambda p: torch.save({"a": 1}, p), "holds no latent"),
    "many.pt": (lambda p: torch.save([torch.zeros(6), torch.zeros(6)], p), "holds 2 latents"),
    "large.npy": (lambda p: np.save(p, np.full(6, 1e300)), "not finite"),
    "huge.pt": (lambda p: torch.save(torch.zeros(1, 1).expand(1 << 12, 1 << 12), p), "larger than"),
    "picture.png": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"), "is a PNG image"),
    "missing.npz": (lambda p: None, "cannot be read"),
    "pipe.npz": (lambda p: os.mkfifo(p), "cannot be read: it is not a file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_latent_of_this_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write, expected = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(RequestError, match=expected) as caught:
        _read(tmp_path / name)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "harmed").exists()


def test_the_command_line_takes_a_latent_in_place_of_a_seed(
    tmp_path: Path, checkpoint: Path, latent: FloatArray, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "projected_w.npz"
    np.savez(path, w=latent[None])
    model, out = ["--model", str(checkpoint)], ["--out", str(tmp_path / "latent.png")]
    assert main(["sample", *model, "--latent", str(path), *out]) == 0
    assert "the image of projected_w.npz is in" in capsys.readouterr().out
    seed = ["--seed", "3", "--psi", "0.7", "--out", str(tmp_path / "seed.png")]
    assert main(["sample", *model, *seed]) == 0
    assert (tmp_path / "latent.png").read_bytes() == (tmp_path / "seed.png").read_bytes()
    drag = ["drag", *model, "--latent", str(path), "--pair", "12,14:13,14", "--max-steps", "2"]
    assert main([*drag, "--out", str(tmp_path / "drag")]) == 0
    assert (tmp_path / "drag" / "drag_0000.png").read_bytes() == (
        tmp_path / "latent.png"
    ).read_bytes()
    assert main(["sample", *model, "--latent", str(tmp_path / "no.npz"), *out]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_file_of_another_kind_is_told_what_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(RequestError, match=r"a saved latent \(.npz, .npy or .pt\) is expected"):
        latent_from_file(path, 8, 32)
