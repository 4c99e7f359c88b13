# SPDX-License-Identifier: GPL-3.0-or-later
"""The readers that a file or a socket reaches, each as a function of bytes.

A harness raises nothing for any bytes: the error that a reader states is caught, and every other
exception is a find. So is a read that takes longer than ``MAX_SECONDS``.
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch

from draggan_blender.library import entries
from draggan_blender.protocol import direction_files
from draggan_blender.protocol.codec import Decoder, encode
from draggan_blender.protocol.directions import Direction
from draggan_blender.protocol.errors import RemoteProtocolError
from draggan_blender.protocol.lost_drag import KeptEnd, KeptStep
from draggan_blender.protocol.pairs import HandleState, Pair
from draggan_blender.protocol.pictures import Picture, PictureLayer, decode_picture, encode_picture
from engine.baking.journal import Journal, read_journal
from engine.baking.row import SolvedRow
from engine.differences import Difference, is_difference, quantised, read_difference
from engine.errors import RequestError
from engine.inversion.vgg import load_vgg
from engine.output.track import Track
from engine.pictures import Picture as EnginePicture
from engine.serving.drag_journal import DragJournal, read_steps
from engine.serving.edit_file import decode_edit
from engine.solving.result import DragStatus
from stylegan2 import (
    Generator,
    GeneratorConfig,
    ModelError,
    load_discriminator,
    save_generator,
)
from stylegan2.checkpoints.budget import Budget
from stylegan2.checkpoints.byte_source import MemoryBytes
from stylegan2.checkpoints.globals import ALLOWED
from stylegan2.checkpoints.inert_pickle import InertPickle
from stylegan2.checkpoints.load import read_checkpoint
from stylegan2.checkpoints.refusal import Refusal
from tests.protocol.generated import one_of_each
from tests.stylegan2.formats import (
    genforce_state,
    nvidia_state,
    tensorflow_network,
    torch_file,
)
from tests.stylegan2.golden import golden_path
from tests.stylegan2.pickles import dump, snapshot
from tests.vgg_files import vgg_state

# Far more than any of the small inputs here needs, also on a busy machine.
MAX_SECONDS = 20.0

# Of a journal's record of one handle and a latent of 4 x 2: key, numbers, values and checksum.
_RECORD_BYTES = 32 + 17 + 4 * (2 + 8) + 4
# Layers and size of the w of the model that directions are read for.
_LATENT_SHAPE = (4, 2)
_FOLDER = tempfile.TemporaryDirectory(prefix="draggan-fuzz-")


class FindError(AssertionError):
    """An input did what no input may do."""


@dataclass(frozen=True)
class Harness:
    """A reader to fuzz.

    Attributes:
        run: Reads bytes; raises for a find only.
        seeds: Returns valid inputs to change.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]

    def check(self, data: bytes) -> None:
        """Read bytes.

        Raises:
            FindError: Reading took too long.
            Exception: The reader raised something that it does not state.
        """
        start = time.process_time()
        self.run(data)
        if time.process_time() - start > MAX_SECONDS:
            raise FindError(f"reading took {time.process_time() - start:.0f} s")


def _generator(**change: object) -> Generator:
    torch.manual_seed(3)
    sizes = {"img_resolution": 8, "channels": (1, 2), "w_dim": 2, "z_dim": 2, "num_layers": 1}
    return Generator(GeneratorConfig(**{**sizes, **change}))  # type: ignore[arg-type]


def _pickle(data: bytes) -> None:
    machine = InertPickle(
        MemoryBytes(data), allowed=ALLOWED, budget=Budget(20_000), persistent_ids=True
    )
    try:
        machine.read()
    except Refusal as refusal:
        assert refusal.reason.isprintable()


def _model(data: bytes) -> None:
    path = Path(_FOLDER.name) / "model"
    path.write_bytes(data)
    try:
        checkpoint = read_checkpoint(path)
    except ModelError as error:
        assert error.message.isprintable()
        assert error.message.count(". ") == 0
        return
    for key, tensor in checkpoint.tensors.items():
        assert torch.isfinite(tensor).all(), key


def _weights(data: bytes) -> None:
    """Read the weights of the losses: VGG16, and the discriminator of a checkpoint."""
    path = Path(_FOLDER.name) / "weights"
    path.write_bytes(data)
    for load in (lambda: load_vgg(path, torch.device("cpu")), lambda: load_discriminator(path)):
        try:
            load()
        except (ModelError, RequestError) as error:
            assert str(error).isprintable()


