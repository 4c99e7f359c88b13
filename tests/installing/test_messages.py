# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences: of problems, of progress and of reports; and that the documentation has them all."""

from __future__ import annotations

import errno
import io
import json
import re
import ssl
from pathlib import Path
from urllib.error import URLError

import pytest

from draggan_blender.installing import problems, report, state
from draggan_blender.installing.problems import PROBLEMS, InstallError
from draggan_blender.installing.progress import Progress, log_file

ROOT = Path(__file__).resolve().parents[2]


# Which test holds a fault of the table in the documentation.
TESTS_OF = {
    "slow": {"test_steps": "test_a_slow_index_is_waited_for"},
    "cut after some bytes": {
        "test_steps": "test_after_a_fault_the_old_engine_stays_and_the_next_try_succeeds",
        "test_downloads": "test_a_cut_connection_goes_on_where_it_was",
    },
    "404, 500, 403": {
        "test_steps": "test_after_a_fault_the_old_engine_stays_and_the_next_try_succeeds"
    },
    "another content (wrong hash)": {
        "test_steps": "test_after_a_fault_the_old_engine_stays_and_the_next_try_succeeds"
    },
    "a certificate that nobody knows, as of a network that replaces them": {
        "test_faults": "test_a_certificate_that_nobody_knows_is_refused_until_it_is_named"
    },
    "a clock that is set back": {"test_faults": "test_a_clock_that_is_set_back_is_named"},
    "a proxy that asks for a name and a password, or gets a wrong one": {
        "test_faults": "test_a_proxy_that_asks_for_a_password_gets_it_from_the_preferences"
    },
    "a disk without room, and one that becomes full (a small tmpfs)": {
        "test_steps": "test_a_full_disk_ends_in_a_sentence_and_the_next_try_goes_on"
    },
    "a read-only folder": {
        "test_faults": "test_a_folder_that_is_read_only_is_named",
        "test_steps": "test_a_folder_that_cannot_be_written_is_named",
    },
    "a file that another program holds": {
        "test_faults": "test_a_file_that_another_program_holds_is_named"
    },
    "Blender or the installer is killed, or cancelled": {
        "test_child": "test_a_killed_child_is_noticed_and_nothing_is_lost"
    },
    "two Blenders at once": {
        "test_steps": "test_two_installers_do_not_work_at_once",
        "test_child": "test_of_two_blenders_that_install_at_once_one_does_it_and_the_other_says_so",
    },
}


def plain(text: str) -> str:
    """Return a text in one line, without what Markdown adds and with ... for the fields."""
    return re.sub(r"\s+", " ", re.sub(r"\{\w+\}", "...", text).replace("*", "").replace("`", ""))


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading of the page, without its own heading."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    lines = page.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    table = [line for line in lines if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_documentation_has_the_messages_and_remedies_of_the_program_and_no_others() -> None:
    # A Python's version is a field of the program, and an example in the documentation.
    written = {
        found: remedy.replace("Install Python 3.11", "Install Python ...")
        for found, remedy in rows_of("Installing the engine")
    }
    known = {
        plain(problem.found): plain(f"{problem.remedy[0].upper()}{problem.remedy[1:]}.")
        for problem in PROBLEMS.values()
    }
    assert {plain(found): plain(remedy) for found, remedy in written.items()} == known


def test_each_fault_that_was_tried_has_a_message_and_a_test() -> None:
    rows, page = rows_of("What was tried"), plain(str(rows_of("Installing the engine")))
    assert len(rows) == 12
    for fault, message, tests in rows:
        parts = (
            [] if message.startswith("none:") else plain(message).replace("...", "\n").split("\n")
        )
        for part in (piece.strip(" ,") for piece in parts):
            # Rows with several faults have a piece of each message.
            assert all(piece.strip() in page for piece in part.split(",")), (fault, part)
        named = re.findall(r"`(\w+)`", tests)
        assert named, fault
        for name in named:
            text = (ROOT / "tests" / "installing" / f"{name}.py").read_text(encoding="utf-8")
            assert "def test_" in text
            known = TESTS_OF.get(fault, {}).get(name)
            assert known is not None, f"which test of {name} holds {fault!r}?"
            assert f"def {known}(" in text


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_problem_is_one_sentence_that_says_what_to_do(kind: str) -> None:
    text = str(InstallError(kind, name="Torch", host="example.org", detail="why"))
    assert "{" not in text and text.endswith(".") and "; " in text
    assert text[0].isupper()


