# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is full: one sentence, no half file, and the next try with space works.

Each test has a real file system of its own that is as small as it needs, which only the
administrator of a machine may mount.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from draggan_blender.protocol.file_names import DRAG_JOURNAL_FILE, TRACK_FILE
from draggan_blender.protocol.library import AddModel
from draggan_blender.protocol.messages import Message
from draggan_blender.protocol.settings import DragSettings
from engine.arrays import FloatArray
from engine.models import LoadedModel
from engine.output.track import Track
from engine.pictures import Picture
from engine.serving.drag_job import DragJob
from engine.serving.failures import failure
from engine.serving.job_queue import QueuedJob
from engine.serving.library_job import add_model
from stylegan2 import Generator, ModelError, convert_checkpoint, load_generator
from stylegan2.ops.fused import BuildError
from stylegan2.ops.fused.build import build_by

from ..stylegan2.ops.test_fused_build import COMPILER, TARGET, sources
from .edits import bake, contents, small_edit
from .serving.client import drag_request

__all__ = ["sources"]

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "ada_r64.pkl"
SIZE = 8 << 20
FULL = "No space left on device"


class Disk:
    """A small file system.

    Attributes:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def leave(self, size: int) -> None:
        """Fill it, except for about a number of bytes."""
        self._ballast.unlink(missing_ok=True)
        free = shutil.disk_usage(self.folder).free - size
        self._ballast.write_bytes(bytes(max(free, 0)))

    def clear(self) -> None:
        """Make room."""
        self._ballast.unlink()

    def files(self) -> set[str]:
        """Return the paths of all files but the ballast."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)) for path in found} - {"ballast"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if not sys.platform.startswith("linux"):
        pytest.skip("small file systems are mounted on Linux only")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def model(generator: Generator, checkpoint: Path) -> LoadedModel:
    return LoadedModel(generator, checkpoint, "ab" * 32)


def refused(action: Callable[[], object], kind: type[Exception] = OSError) -> str:
    """Run what must fail, and return the sentence for the person."""
    with pytest.raises(kind) as caught:
        action()
    sentence = failure(caught.value)[1]
    assert FULL in sentence and sentence.isprintable()
    return sentence


def test_the_frames_of_a_drag(
    disk: Disk, model: LoadedModel, checkpoint: Path, latent: FloatArray
) -> None:
    request = drag_request(1, checkpoint, latent, disk.folder / "drag", DragSettings(max_steps=6))

    def drag() -> list[Message]:
        found: list[Message] = []
        DragJob(request, model, QueuedJob(request), found.append).run()
        return found

    for left in (0, 24 << 10):  # no frame fits, and some do
        disk.leave(left)
        assert "drag_00" in refused(drag)
        assert disk.files() == set()
    disk.clear()
    drag()
    names = {Path(name).name for name in disk.files()}
    assert TRACK_FILE in names and DRAG_JOURNAL_FILE not in names


def test_a_track_replaces_the_one_before_or_leaves_it(disk: Disk) -> None:
    def track(rows: int) -> Track:
        latents = np.random.default_rng(rows).normal(size=(rows, 16, 64)).astype(np.float32)
        pictures = [Picture(one) for one in latents]
        return Track.from_pictures(pictures, model_name="m", model_sha256="0" * 64, first_number=1)

    path = disk.folder / TRACK_FILE
    track(2).save(path)
    before = path.read_bytes()
    disk.leave(8 << 10)
    assert TRACK_FILE in refused(lambda: track(40).save(path))
    assert path.read_bytes() == before and disk.files() == {TRACK_FILE}
    disk.clear()
    track(40).save(path)
    assert len(Track.load(path)) == 40


def test_a_bake_goes_on_where_it_was(
    disk: Disk, model: LoadedModel, latent: FloatArray, tmp_path: Path
) -> None:
    edit = small_edit(latent)
    bake(model, edit, tmp_path / "whole")
    folder = disk.folder / "bake"
    # The edit does not fit, the journal does not, the track does not, and the frames do not.
    for left in (0, 8 << 10, 12 << 10, 24 << 10):
        disk.leave(left)
        assert str(folder) in refused(lambda: bake(model, edit, folder))
        assert not any(name.endswith(".part") for name in disk.files())
    disk.clear()
    bake(model, edit, folder)
    assert contents(folder) == contents(tmp_path / "whole")


def test_the_conversion_of_a_model(disk: Disk) -> None:
    path = disk.folder / "model.safetensors"
    disk.leave(64 << 10)
    assert str(path) in refused(lambda: convert_checkpoint(GOLDEN, path), ModelError)
    assert disk.files() == set()
    disk.clear()
    convert_checkpoint(GOLDEN, path)
    assert load_generator(path).img_shape == (3, 64, 64)


def test_a_model_of_the_library(disk: Disk) -> None:
    folder = disk.folder / "models"
    request = AddModel(request_id=1, source_path=str(GOLDEN), folder=str(folder), size_px=16)
    device = torch.device("cpu")

    def add() -> None:
        add_model(request, device, QueuedJob(request), lambda message: None)

    disk.leave(64 << 10)
    refused(add, ModelError)
    assert disk.files() == set()
    disk.clear()
    add()
    (name,) = disk.files()
    assert load_generator(disk.folder / name).img_shape == (3, 64, 64)


@pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")
@pytest.mark.parametrize("left", [0, 8 << 10, 16 << 10])
def test_the_compiled_library(disk: Disk, sources: Path, left: int) -> None:
    disk.leave(left)
    with pytest.raises(BuildError) as caught:
        build_by(TARGET, disk.folder / "cache")
    assert str(caught.value).startswith("the fused operators were not built")
    assert not any(Path(name).name.startswith("fused-") for name in disk.files())
    disk.clear()
    library = build_by(TARGET, disk.folder / "cache")
    assert library.stat().st_size > 0 and os.access(library, os.R_OK)
