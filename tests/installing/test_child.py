# SPDX-License-Identifier: GPL-3.0-or-later
"""The installer's own process: its events, cancelling it, and the death of the process above it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from draggan_blender.installing import record
from draggan_blender.installing.child import Child
from draggan_blender.installing.problems import InstallError
from draggan_blender.installing.request import InstallRequest

from .conftest import MACHINE, ROOT, Bench
from .wheels import Faults

_PATIENCE_S = 120.0


@pytest.fixture
def request_of(bench: Bench) -> Callable[..., InstallRequest]:
    """Return a function that makes requests for the bench's index."""
    (bench.root / "draggan_blender").symlink_to(ROOT / "draggan_blender")

    def make(mode: str = "install", **more: Any) -> InstallRequest:
        fields = {"variant": "cpu", "index": bench.index.url, "online": True, **more}
        return InstallRequest(mode, str(bench.root), str(bench.user), **fields)

    return make


def follow(child: Child, until: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
    """Return the first event for which ``until`` is True, or the last one."""
    last: dict[str, Any] = {}
    end_s = time.monotonic() + _PATIENCE_S
    while not child.has_ended:
        assert time.monotonic() < end_s, last
        for event in child.poll():
            last = event
            if until is not None and until(event):
                return event
        time.sleep(0.02)
    return last


def is_far(event: dict[str, Any]) -> bool:
    return event.get("step") == "download" and event.get("done", 0) > 500_000


def test_a_child_installs_and_logs(bench: Bench, request_of: Callable[..., InstallRequest]) -> None:
    last = follow(Child(request_of()))
    assert last == {"event": "done", "sentence": "Ready on CPU, 2 threads: 40 ms a step"}
    (log,) = bench.places.logs.glob("install-*.log")
    text = log.read_text(encoding="utf-8")
    assert "install on linux" in text or MACHINE.system != "linux"
    assert "== Downloading packages" in text and "exit code 0" in text


def test_a_cancelled_child_says_so_and_the_next_one_goes_on(
    bench: Bench, request_of: Callable[..., InstallRequest]
) -> None:
    bench.index.faults = Faults("slow", after=50_000)
    child = Child(request_of())
    follow(child, is_far)
    child.cancel()
    assert follow(child)["event"] == "cancelled"
    assert list(bench.places.downloads.glob("torch-*.part"))
    bench.index.faults = Faults()
    assert follow(Child(request_of()))["event"] == "done"
    assert bench.index.ranges[-1].startswith("bytes=")


def test_a_killed_child_is_noticed_and_nothing_is_lost(
    bench: Bench, request_of: Callable[..., InstallRequest]
) -> None:
    bench.index.faults = Faults("slow", after=50_000)
    child = Child(request_of())
    follow(child, is_far)
    os.kill(child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    last = follow(child)
    assert (last["event"], last["kind"]) == ("failed", "internal")
    bench.index.faults = Faults()
    assert follow(Child(request_of()))["event"] == "done"
    assert bench.index.ranges[-1].startswith("bytes=")
    assert record.read(bench.places) is not None


def test_of_two_blenders_that_install_at_once_one_does_it_and_the_other_says_so(
    bench: Bench, request_of: Callable[..., InstallRequest]
) -> None:
    bench.index.faults = Faults("slow", after=50_000)
    children = [Child(request_of()), Child(request_of())]
    endings = [follow(child) for child in children]
    by_event = {ending["event"]: ending for ending in endings}
    assert set(by_event) == {"done", "failed"}, endings
    assert by_event["failed"]["kind"] == "busy"
    assert "wait until it has finished" in by_event["failed"]["sentence"]
    assert len(bench.environments()) == 1
    made = record.read(bench.places)
    assert made is not None and bench.environments() == [made.environment]
    # The other one finds the engine, and may install as well.
    assert follow(Child(request_of()))["event"] == "done"


def test_the_installer_ends_with_the_process_above_it(
    bench: Bench, request_of: Callable[..., InstallRequest]
) -> None:
    """As when Blender is killed in the middle of an installation."""
    bench.index.faults = Faults("slow", after=50_000)
    code = (
        "import sys, time\n"
        "from draggan_blender.installing.child import Child\n"
        "from draggan_blender.installing.request import InstallRequest\n"
        "child = Child(InstallRequest.from_line(sys.argv[1]))\n"
        "while True:\n"
        "    far = [e for e in child.poll() if e.get('done', 0) > 500_000]\n"
        "    if far: print(child.pid, flush=True)\n"
        "    time.sleep(0.02)\n"
    )
    command = [sys.executable, "-c", code, request_of().to_line()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as above:
        assert above.stdout is not None
        pid = int(above.stdout.readline())
        above.kill()
    until_s = time.monotonic() + 20.0
    while _is_running(pid):
        assert time.monotonic() < until_s, "the installer goes on without Blender"
        time.sleep(0.05)
    bench.index.faults = Faults()
    assert follow(Child(request_of()))["event"] == "done"
    assert bench.index.ranges[-1].startswith("bytes=")


def test_a_failure_has_its_kind_and_sentence(
    bench: Bench, request_of: Callable[..., InstallRequest]
) -> None:
    bench.index.faults = Faults("404")
    last = follow(Child(request_of()))
    assert (last["event"], last["kind"]) == ("failed", "missing")
    assert "HTTP 404" in last["sentence"]


def test_a_python_that_cannot_be_started_is_an_error(
    bench: Bench, request_of: Callable[..., InstallRequest]
) -> None:
    with pytest.raises(InstallError):
        Child(request_of(), python=str(bench.root / "no such program"))


def test_a_python_of_the_person_s_own_is_checked(
    bench: Bench, request_of: Callable[..., InstallRequest], tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    python = bare / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def check(path: Path) -> str:
        last = follow(Child(request_of("check", python=str(path))))
        assert last["event"] == "done", json.dumps(last)
        return str(last["sentence"])

    assert "lacks torch, numpy, pillow, safetensors; install with" in check(python)
    assert "has all that the engine needs" in check(Path(sys.executable))
    assert "is a folder; choose the program in it" in check(bare)
    assert "There is no file" in check(bare / "nothing")
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert "cannot be started" in check(text)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
