# SPDX-License-Identifier: GPL-3.0-or-later
"""How a real engine process starts, and all the ways in which it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from draggan_blender.protocol import PROTOCOL_VERSION
from draggan_blender.protocol.drag_messages import Step
from draggan_blender.protocol.file_names import DRAG_JOURNAL_FILE
from draggan_blender.protocol.messages import Shutdown, StartupFailed
from engine.arrays import FloatArray

from .client import ENDLESS, ROOT, EngineClient, drag_request


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[EngineClient]:
    """Yield an engine that has connected and done nothing else."""
    with EngineClient(tmp_path) as client:
        yield client


def test_hello_comes_before_torch_with_the_token(fresh: EngineClient) -> None:
    hello = fresh.hello()
    waited_s = time.monotonic() - fresh.started
    assert (hello.protocol_version, hello.token) == (PROTOCOL_VERSION, fresh.token)
    assert hello.pid == fresh.process.pid
    assert waited_s < 5, "torch alone takes about two seconds on a busy machine"


@pytest.mark.skipif(os.name == "nt", reason="Windows has priority classes")
def test_it_runs_at_lower_priority_than_blender(fresh: EngineClient) -> None:
    fresh.hello()
    expected = min(os.nice(0) + 10, 19)  # 19 is the lowest priority
    assert os.getpriority(os.PRIO_PROCESS, fresh.process.pid) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="needs a niceness for each thread")
def test_one_thread_has_blender_s_priority_for_pulls(fresh: EngineClient) -> None:
    fresh.hello()
    threads = Path(f"/proc/{fresh.process.pid}/task").iterdir()
    found = [os.getpriority(os.PRIO_PROCESS, int(thread.name)) for thread in threads]
    assert found.count(os.nice(0)) == 1
    assert len(found) > 1


def test_nothing_that_a_hello_needs_imports_torch_or_numpy() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import engine.cli.arguments, engine.serving.server;"
        "print([name for name in ('torch', 'numpy', 'bpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(ROOT)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_parent_that_refuses_the_hello_by_closing_ends_the_engine(fresh: EngineClient) -> None:
    fresh.hello()
    fresh.socket.close()
    assert fresh.ended_within(5) == 1
    assert "did not welcome this engine: the connection was closed" in fresh.log()


def test_another_protocol_version_is_refused_with_a_sentence(fresh: EngineClient) -> None:
    fresh.hello()
    fresh.welcome(PROTOCOL_VERSION + 1)
    assert fresh.ended_within(5) == 1
    assert f"version {PROTOCOL_VERSION + 1} of the protocol" in fresh.log()
    assert "Traceback" not in fresh.log()


def test_a_device_that_is_not_there_fails_the_start_with_a_sentence(tmp_path: Path) -> None:
    with EngineClient(tmp_path, device="cuda:77") as client:
        client.hello()
        client.welcome()
        message = client.receive()
        assert isinstance(message, StartupFailed)
        assert message.kind == "startup_failed"
        assert "cuda:77" in message.message
        assert client.ended_within(5) == 1


def test_started_by_hand_it_says_what_it_is_for() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engine", "serve"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 1
    assert "not by hand" in done.stderr


def _in_the_middle_of_a_drag(client: EngineClient, checkpoint: Path, latent: FloatArray) -> None:
    client.ready()
    client.send(drag_request(client.new_id(), checkpoint, latent, client.temporary / "x", ENDLESS))
    while not isinstance(client.receive(), Step):
        pass


def _left(client: EngineClient) -> list[str]:
    """Return the names of the files in the engine's folder for temporary files.

    The drag's own folder is there in these tests. A lost Blender does not ask for the steps in it.
    """
    return [path.name for path in client.temporary.rglob("*") if path.is_file()]


def test_the_end_of_standard_input_ends_it_in_the_middle_of_a_drag(
    fresh: EngineClient, checkpoint: Path, latent: FloatArray
) -> None:
    _in_the_middle_of_a_drag(fresh, checkpoint, latent)
    assert fresh.process.stdin is not None
    fresh.process.stdin.close()
    assert fresh.ended_within(2) == 0
    assert _left(fresh) == [DRAG_JOURNAL_FILE]


def test_a_closed_connection_ends_it_in_the_middle_of_a_drag(
    fresh: EngineClient, checkpoint: Path, latent: FloatArray
) -> None:
    _in_the_middle_of_a_drag(fresh, checkpoint, latent)
    fresh.socket.close()
    fresh.ended_within(2)
    assert _left(fresh) == [DRAG_JOURNAL_FILE]


def test_garbage_on_the_wire_ends_it_with_a_line_in_the_log(fresh: EngineClient) -> None:
    fresh.ready()
    fresh.socket.sendall(b"\0\0\0\4\0\0\0\0oops")
    assert fresh.ended_within(5) == 1
    assert "not JSON" in fresh.log()


def test_shutdown_ends_it_in_order(fresh: EngineClient) -> None:
    fresh.ready()
    fresh.send(Shutdown())
    assert fresh.ended_within(5) == 0


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL exists on POSIX only")
def test_a_killed_parent_takes_the_engine_with_it(tmp_path: Path) -> None:
    # The parent of the engine is a separate process here, so that it can be killed.
    parent_code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "from tests.engine.serving.client import EngineClient; c = EngineClient(Path(sys.argv[2]));"
        "c.ready(); print(c.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent_code, str(ROOT), str(tmp_path)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        engine_pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 2
        while _is_alive(engine_pid) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert not _is_alive(engine_pid)


def _is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()
