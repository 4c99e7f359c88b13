# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching the parent's pipe, in both ways."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from engine.serving.parent import poll_until_end, wait_for_end

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="peeks into the pipe with POSIX functions"
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def _peek(descriptor: int) -> int:
    """Return what ``PeekNamedPipe`` does on Windows: bytes that wait, or an error at the end."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    events = dict(poll.poll(0)).get(descriptor, 0)
    if events & select.POLLIN:
        return 1
    if events & select.POLLHUP:
        raise BrokenPipeError
    return 0


def _poll(descriptor: int) -> None:
    poll_until_end(descriptor, lambda: _peek(descriptor))


@pytest.mark.parametrize("watch", [wait_for_end, _poll])
def test_it_returns_when_the_pipe_is_closed_and_not_before(
    pipe: tuple[int, int], watch: Callable[[int], None]
) -> None:
    reading, writing = pipe
    watcher = threading.Thread(target=watch, args=(reading,), daemon=True)
    watcher.start()
    os.write(writing, b"x" * 10_000)
    watcher.join(0.4)
    assert watcher.is_alive()
    os.close(writing)
    watcher.join(2)
    assert not watcher.is_alive()


def test_what_has_been_asked_for_is_never_waited_for_in_a_read(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = pipe
    os.write(writing, b"ab")
    reads: list[bytes] = []
    read = os.read

    def recorded(descriptor: int, count: int) -> bytes:
        assert _peek(descriptor), "a read that would wait blocks the loading of numpy on Windows"
        reads.append(read(descriptor, count))
        return reads[-1]

    monkeypatch.setattr("engine.serving.parent.os.read", recorded)
    threading.Timer(0.5, os.close, (writing,)).start()
    _poll(reading)
    assert reads == [b"ab"]
