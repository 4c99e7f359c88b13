# SPDX-License-Identifier: GPL-3.0-or-later
"""Edit files and journals that a stranger has made: one error class, stated limits."""

from __future__ import annotations

import json
import math
import os
import random
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from draggan_blender.protocol import LocalProtocolError, encode
from draggan_blender.protocol.file_names import GREATEST_FRAME
from draggan_blender.protocol.live import CheckPoints
from draggan_blender.protocol.messages import FrameTarget
from draggan_blender.protocol.pairs import MOST_PAIRS, Pair, require_pairs
from draggan_blender.protocol.timeline import Edit
from engine.arrays import FloatArray
from engine.baking.journal import Journal, read_journal
from engine.baking.row import SolvedRow
from engine.errors import RequestError
from engine.models import LoadedModel
from engine.serving.edit_file import animated_edit, decode_edit, read_edit_file
from engine.serving.failures import failure
from engine.solving.result import DragStatus
from stylegan2 import Generator

from ..edits import small_edit

ODD: list[Any] = [
    None, True, -1, 0, 2**31, 2**63, 10**400, 1e300, -1e300, 1e-300, "", "x", "\0", "\ud800",
    [], [[]], [1], {}, [[0.5, 0.5]],
]  # fmt: skip


def _changed(chance: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        return {**value, key: _changed(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return [*value[:at], _changed(chance, value[at]), *value[at + 1 :]]
    return chance.choice(ODD)


def _joined(header: dict[str, Any], payload: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack(">II", len(text), len(payload)) + text + payload


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_edit_is_read_or_refused_in_one_sentence(
    generator: Generator, checkpoint: Path, latent: FloatArray, seed: int
) -> None:
    chance, model = random.Random(seed), LoadedModel(generator, checkpoint, "")
    data = encode(small_edit(latent))
    size, _ = struct.unpack_from(">II", data)
    header, payload = json.loads(data[8 : 8 + size]), data[8 + size :]
    outcomes = set()
    for _ in range(300):
        changed = bytearray(payload)
        if chance.random() < 0.5:
            at = chance.randrange(len(changed) - 4)
            changed[at : at + 4] = struct.pack("<f", chance.choice((math.nan, math.inf, 1e30)))
        try:
            edit = decode_edit(_joined(_changed(chance, header), bytes(changed)))
            found = animated_edit(edit, model)
            found.keys("model")
            outcomes.add("read")
        except RequestError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def _edit_of(points: int, frames: int = 1, first: int = 1) -> Edit:
    made = small_edit(np.zeros((1, 1), np.float32))
    settings = tuple(type(one)(number=first, settings=one.settings) for one in made.settings[:1])
    return Edit(
        model_name="",
        model_sha256="",
        first_number=first,
        latent=b"",
        handles_px=((1.0, 1.0),) * points,
        targets_px=bytes(8 * points * frames),
        settings=settings,
    )


def test_the_number_of_points_has_a_limit_everywhere() -> None:
    pairs = [Pair(handle_px=(1.0, 1.0), target_px=(2.0, 2.0), key=key) for key in range(10_000)]
    require_pairs(pairs[:MOST_PAIRS])
    _edit_of(MOST_PAIRS)
    for refused in (
        lambda: require_pairs(pairs),
        lambda: _edit_of(10_000),
        lambda: CheckPoints(
            request_id=1, model_path="", latent=b"", points_px=((1.0, 1.0),) * 10_000
        ),
    ):
        with pytest.raises(LocalProtocolError, match=f"at most {MOST_PAIRS} work"):
            refused()


@pytest.mark.parametrize(
    ("first", "frames"), [(0, 1), (-5, 1), (GREATEST_FRAME + 1, 1), (GREATEST_FRAME, 2), (2**62, 1)]
)
def test_frames_beyond_those_of_blender_are_refused(first: int, frames: int) -> None:
    with pytest.raises(LocalProtocolError, match="are not within 1 to"):
        _edit_of(1, frames, first)
    if frames == 1:
        with pytest.raises(LocalProtocolError, match="are not within 1 to"):
            FrameTarget(folder="f", stem="s", first_number=first)
    assert _edit_of(1, 1, GREATEST_FRAME).frame_count == 1


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
def test_a_pipe_in_place_of_an_edit_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "edit.draggan")
    started = time.monotonic()
    with pytest.raises(OSError) as caught:
        read_edit_file(tmp_path / "edit.draggan")
    assert time.monotonic() - started < 1
    assert failure(caught.value) == (
        "files",
        f"cannot read or write {tmp_path / 'edit.draggan'}: it is not a file, but a pipe, a socket "
        "or a device",
    )


def test_a_file_of_many_messages_is_not_read_to_its_end(latent: FloatArray) -> None:
    data = encode(small_edit(latent)) * 2000
    started = time.process_time()
    with pytest.raises(RequestError, match="is not one complete edit"):
        decode_edit(data)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("distance_px", math.nan), ("loss", math.inf), ("loss", math.nan), ("steps", 2**63)],
)
def test_a_record_with_impossible_numbers_ends_the_journal(
    tmp_path: Path, name: str, value: float
) -> None:
    numbers = {"distance_px": 0.5, "loss": 0.25, "steps": 3}
    path = tmp_path / "solve.journal"
    with Journal(path, {}) as journal:
        for key, change in ((b"a", {}), (b"b", {name: value}), (b"c", {})):
            row: dict[str, Any] = {**numbers, **change}
            journal.append(
                key * 32,
                SolvedRow(
                    latent=np.zeros((3, 4), np.float32),
                    handles_px=np.zeros((2, 2), np.float32),
                    status=DragStatus.REACHED,
                    **row,
                ),
            )
    assert list(read_journal(path, (3, 4), 2)) == [b"a" * 32]


@pytest.mark.parametrize("seed", range(3))
def test_changed_bytes_of_a_journal_raise_nothing(tmp_path: Path, seed: int) -> None:
    """Mutate records from a fixed seed, with checksums that are right for what is in them."""
    chance, path = random.Random(seed), tmp_path / "solve.journal"
    with Journal(path, {}) as journal:
        for key in range(3):
            journal.append(
                bytes([key]) * 32,
                SolvedRow(
                    latent=np.ones((3, 4), np.float32),
                    handles_px=np.ones((2, 2), np.float32),
                    distance_px=1.0,
                    loss=1.0,
                    steps=key,
                    status=DragStatus.REACHED,
                ),
            )
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    size = (len(whole) - start) // 3
    for _ in range(300):
        data = bytearray(whole)
        at = chance.randrange(start, len(data))
        data[at : at + 4] = chance.randbytes(4)
        for record in range(start, len(data) - size + 1, size):
            check = zlib.crc32(data[record : record + size - 4])
            data[record + size - 4 : record + size] = struct.pack("<I", check)
        path.write_bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
        for row in read_journal(path, (3, 4), 2).values():
            assert math.isfinite(row.distance_px) and math.isfinite(row.loss)
