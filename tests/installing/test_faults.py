# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the network and of the disk that need a real server, proxy or file system.

Each ends in the sentence of its row in ``docs/troubleshooting.md``, leaves no engine behind, and
the next try without the fault succeeds. ``test_steps`` has those that a plain server can make.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError

import pytest

from draggan_blender.installing import record
from draggan_blender.installing.problems import InstallError
from draggan_blender.installing.variants import Locks

from .conftest import MACHINE, Bench
from .wheels import Index

SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
TORCH = "torch-1.0-py3-none-any.whl"
OPENSSL = shutil.which("openssl", path=SYSTEM_PATH)

needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="needs the program openssl")
needs_mounts = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs the right to mount"
)


def fails(bench: Bench, kind: str, **more: Any) -> str:
    """Try to install, and return the sentence; nothing may be left that could be started."""
    with pytest.raises(InstallError) as caught:
        bench.installer(**more).install()
    assert caught.value.kind == kind
    found = record.state(bench.places, Locks(bench.root / "requirements"), MACHINE)
    assert found == "absent"
    assert not bench.places.environments.exists() or bench.environments() == []
    return str(caught.value)


# ---------------------------------------------------------------- certificates


def certificate(folder: Path, *, begins: str = "", ends: str = "20991231000000Z") -> Path:
    """Make a certificate for 127.0.0.1 that nobody has signed, and return it with its key.

    Args:
        folder: An empty folder.
        begins: From when on it is valid, as ``20400101000000Z``; empty for now.
        ends: Until when.
    """
    assert OPENSSL is not None
    folder.mkdir()
    (folder / "index").touch()
    (folder / "settings").write_text(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\n"
        "default_md=sha256\npolicy=any\nx509_extensions=added\n[any]\ncommonName=supplied\n"
        "[added]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
    )

    def run(*arguments: str) -> None:
        done = subprocess.run([str(OPENSSL), *arguments], cwd=folder, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()

    made = ("-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "asked.pem")
    run("req", "-new", *made, "-subj", "/CN=127.0.0.1")
    times = ("-enddate", ends, *(("-startdate", begins) if begins else ()))
    files = ("-keyfile", "key.pem", "-in", "asked.pem", "-out", "cert.pem")
    run("ca", "-selfsign", "-batch", "-notext", "-config", "settings", *files, *times)
    path = folder / "both.pem"
    path.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return path


@pytest.fixture
def secure(index: Index) -> Iterator[Callable[[Path], Index]]:
    """Return a function that makes an index with https and a certificate."""
    made: list[Index] = []

    def make(path: Path) -> Index:
        made.append(Index(index.wheels, tls=path))
        return made[-1]

    yield make
    for item in made:
        item.close()


@needs_openssl
def test_a_certificate_that_nobody_knows_is_refused_until_it_is_named(
    bench: Bench,
    secure: Callable[[Path], Index],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a network that replaces certificates."""
    path = certificate(tmp_path / "unknown")
    bench.index = secure(path)
    sentence = fails(bench, "certificate")
    assert "cannot be verified" in sentence and "SSL_CERT_FILE" in sentence
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert bench.installer().install().device == "cpu"


@needs_openssl
def test_a_clock_that_is_set_back_is_named(
    bench: Bench,
    secure: Callable[[Path], Index],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To a clock that is wrong, the certificates of all servers are not valid yet."""
    later = certificate(tmp_path / "later", begins="20800101000000Z")
    bench.index = secure(later)
    monkeypatch.setenv("SSL_CERT_FILE", str(later))
    sentence = fails(bench, "certificate")
    assert "check the date and time of this computer" in sentence
    right = certificate(tmp_path / "right")
    bench.index = secure(right)
    monkeypatch.setenv("SSL_CERT_FILE", str(right))
    assert bench.installer().install().device == "cpu"


# ---------------------------------------------------------------- a proxy


class _Proxy(BaseHTTPRequestHandler):
    """Passes requests on from whoever gives the name ``zoe`` and the password ``p ss``."""

    wanted = "Basic " + base64.b64encode(b"zoe:p ss").decode()
    passed: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.headers.get("Proxy-Authorization") != self.wanted:
            self._answer(407, {"Proxy-Authenticate": 'Basic realm="office"'}, b"")
            return
        self.passed.append(self.path)
        kept = {name: self.headers[name] for name in ("Range", "Accept") if self.headers.get(name)}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(urllib.request.Request(self.path, headers=kept)) as answer:
                names = ("Content-Type", "Content-Range")
                found = {name: answer.headers[name] for name in names if answer.headers.get(name)}
                self._answer(answer.status, found, answer.read())
        except HTTPError as error:
            self._answer(error.code, {}, b"")

    def _answer(self, code: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: Any) -> None:
        """Print nothing."""


def test_a_proxy_that_asks_for_a_password_gets_it_from_the_preferences(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "")  # the installer sets them in its process
    _Proxy.passed.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        place = f"127.0.0.1:{server.server_address[1]}"
        sentence = fails(bench, "proxy", proxy=f"http://{place}")
        assert "Proxy in the preferences" in sentence
        fails(bench, "proxy", proxy=f"http://zoe:wrong@{place}")
        assert _Proxy.passed == []
        made = bench.installer(proxy=f"http://zoe:p%20ss@{place}").install()
        assert made.device == "cpu"
        assert any(path.endswith(TORCH) for path in _Proxy.passed)
    finally:
        server.shutdown()
        server.server_close()


# ---------------------------------------------------------------- disks and files


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """Return a function that mounts something on a path; all is unmounted afterwards."""
    programs = [shutil.which(name, path=SYSTEM_PATH) for name in ("mount", "umount")]
    mounted: list[Path] = []

    def on(path: Path, *arguments: str) -> None:
        if (
            None in programs
            or subprocess.run(
                [str(programs[0]), *arguments, str(path)], capture_output=True
            ).returncode
        ):
            pytest.skip("nothing can be mounted here")
        if "remount" not in arguments[-1]:
            mounted.append(path)

    def off() -> None:
        while mounted:
            subprocess.run([str(programs[1]), str(mounted.pop())], check=True)

    on.off = off  # type: ignore[attr-defined]
    yield on
    off()


@needs_mounts
def test_a_folder_that_is_read_only_is_named(bench: Bench, mount: Any) -> None:
    (wheel,) = bench.places.downloads.glob("uv-*.whl")
    kept = wheel.rename(bench.root / wheel.name)
    mount(bench.places.downloads, "-t", "tmpfs", "tmpfs")
    shutil.copy(kept, wheel)
    mount(bench.places.downloads, "-o", "remount,ro")
    sentence = fails(bench, "not_writable")
    assert str(bench.places.engine) in sentence
    assert "not by running Blender as administrator" in sentence
    mount.off()
    kept.rename(wheel)
    assert bench.installer().install().device == "cpu"


@needs_mounts
def test_a_file_that_another_program_holds_is_named(bench: Bench, mount: Any) -> None:
    """A mounted file can neither be removed nor replaced, as an open one on Windows."""
    path = bench.places.downloads / TORCH
    path.write_bytes(b"an earlier download")
    mount(path, "--bind", str(bench.root / "requirements" / "locks.json"))
    sentence = fails(bench, "in_use")
    assert TORCH in sentence and "close other Blenders" in sentence
    mount.off()
    assert bench.installer().install().device == "cpu"


def test_a_file_that_is_open_on_windows_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        error = PermissionError(13, "The process cannot access the file", str(source))
        error.winerror = 32  # type: ignore[attr-defined,unused-ignore]
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("draggan_blender.installing.downloads.os.replace", refuse)
        fails(bench, "in_use")
    assert bench.installer().install().device == "cpu"


def test_a_clock_that_is_set_back_between_two_installations_does_no_harm(bench: Bench) -> None:
    first = bench.installer().install()
    in_the_future = 4_000_000_000
    for path in bench.places.engine.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (in_the_future, in_the_future))
    second = bench.installer().install()
    assert second.environment != first.environment
    assert bench.environments() == [second.environment]