def _weights_seeds() -> list[bytes]:
    seeds = []
    for value in (vgg_state(), vgg_state(is_lpips=True, has_last=True)):
        for is_zip in (True, False):
            stream = io.BytesIO()
            torch.save(value, stream, _use_new_zipfile_serialization=is_zip)
            seeds.append(stream.getvalue())
    plain = {key: v.numpy() for key, v in vgg_state().items() if v.is_floating_point()}
    trained = (golden_path(name).read_bytes() for name in ("ada_cond_r32", "ros_train_r32"))
    return [*seeds, safetensors.numpy.save(plain), *trained]


def _track(data: bytes) -> None:
    try:
        Track.from_bytes(data)
    except RequestError as error:
        assert str(error).isprintable()


def _edit(data: bytes) -> None:
    try:
        decode_edit(data)
    except RequestError as error:
        assert str(error).isprintable()


def _journal(data: bytes) -> None:
    path = Path(_FOLDER.name) / "solve.journal"
    # The checksums are made right, or nearly every change would end the reading at once.
    head, size = len(_journal_seeds()[0]) - _RECORD_BYTES, _RECORD_BYTES
    records = [data[start : start + size] for start in range(head, len(data) - size + 1, size)]
    mended = (record[:-4] + struct.pack("<I", zlib.crc32(record[:-4])) for record in records)
    path.write_bytes(data[:head] + b"".join(mended))
    for row in read_journal(path, (4, 2), 1).values():
        assert row.latent.shape == (4, 2)


def _drag_journal(data: bytes) -> None:
    path = Path(_FOLDER.name) / "drag.journal"
    head, record = 23, 8
    mended = bytearray(data[:head])
    # Likewise.
    while len(data) >= head + record:
        size = int.from_bytes(data[head : head + 4], "little")
        content = data[head + record : head + record + size]
        mended += struct.pack("<II", size, zlib.crc32(content)) + content
        head += record + size
    path.write_bytes(mended)
    for step in read_steps(path):
        assert step.handles


def _codec(data: bytes) -> None:
    for trusted in (False, True):
        try:
            for message in Decoder(trusted=trusted).feed(data):
                assert encode(message)
        except RemoteProtocolError:
            pass


