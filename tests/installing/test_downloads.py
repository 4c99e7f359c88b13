# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads: what is resumed, what is refused, and what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from draggan_blender.installing.downloads import TRIES, Wanted, Watcher, fetch, make_opener
from draggan_blender.installing.problems import CancelledError, InstallError

from .wheels import Faults, Index, sha256

NAME = "torch-1.0-py3-none-any.whl"


def wanted(index: Index) -> Wanted:
    data = index.wheels[NAME]
    return Wanted(NAME, f"{index.base}/files/{NAME}", frozenset({sha256(data)}), len(data))


def get(index: Index, folder: Path, watcher: Watcher | None = None) -> Path:
    return fetch(wanted(index), folder, watcher or Watcher(pause_s=0.01), make_opener())


def test_a_file_is_downloaded_once_and_counted_exactly(index: Index, tmp_path: Path) -> None:
    counted: list[int] = []
    path = get(index, tmp_path, Watcher(counted.append))
    assert path.read_bytes() == index.wheels[NAME]
    assert sum(counted) == path.stat().st_size
    assert get(index, tmp_path, Watcher(counted.append)) == path
    assert sum(counted) == 2 * path.stat().st_size
    assert index.ranges == [""]
    assert [item.name for item in tmp_path.iterdir()] == [NAME]


def test_a_cut_connection_goes_on_where_it_was(index: Index, tmp_path: Path) -> None:
    index.faults = Faults("cut", times=3, after=300_000)
    counted: list[int] = []
    path = get(index, tmp_path, Watcher(counted.append, pause_s=0.01))
    assert path.read_bytes() == index.wheels[NAME]
    assert index.ranges == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert sum(counted) == len(index.wheels[NAME])
    assert index.has_served(len(index.wheels[NAME]))


def test_a_connection_that_brings_nothing_more_is_given_up_and_the_part_kept(
    index: Index, tmp_path: Path
) -> None:
    index.faults = Faults("cut", times=1, after=500_000)
    with pytest.raises(InstallError, match="broke several times"):
        # The second request gets nothing, and so on.
        class Dead(Faults):
            def take(self) -> str:
                fault = super().take()
                self.after = 500_000 if fault else 0
                return "cut"

        index.faults = Dead("cut", times=1)
        get(index, tmp_path)
    part = tmp_path / f"{NAME}.part"
    assert part.stat().st_size == 500_000
    assert len(index.ranges) == 1 + TRIES
    index.faults, index.served = Faults(), 0
    assert get(index, tmp_path).read_bytes() == index.wheels[NAME]
    assert index.has_served(len(index.wheels[NAME]) - 500_000)


def test_a_cancelled_download_keeps_its_part(index: Index, tmp_path: Path) -> None:
    index.faults = Faults("slow", after=100_000)
    arrived: list[int] = []
    with pytest.raises(CancelledError):
        get(index, tmp_path, Watcher(arrived.append, lambda: sum(arrived) > 400_000))
    assert 400_000 < (tmp_path / f"{NAME}.part").stat().st_size < len(index.wheels[NAME])
    index.faults = Faults()
    assert get(index, tmp_path).read_bytes() == index.wheels[NAME]
    assert index.ranges[-1].startswith("bytes=")


def test_a_changed_file_is_removed_and_the_next_try_succeeds(index: Index, tmp_path: Path) -> None:
    index.faults = Faults("changed", times=1)
    with pytest.raises(InstallError, match="its SHA-256 differs") as caught:
        get(index, tmp_path)
    assert caught.value.kind == "hash"
    assert list(tmp_path.iterdir()) == []
    assert get(index, tmp_path).read_bytes() == index.wheels[NAME]


def test_a_part_of_another_file_does_not_survive(index: Index, tmp_path: Path) -> None:
    part = tmp_path / f"{NAME}.part"
    part.write_bytes(b"x" * 1000)
    with pytest.raises(InstallError, match="SHA-256"):
        get(index, tmp_path)
    part.write_bytes(b"x" * (len(index.wheels[NAME]) + 5))
    assert get(index, tmp_path).read_bytes() == index.wheels[NAME]


@pytest.mark.parametrize(
    ("code", "kind", "tries"),
    [("404", "missing", 1), ("403", "forbidden", 1), ("407", "proxy", 1), ("500", "server", TRIES)],
)
def test_an_error_of_the_server_is_named(
    index: Index, tmp_path: Path, code: str, kind: str, tries: int
) -> None:
    index.faults = Faults(code)
    with pytest.raises(InstallError) as caught:
        get(index, tmp_path)
    assert caught.value.kind == kind
    assert len(index.ranges) == tries
    index.faults = Faults()
    assert get(index, tmp_path).is_file()


def test_a_server_that_fails_once_is_asked_again(index: Index, tmp_path: Path) -> None:
    index.faults = Faults("503", times=2)
    assert get(index, tmp_path).read_bytes() == index.wheels[NAME]


def test_a_server_that_cannot_be_reached_is_named(index: Index, tmp_path: Path) -> None:
    item = wanted(index)
    index.close()
    with pytest.raises(InstallError, match=r"The server 127\.0\.0\.1 cannot be reached") as caught:
        fetch(item, tmp_path, Watcher(pause_s=0.01), make_opener())
    assert caught.value.kind == "unreachable"


def test_a_file_of_this_computer_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "a b é.whl"
    source.write_bytes(b"data")
    item = Wanted("x.whl", source.as_uri(), frozenset({sha256(b"data")}))
    folder = tmp_path / "to"
    folder.mkdir()
    assert fetch(item, folder, Watcher(), make_opener()).read_bytes() == b"data"
    source.unlink()
    (folder / "x.whl").unlink()
    with pytest.raises(InstallError) as caught:
        fetch(item, folder, Watcher(), make_opener())
    assert caught.value.kind == "missing"