@pytest.mark.parametrize(
    ("printed", "kind"),
    [
        ("error: dns error: failed to lookup address information", "unreachable"),
        ("error: HTTP status client error (404 Not Found) for url", "missing"),
        ("error: HTTP status server error (500 Internal Server Error)", "server"),
        ("ERROR: 407 Proxy Authentication Required", "proxy"),
        ("cause: invalid peer certificate: UnknownIssuer", "certificate"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "hash"),
        ("cause: No space left on device (os error 28)", "disk_full"),
        ("cause: The process cannot access the file (os error 32)", "in_use"),
        ("cause: Permission denied (os error 13)", "not_writable"),
        ("error: no wheels with a matching Python ABI tag", "no_package"),
        ("thread 'main' panicked", "tool"),
        ("", "tool"),
    ],
)
def test_what_pip_and_uv_print_is_understood(printed: str, kind: str) -> None:
    assert problems.from_tool_output(printed).kind == kind


def test_a_long_line_about_a_certificate_becomes_short() -> None:
    line = (
        "WARNING: Retrying after connection broken by 'SSLError(SSLCertVerificationError(1, "
        "'[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired'))'"
    )
    problem = problems.from_tool_output(line)
    assert "The identity of the package server cannot be verified (verify failed)" in str(problem)


def test_errors_of_the_system_are_understood() -> None:
    for number, kind in (
        (errno.ENOSPC, "disk_full"),
        (errno.EROFS, "not_writable"),
        (errno.EACCES, "not_writable"),
        (errno.EBUSY, "in_use"),
        (errno.EIO, "internal"),
    ):
        assert problems.from_os_error(OSError(number, "why", "/file")).kind == kind
    expired = ssl.SSLCertVerificationError("x")
    expired.verify_message = "certificate is not yet valid"
    problem = problems.from_url_error(URLError(expired), host="example.org", name="torch")
    assert problem is not None and problem.kind == "certificate"
    assert "check the date and time of this computer" in str(problem)
    tunnel = URLError(OSError("Tunnel connection failed: 407 Proxy Authentication Required"))
    problem = problems.from_url_error(tunnel, host="example.org", name="torch")
    assert problem is not None and problem.kind == "proxy"


def test_events_become_words_and_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("draggan_blender.installing.progress._EVERY_S", 0.0)
    out, log = io.StringIO(), io.StringIO()
    progress = Progress(out, log)
    progress.step("download", "Downloading packages", total=200_000_000)
    progress.detail("torch")
    progress.add_bytes(50_000_000)
    now = state.begun("install")
    for line in out.getvalue().splitlines():
        now = state.advance(now, json.loads(line))
    assert now.text.startswith("Downloading packages: torch, 50 MB of 200 MB")
    assert 0.1 < now.fraction < 0.8
    asked = state.cancelling(now)
    assert state.advance(asked, {"event": "step", "text": "x"}) == asked
    progress.end("failed", kind="cut", sentence="It broke; do this.")
    failed = state.advance(asked, json.loads(out.getvalue().splitlines()[-1]))
    assert (failed.phase, failed.kind, failed.text) == ("failed", "cut", "It broke; do this.")
    assert "== failed: It broke" in log.getvalue()
    event = {"text": "Loading", "total": 1e9, "done": 5e8, "speed": 1e7}
    assert state.step_in_words(event) == "Loading: 500 MB of 1.0 GB, 10 MB/s, 50 s left"


def test_a_report_has_no_personal_paths_and_no_passwords() -> None:
    log = (
        "$ /home/zoe/.config/blender/uv pip\n"
        "proxy http://zoe:secret@proxy.example:8080\n"
        "C:\\Users\\zoe\\AppData\\x and /mnt/zoe/y\n"
    )
    text = report.make_report([("Blender", "5.2.2")], log, home=Path("/home/zoe"), user="zoe")
    assert "zoe" not in text and "secret" not in text
    assert "Blender: 5.2.2" in text
    assert "~/.config/blender/uv pip" in text
    assert "http://***@proxy.example:8080" in text
    assert "C:\\Users\\USER\\AppData\\x and /mnt/USER/y" in text


def test_only_the_last_ten_logs_are_kept(tmp_path: Path) -> None:
    for _ in range(15):
        log_file(tmp_path).touch()
    assert len(list(tmp_path.iterdir())) == 10
    newest = report.newest_log(tmp_path)
    assert newest is not None and newest.name == max(path.name for path in tmp_path.iterdir())
