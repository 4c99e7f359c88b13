# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal returns all complete records, however its end is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.baking.journal import Journal, read_journal
from engine.baking.row import SolvedRow
from engine.solving.result import DragStatus

SHAPE, POINTS = (3, 4), 2


def _row(number: int) -> SolvedRow:
    rng = np.random.default_rng(number)
    return SolvedRow(
        latent=rng.normal(size=SHAPE).astype(np.float32),
        handles_px=rng.normal(size=(POINTS, 2)).astype(np.float32),
        distance_px=number + 0.5,
        loss=0.25,
        steps=number,
        status=DragStatus.STALLED if number % 2 else DragStatus.REACHED,
    )


def _key(number: int) -> bytes:
    return bytes([number]) * 32


def _same(found: SolvedRow, expected: SolvedRow) -> bool:
    plain = ("distance_px", "loss", "steps", "status")
    return (
        np.array_equal(found.latent, expected.latent)
        and np.array_equal(found.handles_px, expected.handles_px)
        and all(getattr(found, name) == getattr(expected, name) for name in plain)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a journal of three rows."""
    path = tmp_path / "solve.journal"
    with Journal(path, {_key(0): _row(0)}) as journal:
        journal.append(_key(1), _row(1))
        journal.append(_key(2), _row(2))
    return path


def _read(path: Path) -> dict[bytes, SolvedRow]:
    return read_journal(path, SHAPE, POINTS)


def test_every_row_comes_back_to_the_bit(path: Path) -> None:
    found = _read(path)
    assert list(found) == [_key(0), _key(1), _key(2)]
    assert all(_same(found[_key(number)], _row(number)) for number in range(3))


def test_a_row_can_be_read_while_the_journal_is_open(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", {}) as journal:
        journal.append(_key(5), _row(5))
        assert list(_read(tmp_path / "j")) == [_key(5)]


def test_a_torn_row_is_dropped_and_those_before_it_stay(path: Path) -> None:
    data = path.read_bytes()
    size = (len(data) - 23) // 3
    for length in range(len(data) - size, len(data), 7):
        path.write_bytes(data[:length])
        assert list(_read(path)) == [_key(0), _key(1)]


def test_a_flipped_byte_ends_the_journal_there(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    assert list(_read(path)) == [_key(0), _key(1)]


@pytest.mark.parametrize("data", [b"", b"hello", b"DragGAN bake journal 2\n" + bytes(999)])
def test_something_else_is_a_journal_without_rows(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "j").write_bytes(data)
    assert _read(tmp_path / "j") == {}


def test_no_journal_has_no_rows(tmp_path: Path) -> None:
    assert _read(tmp_path / "none") == {}


def test_rows_of_another_size_are_none(path: Path) -> None:
    assert read_journal(path, (3, 5), POINTS) == {}
    assert read_journal(path, SHAPE, POINTS + 1) == {}


def test_a_journal_that_is_done_with_is_gone(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", {}) as journal:
        journal.append(_key(1), _row(1))
        journal.remove()
    assert list(tmp_path.iterdir()) == []
