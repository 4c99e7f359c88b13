# SPDX-License-Identifier: GPL-3.0-or-later
"""The message about a wrong file says what the file is, whatever its name."""

from __future__ import annotations

import io
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan2 import (
    Generator,
    ModelError,
    ModelErrorKind,
    load_generator,
    save_generator,
    sha256_of,
)
from stylegan2.checkpoints.sniff import MAX_FILE_BYTES

from ..pickles import snapshot


def refusal_of(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_generator(path)
    return caught.value


def image_bytes(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    return file.getvalue()


def torch_bytes(*, zipped: bool) -> bytes:
    file = io.BytesIO()
    torch.save({"g_ema": torch.zeros(2)}, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def npz_bytes(name: str) -> bytes:
    file = io.BytesIO()
    arrays: dict[str, Any] = {name: np.zeros(3)}
    np.savez(file, **arrays)
    return file.getvalue()


def zip_bytes() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("ffhq.pkl", b"x" * 500)
    return file.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 381673535\n"
HTML = b"\n<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>"
CASES = {
    "is empty": b"",
    "is a Git LFS pointer": LFS,
    "is a web page (HTML)": HTML,
    "is a web page (HTML) ": b"\xef\xbb\xbf  <HTML><body>404 Not Found</body></HTML>",
    "is a PNG image": image_bytes("PNG"),
    "is a JPEG image": image_bytes("JPEG"),
    "is a GIF image": image_bytes("GIF"),
    "is a WebP image": image_bytes("WEBP"),
    "is a dictionary (g_ema) without the generator": torch_bytes(zipped=True),
    "is a dictionary (g_ema) without the generator ": torch_bytes(zipped=False),
    "is a NumPy .npz file of arrays": npz_bytes("points"),
    "is a saved latent (NumPy .npz file) and not a model": npz_bytes("w"),
    "is a tar archive; unpack it": bytes(1) + b"x" * 256 + b"ustar\x0000" + bytes(300),
    "is a zip archive; unpack it": zip_bytes(),
    "truncated or damaged zip archive": zip_bytes()[:300],
    "is a 7z archive": b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "is a gzip archive": b"\x1f\x8b\x08" + bytes(100),
    "is an HDF5 (Keras) file": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "is a NumPy array": b"\x93NUMPY\x01\x00" + bytes(100),
    "is a text file": b"Not a model, sorry\n",
    "is a text file; ": b'{"error": "rate limit exceeded"}',
    "begins with zeros": bytes(5000),
    "is not a model file of a known kind": b"\x07\x1b\xe0\xff" * 50,
    "is not a model file of a known": b"(lp0\nI1\naI2\na.",
}


@pytest.mark.parametrize("reason", CASES)
@pytest.mark.parametrize("extension", ["pkl", "safetensors"])
def test_the_kind_of_a_wrong_file_is_named_in_one_sentence(
    tmp_path: Path, reason: str, extension: str
) -> None:
    path = tmp_path / f"my model.{extension}"
    path.write_bytes(CASES[reason])
    message = refusal_of(path).message
    assert message.startswith("my model." + extension + " ")
    assert reason.strip(" ;") in message
    assert message.isprintable()
    assert message.endswith(".")
    assert message.count(". ") == 0


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    for load in (load_generator, sha256_of):
        with pytest.raises(
            ModelError, match=r"nowhere\.pkl cannot be read: No such file"
        ) as caught:
            load(tmp_path / "nowhere.pkl")
        assert caught.value.kind is ModelErrorKind.MISSING


def test_a_folder_is_said_to_be_a_folder(tmp_path: Path) -> None:
    error = refusal_of(tmp_path)
    assert "is a folder; a StyleGAN2 model" in error.message
    assert error.kind is ModelErrorKind.MISSING


def test_an_impossible_path_is_refused() -> None:
    for load in (load_generator, sha256_of):
        with pytest.raises(ModelError, match="zero byte"):
            load("model\0.pkl")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in the file system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refusal_of(tmp_path / "pipe").message


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="needs a user who is not root",
)
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.pkl"
    path.write_bytes(b"x")
    path.chmod(0)
    assert "Permission denied" in refusal_of(path).message


@pytest.mark.skipif(sys.platform == "win32", reason="a sparse file would take its whole size")
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.pkl"
    with path.open("wb") as file:
        file.write(b"\x80\x04")
        file.truncate(MAX_FILE_BYTES + 1)
    assert "has 4.0 GiB, more than any StyleGAN2 checkpoint" in refusal_of(path).message


def test_the_content_decides_and_not_the_name(frozen: Generator, tmp_path: Path) -> None:
    saved, pickled = tmp_path / "model.pkl", tmp_path / "model.safetensors"
    save_generator(frozen, saved)
    pickled.write_bytes(snapshot(frozen))
    nameless = tmp_path / "model"
    shutil.copy(saved, nameless)
    for path in (saved, pickled, nameless):
        assert load_generator(path).config == frozen.config
