# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and ending a process: command line, environment, log, and errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from draggan_blender.connection import launcher
from draggan_blender.connection.launcher import EngineProcess, LaunchError

PYTHON = Path(sys.executable)

# Writes its arguments, environment and first line of input to its log; ends with standard input.
REPORT = """
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ), sys.flags.isolated, sys.stdin.readline()]))
sys.stdin.read()
"""
STUBBORN = """
import signal, sys, time
if hasattr(signal, "SIGTERM"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up")
while True:
    time.sleep(60)
"""


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[[str], EngineProcess]]:
    """Return a function that starts a program in the place of the engine."""
    started: list[EngineProcess] = []

    def spawn(program: str) -> EngineProcess:
        main = tmp_path / "root" / "engine" / "__main__.py"
        main.parent.mkdir(parents=True, exist_ok=True)
        main.write_text(program, encoding="utf-8")
        log_path = launcher.new_log_path(tmp_path / "logs")
        root = tmp_path / "root"
        started.append(launcher.spawn(PYTHON, root, "cpu", log_path, port=1234, token="secret"))
        return started[-1]

    yield spawn
    for process in started:
        process.kill()
        process.end_now(0.0)


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not true within {timeout_s} s"
        time.sleep(0.005)


def test_the_engine_gets_the_port_and_the_token_and_nothing_of_blenders_python(
    spawn: Callable[[str], EngineProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = {"PYTHONPATH": "/p", "PYTHONHOME": "", "LD_PRELOAD": "", "VIRTUAL_ENV": "/v"}
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    process = spawn(REPORT)
    wait_until(lambda: process.log_path.read_text().endswith("]\n"))
    arguments, environment, isolated, first_line = json.loads(process.log_path.read_text())
    assert arguments == ["serve", "--device", "cpu"]
    assert first_line == '{"port": 1234, "token": "secret"}\n'
    assert isolated
    assert not set(foreign) & set(environment)
    assert environment["OMP_NUM_THREADS"] == "3"
    assert "secret" not in str(launcher.engine_command(PYTHON, Path("r"), "cpu"))


def test_its_current_folder_is_one_that_stays(spawn: Callable[[str], EngineProcess]) -> None:
    process = spawn("import os; print(os.getcwd(), flush=True); input(); input()")
    wait_until(lambda: process.last_line())
    assert Path(process.last_line()) == Path(Path.cwd().anchor)


def test_it_ends_with_its_standard_input(spawn: Callable[[str], EngineProcess]) -> None:
    process = spawn(REPORT)
    wait_until(lambda: process.last_line())
    assert process.poll() is None
    process.ask_to_end(politely=False)
    wait_until(lambda: process.poll() is not None)
    assert process.poll() == 0


def test_a_polite_end_leaves_the_standard_input_open_for_a_while(
    spawn: Callable[[str], EngineProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "CLOSE_AFTER_S", 0.3)
    process = spawn(REPORT)
    wait_until(lambda: process.last_line())
    process.ask_to_end(politely=True)
    process.press()
    time.sleep(0.15)
    assert process.poll() is None
    time.sleep(0.2)
    process.press()
    wait_until(lambda: process.poll() is not None)


@pytest.mark.skipif(os.name == "nt", reason="terminate is a kill on Windows")
def test_a_process_that_refuses_to_end_is_killed_and_no_call_waits_for_it(
    spawn: Callable[[str], EngineProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "CLOSE_AFTER_S", 0.05)
    monkeypatch.setattr(launcher, "TERMINATE_AFTER_S", 0.1)
    monkeypatch.setattr(launcher, "KILL_AFTER_S", 0.3)
    process = spawn(STUBBORN)
    wait_until(lambda: process.last_line() == "up")
    process.ask_to_end(politely=False)
    began_s = time.monotonic()
    longest_s = 0.0
    while process.poll() is None:
        before_s = time.monotonic()
        process.press()
        longest_s = max(longest_s, time.monotonic() - before_s)
        assert time.monotonic() - began_s < 5
        time.sleep(0.01)
    assert process.poll() == -9
    assert time.monotonic() - began_s >= 0.3
    assert longest_s < 0.1


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX process groups")
def test_a_kill_also_ends_the_engine_s_children(spawn: Callable[[str], EngineProcess]) -> None:
    process = spawn(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid)\n"
        "time.sleep(60)\n"
    )
    wait_until(lambda: process.last_line())
    child = int(process.last_line())
    process.kill()
    wait_until(lambda: process.poll() is not None)
    wait_until(lambda: not is_alive(child))


def is_alive(pid: int) -> bool:
    """Return whether a process is running; one that has ended and was not reaped is not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return found.stdout.strip()[:1] not in ("", "Z")


def test_end_all_ends_every_process(spawn: Callable[[str], EngineProcess]) -> None:
    processes = [spawn(REPORT), spawn(STUBBORN)]
    wait_until(lambda: all(process.last_line() for process in processes))
    launcher.end_all(grace_s=0.2)
    assert [process.poll() is None for process in processes] == [False, False]


def test_a_missing_python_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"expected at .*nowhere.* preferences"):
        launcher.spawn(tmp_path / "nowhere", tmp_path, "cpu", tmp_path / "x", port=1, token="")


def test_a_missing_engine_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"expected in .*engine.* install the extension again"):
        launcher.spawn(PYTHON, tmp_path, "cpu", tmp_path / "x", port=1, token="")


def test_a_python_that_cannot_start_is_reported_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__main__.py").touch()
    no_program = tmp_path / "python"
    no_program.write_text("not a program")
    with pytest.raises(LaunchError, match=r"could not be started with .*python.* preferences"):
        launcher.spawn(no_program, tmp_path, "cpu", tmp_path / "log", port=1, token="")


def test_a_log_folder_that_cannot_be_made_is_reported_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LaunchError, match="cannot be made"):
        launcher.new_log_path(tmp_path / "file" / "logs")


def test_only_the_last_ten_logs_stay(tmp_path: Path) -> None:
    (tmp_path / "other.log").touch()
    made = []
    for _ in range(14):
        made.append(launcher.new_log_path(tmp_path))
        made[-1].touch()
    assert len(set(made)) == 14
    assert sorted(tmp_path.glob("engine-*.log")) == sorted(made[-10:])
    assert (tmp_path / "other.log").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("\n \n", ""),
        ("one\ntwo\n\n", "two"),
        ("Traceback:\n  File x\nValueError: bad\n    hint\n", "ValueError: bad"),
        ("x" * 50_000 + "\nlast", "last"),
        ("\udcff", "\ufffd"),
        ("2026-11-22 20:00:00,001 INFO engine.worker: ready: torch on cpu\n", ""),
        (
            "2026-11-22 20:00:00,001 ERROR engine: broken\n",
            "2026-11-22 20:00:00,001 ERROR engine: broken",
        ),
    ],
)
def test_the_last_line_of_a_log_counts_if_it_is_an_error(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "log"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert launcher.last_line(path) == expected
    assert launcher.last_line(tmp_path / "missing") == ""