def _picture(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode_picture(data)


def _directions(data: bytes) -> None:
    path = Path(_FOLDER.name) / ("directions.npz" if data[:2] == b"PK" else "d.safetensors")
    path.write_bytes(data)
    try:
        found = direction_files.read(path, *_LATENT_SHAPE)
    except ValueError as error:
        assert type(error) is ValueError
        assert str(error).isprintable()
        return
    for one in found:
        assert one.name.isprintable()
        assert one.change.shape in (_LATENT_SHAPE, (1, _LATENT_SHAPE[1]))
        assert np.isfinite(one.change).all()
        assert 0 <= one.first <= one.last


def _difference(data: bytes) -> None:
    path = Path(_FOLDER.name) / "tuned.safetensors"
    path.write_bytes(data)
    is_difference(path)
    try:
        found = read_difference(path)
        found.apply(_generator())
    except RequestError as error:
        assert str(error).isprintable()
        return
    for steps, scale in found.changes.values():
        assert steps.shape[:1] == scale.shape
        assert torch.isfinite(scale).all()


def _entry(data: bytes) -> None:
    path = Path(_FOLDER.name) / "model.safetensors"
    path.with_suffix(".json").write_bytes(data)
    entry = entries.read(path)
    if entry is not None:
        assert entry.name and entry.sha256
        entries.write(entry)
        assert entries.read(path) == entry


def _safetensors_seeds() -> list[bytes]:
    path = Path(_FOLDER.name) / "seed.safetensors"
    save_generator(_generator(), path)
    return [path.read_bytes()]


def _torch_seeds() -> list[bytes]:
    state = nvidia_state(_generator())
    states: list[object] = [{"G_ema": state}, genforce_state(_generator(c_dim=0))]
    return [torch_file(one, zipped=zipped) for one in states for zipped in (True, False)]


def _tensorflow_seeds() -> list[bytes]:
    return [dump((tensorflow_network(_generator(c_dim=2)),), protocol) for protocol in (2, 4)]


def _track_seeds() -> list[bytes]:
    pictures = [EnginePicture(np.zeros((4, 2), dtype=np.float32))] * 2
    track = Track.from_pictures(pictures, model_name="m", model_sha256="0" * 64, first_number=1)
    return [track.to_bytes()]


@functools.cache
def _journal_seeds() -> list[bytes]:
    path = Path(_FOLDER.name) / "seed.journal"
    row = SolvedRow(
        latent=np.zeros((4, 2), dtype=np.float32),
        handles_px=np.zeros((1, 2), dtype=np.float32),
        distance_px=0.5,
        loss=0.1,
        steps=3,
        status=DragStatus.REACHED,
    )
    with Journal(path, {bytes(32): row}):
        pass
    return [path.read_bytes()]


def _direction_seeds() -> list[bytes]:
    change = np.arange(_LATENT_SHAPE[1], dtype=np.float32)[None]
    ours = [
        Direction(name="a", change=change, first=0, last=3),
        Direction(name="b", change=np.ones(_LATENT_SHAPE, np.float32), first=1, last=2),
    ]
    theirs: list[dict[str, npt.NDArray[np.float32]]] = [
        {"age": change, "other": np.zeros((3, 3), np.float32)},
        {"lat_comp": change[None], "lat_stdev": np.ones(1, np.float32)},
    ]
    found = [direction_files.to_npz(ours), direction_files.to_safetensors(ours)]
    for arrays in theirs:
        file = io.BytesIO()
        np.savez(file, **arrays)
        found += [file.getvalue(), safetensors.numpy.save(dict(arrays))]
    return found


def _difference_seeds() -> list[bytes]:
    weights = dict(_generator().named_parameters())
    keys = [key for key in weights if key.endswith("weight")][-2:]
    changes = {key: quantised(torch.ones_like(weights[key])) for key in keys}
    return [Difference("0" * 64, "m.safetensors", "/m.safetensors", changes).to_bytes()]


def _entry_seeds() -> list[bytes]:
    path = Path(_FOLDER.name) / "seed-model.safetensors"
    entry = entries.Entry(path=path, name="Face 2", sha256="0" * 64, width=64, note="CC0\nmine")
    entries.write(entry)
    return [entry.description_path.read_bytes()]


@functools.cache
def _drag_journal_seeds() -> list[bytes]:
    path = Path(_FOLDER.name) / "seed.drag.journal"
    handles = (HandleState(key=0, place_px=(1.0, 2.0), distance_px=3.0),)
    pairs = (Pair(handle_px=(1.0, 2.0), target_px=(4.0, 2.0)),)
    journal = DragJournal(path)
    journal.append(KeptStep(loss=0.1, latent=bytes(32), handles=handles, pairs=pairs))
    journal.append(KeptStep(loss=0.1, latent=bytes(32), handles=handles, mask=bytes(16)))
    journal.append(KeptEnd(steps=1))
    journal.close()
    return [path.read_bytes()]


def _picture_seeds() -> list[bytes]:
    layer = PictureLayer(latent=bytes(32), mask=bytes(16), width=4, height=4, softness=1.0)
    return [encode_picture(Picture(latent=bytes(32), layers=(layer,)))]


def _messages() -> list[bytes]:
    return [encode(message) for message in one_of_each(1)]


HARNESSES: dict[str, Harness] = {
    "inert_pickle": Harness(_pickle, lambda: [snapshot(_generator(), p) for p in (2, 4)]),
    "nvidia": Harness(_model, lambda: [snapshot(_generator(), p) for p in (2, 4)]),
    "safetensors": Harness(_model, _safetensors_seeds),
    "torch": Harness(_model, _torch_seeds),
    "tensorflow": Harness(_model, _tensorflow_seeds),
    "weights": Harness(_weights, _weights_seeds),
    "track": Harness(_track, _track_seeds),
    "edit": Harness(_edit, lambda: [d for d in _messages() if b'"edit"' in d]),
    "journal": Harness(_journal, _journal_seeds),
    "drag_journal": Harness(_drag_journal, _drag_journal_seeds),
    "codec": Harness(_codec, _messages),
    "directions": Harness(_directions, _direction_seeds),
    "difference": Harness(_difference, _difference_seeds),
    "library": Harness(_entry, _entry_seeds),
    "picture": Harness(_picture, _picture_seeds),
}


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with some random changes: flips, numbers, cuts, copies of parts."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        place = chance.randrange(len(changed) + 1)
        kind = chance.randrange(6)
        if kind == 0 and place < len(changed):
            changed[place] = chance.randrange(256)
        elif kind == 1:
            number = chance.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1))
            size = chance.choice((1, 2, 4, 8))
            changed[place : place + size] = (number & (256**size - 1)).to_bytes(size, "little")
        elif kind == 2:
            del changed[place : place + chance.randrange(1, 40)]
        elif kind == 3:
            begin = chance.randrange(len(changed) + 1)
            changed[place:place] = changed[begin : begin + chance.randrange(1, 200)]
        elif kind == 4:
            changed[place:place] = chance.randbytes(chance.randrange(1, 9))
        elif chance.random() < 0.2:
            del changed[place:]
    return bytes(changed)


def mended_zip(data: bytes, chance: random.Random) -> bytes:
    """Return a zip archive with the checksums that its changed entries need.

    Without this, nearly every change of an archive is refused for its checksum.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:
        return data
    chosen = chance.randrange(len(entries)) if entries else 0
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for index, (name, content) in enumerate(entries):
            archive.writestr(name, mutated(content, chance) if index == chosen else content)
    return file.getvalue()
